"""Who encodes what: the kernel's list of processes, looked at fifty times a second."""

from __future__ import annotations

import os
import threading
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

LOOK_SECONDS = 0.02
_PROC = Path("/proc")


@dataclass(slots=True)
class Encoder:
    """One ffmpeg process that writes a film."""

    pid: int
    part: Path
    """What it writes: its last argument, a name beside the film's final one."""
    seen: float
    """When it was first seen, by ``time.monotonic``."""
    gone: float | None = None
    """When it was first missed; a dead process that nobody has buried is gone."""

    @property
    def film(self) -> str:
        """The final name of what it writes, which the part's name ends with."""
        return self.part.name.rpartition("-")[2]


class Watch:
    """Sees all encoders that write below a folder, whoever their parents are now.

    Nothing is asked of the workers. Processes that are older than the watch are not
    ours and never looked at.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._others = frozenset(_pids())
        self._running: dict[int, Encoder] = {}
        self._left: dict[Path, int] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self.encoders: list[Encoder] = []
        """All that were seen, in the order of their coming."""
        self.most: dict[str, int] = defaultdict(int)
        """Film -> the most encoders that were seen at one look."""
        self.grown = 0
        """Bytes by which unfinished files grew after their encoders were gone."""
        self.published: dict[str, set[tuple[int, int]]] = defaultdict(set)
        """Film -> the different files (number and size) seen under its final name."""
        self.longest_pause = 0.0
        """Seconds between two looks, at worst."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    def end(self) -> None:
        """Look a last time, and no more."""
        if not self._stop.is_set():
            self._stop.set()
            self._thread.join()
            self._look(time.monotonic())

    def running(self, film: str | None = None) -> list[Encoder]:
        """List those of a film, or all, that ran at the last look."""
        found = list(self._running.values())
        return [each for each in found if film in (None, each.film)]

    def _run(self) -> None:
        before = time.monotonic()
        while not self._stop.wait(LOOK_SECONDS):
            now = time.monotonic()
            self.longest_pause = max(self.longest_pause, now - before)
            before = now
            self._look(now)

    def _look(self, now: float) -> None:
        found = {pid: part for pid in _pids() if (part := self._written_by(pid))}
        for pid, encoder in list(self._running.items()):
            if found.get(pid) != encoder.part:
                encoder.gone = now
                del self._running[pid]
                self._left[encoder.part] = size_of(encoder.part)
        for pid, part in found.items():
            if pid not in self._running:
                encoder = Encoder(pid, part, now)
                self.encoders.append(encoder)
                self._running[pid] = encoder
        for film in {encoder.film for encoder in self._running.values()}:
            self.most[film] = max(self.most[film], len(self.running(film)))
        self._look_at_files()

    def _look_at_files(self) -> None:
        for part, before in self._left.items():
            size = size_of(part)
            self.grown += max(0, size - before)
            self._left[part] = size
        for path in self._folder.iterdir():
            if not path.name.startswith("."):
                with suppress(FileNotFoundError):
                    facts = path.stat()
                    self.published[path.name].add((facts.st_ino, facts.st_size))

    def _written_by(self, pid: int) -> Path | None:
        """Tell what a process encodes to; the guard above it has another name."""
        if pid in self._others:
            return None
        with suppress(OSError):
            if (_PROC / str(pid) / "comm").read_bytes() != b"ffmpeg\n":
                return None
            # That of a process which has ended is empty.
            argv = (_PROC / str(pid) / "cmdline").read_bytes().split(b"\0")[:-1]
            if argv:
                written = Path(os.fsdecode(argv[-1]))
                return written if written.parent == self._folder else None
        return None


def _pids() -> list[int]:
    return [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()]


def size_of(path: Path) -> int:
    """Give a file's size; 0 if there is none."""
    with suppress(FileNotFoundError):
        return path.stat().st_size
    return 0
