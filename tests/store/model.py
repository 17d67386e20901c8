"""What must be in Redis: the queue as plain values, moved by the same calls.

It knows nothing of Redis. Lists have the next document first. Each call answers with the
words that the script must answer with.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from sisyphus.lifecycle import ENDED
from sisyphus.store.replies import Lease

STEP_PART = 6
"""A step of the fleet clock is that part of the shortest lease at most."""
LINES_PER_CALL = 64
"""How many staged documents one call puts back."""


def sha_of(raw: bytes) -> str:
    return hashlib.sha1(raw.rstrip(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class Paper:
    """One document, and what is known of it without reading it."""

    raw: bytes
    job_id: str = ""
    title: str = ""
    needs: tuple[str, ...] = ()
    due_ms: int = 0
    reason: str = ""
    """Why it must be rejected."""

    @property
    def sha(self) -> str:
        return sha_of(self.raw)


@dataclass
class Job:
    """A record, the document beside it, its attempts and its log."""

    state: str = ""
    sha: str = ""
    title: str = ""
    priority: str = ""
    token: int = 0
    session: str = ""
    worker_id: str = ""
    attempts: int = 0
    failures: int = 0
    crashes: int = 0
    settled: str = ""
    doubt: str = ""
    cancel: int = 0
    checkpoint: str = ""
    swallow: int = 0
    swallow_sha: str = ""
    duplicates: int = 0
    needs: str = ""
    error: str = ""
    result: str = ""
    submitted_ms: int = 0
    started_ms: int = 0
    ended_ms: int = 0
    doc: bytes | None = None
    tries: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        return self.state in ENDED


@dataclass
class Session:
    worker_id: str
    provides: str
    lease_end: int
    machine: str
    job: str = ""
    token: int = 0
    paused: bool = False
    idle: bool = False
    drain: bool = False

    def has(self, needs: tuple[str, ...]) -> bool:
        return all(f"|{need}|" in self.provides for need in needs)


@dataclass(frozen=True)
class Limits:
    lease_ms: int
    keep: int
    crash_limit: int
    age_ms: int


Error = tuple[str, str]
"""Which error, and how often the job had crashed: what the record must say."""


class Picture:
    """All jobs, lists, sessions and clocks."""

    def __init__(self, limits: Limits, now_us: int) -> None:
        self.limits = limits
        self.now_us = now_us
        self.clock_ms = 0
        self.seen_ms = 0
        self.step_ms = 0
        self.fence = 0
        self.lists: dict[int, list[bytes]] = {priority: [] for priority in range(10)}
        self.staged: list[bytes] = []
        self.aside: dict[str, list[bytes]] = {}
        self.papers: dict[bytes, Paper] = {}
        self.jobs: dict[str, Job] = {}
        self.delayed: dict[str, int] = {}
        self.backoff: dict[str, int] = {}
        self.ended: dict[str, int] = {}
        self.forgotten: set[str] = set()
        self.sessions: dict[str, Session] = {}
        self.workers: dict[str, str] = {}
        self.paused_workers: set[str] = set()
        self.queue_paused = False
        self.rejected: list[tuple[int, str, bytes]] = []
        self.events: list[tuple[str, str]] = []
        self.orders: list[str] = []

    @property
    def now_ms(self) -> int:
        return self.now_us // 1000

    # What the calls have in common

    def tick(self) -> int:
        """Let the fleet clock go on, by a step at most."""
        if self.seen_ms:
            passed = max(0, self.now_ms - self.seen_ms)
            self.clock_ms += min(passed, self.step_ms or 2000)
        self.seen_ms = self.now_ms
        return self.clock_ms

    def event(self, what: str, job_id: str = "") -> None:
        self.events.append((what, job_id))

    def wake(self, needs: tuple[str, ...] = ()) -> None:
        suited = [s for s in self.sessions.values() if s.idle and s.has(needs)]
        self.orders += ["wake"] * min(2, len(suited))

    def put(self, raw: bytes, priority: int, *, front: bool = False) -> None:
        where = self.lists[priority]
        where.insert(0 if front else len(where), raw)
        if priority:
            self.wake()

    def put_back(self, job_id: str, *, front: bool) -> None:
        job = self.jobs[job_id]
        assert job.doc is not None
        job.state = "queued"
        self.put(job.doc, int(job.priority or 0), front=front)
        job.doc = None

    def unstage(self) -> None:
        count = min(LINES_PER_CALL, len(self.staged))
        rest = len(self.staged) - count
        self.lists[0][:0] = self.staged[rest:]
        del self.staged[rest:]

    def finish(self, job_id: str, state: str) -> None:
        job = self.jobs[job_id]
        job.state, job.ended_ms = state, self.now_ms
        self.ended[job_id] = self.now_ms
        self.event(state, job_id)
        over = len(self.ended) - self.limits.keep
        if over > min(16, self.limits.keep // 64):
            self.drop(self.oldest()[: min(over, 32)])

    def oldest(self) -> list[str]:
        return sorted(self.ended, key=lambda job_id: (self.ended[job_id], job_id))

    def drop(self, job_ids: list[str]) -> int:
        """Forget ended jobs, but none whose document has yet to surface."""
        dropped = 0
        for job_id in job_ids:
            if self.jobs[job_id].swallow:
                self.ended[job_id] = self.jobs[job_id].ended_ms = self.now_ms
            else:
                del self.ended[job_id], self.jobs[job_id]
                self.forgotten.add(job_id)
                dropped += 1
        return dropped

    def whose(self, lease: Lease, how: str = "") -> str:
        """Compare with the fence; a worker that was only cut off is forgiven."""
        job = self.jobs.get(lease.job_id)
        if job is None:
            return "lost"
        if job.state == "running" and (job.token, job.session) == (
            lease.token,
            lease.session,
        ):
            return "ours"
        token, _, outcome = job.settled.partition(" ")
        if token == str(lease.token) and how in ("", outcome):
            return "again"
        if job.doubt == f"{lease.token} {lease.session}" and not job.ended:
            job.doubt = ""
            job.crashes = max(0, job.crashes - 1)
        return "lost"

    def empty_hand(self, session: str) -> None:
        self.sessions[session].job, self.sessions[session].token = "", 0

    def start_afresh(self, job: Job) -> None:
        """Nothing is charged any more."""
        job.cancel = job.failures = job.crashes = job.ended_ms = 0
        job.error = job.result = ""

    # Sessions

    def register(
        self, session: str, worker_id: str, provides: str, machine: str
    ) -> tuple[str, ...]:
        old = self.workers.get(worker_id)
        if old is not None and old != session:
            return ("taken", old, self.sessions[old].machine)
        before = self.sessions.get(session)
        if before is not None and before.worker_id != worker_id:
            del self.workers[before.worker_id]
        step = self.limits.lease_ms // STEP_PART
        self.step_ms = min(step, self.step_ms) if self.sessions else step
        lease_end = self.tick() + self.limits.lease_ms
        self.workers[worker_id] = session
        found = before or Session(worker_id, provides, lease_end, machine)
        found.worker_id, found.provides, found.machine = worker_id, provides, machine
        found.lease_end = lease_end
        found.paused = worker_id in self.paused_workers
        self.sessions[session] = found
        return ("ok",)

    def renew(self, held: list[Lease]) -> tuple[object, ...]:
        """Answer for each session; no job is a lease on the job ``""``."""
        clock = self.tick()
        orders: list[tuple[str, str]] = []
        for lease in held:
            s = self.sessions.get(lease.session)
            if s is None:
                orders.append(("gone", "work"))
                continue
            s.lease_end = clock + self.limits.lease_ms
            verdict = "keep"
            if lease.job_id:
                whose = self.whose(lease)
                if whose == "lost":
                    verdict = "lost"
                elif whose == "ours" and self.jobs[lease.job_id].cancel:
                    verdict = "cancel"
            paused = s.paused or self.queue_paused
            orders.append(
                (verdict, "drain" if s.drain else "pause" if paused else "work")
            )
        dead = any(s.lease_end < clock for s in self.sessions.values())
        due = any(due <= self.now_ms for due in self.delayed.values())
        again = any(due <= clock for due in self.backoff.values())
        return (dead or bool(self.staged), due or again, *orders)

    def end_session(self, name: str) -> None:
        s = self.sessions.pop(name, None)
        if s is not None:
            del self.workers[s.worker_id]

    def leave(self, session: str) -> None:
        s = self.sessions.get(session)
        if s is not None and s.job:
            job = self.jobs[s.job]
            job.settled = f"{s.token} leave"
            if job.cancel:
                self.finish(s.job, "cancelled")
            else:
                self.put_back(s.job, front=True)
                self.event("queued", s.job)
        self.end_session(session)
        self.unstage()

    def recover(self, session: str) -> int:
        clock = self.tick()
        names = [session]
        if not session:
            out = [n for n, s in self.sessions.items() if s.lease_end < clock]
            out.sort(key=lambda name: (self.sessions[name].lease_end, name))
            names = out[:4]
        for name in names:
            s = self.sessions.get(name)
            if s is not None and s.job:
                self.crash(s.job, name, seen=bool(session))
            self.end_session(name)
        self.unstage()
        return len(names)

    def crash(self, job_id: str, session: str, *, seen: bool) -> None:
        job = self.jobs[job_id]
        job.crashes += 1
        job.doubt = "" if seen else f"{job.token} {session}"
        job.tries.append("crashed")
        if job.cancel:
            self.finish(job_id, "cancelled")
        elif job.crashes >= self.limits.crash_limit:
            job.error = f"crash {job.crashes}"
            self.finish(job_id, "failed")
        elif job.crashes == 1:
            self.put_back(job_id, front=True)
            self.event("queued", job_id)
        else:
            job.state = "delayed"
            self.backoff[job_id] = self.clock_ms + 1000 * min(300, 2**job.crashes)
            self.event("delayed", job_id)

    # A job in hand

    def settle(
        self, lease: Lease, how: str, told: str = "", delay_ms: int = 0
    ) -> tuple[str]:
        """End an attempt; ``told`` is its result or its error."""
        whose = self.whose(lease, how)
        if whose != "ours":
            return ("ok",) if whose == "again" else ("lost",)
        job = self.jobs[lease.job_id]
        self.empty_hand(lease.session)
        job.settled = f"{lease.token} {how}"
        if how in ("retry", "fail"):
            job.failures += 1
            job.error = told
        if how != "complete":
            job.tries.append(how)
        if how == "complete":
            job.result = told
            self.finish(lease.job_id, "completed")
        elif how == "fail":
            self.finish(lease.job_id, "failed")
        elif how == "stop" or job.cancel:
            self.finish(lease.job_id, "cancelled")
        elif how == "retry":
            job.state = "delayed"
            self.backoff[lease.job_id] = self.tick() + delay_ms
            self.event("delayed", lease.job_id)
        else:
            self.put_back(lease.job_id, front=True)
            self.event("queued", lease.job_id)
        return ("ok",)

    def ask(self, lease: Lease, checkpoint: str | None = None) -> tuple[str]:
        """Confirm, or record the tasks that are done."""
        if self.whose(lease) != "ours":
            return ("lost",)
        job = self.jobs[lease.job_id]
        if checkpoint is not None:
            job.checkpoint = checkpoint
        return ("cancel",) if job.cancel else ("ok",)

    def log(self, lease: Lease, lines: list[str]) -> tuple[str]:
        if self.whose(lease) == "lost":
            return ("lost",)
        self.jobs[lease.job_id].said += lines
        return ("ok",)
