"""One line for each job that runs: title, task, bar, percent, speed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sisyphus.cli import render

BAR_WIDTH = 20
SAID_WIDTH = 18
_MARKS = {"completed": "✔", "failed": "✘", "cancelled": "■", "delayed": "…"}


@dataclass(slots=True)
class Bar:
    """What is shown of one job."""

    title: str
    state: str
    task: str = ""
    percent: float | None = None
    said: str = ""


def bars(rows: Sequence[Bar]) -> Table:
    """Lay out one line for each."""
    table = Table.grid(padding=(0, 2, 0, 0), expand=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=3)
    table.add_column(no_wrap=True, min_width=10)
    table.add_column(no_wrap=True, width=BAR_WIDTH)
    table.add_column(no_wrap=True, justify="right", min_width=4)
    if any(row.state == "failed" for row in rows):  # a message wants room
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=3)
    else:
        table.add_column(no_wrap=True, overflow="ellipsis", width=SAID_WIDTH)
    for row in rows:
        style = render.STATES.get(row.state, "")
        table.add_row(
            Text(_MARKS.get(row.state, "●"), style=style),
            render.plain(row.title),
            render.plain(row.task or row.state, style),
            progress_bar(row.percent, row.state),
            _percent(row),
            render.plain(row.said, "red" if row.state == "failed" else render.QUIET),
        )
    return table


def progress_bar(percent: float | None, state: str = "running") -> ProgressBar:
    """Draw a bar; full when all is done, empty while nothing is known."""
    done = 100.0 if state == "completed" else percent or 0.0
    colour = render.STATES.get(state, "cyan")
    return ProgressBar(
        total=100,
        completed=done,
        width=BAR_WIDTH,
        style="bright_black",
        complete_style=colour,
        finished_style=colour,
    )


def _percent(row: Bar) -> str:
    if row.state == "completed":
        return "100%"
    return "" if row.percent is None else f"{row.percent:.0f}%"
