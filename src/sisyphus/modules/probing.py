"""What tasks that read films do alike: probe them, and keep sources from outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from weakref import WeakKeyDictionary

from sisyphus.errors import InvalidSettings, Problem
from sisyphus.media.probe import Memory, Printed, Probe, Read, ReadLines
from sisyphus.modules.task import Task

_ANY_EXIT_STATUS = range(256)
_LONGEST_ANSWER = 16 * 1024**2
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
        result = task.tool(
            [ffprobe, "-o", answer, *rest],
            on_stderr_line=_into(err),
            ok=_ANY_EXIT_STATUS,
        )
        return Printed(result.exit_code, _beginning(answer), "\n".join(err))

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

        return task.tool(argv, on_line=hear, ok=_ANY_EXIT_STATUS).exit_code

    return read_lines


def film_probe(task: Task) -> Probe:
    """Give the task's ffprobe.

    Raises:
        ToolMissing: it is not installed.
    """
    memory = _MEMORIES.setdefault(task, Memory())
    ffprobe = task.find_tool("ffprobe")
    return Probe(reader(task), ffprobe, line_reader(task), memory)


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
