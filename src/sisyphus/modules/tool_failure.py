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
_DISK_FULL = re.compile(r"no space left on device|disk quota exceeded", re.IGNORECASE)
_METADATA = re.compile(r"(^|\s):(\s|$)")
"""``key : value``, and its further lines: a film's own text."""
_SHORT_WORD = 3
_LAST_WORDS = 5
"""Lines in which a tool says why it ends, as ffmpeg does; before them it repeats texts."""
_ASKED_IN_VAIN = (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGTRAP)
"""How programs die that do not look whether they got the memory."""


def failure_of(
    argv: Sequence[str],
    exit_code: int,
    tail: Sequence[str],
    limits: Limits,
    out_of_memory: bool | None = None,
) -> ToolFailed:
    """Make the error.

    ``out_of_memory``: whether the kernel says that the limit was reached; ``None`` if it
    does not tell, so that the tool's own last words have to.
    """
    name = Path(argv[0]).name
    last = f": {tail[-1]}" if tail else ""
    facts: dict[str, Any] = {
        "argv": list(argv),
        "exit_code": exit_code,
        "tail": list(tail),
    }
    if out_of_memory is None:
        out_of_memory = _says(argv, tail, _NO_MEMORY)
    if limits.memory and out_of_memory:
        message = (
            f"{name} needs more memory than tool_memory allows"
            f" ({shown_bytes(limits.memory)}, kept by {memory_keeper()})"
        )
        return LimitReached(message + last, limit="tool_memory", **facts)
    grew = exit_code == -signal.SIGXFSZ or _says(argv, tail, _FILE_TOO_LARGE)
    if limits.file_size and grew:
        message = (
            f"{name} would write a file larger than tool_file_size allows"
            f" ({shown_bytes(limits.file_size)})"
        )
        return LimitReached(message + last, limit="tool_file_size", **facts)
    return ToolFailed(_how(name, exit_code, limits) + last, **facts)


def disk_was_full(argv: Sequence[str], tail: Sequence[str]) -> bool:
    """Tell whether a tool ended because there was no space left."""
    return _says(argv, tail, _DISK_FULL)


def _says(argv: Sequence[str], tail: Sequence[str], sign: re.Pattern[str]) -> bool:
    """Tell whether the tool itself says so: not a film's text, nor the name of a file."""
    own = [line for line in tail[-_LAST_WORDS:] if not _METADATA.search(line)]
    return any(sign.search(_without_words(argv, line)) for line in own)


def _without_words(argv: Sequence[str], line: str) -> str:
    words = {word.removeprefix("file:") for word in argv[1:]}
    words |= {word.rpartition("/")[2] for word in words}
    for word in sorted(filter(None, words), key=len, reverse=True):
        line = line.replace(word, "") if len(word) > _SHORT_WORD else line
    return line


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
