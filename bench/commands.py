"""What the server says it was asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bench.fleet import Site

_SENT = ("evalsha", "blmove", "blpop", "script|load")
"""Commands that only clients send; the beat's few plain SETs are not told apart."""


@dataclass(frozen=True, slots=True)
class Commands:
    """Calls since the server started, or since ``CONFIG RESETSTAT``."""

    sent: int
    """By workers and supervisors."""
    others: int
    """In scripts, and those of this program."""
    reads: int
    """How often the server has read from a client: one for each round trip."""


def commands(site: Site) -> Commands:
    """Ask the server; that costs one command and one read."""
    told: dict[str, Any] = site.redis.info("commandstats", "stats")
    calls = {
        name.removeprefix("cmdstat_"): found["calls"]
        for name, found in told.items()
        if name.startswith("cmdstat_")
    }
    sent = sum(calls.get(name, 0) for name in _SENT)
    reads = int(told["total_reads_processed"])
    return Commands(sent, sum(calls.values()) - sent, reads)
