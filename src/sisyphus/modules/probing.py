"""What tasks that read films do alike: probe them, and keep sources from outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from weakref import WeakKeyDictionary

from sisyphus.errors import (
    InvalidSettings,
    LimitReached,
    Problem,
    TaskFailed,
    ToolFailed,
)
from sisyphus.limits import Limits, memory_keeper, shown_bytes
from sisyphus.media.probe import (
    Memory,
    Printed,
    Probe,
    Read,
    ReadLines,
    Unreadable,
    film_of,
)
from sisyphus.modules.task import Task
from sisyphus.modules.tool_failure import disk_was_full, failure_of

_LONGEST_ANSWER = 16 * 1024**2
_NO_MEDIA = (
    "Invalid data found when processing input",
    "End of file",
    "Not yet implemented in FFmpeg, patches welcome",
)
"""How ffprobe ends its last line for what is no media file, or none it can read."""
_TOLD_EACH = 5000
"""Lines after which a long count is told: whoever is silent for long counts as hung."""

_MEMORIES: WeakKeyDictionary[Task, Memory] = WeakKeyDictionary()


def reader(task: Task) -> Read:
    """Give what runs ffprobe: under the task's guard, and stopped with it."""

    def read(argv: Sequence[str]) -> Printed:
        # Into a file: a long tag makes lines longer than a log's may be.
        answer = task.workdir / "probed.json"
        answer.unlink(missing_ok=True)
        ffprobe, *rest = argv
        err: list[str] = []
        try:
            task.tool([ffprobe, "-o", answer, *rest], on_stderr_line=_into(err))
        except ToolFailed as error:
            status = _status(task, error, err)
            return Printed(status, _beginning(answer), "\n".join(err))
        return Printed(0, _whole(answer, Path(rest[-1])), "\n".join(err))

    return read


def line_reader(task: Task) -> ReadLines:
    """Give what runs a tool that prints very much, line by line."""

    def read_lines(argv: Sequence[str], take: Callable[[str], None]) -> int:
        heard = 0

        def hear(line: str) -> bool:
            nonlocal heard
            heard += 1
            if heard % _TOLD_EACH == 0:
                task.progress(frame=heard, checking="packets")
            take(line)
            return True

        try:
            return task.tool(argv, on_line=hear).exit_code
        except ToolFailed as error:
            return _status(task, error, error.tail)

    return read_lines


def film_probe(task: Task) -> Probe:
    """Give the task's ffprobe.

    Raises:
        ToolMissing: it is not installed.
    """
    memory = _MEMORIES.setdefault(task, Memory())
    ffprobe = task.find_tool("ffprobe")
    return Probe(reader(task), ffprobe, line_reader(task), memory)


def formats_of(task: Task, path: Path) -> frozenset[str]:
    """Ask for nothing but a file's format; none if ffprobe says that it has none.

    Raises:
        TaskFailed: ffprobe failed for another reason, so it may be anything.
    """
    argv = [task.find_tool("ffprobe"), "-v", "error", "-protocol_whitelist"]
    argv += ["file,pipe", "-of", "json", "-show_entries", "format=format_name"]
    try:
        return film_of(path, reader(task)([*argv, str(path)])).formats
    except Unreadable as error:
        if str(error).endswith(_NO_MEDIA):
            return frozenset()
        raise TaskFailed(f"the format of {path} cannot be told: {error}") from None


def check_apart(
    task: Task, source: Path, output: Path, field: str = "output_file"
) -> None:
    """Refuse an output that is one of its own sources, under whatever name.

    Raises:
        InvalidSettings: it is.
    """
    if output.exists() and source.samefile(output):
        expected = f"must not be one of the sources, is {source}"
        raise InvalidSettings.of(Problem(task.field(field), str(output), expected))


def _status(task: Task, error: ToolFailed, said: Sequence[str]) -> int:
    """Give the exit status of a tool that judged its file.

    Raises:
        ToolFailed: it was killed, or lacked memory or space: that is no judgement.
    """
    if isinstance(error, LimitReached) or error.exit_code is None:
        raise error
    # In a control group the kernel has already been asked.
    known = False if memory_keeper() == "cgroup" else None
    limits = Limits.of(task.settings)
    found = failure_of(error.argv, error.exit_code, said, limits, known)
    if isinstance(found, LimitReached) or found.exit_code not in range(256):
        raise found from None
    if disk_was_full(error.argv, said):
        raise found from None
    return error.exit_code


def _whole(answer: Path, film: Path) -> str:
    """Give the answer of an ffprobe that ended well.

    Raises:
        TaskFailed: it is cut, or longer than a film's can be.
    """
    text = _beginning(answer)
    if len(text) >= _LONGEST_ANSWER:
        longest = shown_bytes(_LONGEST_ANSWER)
        raise TaskFailed(f"what ffprobe says of {film} is longer than {longest}")
    if not text.rstrip().endswith("}"):
        raise TaskFailed(f"what ffprobe says of {film} is cut: is the disk full?")
    return text


def _beginning(answer: Path) -> str:
    try:
        with answer.open(encoding="utf-8", errors="replace") as file:
            return file.read(_LONGEST_ANSWER)
    except FileNotFoundError:
        return ""


def _into(lines: list[str]) -> Callable[[str], bool]:
    def take(line: str) -> bool:
        lines.append(line)
        return True

    return take
