"""How a death is passed on: down to the children, and what it leaves to the supervisor."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

CLEAR_SECONDS = 3.0


def die_with_parent() -> None:
    """Let the kernel kill this process when its supervisor dies; Linux only.

    Signals that stop a supervisor often go to its whole group or control group: a worker
    process leaves them to its supervisor.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        pr_set_pdeathsig, pr_set_child_subreaper = 1, 36
        libc.prctl(pr_set_pdeathsig, signal.SIGKILL, 0, 0, 0)
        libc.prctl(pr_set_child_subreaper, 1, 0, 0, 0)


def adopt_orphans() -> None:
    """Let descendants whose parent dies become our children; Linux only."""
    if sys.platform == "linux":
        pr_set_child_subreaper = 36
        ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1, 0, 0, 0)


def wait_for_orphans(known: Collection[int]) -> None:
    """Return when no child but the ``known`` ones is left; kill those that stay."""
    never, ends = threading.Event(), time.monotonic() + CLEAR_SECONDS
    while orphans := [pid for pid in _children(os.getpid()) if pid not in known]:
        for pid in orphans:
            if time.monotonic() > ends:
                for descendant in (*_descendants(pid), pid):
                    with suppress(ProcessLookupError):
                        os.kill(descendant, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        never.wait(0.01)


def _descendants(pid: int) -> Iterator[int]:
    for child in _children(pid):
        yield from _descendants(child)
        yield child


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with suppress(OSError):
        for thread in (Path("/proc") / str(pid) / "task").iterdir():
            with suppress(OSError):
                found += map(int, (thread / "children").read_text().split())
    return found
