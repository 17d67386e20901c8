"""A worker's own folder for temporary files: what one life leaves, the next one removes."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from sisyphus.modules.output import safe_name
from sisyphus.settings import Settings
from sisyphus.worker.identity import family_of


def begin_folder(settings: Settings, worker_id: str) -> Path | None:
    """Make the folder anew; whoever calls has the session of that worker id.

    Returns:
        Nothing when it cannot be made (a full disk, a folder that is not there, or one of
        that name that is not to be trusted): jobs that need it will tell.
    """
    where = settings.workdir or Path(tempfile.gettempdir())
    folder = where / f"sisyphus-{family_of(settings)}-{safe_name(worker_id)}"
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(mode=0o700)
    except OSError:
        return None
    return folder
