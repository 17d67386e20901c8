"""Looking at jobs, workers and the queue: never changes anything.

Every call asks for a bounded number of things, in a few round trips. What it shows may be
a moment old: nothing is locked between two round trips.

Raises, everywhere:
    StoreUnavailable: no answer.
    StoreRefused: Redis will not do it; its message says why.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Self

from sisyphus.errors import JobNotFound
from sisyphus.lifecycle import JobState
from sisyphus.settings import Settings
from sisyphus.store.decode import (
    Clocks,
    as_record,
    decoded,
    entry_time,
    job_view,
    loads_object,
    moment,
    reason_said,
    worker_view,
)
from sisyphus.store.joblist import (
    BYTES_AT_ONCE,
    FIRST_DOCUMENTS,
    GROWTH,
    MOST_SESSIONS,
    PAGE_BYTES,
    PRIORITIES,
    JobList,
)
from sisyphus.store.keys import Keys
from sisyphus.store.refusals import refusal
from sisyphus.store.rights import denied
from sisyphus.store.server import databases_with, look_at
from sisyphus.store.views import (
    Event,
    JobView,
    LogLine,
    QueueView,
    Rejected,
    ServerView,
    SessionView,
    WorkerSign,
    WorkerView,
)
from sisyphus.store.wire import Command, Wire, client_of

BLOCK_SECONDS = 3.0
"""Of one blocking read: shorter than the time within which Redis must answer."""
NOTHING_YET = "0-0"
_SESSION_FIELDS = (
    *("worker_id", "host", "pid", "version", "modules", "labels", "since_ms"),
    *("job", "paused", "drain", "idle"),
)


class Reads:
    """Views of the store. Thread-safe; a blocked wait has a connection of its own."""

    def __init__(self, settings: Settings) -> None:
        self.keys = Keys(
            settings.queue, settings.heartbeat_prefix, settings.progress_prefix
        )
        self._client = client_of(settings)
        self._wire = Wire(self._client)
        self._listening = deque[Wire]()
        """Connections for blocking reads that nobody uses at the moment."""
        self._list = JobList(self._ask, self.keys)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        while self._listening:
            self._listening.pop().close()
        self._wire.close()
        self._client.close()

    # Jobs

    def job(self, job_id: str) -> JobView:
        """Look at one job.

        Raises:
            JobNotFound: nobody knows it; so it is with a raw document that still waits.
        """
        keys = self.keys
        pairs, delayed, backoff, time_reply, fleet, aside = self._ask(
            ("HGETALL", keys.job(job_id)),
            ("ZSCORE", keys.delayed, job_id),
            ("ZSCORE", keys.backoff, job_id),
            ("TIME",),
            ("HMGET", keys.meta, *Clocks.FLEET_FIELDS),
            ("HKEYS", keys.aside),
        )
        record = as_record(pairs)
        if "state" not in record:
            raise JobNotFound(job_id)
        due_ms = None if delayed is None else float(delayed)
        if backoff is not None:
            due_ms = Clocks.of(time_reply, fleet).at(float(backoff))
        view = job_view(job_id, record, due_ms)
        if (
            view.needs is not None and view.needs.encode() not in aside
        ):  # it has been taken since
            view = replace(view, needs=None)
        return view

    def jobs(
        self, state: JobState | None = None, limit: int = 50, offset: int = 0
    ) -> list[JobView]:
        """List jobs: running, then queued (next first), delayed, ended (newest first).

        Duplicates and cancelled documents that still lie in a list are left out, so a
        page may be shorter than ``limit`` though it is not the last.
        """
        return self._list.page(state, max(0, limit), max(0, offset))

    def waiting(self, limit: int) -> tuple[list[bytes], bool]:
        """List the next documents that will be run; false if 32 MiB ended the page."""
        return self._list.waiting(limit)

    def document(self, job_id: str) -> bytes | None:
        """Find a job's document; that of a queued job among the next 1000 of the lists."""
        return self._list.document(job_id)

    def attempts(self, job_id: str) -> list[dict[str, Any]]:
        """List how earlier attempts ended, newest last."""
        rows = self._ask(("LRANGE", self.keys.attempts(job_id), 0, -1))[0]
        return [entry for entry in map(loads_object, rows) if entry is not None]

    def log(
        self, job_id: str, after: str = "0", limit: int = 1000, block: float = 0.0
    ) -> list[LogLine]:
        """Read a job's log from behind an entry on; waits ``block`` seconds for lines."""
        lines = []
        for entry, found in self._stream(self.keys.log(job_id), after, limit, block):
            at = moment(found.get("time_ms")) or entry_time(entry)
            task, level, text = (found.get(x, "") for x in ("task", "level", "text"))
            lines.append(LogLine(entry, at, task, level, text))
        return lines

    # The queue and its workers

    def queue(self) -> QueueView:
        """Count what lies where."""
        keys = self.keys
        sessions, paused, staged, aside, delayed, backoff, ended, rejected, *lengths = (
            self._ask(
                ("ZRANGE", keys.sessions, 0, MOST_SESSIONS - 1),
                ("HEXISTS", keys.meta, "paused"),
                ("LLEN", keys.staged),
                ("HGETALL", keys.aside),
                ("ZCARD", keys.delayed),
                ("ZCARD", keys.backoff),
                ("ZCARD", keys.ended),
                ("XLEN", keys.rejected),
                *(("LLEN", keys.waiting(priority)) for priority in PRIORITIES),
            )
        )
        hands = (keys.session(decoded(name)) for name in sessions)
        held = self._ask(*(("HEXISTS", hand, "job") for hand in hands))
        waiting = dict(zip(PRIORITIES, lengths, strict=True))
        return QueueView(
            name=keys.queue,
            paused=bool(paused),
            waiting={p: count for p, count in waiting.items() if count or p == 0},
            staged=staged,
            delayed=delayed + backoff,
            aside={needs: int(count) for needs, count in as_record(aside).items()},
            running=sum(held),
            ended=ended,
            rejected=rejected,
            workers=len(sessions),
        )

    def rejected(self, limit: int = 50, before: str | None = None) -> list[Rejected]:
        """List rejected documents, newest first, from before an entry on.

        A page ends early when its documents hold more than 32 MiB.
        """
        found: list[Rejected] = []
        held, count = 0, FIRST_DOCUMENTS
        while len(found) < limit and held < PAGE_BYTES:
            end = "+" if before is None else f"({before}"
            count = max(1, min(count, limit - len(found)))
            command = ("XREVRANGE", self.keys.rejected, end, "-", "COUNT", count)
            some = [_rejected(*row) for row in self._ask(command)[0]]
            if not some:
                break
            found += some
            held += sum(len(one.raw) for one in some)
            before = found[-1].entry
            fit = BYTES_AT_ONCE * len(found) // max(1, held)
            count = min(fit, GROWTH * count)
        return found

    def rejected_entry(self, entry: str) -> Rejected | None:
        """Look at one rejected document."""
        found = self._ask(("XRANGE", self.keys.rejected, entry, entry))[0]
        return _rejected(*found[0]) if found else None

    def workers(self) -> list[WorkerView]:
        """List the live workers, by host and id."""
        keys = self.keys
        sessions, paused, time_reply, fleet = self._ask(
            ("ZRANGE", keys.sessions, 0, MOST_SESSIONS - 1, "WITHSCORES"),
            ("HEXISTS", keys.meta, "paused"),
            ("TIME",),
            ("HMGET", keys.meta, *Clocks.FLEET_FIELDS),
        )
        fleet_ms = Clocks.of(time_reply, fleet).fleet_ms
        names = [decoded(name) for name in sessions[::2]]
        answers = self._ask(
            *(("HMGET", keys.session(name), *_SESSION_FIELDS) for name in names)
        )
        found = [_fields(answer) for answer in answers]
        shown = self._ask(
            *(("GET", keys.heartbeat(facts.get("worker_id", ""))) for facts in found),
            *(("HGET", keys.job(facts.get("job", "")), "title") for facts in found),
        )
        views = [
            worker_view(
                name,
                facts,
                lease_ends_in=(float(lease_end) - fleet_ms) / 1000,
                queue_paused=bool(paused),
                job_title=None if title is None else decoded(title),
                heartbeat=loads_object(beat),
            )
            for name, facts, lease_end, beat, title in zip(
                names,
                found,
                sessions[1::2],
                shown[: len(found)],
                shown[len(found) :],
                strict=True,
            )
            if "worker_id" in facts
        ]
        return sorted(views, key=lambda view: (view.host, view.worker_id))

    def progress(self, worker_id: str) -> dict[str, Any] | None:
        """Read a worker's heartbeat; nothing when it has none."""
        return loads_object(self._ask(("GET", self.keys.heartbeat(worker_id)))[0])

    def signs(self, worker_ids: Sequence[str]) -> list[WorkerSign]:
        """Read the heartbeats of these workers, and whether they are to pause."""
        answers = self._ask(
            *(("GET", self.keys.heartbeat(x)) for x in worker_ids),
            *(("SISMEMBER", self.keys.paused, x) for x in worker_ids),
        )
        count = len(worker_ids)
        pairs = zip(answers[:count], answers[count:], strict=True)
        return [WorkerSign(loads_object(beat), bool(paused)) for beat, paused in pairs]

    def session_of_job(self, job_id: str) -> SessionView | None:
        """Find the session that has a job in its hand."""
        found = self._session(("HGET", self.keys.job(job_id), "session"))
        return found if found is not None and found.job_id == job_id else None

    def session_of_worker(self, worker_id: str) -> SessionView | None:
        """Find a worker's session."""
        return self._session(("HGET", self.keys.workers, worker_id))

    def _session(self, where: Command) -> SessionView | None:
        name = self._ask(where)[0]
        if name is None:
            return None
        session = decoded(name)
        fields = ("worker_id", "job", "token")
        told = self._ask(("HMGET", self.keys.session(session), *fields))[0]
        worker_id, job_id, token = (decoded(value or b"") for value in told)
        if not worker_id:
            return None
        return SessionView(session, worker_id, job_id, int(token or 0))

    # What happens

    def events(
        self, after: str = "$", block: float = 0.0, limit: int = 1000
    ) -> list[Event]:
        """Read events from behind an entry on; waits ``block`` seconds for the first.

        ``$`` stands for the newest: to miss nothing between two calls, begin with
        ``last_event()`` and go on with the last entry that was read.
        """
        if after == "$":
            after = self.last_event()
        events = []
        for entry, facts in self._stream(self.keys.events, after, limit, block):
            event, job_id = facts.pop("event", ""), facts.pop("job_id", "")
            events.append(Event(entry, entry_time(entry), event, job_id, facts))
        return events

    def last_event(self) -> str:
        """Name the newest entry of the events."""
        command = ("XREVRANGE", self.keys.events, "+", "-", "COUNT", 1)
        newest = self._ask(command)[0]
        return decoded(newest[0][0]) if newest else NOTHING_YET

    # The server, and what is stored for modules

    def data_names(self, module: str) -> list[str]:
        """List the names of a module's stored documents."""
        return sorted(map(decoded, self._ask(("HKEYS", self.keys.data(module)))[0]))

    def data(self, module: str, name: str) -> dict[str, Any] | None:
        """Read a stored document of a module."""
        return loads_object(self._ask(("HGET", self.keys.data(module), name))[0])

    def now(self) -> datetime:
        """Ask for the server's time: the only clock that counts."""
        seconds, microseconds = self._ask(("TIME",))[0]
        return datetime.fromtimestamp(int(seconds) + int(microseconds) / 1e6, UTC)

    def server(self) -> ServerView:
        """Ask the server who it is and how it is set up."""
        return look_at(self._wire, self.now)

    def denied(self) -> list[str]:
        """List what a worker must be able to do and this user may not, if it is known."""
        with closing(Wire(self._client)) as wire:
            return denied(wire, self.keys)

    def elsewhere(self) -> tuple[int, ...]:
        """Find other databases that hold this queue, if ours knows nothing of it."""
        known = (self.keys.waiting(), self.keys.meta, self.keys.workers)
        if any(self._ask(*(("EXISTS", key) for key in known))):
            return ()
        with closing(Wire(self._client)) as wire:  # SELECT would turn ours round
            return databases_with(wire, known)

    # How Redis is asked

    def _ask(self, *commands: Command) -> list[Any]:
        if not commands:
            return []
        answers = self._wire.run(*commands)
        for answer in answers:
            if isinstance(answer, Exception):
                raise refusal(answer) from answer
        return answers

    def _stream(
        self, key: str, after: str, limit: int, block: float
    ) -> list[tuple[str, dict[str, str]]]:
        give_up = time.monotonic() + block
        wire = self._listening.pop() if self._listening else Wire(self._client)
        try:
            while True:
                left = min(give_up - time.monotonic(), BLOCK_SECONDS)
                waits = ("BLOCK", max(1, int(left * 1000))) if left > 0 else ()
                count = ("COUNT", max(1, limit))
                answer = wire.run(("XREAD", *count, *waits, "STREAMS", key, after))[0]
                if isinstance(answer, Exception):
                    raise refusal(answer) from answer
                if answer or left <= 0:
                    break
        finally:
            self._listening.append(wire)
        entries = answer[0][1] if answer else []
        return [(decoded(entry), dict(as_record(pairs))) for entry, pairs in entries]


def _fields(answer: list[bytes | None]) -> dict[str, str]:
    pairs = zip(_SESSION_FIELDS, answer, strict=True)
    return {name: decoded(value) for name, value in pairs if value is not None}


def _rejected(entry: bytes, pairs: list[bytes]) -> Rejected:
    found = dict(zip(map(decoded, pairs[::2]), pairs[1::2], strict=True))
    name = decoded(entry)
    return Rejected(
        entry=name,
        at=entry_time(name),
        list=decoded(found.get("list", b"")),
        reason=reason_said(decoded(found.get("reason", b""))),
        raw=found.get("raw", b""),
    )
