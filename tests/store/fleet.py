"""A queue and its workers, as the tests of the store see them.

Time is moved by moving data: a lease that has run out is a score that was made smaller.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from redis import Redis

from sisyphus.errors import Stopped
from sisyphus.store.replies import Empty, Lease, Taken, TakeReply, WorkerFacts
from sisyphus.store.store import Store
from store.invariants import read_all

KEEPS = ("clock_ms", "seen_ms")
"""What every call may move in ``meta``."""

ERROR = {"code": "run_error", "message": "no such file"}


def document(job_id: Any = "a", module: str = "ffmpeg", **members: Any) -> bytes:
    """Write a job document of one task."""
    job = {"job_id": job_id, "job_title": f"job {job_id}", "tasks": [{module: {}}]}
    return json.dumps(job | members, ensure_ascii=False).encode()


def entry(outcome: str) -> dict[str, Any]:
    """Write what a worker tells of an attempt."""
    return {"attempt": 1, "outcome": outcome}


class Fleet:
    """A store, the raw client beside it, and shorthands for both."""

    def __init__(self, store: Store, client: Redis) -> None:
        self.store = store
        self.keys = store.keys
        self.client: Any = client  # its types say str where we always get bytes

    # Workers

    def worker(
        self,
        name: str = "w",
        modules: tuple[str, ...] = ("ffmpeg",),
        labels: tuple[str, ...] = (),
        machine: str = "m",
    ) -> str:
        """Register a worker; the session is named after it."""
        session = f"session-{name}"
        assert self.store.register(session, facts(name, modules, labels, machine)) is (
            None
        )
        return session

    def take(self, session: str) -> Taken:
        """Take a job; there has to be one."""
        reply = self.ask(session)
        assert isinstance(reply, Taken), reply
        return reply

    def ask(self, session: str) -> TakeReply:
        """Ask for a job."""
        accepted, reply = self.store.take(session)
        assert accepted
        return reply

    def nothing_for(self, session: str) -> bool:
        """Ask for a job, and hope that there is none."""
        return isinstance(self.ask(session), Empty)

    def take_all(self, session: str) -> list[str]:
        """Take and complete all jobs; their ids in that order."""
        ids: list[str] = []
        reply = self.ask(session)
        while isinstance(reply, Taken):
            ids.append(reply.lease.job_id)
            done = self.store.complete(reply.lease, None)
            accepted, reply = self.store.take(session, done)
            assert accepted
        return ids

    # Jobs

    def push(self, *raws: bytes, priority: int = 0) -> None:
        """Do what any producer may do."""
        for raw in raws:
            self.client.lpush(self.keys.waiting(priority), raw)

    def running(self, job_id: str = "a", session: str | None = None) -> Lease:
        """Bring a job into a worker's hand."""
        self.push(document(job_id))
        return self.take(session or self.worker()).lease

    def in_state(self, state: str, job_id: str = "a") -> Lease | None:
        """Bring a job into a state; the lease under which it ran, if it did."""
        match state:
            case "nothing":
                return None
            case "queued":
                self.store.submit(job_id, document(job_id), 0, 0, "")
                return None
            case "delayed":
                due_ms = self.now_ms() + 3_600_000
                self.store.submit(job_id, document(job_id), 0, due_ms, "")
                return None
        lease = self.running(job_id)
        match state:
            case "completed":
                assert self.store.settle(self.store.complete(lease, None))
            case "failed":
                failed = self.store.fail(lease, ERROR, entry("failed"))
                assert self.store.settle(failed)
            case "cancelled":
                self.store.cancel(job_id)
                assert self.store.settle(self.store.stop(lease, entry("cancelled")))
        return lease

    def record(self, job_id: str = "a") -> dict[str, str]:
        """Read a job's record."""
        rows = self.client.hgetall(self.keys.job(job_id))
        return {name.decode(): value.decode() for name, value in rows.items()}

    def state(self, job_id: str = "a") -> str | None:
        """Read a job's state."""
        return self.record(job_id).get("state")

    def attempts(self, job_id: str = "a") -> list[dict[str, Any]]:
        """Read how earlier attempts ended."""
        rows = self.client.lrange(self.keys.attempts(job_id), 0, -1)
        return [json.loads(row) for row in rows]

    def waiting(self, priority: int = 0) -> list[bytes]:
        """Read a list of waiting documents, the next one first."""
        found: list[bytes] = self.client.lrange(self.keys.waiting(priority), 0, -1)
        return found[::-1]

    def staged(self) -> list[bytes]:
        """Read the staged list, the next one first."""
        found: list[bytes] = self.client.lrange(self.keys.staged, 0, -1)
        return found[::-1]

    def rejected(self) -> list[tuple[str, str, bytes]]:
        """Read the rejected documents: list, reason, raw bytes."""
        return [
            (row[b"list"].decode(), row[b"reason"].decode(), row[b"raw"])
            for _, row in self.client.xrange(self.keys.rejected)
        ]

    def events(self, job_id: str = "a") -> list[str]:
        """Read what was said of a job, oldest first."""
        return [
            row[b"event"].decode()
            for _, row in self.client.xrange(self.keys.events)
            if row[b"job_id"].decode() == job_id
        ]

    # Time

    def now_ms(self) -> int:
        """Read the server's clock."""
        seconds, micros = self.client.time()
        return int(seconds * 1000 + micros // 1000)

    def clock_ms(self) -> int:
        """Read the fleet clock."""
        return int(self.client.hget(self.keys.meta, "clock_ms") or 0)

    def age_lease(self, session: str, ms: int = 3_600_000) -> None:
        """Let a session's lease have run out."""
        self.client.zincrby(self.keys.sessions, -ms, session)

    def make_due(self, job_id: str = "a") -> None:
        """Let a delayed job's time have come."""
        for name in (self.keys.delayed, self.keys.backoff):
            self.client.zadd(name, {job_id: 0}, xx=True)

    def age_history(self, job_id: str, days: float) -> None:
        """Let an ended job have ended so long ago."""
        if self.client.zscore(self.keys.ended, job_id) is None:
            return
        ended_ms = self.now_ms() - int(days * 86_400_000)
        self.client.zadd(self.keys.ended, {job_id: ended_ms})
        self.client.hset(self.keys.job(job_id), "ended_ms", ended_ms)

    # Everything

    def everything(self) -> dict[str, Any]:
        """Read all keys, without what every call may move."""
        found = {name: value for name, (_, value) in read_all(self.client).items()}
        for field in KEEPS:
            found.get(self.keys.meta, {}).pop(field.encode(), None)
        if not found.get(self.keys.meta, True):
            del found[self.keys.meta]
        return found

    def all_but_the_crash(self, job_id: str = "a") -> dict[str, Any]:
        """Read all keys, but for the charge that one who was only cut off has back."""
        found = self.everything()
        for field in (b"crashes", b"doubt"):
            found.get(self.keys.job(job_id), {}).pop(field, None)
        return found


def facts(
    worker_id: str = "w",
    modules: tuple[str, ...] = ("ffmpeg",),
    labels: tuple[str, ...] = (),
    machine: str = "m",
) -> WorkerFacts:
    """Describe a worker."""
    return WorkerFacts(
        worker_id=worker_id,
        host="host",
        machine=machine,
        node="node",
        pid=1234,
        version="2",
        modules=modules,
        labels=labels,
    )


WRITES: dict[str, Callable[[Store, Lease], bool]] = {
    "complete": lambda s, lease: s.settle(s.complete(lease, {"frames": 132})),
    "retry": lambda s, lease: s.settle(s.retry(lease, ERROR, entry("failed"), 5)),
    "fail": lambda s, lease: s.settle(s.fail(lease, ERROR, entry("failed"))),
    "stop": lambda s, lease: s.settle(s.stop(lease, entry("cancelled"))),
    "release": lambda s, lease: s.settle(s.release(lease, entry("released"))),
    "checkpoint": lambda s, lease: _asked(lambda: s.checkpoint(lease, "[1]")),
    "confirm": lambda s, lease: _asked(lambda: s.confirm(lease)),
    "log": lambda s, lease: s.log(lease, [(1, "ffmpeg", "info", "frame 1")]),
}
"""Every call that carries a token; true when it was accepted."""

SETTLEMENTS = ("complete", "retry", "fail", "stop", "release")


def _asked(call: Callable[[], None]) -> bool:
    try:
        call()
    except Stopped as stopped:
        assert str(stopped) == "lost"
        return False
    return True
