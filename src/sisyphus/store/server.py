"""Asking the server about itself."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from datetime import datetime

from sisyphus.store.decode import decoded, server_view
from sisyphus.store.refusals import refusal
from sisyphus.store.views import ServerView
from sisyphus.store.wire import Wire

MOST_DATABASES = 64
_CONFIGURED = ("appendfsync", "no-appendfsync-on-rewrite", "min-replicas-to-write")


def look_at(wire: Wire, now: Callable[[], datetime]) -> ServerView:
    """Ask who it is and how it is set up; what may not be asked stays unknown."""
    info, *answers = wire.run(("INFO",), *(("CONFIG", "GET", x) for x in _CONFIGURED))
    if isinstance(info, Exception):
        raise refusal(info) from info
    config = {
        decoded(told[0]): decoded(told[1])
        for told in answers
        if isinstance(told, list) and len(told) == 2
    }
    began, sent = time.time(), time.perf_counter()
    there = now().timestamp()
    took = time.perf_counter() - sent
    return server_view(
        decoded(info),
        config,
        round_trip_ms=took * 1000,
        clock_offset_ms=(there - (began + took / 2)) * 1000,
    )


def databases_with(wire: Wire, keys: Sequence[str]) -> tuple[int, ...]:
    """Find the databases that have one of these keys; the wire is of no use after it."""
    info = wire.run(("INFO", "keyspace"))[0]
    text = decoded(info) if isinstance(info, bytes) else ""
    numbers = list(map(int, re.findall(r"^db(\d+):", text, re.MULTILINE)))
    commands = [
        command
        for number in numbers[:MOST_DATABASES]
        for command in (("SELECT", number), ("EXISTS", *keys))
    ]
    answers = wire.run(*commands) if commands else []
    found = zip(numbers, answers[::2], answers[1::2], strict=False)
    return tuple(
        number
        for number, selected, count in found
        if selected == b"OK" and isinstance(count, int) and count
    )
