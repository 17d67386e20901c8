"""Folders, held open so that no link that is changed meanwhile can lead elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sisyphus.errors import TaskFailed

# A folder that may be entered but not listed can be opened for no more than this.
_FLAGS = os.O_DIRECTORY | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY)


@contextmanager
def opened(roots: Iterable[Path], folder: Path) -> Iterator[int]:
    """Open a folder that is a root or lies below one, step by step from the root.

    Links are resolved first, then none is followed: what is done by the descriptor is
    done below the root, whatever happens to the path meanwhile.

    Raises:
        TaskFailed: it is below no root.
        OSError: it is not there, or a link took its place just now.
    """
    real = Path(os.path.realpath(folder))
    root = root_of(roots, real)
    if root is None:
        raise TaskFailed(f"{folder} is outside the allowed roots")
    held = os.open(root, _FLAGS)
    try:
        for name in real.relative_to(root).parts:
            below = os.open(name, _FLAGS | os.O_NOFOLLOW, dir_fd=held)
            os.close(held)
            held = below
        yield held
    finally:
        os.close(held)


def root_of(roots: Iterable[Path], real: Path) -> Path | None:
    """Find the root, links resolved, that holds a real path; the outermost of several."""
    found = [
        root
        for root in (Path(os.path.realpath(root)) for root in roots)
        if root == real or root in real.parents
    ]
    return min(found, key=lambda root: len(root.parts), default=None)


def resolved(path: Path) -> Path:
    """Resolve the links of a path's folder, but not the name itself."""
    return Path(os.path.realpath(path.parent), path.name)
