"""Which ways were walked: state, transition, state; and which ones too seldom."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from sisyphus.lifecycle import TRANSITIONS

TABLE = {row.name: row for row in TRANSITIONS}


@dataclass
class Tally:
    """What was walked, over all examples."""

    examples: int = 0
    steps: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    pairs: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """(state before, transition, state after)."""

    def count(self, before: str, name: str, after: str) -> None:
        if not after and name not in ("remove", "trim"):
            return  # an end made the history drop its oldest, maybe this very job
        row = TABLE.get(name)
        assert row is None or (
            (before or None) in row.before and (after or None) in row.after
        ), f"no such way: {before or 'nothing'} -> {name} -> {after or 'nothing'}"
        self.pairs[before or "nothing", name, after or "nothing"] += 1

    def never_walked(self, at_least: int) -> list[str]:
        """List the legal pairs that came up too seldom."""
        found: list[str] = []
        for row in TRANSITIONS:
            for side, states in ((0, row.before), (2, row.after)):
                for state in states:
                    word = state.value if state else "nothing"
                    times = sum(
                        n
                        for pair, n in self.pairs.items()
                        if pair[1] == row.name and pair[side] == word
                    )
                    if times < at_least:
                        way = (
                            f"{word} -> {row.name}"
                            if not side
                            else (f"{row.name} -> {word}")
                        )
                        found.append(f"{way}: {times} times")
        return found

    def table(self) -> str:
        rows = [f"{self.examples} examples, {self.steps} checked steps"]
        rows += [
            f"  {before:>9} -> {name:<10} -> {after:<9} {times:>7}"
            for (before, name, after), times in sorted(
                self.pairs.items(), key=lambda item: (item[0][1], item[0])
            )
        ]
        return "\n".join(rows)
