"""What a tool may take of the machine: the operator's limits, and how they are kept.

Never from a job. The guard puts them on the tool before it starts, so they hold for all
that the tool starts in turn.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Self

from sisyphus.settings import Settings

WORKER_GROUP = "sisyphus-workers"
"""The control group that holds us, so that groups for tools can stand beside it."""

_ROOT = Path("/sys/fs/cgroup")
_PATIENCE_SECONDS = 5.0
_IO_CLASSES = {"best-effort": 2 << 13 | 7, "idle": 3 << 13}
"""As the kernel counts them; of its eight levels of best effort the lowest."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one worker's tools; zero or nothing where there is none."""

    nice: int = 0
    io_class: str | None = None
    memory: int | None = None
    """Bytes: of a tool with all it starts (control group), else of each process."""
    file_size: int | None = None
    """Bytes of any one file."""
    wrapper: tuple[str, ...] = ()
    """What is put before every command."""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Take them from the worker's settings."""
        return cls(
            settings.tool_nice,
            settings.tool_io_class,
            settings.tool_memory,
            settings.tool_file_size,
            settings.tool_wrapper,
        )

    def found(self, find: Callable[[str], str]) -> Self:
        """Give the wrapper's program its absolute path, which ``find`` knows."""
        if not self.wrapper:
            return self
        program, *rest = self.wrapper
        return replace(self, wrapper=(find(program), *rest))

    def for_guard(self, mark: str) -> str:
        """Write them as the guard reads them; ``mark`` makes the group's name."""
        group = self.memory and tool_groups()
        numbers = (
            self.nice,
            _IO_CLASSES.get(self.io_class or "", 0),
            self.memory or 0,
            self.file_size or 0,
        )
        place = f"{group}/tool-{mark}" if group else ""
        return f"{' '.join(map(str, numbers))} {place}"

    def told(self) -> list[str]:
        """Say for people which limits there are, and what keeps them."""
        said = []
        if self.nice:
            said.append(f"nice {self.nice}")
        if self.io_class:
            said.append(f"io {self.io_class}")
        if self.memory:
            said.append(f"memory {shown_bytes(self.memory)} ({memory_keeper()})")
        if self.file_size:
            said.append(f"files up to {shown_bytes(self.file_size)}")
        if self.wrapper:
            said.append("started by " + " ".join(self.wrapper))
        return said


def shown_bytes(number: int) -> str:
    """Write a number of bytes as the settings take it."""
    for unit, size in (("T", 1 << 40), ("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10)):
        if number >= size:
            return f"{number / size:.4g}{unit}"
    return str(number)


def memory_keeper() -> str:
    """Tell what keeps ``tool_memory`` here: ``cgroup``, ``rlimit`` or ``nothing``."""
    if tool_groups() is not None:
        return "cgroup"
    # Elsewhere the kernel does not count what a process maps.
    return "rlimit" if sys.platform == "linux" else "nothing"


def enter_group() -> None:
    """Move this process so that its tools can have control groups of their own.

    Only where it is alone in a group that it may divide (systemd: ``Delegate=yes``): the
    kernel wants no process in a group whose memory is shared out below it.
    """
    own = _own_group()
    if own is None or own.name == WORKER_GROUP or not _may_divide(own):
        return
    with suppress(OSError):
        _remove_empty(own)
        below = own / WORKER_GROUP
        below.mkdir(exist_ok=True)
        (below / "cgroup.procs").write_text("0")
        (own / "cgroup.subtree_control").write_text("+memory")
    tool_groups.cache_clear()


@cache
def tool_groups() -> Path | None:
    """Give the control group below which tools get theirs, if that was prepared."""
    own = _own_group()
    if own is None or own.name != WORKER_GROUP:
        return None
    shared = _words(own.parent / "cgroup.subtree_control")
    usable = "memory" in shared and os.access(own.parent, os.W_OK)
    return own.parent if usable else None


def clear_group(mark: str, groups: Path | None = None) -> None:
    """End and remove the group of a tool whose guard was killed."""
    groups = groups or tool_groups()
    if groups is None:
        return
    group = groups / f"tool-{mark}"
    with suppress(OSError):
        (group / "cgroup.kill").write_text("1")
        end = time.monotonic() + _PATIENCE_SECONDS
        while "populated 1" in (group / "cgroup.events").read_text():
            if time.monotonic() > end:
                break
            time.sleep(0.01)
        group.rmdir()


def _own_group() -> Path | None:
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("0::/") and (_ROOT / "cgroup.controllers").exists():
            return _ROOT / line[4:]
    return None


def _may_divide(group: Path) -> bool:
    alone = _words(group / "cgroup.procs") == [str(os.getpid())]
    has_memory = "memory" in _words(group / "cgroup.controllers")
    return alone and has_memory and os.access(group, os.W_OK)


def _remove_empty(group: Path) -> None:
    """Remove what workers that were killed have left."""
    for left in group.glob("tool-*"):
        with suppress(OSError):
            left.rmdir()


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []
