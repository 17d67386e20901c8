"""How things look to people, and to programs: tables, times, bars, JSON.

Nothing here reads markup: titles and logs come from strangers, and are only ever text.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from sisyphus.logs import printable

WIDTH_OF_A_PIPE = 200
MIN_TITLE = 20
STATES = {
    "queued": "default",
    "delayed": "yellow",
    "running": "cyan",
    "completed": "green",
    "failed": "red",
    "cancelled": "bright_black",
}
ACTIVITIES = {
    "starting": "yellow",
    "idle": "default",
    "busy": "cyan",
    "paused": "yellow",
    "draining": "yellow",
}
LEVELS = {"warning": "yellow", "error": "red"}
QUIET = "bright_black"


def _console(*, stderr: bool = False) -> Console:
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else WIDTH_OF_A_PIPE
    return Console(
        stderr=stderr, width=width, markup=False, emoji=False, highlight=False
    )


out = _console()
err = _console(stderr=True)


def say(text: str | Text, style: str = "") -> None:
    """Print one line."""
    out.print(text, style=style or None, soft_wrap=True)


def note(text: str) -> None:
    """Print a quiet line beside the results, on standard error."""
    err.print(Text(printable(text), style=QUIET), soft_wrap=True)


def warn(text: str) -> None:
    """Print a yellow line on standard error."""
    err.print(Text(printable(text), style="yellow"), soft_wrap=True)


def complain(text: str, *more: str) -> None:
    """Print a red line on standard error, and what belongs to it below."""
    err.print(Text(printable(text), style="red"), soft_wrap=True)
    for line in more:
        err.print(Text(f"  {printable(line)}", style="red"), soft_wrap=True)


def emit_json(value: Any) -> None:
    """Print one JSON value."""
    out.out(_json(value, indent=2), highlight=False)


def emit_line(value: Any) -> None:
    """Print one JSON value in one line, for streams of them."""
    out.out(_json(value), highlight=False)


def _json(value: Any, indent: int | None = None) -> str:
    return json_text(_plain(value), indent=indent)


def json_text(value: Any, **how: Any) -> str:
    """Write JSON that can be printed, whatever bytes are in the name of a file."""
    text = json.dumps(value, ensure_ascii=False, **how)
    return text.encode(errors="backslashreplace").decode()


def _plain(value: Any) -> Any:
    """Turn views into what JSON knows."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: _plain(getattr(value, field.name)) for field in fields}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Iterable):
        return [_plain(item) for item in value]
    return value


# Words and numbers


def plain(text: object, style: str = "") -> Text:
    """Show a stranger's text: nothing in it is obeyed."""
    return Text(printable(str(text)), style=style)


def state(value: str, *, asked: bool = False) -> Text:
    """Show a job's state in its colour."""
    said = f"{value}, stopping" if asked and value == "running" else value
    return Text(f"● {said}", style=STATES.get(value, ""))


def activity(value: str) -> Text:
    """Show what a worker does in its colour."""
    return Text(f"● {value}", style=ACTIVITIES.get(value, ""))


def ago(moment: datetime | None, now: datetime | None = None) -> str:
    """Say how long ago something was, or how far ahead: ``3m ago``, ``in 2h``."""
    if moment is None:
        return ""
    seconds = ((now or datetime.now(UTC)) - moment).total_seconds()
    if abs(seconds) < 1:
        return "now"
    about = span(round(abs(seconds))).split(" ")[0]
    return f"in {about}" if seconds < 0 else f"{about} ago"


def moment(value: datetime | None) -> str:
    """Show a time on this machine's clock."""
    if value is None:
        return ""
    return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def span(seconds: float | None) -> str:
    """Show a length of time in one or two units: ``8s``, ``1m 40s``, ``3h 5m``, ``2d``."""
    if seconds is None:
        return ""
    whole = int(seconds)
    if whole < 10 and seconds != whole:
        return f"{seconds:.1f}s"
    for size, unit, part, small in (
        (86_400, "d", 3_600, "h"),
        (3_600, "h", 60, "m"),
        (60, "m", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // part
            return (
                f"{whole // size}{unit} {rest}{small}"
                if rest
                else f"{whole // size}{unit}"
            )
    return f"{whole}s"


def took(start: datetime | None, end: datetime | None) -> str:
    """Show how long something lasted, or has lasted so far."""
    if start is None:
        return ""
    return span(max(0.0, ((end or datetime.now(UTC)) - start).total_seconds()))


def size(count: int | None) -> str:
    """Show a number of bytes."""
    if count is None:
        return ""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def speed(info: Mapping[str, Any] | None) -> str:
    """Show how fast a task goes, and when it may be done."""
    if not info:
        return ""
    words = []
    if (fps := info.get("fps")) is not None:
        words.append(f"{float(fps):.0f} fps")
    if (eta := info.get("eta_seconds")) is not None:
        words.append(f"{span(round(float(eta)))} left")
    return ", ".join(words)


def count(number: int, one: str, many: str = "") -> str:
    """Count things: ``1 job``, ``2 jobs``."""
    return f"{number} {one if number == 1 else many or one + 's'}"


# Shapes


def table(*columns: str, flexible: str = "", right: str = "") -> Table:
    """Make a table without lines.

    The ``flexible`` columns give way when the terminal is narrow (fill them with
    ``cut``); those in ``right`` are for numbers. Both name columns, blanks between.
    """
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=QUIET)
    for column in columns:
        made.add_column(
            column,
            no_wrap=column not in flexible.split(),
            min_width=MIN_TITLE if column == "TITLE" else None,
            justify="right" if column in right.split() else "left",
        )
    return made


def cut(text: object, style: str = "") -> Text:
    """Show a stranger's text in one line, as much of it as there is room for."""
    line = str(text).split("\n", 1)[0]
    return Text(printable(line), style=style, no_wrap=True, overflow="ellipsis")


def facts(rows: Iterable[tuple[str, RenderableType | None]]) -> Table:
    """Lay out names and values; rows without a value are left out."""
    made = Table.grid(padding=(0, 2, 0, 0))
    made.add_column(style=QUIET, no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in rows:
        if value not in (None, "") and str(value):
            made.add_row(name, plain(value) if isinstance(value, str) else value)
    return made


def show(thing: RenderableType) -> None:
    """Print a table or another shape."""
    if out.is_terminal:
        out.print(thing)
        return
    with out.capture() as captured:
        out.print(thing)
    # Whoever reads a pipe has no use for the blanks that fill up a line.
    for line in captured.get().splitlines():
        out.out(line.rstrip(), highlight=False)
