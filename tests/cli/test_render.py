"""Words, numbers and shapes for people."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from sisyphus.cli import render
from sisyphus.cli.bars import Bar, bars

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0s"),
        (1.25, "1.2s"),
        (59, "59s"),
        (60, "1m"),
        (100, "1m 40s"),
        (3600 * 3 + 300, "3h 5m"),
        (86400 * 2, "2d"),
        (None, ""),
    ],
)
def test_a_span_has_one_or_two_units(seconds: float | None, shown: str) -> None:
    assert render.span(seconds) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-90, "1m ago"), (90, "in 1m"), (0.2, "now"), (7200, "in 2h"), (-9.6, "10s ago")],
)
def test_a_moment_is_told_from_now(seconds: float, shown: str) -> None:
    assert render.ago(NOW + timedelta(seconds=seconds), NOW) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2_000_000, "2.0 MB"), (None, "")],
)
def test_sizes_are_decimal(count: int | None, shown: str) -> None:
    assert render.size(count) == shown


def test_a_stranger_s_text_is_never_obeyed() -> None:
    console = Console(width=80, markup=False, force_terminal=True, color_system=None)
    with console.capture() as captured:
        console.print(render.plain("[red]title\x1b[2J\n\u202eback"))

    assert captured.get() == "[red]title\\x1b[2J\\n\\u202eback\n"


def test_a_narrow_terminal_keeps_ids_and_cuts_titles() -> None:
    table = render.table("STATE", "JOB", "TITLE", flexible="TITLE")
    table.add_row("failed", "1248a932-32d1-4b76", render.cut("a long title " * 9))
    console = Console(width=60)
    with console.capture() as captured:
        console.print(table)

    row = captured.get().splitlines()[1]
    assert row.startswith("failed  1248a932-32d1-4b76  a long title")
    assert row.rstrip().endswith("…")


def test_bars_show_title_task_percent_and_speed() -> None:
    rows = [
        Bar("A film", "running", "ffmpeg", 41.7, "25 fps, 1m left"),
        Bar("Another", "completed", said="in 4s"),
        Bar("Third", "failed", said="no such codec"),
    ]
    console = Console(width=100)
    with console.capture() as captured:
        console.print(bars(rows))

    running, completed, failed = captured.get().splitlines()
    for word in ("A film", "ffmpeg", "42%", "25 fps, 1m left"):
        assert word in running
    assert "100%" in completed
    assert "no such codec" in failed
