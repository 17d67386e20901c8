"""What tasks that read films do alike: probe them, and keep sources from outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from sisyphus.errors import InvalidSettings, Problem
from sisyphus.media.probe import Printed, Probe, Read
from sisyphus.modules.task import Task

_ANY_EXIT_STATUS = range(256)


def reader(task: Task) -> Read:
    """Give what runs a probing tool: under the task's guard, and stopped with it."""

    def read(argv: Sequence[str]) -> Printed:
        out: list[str] = []
        err: list[str] = []
        result = task.tool(
            argv, on_line=_into(out), on_stderr_line=_into(err), ok=_ANY_EXIT_STATUS
        )
        return Printed(result.exit_code, "\n".join(out), "\n".join(err))

    return read


def film_probe(task: Task) -> Probe:
    """Give the task's ffprobe.

    Raises:
        ToolMissing: it is not installed.
    """
    return Probe(reader(task), task.find_tool("ffprobe"))


def check_apart(task: Task, source: Path, output: Path) -> None:
    """Refuse an output that is one of its own sources, under whatever name.

    Raises:
        InvalidSettings: it is.
    """
    if output.exists() and source.samefile(output):
        expected = f"must not be one of the sources, is {source}"
        raise InvalidSettings.of(
            Problem(task.field("output_file"), str(output), expected)
        )


def _into(lines: list[str]) -> Callable[[str], bool]:
    def take(line: str) -> bool:
        lines.append(line)
        return True

    return take
