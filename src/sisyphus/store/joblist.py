"""Where jobs lie: listing them a page at a time, and finding a document in the lists."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any

from sisyphus.lifecycle import ENDED, JobState
from sisyphus.store.decode import (
    Clocks,
    Record,
    as_record,
    beginning_of,
    decoded,
    document_in,
    id_in,
    job_view,
    unseen_view,
)
from sisyphus.store.keys import Keys
from sisyphus.store.views import JobView
from sisyphus.store.wire import Command

Ask = Callable[..., list[Any]]
"""Sends commands in one round trip and gives their answers."""

MOST_SESSIONS = 10_000
PRIORITIES = range(9, -1, -1)
SEARCHED_DOCUMENTS = 1000
DOCUMENTS_AT_ONCE = 500
FIRST_DOCUMENTS = 2
"""Asked for at first: how large the documents of a list are is seen from these."""
GROWTH = 4
"""Of how many are asked for at once: the next ones may be larger than those seen."""
BYTES_AT_ONCE = 4 * 2**20
PAGE_BYTES = 32 * 2**20
"""A page of whole documents ends when it holds so much."""
HISTORY_AT_ONCE = 500


class _Kind(Enum):
    HANDS = auto()
    DOCUMENTS = auto()
    DELAYED = auto()
    BACKOFF = auto()
    ENDED = auto()


@dataclass(frozen=True, slots=True)
class _Place:
    """One key that jobs lie in; those to be taken first come first."""

    kind: _Kind
    key: str
    length: int
    priority: int = 0
    needs: str | None = None

    def slice(self, start: int, stop: int) -> Command:
        """Ask for a part; of a list from the right, where it is taken from."""
        match self.kind:
            case _Kind.DOCUMENTS:
                return ("LRANGE", self.key, -stop, -start - 1)
            case _Kind.DELAYED | _Kind.BACKOFF:
                return ("ZRANGE", self.key, start, stop - 1, "WITHSCORES")
            case _Kind.ENDED | _Kind.HANDS:
                return ("ZREVRANGE", self.key, start, stop - 1)


@dataclass(frozen=True, slots=True)
class _Row:
    """What lay there."""

    place: _Place
    job_id: str
    document: dict[str, Any] | None = None
    """Of a document its id and title; empty for what is no job."""
    raw: bytes = b""
    due_ms: float | None = None


class JobList:
    """Owned by ``Reads``."""

    def __init__(self, ask: Ask, keys: Keys) -> None:
        self._ask = ask
        self._keys = keys

    def page(self, state: JobState | None, limit: int, offset: int) -> list[JobView]:
        """List jobs; duplicates that will not run are left out, so it may be shorter."""
        if state in ENDED:
            return self._history(state, limit, offset)
        rows: list[_Row] = []
        if state in (None, JobState.RUNNING):
            running = self._running()
            rows = running[offset : offset + limit]
            offset = max(0, offset - len(running))
        if state is not JobState.RUNNING:
            rows += self._lying(state, limit - len(rows), offset)[0]
        records = self._records([row.job_id for row in rows])
        views = (_view(row, record) for row, record in zip(rows, records, strict=True))
        return [view for view in views if view is not None]

    def waiting(self, limit: int) -> tuple[list[bytes], bool]:
        """List the documents that may be taken now; tells if there was room for all."""
        rows, whole = self._lying(JobState.QUEUED, limit, 0, most_bytes=PAGE_BYTES)
        rows = [row for row in rows if row.job_id]
        records = self._records([row.job_id for row in rows])
        found = [
            row.raw
            for row, record in zip(rows, records, strict=True)
            if _view(row, record) is not None
        ]
        return found, whole

    def document(self, job_id: str) -> bytes | None:
        """Find a document: kept apart, or among the next ones of the lists."""
        record = self._keys.job(job_id)
        kept, (state, sha, swallow) = self._ask(
            ("GET", self._keys.doc(job_id)),
            ("HMGET", record, "state", "sha", "swallow"),
        )
        if kept is not None:
            return bytes(kept)
        if state not in (None, b"queued") and not int(swallow or 0):
            return None
        for raw in self._next_documents():
            if id_in(document_in(raw)) == job_id and sha in (None, _sha(raw)):
                return raw
        return None

    def _history(
        self, state: JobState | None, limit: int, offset: int
    ) -> list[JobView]:
        """Pick the jobs of one end state out of the history, newest first."""
        found: list[str] = []
        wanted, start = offset + limit, 0
        while len(found) < wanted:
            stop = start + HISTORY_AT_ONCE - 1
            ids = [
                decoded(name)
                for name in self._ask(("ZREVRANGE", self._keys.ended, start, stop))[0]
            ]
            states = self._ask(*(("HGET", self._keys.job(x), "state") for x in ids))
            found += [
                x
                for x, is_in in zip(ids, states, strict=True)
                if is_in and decoded(is_in) == state
            ]
            start = stop + 1
            if len(ids) < HISTORY_AT_ONCE:
                break
        chosen = found[offset:wanted]
        records = zip(chosen, self._records(chosen), strict=True)
        return [job_view(x, record) for x, record in records if "state" in record]

    def _running(self) -> list[_Row]:
        keys = self._keys
        sessions = self._ask(("ZRANGE", keys.sessions, 0, MOST_SESSIONS - 1))[0]
        hands = (keys.session(decoded(name)) for name in sessions)
        held = self._ask(*(("HGET", hand, "job") for hand in hands))
        place = _Place(_Kind.HANDS, keys.sessions, len(held))
        return [_Row(place, decoded(job_id)) for job_id in held if job_id is not None]

    # What lies where

    def _lying(
        self,
        state: JobState | None,
        limit: int,
        offset: int,
        most_bytes: int = 0,
    ) -> tuple[list[_Row], bool]:
        """Look at what lies there; with its bytes, up to so many, if they are wanted.

        Returns:
            What was found, and whether no bytes were too many.
        """
        *sizes, time, fleet = self._ask(
            *self._sizes(),
            ("TIME",),
            ("HMGET", self._keys.meta, *Clocks.FLEET_FIELDS),
        )
        clocks = Clocks.of(time, fleet)
        places = [
            place
            for place in self._places(sizes)
            if state is None or _HOLDS[place.kind] is state
        ]
        rows: list[_Row] = []
        held = 0
        for place, part in _cut(places, limit, offset):
            if place.kind is not _Kind.DOCUMENTS:
                rows += _rows(place, self._ask(place.slice(*part))[0], clocks)
                continue
            for raw in self._documents(place, *part):
                held += len(raw)
                if rows and held > most_bytes > 0:
                    return rows, False
                rows.append(_row(place, raw, keep=most_bytes > 0))
        return rows, True

    def _documents(self, place: _Place, start: int, stop: int) -> Iterator[bytes]:
        """Read documents, next first: as many at once as are not too large together."""
        count = FIRST_DOCUMENTS
        while start < stop:
            last = min(start + count, stop)
            found = self._ask(place.slice(start, last))[0]
            size = max(1, sum(map(len, found)) // max(1, len(found)))
            yield from reversed(found)
            start = last
            most = min(DOCUMENTS_AT_ONCE, GROWTH * count)
            count = max(1, min(most, BYTES_AT_ONCE // size))

    def _sizes(self) -> list[Command]:
        keys = self._keys
        return [
            ("LLEN", keys.staged),
            ("HGETALL", keys.aside),
            *(("LLEN", keys.waiting(priority)) for priority in PRIORITIES),
            ("ZCARD", keys.backoff),
            ("ZCARD", keys.delayed),
            ("ZCARD", keys.ended),
        ]

    def _places(self, sizes: list[Any]) -> Iterator[_Place]:
        keys = self._keys
        staged, aside, *waiting, backoff, delayed, ended = sizes
        yield _Place(_Kind.DOCUMENTS, keys.staged, staged)
        for needs, count in as_record(aside).items():
            key = keys.aside_list(needs)
            yield _Place(_Kind.DOCUMENTS, key, int(count), needs=needs)
        for priority, length in zip(PRIORITIES, waiting, strict=True):
            yield _Place(_Kind.DOCUMENTS, keys.waiting(priority), length, priority)
        yield _Place(_Kind.BACKOFF, keys.backoff, backoff)
        yield _Place(_Kind.DELAYED, keys.delayed, delayed)
        yield _Place(_Kind.ENDED, keys.ended, ended)

    def _records(self, job_ids: list[str]) -> list[Record]:
        answers = self._ask(*(("HGETALL", self._keys.job(x)) for x in job_ids))
        return [as_record(answer) for answer in answers]

    def _next_documents(self) -> Iterator[bytes]:
        left = SEARCHED_DOCUMENTS
        for place in self._places(self._ask(*self._sizes())):
            if place.kind is not _Kind.DOCUMENTS:
                continue
            yield from self._documents(place, 0, min(place.length, left))
            left -= min(place.length, left)


_HOLDS = {
    _Kind.HANDS: JobState.RUNNING,
    _Kind.DOCUMENTS: JobState.QUEUED,
    _Kind.DELAYED: JobState.DELAYED,
    _Kind.BACKOFF: JobState.DELAYED,
    _Kind.ENDED: None,
}


def _cut(
    places: list[_Place], limit: int, offset: int
) -> Iterator[tuple[_Place, tuple[int, int]]]:
    """Divide a page over the places that it touches."""
    for place in places:
        start = min(offset, place.length)
        stop = min(start + limit, place.length)
        if stop > start:
            yield place, (start, stop)
        offset -= start
        limit -= stop - start


def _rows(place: _Place, answer: list[bytes], clocks: Clocks) -> Iterator[_Row]:
    match place.kind:
        case _Kind.DELAYED | _Kind.BACKOFF:
            for name, due in zip(answer[::2], answer[1::2], strict=True):
                due_ms = float(due)
                if place.kind is _Kind.BACKOFF:
                    due_ms = clocks.at(due_ms)
                yield _Row(place, decoded(name), due_ms=due_ms)
        case _Kind.ENDED | _Kind.HANDS:
            for name in answer:
                yield _Row(place, decoded(name))


def _row(place: _Place, raw: bytes, *, keep: bool) -> _Row:
    """Keep of a document what a list shows, and its bytes only if they are wanted."""
    document = beginning_of(document_in(raw))
    return _Row(place, id_in(document), document, raw if keep else b"")


def _view(row: _Row, record: Record) -> JobView | None:
    """Show what lay there; nothing when it is no longer so, or never will run."""
    if row.document is None:
        state, there = record.get("state"), _HOLDS[row.place.kind]
        if state is None or (there is not None and state != there):
            return None
        return job_view(row.job_id, record, row.due_ms)
    place = row.place
    match record.get("state"):
        case "queued":
            return replace(job_view(row.job_id, record), needs=place.needs)
        case None:
            return unseen_view(row.document, place.priority)
        case "failed" | "cancelled" if not int(record.get("swallow", 0)):
            return unseen_view(row.document, place.priority)
        case _:
            return None


def _sha(raw: bytes) -> bytes:
    """Tell documents apart as the scripts do: without white space at their end."""
    raw = raw.rstrip(b" \t\n\v\f\r")
    return hashlib.sha1(raw, usedforsecurity=False).hexdigest().encode()
