"""What is looked at before a tool works for hours: could it come to a good end?

Whatever cannot be told for sure is let through: a film that ffmpeg can encode is never
refused here.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path

from sisyphus.errors import InvalidSettings, Problem, TaskFailed, ToolFailed
from sisyphus.media.verify import READABLE_SUFFIXES, check_source
from sisyphus.modules.task import Task

_ANY_EXIT_STATUS = range(256)
_LISTED = re.compile(r"\s[A-Z.]{6}\s+(\S+)(?:.*\(codec (\S+)\))?")
_FILTER = re.compile(r"\s[A-Z.]{2,3}\s+(\S+)\s+\S+->\S+")
_ERROR = re.compile(r"\[(?:error|fatal)\] (.*)")
_VAGUE = "Error opening input"
_DENSE = frozenset({".mkv", ".mka", ".webm", ".mp4", ".m4v", ".m4a", ".mov"})
_READ_ONLY = frozenset({".mks", ".mk3d"})
"""Endings that ffmpeg knows when it reads, not when it writes."""
_NO_FORMAT = ("Unable to find a suitable output format", "Unable to choose an output")
_LISTS: dict[tuple[str, int, str], frozenset[str]] = {}
"""What a program has told: its path, its time of change, what it was asked."""


# Space


def check_space(task: Task, output: Path, needed: int) -> None:
    """Refuse to begin when the output cannot fit on its file system.

    ``needed`` is what it will take at least, in bytes.

    Raises:
        TaskFailed: less than that is free; the numbers are in the message.
    """
    folder = output.parent
    if not folder.is_dir():
        return  # said in better words when the output is opened
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise TaskFailed(
            f"disk full: {output.name} needs at least {needed:,} bytes, the file"
            f" system of {folder} has {free:,} bytes free"
        )


def least_copied(source: Path) -> int:
    """Tell what a copy of all of a source's streams takes at least, in bytes.

    Nearly all of a Matroska or MP4 file is streams. A transport stream may be padded.
    """
    size = source.stat().st_size
    dense = source.suffix.lower() in _DENSE
    return size * 9 // 10 if dense else size // 2


# Sources


def check_whole(task: Task, source: Path) -> None:
    """Refuse a source that is cut short or has a hole; can be stopped meanwhile.

    Raises:
        OutputRefused: it is, or has.
    """
    check_source(source, task.control.raise_if_stopping)


def check_opens(
    task: Task, source: Path, field: str, before: Sequence[str] = ()
) -> list[str]:
    """Let ffmpeg itself open a source, with the options that stand before it.

    Gives what it says of the streams.

    Raises:
        InvalidSettings: it cannot.
    """
    said: list[str] = []
    argv = ["ffmpeg", "-nostdin", "-hide_banner", "-v", "level+info"]
    task.tool(
        [*argv, "-protocol_whitelist", "file,pipe", *before, "-i", str(source)],
        on_line=_into(said),
        on_stderr_line=_into(said),
        ok=_ANY_EXIT_STATUS,
        cwd=task.workdir,
    )
    if not any("Input #0" in line for line in said):
        reasons = [found[1] for line in said if (found := _ERROR.search(line))]
        own = [r for r in reasons if str(source) not in r and _VAGUE not in r]
        reason = (own or reasons or ["it says nothing"])[-1]
        expected = f"is no film that ffmpeg can read: {reason}"
        raise InvalidSettings.of(Problem(task.field(field), str(source), expected))
    return said


# What the tool can do


def check_encoder(task: Task, name: str, field: str) -> None:
    """Refuse an encoder that this ffmpeg does not have.

    Raises:
        InvalidSettings: it has not; names the nearest that it has.
        ToolMissing: there is no ffmpeg.
    """
    known = _asked(task, "-encoders", _LISTED)
    if not known or name in known or name == "copy":
        return
    near = get_close_matches(name, known, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]}?" if near else "see ffmpeg -encoders"
    expected = f"must be an encoder of this worker's ffmpeg: {hint}"
    raise InvalidSettings.of(Problem(task.field(field), name, expected))


def has_filter(task: Task, name: str) -> bool:
    """Tell whether this ffmpeg has a filter."""
    return name in _asked(task, "-filters", _FILTER)


def check_container(task: Task, output: Path, field: str) -> None:
    """Refuse a name whose ending tells ffmpeg no container.

    Raises:
        InvalidSettings: it tells none.
    """
    suffix = output.suffix.lower()
    if suffix in READABLE_SUFFIXES - _READ_ONLY:
        return
    said: list[str] = []
    source = ("-f", "lavfi", "-i", "anullsrc", "-t", "0", "-c", "copy")
    trial = task.workdir / f"trial{suffix}"
    task.tool(
        ["ffmpeg", "-nostdin", "-v", "error", "-y", *source, str(trial)],
        on_line=_into(said),
        on_stderr_line=_into(said),
        ok=_ANY_EXIT_STATUS,
        cwd=task.workdir,
    )
    trial.unlink(missing_ok=True)
    if any(sign in line for sign in _NO_FORMAT for line in said):
        expected = (
            f"must end like a container that ffmpeg writes, such as .mkv: {suffix!r}"
            " is none (or name one with the option f)"
        )
        raise InvalidSettings.of(Problem(task.field(field), str(output), expected))


def _asked(task: Task, what: str, row: re.Pattern[str]) -> frozenset[str]:
    """Let ffmpeg list what it can do, once for each program; nothing if it will not."""
    program = Path(task.find_tool("ffmpeg"))
    key = (str(program), program.stat().st_mtime_ns, what)
    if key not in _LISTS:
        lines: list[str] = []
        try:
            task.tool(
                [program, "-nostdin", "-hide_banner", what],
                on_line=_into(lines),
                on_stderr_line=_into([]),
                cwd=task.workdir,
            )
        except ToolFailed:
            return frozenset()
        found = (row.match(line) for line in lines)
        names = (match.groups() for match in found if match)
        _LISTS[key] = frozenset(name for group in names for name in group if name)
    return _LISTS[key]


def _into(lines: list[str]) -> Callable[[str], bool]:
    def take(line: str) -> bool:
        lines.append(line)
        return True

    return take
