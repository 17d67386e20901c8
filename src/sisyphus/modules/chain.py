"""What earlier tasks of a job will have done by the time that a later one runs.

By this a whole job is checked, and its commands are shown, before its first task starts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sisyphus.modules.fields import Files

if TYPE_CHECKING:  # a task is told what comes before it: they name each other
    from sisyphus.modules.base import Module
    from sisyphus.modules.identify import Track
    from sisyphus.modules.task import Task


@dataclass(frozen=True, slots=True)
class Before:
    """What the tasks before one will have done."""

    made: frozenset[Path] = frozenset()
    gone: frozenset[Path] = frozenset()
    """Deleted, or moved away."""
    tracks: Mapping[Path, Sequence[Track]] = field(default_factory=dict)
    """Of files that will have been made, as far as it is known."""


class Chain:
    """Goes through a job's tasks in order; ``files`` holds those of every task."""

    def __init__(self, files: Sequence[Files]) -> None:
        self._files = files
        self.before = Before()
        """What the tasks so far will have done."""

    def follow(self, module: Module, task: Task, *, fine: bool = True) -> None:
        """Take in what a task will do; ``fine``: nothing was wrong with its settings."""
        files, before = self._files[task.index], self.before
        changed = files.writes | files.deletes
        tracks = {p: found for p, found in before.tracks.items() if p not in changed}
        # A file that a task may not read is not looked into either.
        if fine and files.writes & self._read_after(task.index):
            tracks |= _foretold(module, task)
        self.before = Before(
            made=(before.made - files.deletes) | files.writes,
            gone=(before.gone | files.deletes) - files.writes,
            tracks=tracks,
        )

    def _read_after(self, index: int) -> frozenset[Path]:
        later = (files.reads for files in self._files[index + 1 :])
        return frozenset().union(*later)


def _foretold(module: Module, task: Task) -> Mapping[Path, Sequence[Track]]:
    try:
        return module.foretell(task)
    except Exception:  # what is not known now is seen when the file is there
        return {}
