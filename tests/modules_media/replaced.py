"""A place with an original and a new file, for the tests of replacing and undoing."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sisyphus.modules.cleanup import Cleanup
from sisyphus.modules.quarantine import NAME
from sisyphus.modules.undoing import Undone, undo_job
from sisyphus.testing import TaskRun, run_module

OLD, NEW = b"original" * 500, b"new film" * 300
JOB = "a-job"
LONG_AGO = 1_000_000_000


@dataclass
class Place:
    """An original in a folder, a new file in another one."""

    root: Path
    original: Path
    new: Path
    final: Path
    roots: tuple[Path, ...]

    @classmethod
    def make(
        cls, root: Path, name: str = "film.avi", new: str = "temp/film.mkv"
    ) -> Place:
        """Put both there; whatever was there before is gone."""
        original, successor = root / "films" / name, root / new
        for path in (original, successor):
            path.parent.mkdir(parents=True, exist_ok=True)
        successor.write_bytes(NEW)
        original.write_bytes(OLD)
        original.chmod(0o640)
        os.utime(original, (LONG_AGO, LONG_AGO))
        final = original.with_suffix(successor.suffix)
        return cls(root, original, successor, final, (root, successor.parent))

    def data(self, **more: Any) -> dict[str, Any]:
        """Give the task."""
        wish = {"original": str(self.original), "with": str(self.new), "verify": "off"}
        return {"replace": [{**wish, **more}]}

    def replace(self, **more: Any) -> TaskRun:
        """Run the task, as a worker does for the job ``a-job``."""
        return run_module(Cleanup, self.data(**more), roots=self.roots)

    def undo(self, **more: bool) -> list[Undone]:
        """Undo the job; nothing may be odd about the quarantine."""
        complaints: list[str] = []
        done = undo_job(self.roots, JOB, complaints.append, **more)
        assert not complaints
        return done

    @property
    def quarantine(self) -> Path:
        """Where originals of this place are kept."""
        return self.root / NAME

    def kept(self) -> list[Path]:
        """List the files in the quarantine, but for records and locks."""
        files = (path for path in self.quarantine.rglob("*") if path.is_file())
        return [
            path for path in files if path.suffix != ".json" and path.name != "lock"
        ]

    def films(self) -> dict[str, bytes]:
        """Give what lies in the folder of the original."""
        folder = self.original.parent
        return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}

    def check_replaced(self) -> None:
        """Make sure that the new file is in its place, and the original is kept."""
        assert self.films() == {self.final.name: NEW}
        facts = self.final.stat()
        assert stat.S_IMODE(facts.st_mode) == 0o640
        assert facts.st_mtime == LONG_AGO
        assert not self.new.exists()
        assert [path.read_bytes() for path in self.kept()] == [OLD]

    def check_as_before(self) -> None:
        """Make sure that both are where they were before the task."""
        self.check_original()
        assert self.new.read_bytes() == NEW
        assert self.kept() == []

    def check_original(self) -> None:
        """Make sure that the original is under its name, as it was."""
        facts = self.original.stat()
        assert self.original.read_bytes() == OLD
        assert stat.S_IMODE(facts.st_mode) == 0o640
        assert facts.st_mtime == LONG_AGO
        assert facts.st_nlink == 1

    def one_is_whole(self) -> bool:
        """Tell whether original and new film are both somewhere, whole."""
        everywhere = [path for root in self.roots for path in root.rglob("*")]
        contents = {path.read_bytes() for path in everywhere if path.is_file()}
        return {OLD, NEW} <= contents

    def name_is_never_missing(self) -> bool:
        """Tell whether a film can be found under one of the names it may have."""
        whole = {self.original: {OLD, NEW}, self.final: {OLD, NEW}}
        return any(
            path.is_file() and path.read_bytes() in contents
            for path, contents in whole.items()
        )


Make = Callable[..., Place]
