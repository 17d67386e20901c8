"""Why a tool did not end well, in words for people."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sisyphus.errors import LimitReached, ToolFailed
from sisyphus.limits import Limits, memory_keeper, shown_bytes

_NO_MEMORY = re.compile(
    r"cannot allocate memory|out of memory|not enough memory|bad_alloc|memoryerror"
    r"|(malloc|memory allocation)\b.*\bfail|failed to allocate",
    re.IGNORECASE,
)
_FILE_TOO_LARGE = re.compile(r"file too large|file size limit exceeded", re.IGNORECASE)
_ASKED_IN_VAIN = (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGTRAP)
"""How programs die that do not look whether they got the memory."""


def failure_of(
    argv: Sequence[str],
    exit_code: int,
    tail: Sequence[str],
    limits: Limits,
    out_of_memory: bool = False,
) -> ToolFailed:
    """Make the error; ``out_of_memory``: the kernel says that the limit was reached."""
    name = Path(argv[0]).name
    last = f": {tail[-1]}" if tail else ""
    facts: dict[str, Any] = {
        "argv": list(argv),
        "exit_code": exit_code,
        "tail": list(tail),
    }
    if limits.memory and (out_of_memory or _says(tail, _NO_MEMORY)):
        message = (
            f"{name} needs more memory than tool_memory allows"
            f" ({shown_bytes(limits.memory)}, kept by {memory_keeper()})"
        )
        return LimitReached(message + last, limit="tool_memory", **facts)
    grew = exit_code == -signal.SIGXFSZ or _says(tail, _FILE_TOO_LARGE)
    if limits.file_size and grew:
        message = (
            f"{name} would write a file larger than tool_file_size allows"
            f" ({shown_bytes(limits.file_size)})"
        )
        return LimitReached(message + last, limit="tool_file_size", **facts)
    return ToolFailed(_how(name, exit_code, limits) + last, **facts)


def _says(tail: Sequence[str], sign: re.Pattern[str]) -> bool:
    return any(sign.search(line) for line in tail)


def _how(name: str, code: int, limits: Limits) -> str:
    if code >= 0:
        return f"{name} ended with exit status {code}"
    how = f"{name} was killed by {_signal_name(-code)}"
    if code == -signal.SIGKILL:
        how += " (out of memory?)"
    elif limits.memory and -code in _ASKED_IN_VAIN:
        how += f" (out of memory? tool_memory is {shown_bytes(limits.memory)})"
    return how


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # real-time signals have no names
        return f"signal {number}"
