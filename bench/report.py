"""From figures to tables for people and JSON for programs."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from bench.conditions import Conditions


@dataclass(frozen=True, slots=True)
class Spread:
    """Several rounds of one measurement."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Sum up the rounds."""
        return cls(statistics.median(values), min(values), max(values))

    def text(self, digits: int = 0) -> str:
        """Show median and range."""
        parts = (f"{x:,.{digits}f}" for x in (self.median, self.least, self.most))
        return "{} ({} to {})".format(*parts)


@dataclass(slots=True)
class Result:
    """One part of the measurement, ready to be shown."""

    name: str
    title: str
    columns: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    """The same for programs."""
    conditions: Conditions | None = None

    def as_json(self) -> dict[str, Any]:
        """Give figures, notes and conditions."""
        conditions = asdict(self.conditions) if self.conditions else None
        return {**self.figures, "notes": self.notes, "conditions": conditions}


def show(console: Console, result: Result) -> None:
    """Print one part."""
    table = Table(title=result.title, title_justify="left", box=box.SIMPLE_HEAD)
    for number, column in enumerate(result.columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    for row in result.rows:
        table.add_row(*row)
    console.print(table)
    for note in result.notes:
        console.print(f"  {note}", style="dim", highlight=False)
    if result.conditions is not None:
        console.print(f"  {result.conditions.text()}", style="dim", highlight=False)
    console.print()


def percentile(values: Sequence[float], percent: float) -> float:
    """Give the value below which this part of all values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
