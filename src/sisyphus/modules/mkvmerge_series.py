"""Splitting, where the operator allows it: one merge becomes several files."""

from __future__ import annotations

import glob
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sisyphus.errors import OutputRefused, TaskFailed
from sisyphus.media.verify import check_container
from sisyphus.modules.mkvtoolnix import run_mkvtoolnix
from sisyphus.modules.output import safe_name
from sisyphus.modules.task import Task


def merge_series(
    task: Task, output: Path, argv_to: Callable[[Path], Sequence[str]]
) -> list[Path]:
    """Run mkvmerge, and publish each file that it makes: ``film-001.mkv`` and so on.

    Raises:
        OutputRefused: it made none, or one of them is damaged.
    """
    task.check_path(output, "output_file")
    published = []
    with _folder_beside(task, output) as folder:
        run_mkvtoolnix(task, argv_to(folder / output.name))
        made = sorted(path for path in folder.iterdir() if path.is_file())
        if not made:
            raise OutputRefused(f"nothing was written for {output}")
        for path in made:
            target = output.with_name(path.name)
            with task.output(target, overwrite=True, check=check_container) as part:
                path.rename(part)
            task.log(f"made {target}")
            published.append(target)
    return published


@contextmanager
def _folder_beside(task: Task, output: Path) -> Iterator[Path]:
    """Make a folder on the output's file system; those of dead attempts go."""
    start = f".sisyphus-{safe_name(task.job_id)}-"
    end = "-series"
    for left in output.parent.glob(f"{glob.escape(start)}*{end}"):
        shutil.rmtree(left, ignore_errors=True)
    folder = output.with_name(f"{start}{task.token}{end}")
    try:
        folder.mkdir()
    except OSError as error:
        raise TaskFailed(f"{folder} cannot be made: {error.strerror}") from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
