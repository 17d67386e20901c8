"""Where jobs may read, write and delete: below the worker's roots, links resolved."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from sisyphus.errors import InvalidSettings, Problem


class Roots:
    """The folders that jobs may touch.

    A path counts by where it really leads: symbolic links and ``..`` are resolved
    first. Check again right before use, for links change.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self.folders = tuple(Path(folder) for folder in folders)

    def allows(self, path: Path) -> bool:
        """Tell whether the path leads to somewhere below a root."""
        real = Path(os.path.realpath(path))
        return any(
            Path(os.path.realpath(root)) in real.parents for root in self.folders
        )

    def check(self, path: Path, field: str) -> None:
        """Refuse a path that leads out of the roots, or is a root itself.

        ``field`` names the setting that held the path.

        Raises:
            InvalidSettings: the path is not below any root.
        """
        if self.allows(path):
            return
        roots = ", ".join(map(str, self.folders)) or "none are set"
        expected = (
            f"is outside the allowed roots ({roots}):"
            " start the worker with --root FOLDER"
        )
        raise InvalidSettings.of(Problem(field, str(path), expected))
