"""The last resort: killing what a tool left when its guard was killed."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

MARK = "_SISYPHUS_RUN"
"""The variable by which every process of one run of one tool can be told."""

_PATIENCE_SECONDS = 5.0


def kill_leftovers(run: str, session: int) -> None:
    """Kill every process that carries the run's mark or is in its guard's session.

    Linux only; elsewhere nothing is found. A process that emptied its environment and
    moved to a session of its own escapes.
    """
    end = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < end:
        found = [pid for pid in _processes() if _is_of(pid, run, session)]
        if not found:
            return
        # All are halted before one is killed, so that none can start another.
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in found:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)
        for pid in found:
            # Those that became our own children would stay as zombies.
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        time.sleep(0.005)


def _processes() -> list[int]:
    with suppress(FileNotFoundError):
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208
    return []


def _is_of(pid: int, run: str, session: int) -> bool:
    folder = Path("/proc", str(pid))
    try:
        # After the name in brackets: state, parent, group, session.
        facts = (folder / "stat").read_bytes().rpartition(b")")[2].split()
        if facts[0] == b"Z" and int(facts[1]) != os.getpid():
            return False
        if pid == session:
            return False  # the guard itself, which its starter buries
        if int(facts[3]) == session:
            return True
        return f"{MARK}={run}".encode() in (folder / "environ").read_bytes().split(
            b"\0"
        )
    except (OSError, IndexError):
        return False
