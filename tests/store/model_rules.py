"""What may happen, in any order; and a few ways that random steps seldom find."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from sisyphus.store.replies import Lease
from store.fleet import SETTLEMENTS
from store.model import Paper, sha_of
from store.model_machine import Kind, Machine
from store.model_papers import BAD, NEEDS, paper_of
from store.model_ways import lease_of

T = TypeVar("T")

PLAIN: Kind = (("ffmpeg",), ())
KINDS: tuple[Kind, ...] = (
    PLAIN,
    (("ffmpeg", "mkvmerge"), ()),
    (("ffmpeg",), ("gpu",)),
    (("ffmpeg", "handbrake", "mkvmerge"), ("gpu", "fast")),
)
NAMES = ("w0", "w1", "w2", "w3")
DUE_SECONDS = (-60, 20, 90)
STILL = 10_000
"""How long a session is silent and yet alive."""
WRITES = (*SETTLEMENTS, "checkpoint", "confirm", "log")

picks = st.integers(0, 999)
priorities = st.sampled_from((0, 0, 0, 0, 1, 5, 9))
hows = st.sampled_from(SETTLEMENTS)


class Life(Machine):
    """Producers, workers, supervisors, people and faults."""

    @initialize(keep=st.sampled_from((5, 1000)))
    def begins(self, keep: int) -> None:
        self.start(keep)
        self.numbers = 0
        self.originals: dict[str, Paper] = {}
        self.begin_worker("w0", PLAIN)

    # What the rules have in common

    def fresh(self, needs: tuple[str, str] = NEEDS[0], due_ms: int = 0) -> Paper:
        self.numbers += 1
        number = self.numbers
        job_id: str | int = number if number % 5 == 0 else f"job-{number}"
        paper = paper_of(job_id, needs, due_ms, version=1 + number % 2)
        self.originals[paper.job_id] = paper
        return paper

    def begin_worker(self, worker_id: str, kind: Kind = PLAIN) -> str:
        """Start a worker; one that has the id already is known to be dead."""
        old = self.model.workers.get(worker_id)
        if old is not None:
            self.recover(old)
        self.numbers += 1
        session = f"s{self.numbers}"
        self.register(session, worker_id, kind)
        return session

    def of(self, items: Sequence[T], pick: int) -> T:
        return items[pick % len(items)]

    def sessions(self) -> list[str]:
        return sorted(self.model.sessions)

    def held(self) -> list[Lease]:
        found = (lease_of(self.model, name) for name in self.sessions())
        return [lease for lease in found if lease is not None]

    def job_ids(self) -> list[str]:
        return [*self.originals, "never-seen"]

    def running(self, needs: tuple[str, str] = NEEDS[0]) -> Lease:
        """A new job in a new worker's hand, whatever waits otherwise."""
        if self.model.queue_paused:
            self.steer("", "work")
        self.steer("w9", "work")
        session = self.begin_worker("w9", KINDS[3])
        self.push(self.fresh(needs), 9)
        lease = self.take(session)
        assert lease is not None
        return lease

    def take_this(self, session: str, job_id: str) -> Lease:
        """Complete whatever comes before that job."""
        lease = self.take(session)
        while lease is not None and lease.job_id != job_id:
            lease = self.take(session, self.settlement(lease, "complete"))
        assert lease is not None, f"{job_id} does not come"
        return lease

    def come_due(self) -> None:
        """All times have come; nobody is silent for too long meanwhile."""
        latest = max([self.model.now_ms, *self.model.delayed.values()])
        self.pass_time(latest - self.model.now_ms)
        while any(due > self.model.clock_ms for due in self.model.backoff.values()):
            self.pass_time(2000)
            self.renew(*self.beliefs())
        while self.model.delayed or self.model.backoff:
            self.promote()

    def beliefs(self) -> list[Lease]:
        """What every living worker says of itself."""
        return [
            lease_of(self.model, name) or Lease(name, "", 0) for name in self.sessions()
        ]

    def write(self, lease: Lease, how: str) -> None:
        match how:
            case "checkpoint":
                self.ask(lease, f"[{lease.token % 10}]")
            case "confirm":
                self.ask(lease)
            case "log":
                self.log(lease, f"said under {lease.token % 10}")
            case _:
                self.settle(lease, how)

    # Producers

    @rule(
        count=st.integers(1, 3),
        priority=priorities,
        needs=st.sampled_from(NEEDS),
        due=st.sampled_from((None, None, None, *DUE_SECONDS)),
    )
    def producer_pushes(
        self, count: int, priority: int, needs: tuple[str, str], due: int | None
    ) -> None:
        for _ in range(count):
            due_ms = 0 if due is None else self.whole_seconds() + due * 1000
            self.push(self.fresh(needs, due_ms), priority)
        self.check()

    def whole_seconds(self) -> int:
        return self.model.now_ms // 1000 * 1000

    @precondition(lambda self: self.originals)
    @rule(
        pick=picks,
        how=st.sampled_from(("same", "same", "newline", "other")),
        priority=priorities,
    )
    def producer_pushes_again(self, pick: int, how: str, priority: int) -> None:
        self.push(self.variant(self.of([*self.originals], pick), how), priority)
        self.check()

    def variant(self, job_id: str, how: str) -> Paper:
        paper = self.originals[job_id]
        if how == "newline":
            raw = paper.raw + b"\r\n"
            assert sha_of(raw) == paper.sha
            return Paper(raw, paper.job_id, paper.title, paper.needs, paper.due_ms)
        return paper_of(job_id, version=7) if how == "other" else paper

    @rule(pick=picks, priority=priorities)
    def producer_pushes_what_is_no_job(self, pick: int, priority: int) -> None:
        for number in range(8):
            bad = self.of(BAD, pick + number)
            self.client.lpush(self.store.keys.waiting(priority), bad.raw)
            self.model.push(bad, priority)
        self.check()

    @rule(
        priority=priorities,
        needs=st.sampled_from(NEEDS),
        delay=st.sampled_from((0, 0, 30)),
        again=st.booleans(),
    )
    def client_submits(
        self, priority: int, needs: tuple[str, str], delay: int, again: bool
    ) -> None:
        due_ms = self.model.now_ms + delay * 1000 if delay else 0
        paper = self.fresh(needs)
        for _ in range(1 + again):
            self.submit(paper, priority, due_ms)

    @precondition(lambda self: self.originals)
    @rule(pick=picks, how=st.sampled_from(("same", "other")), delay=st.booleans())
    def client_submits_again(self, pick: int, how: str, delay: bool) -> None:
        paper = self.variant(self.of([*self.originals], pick), how)
        self.submit(paper, 3, self.model.now_ms + 30_000 if delay else 0)

    # Workers

    @rule(name=st.sampled_from(NAMES), kind=st.sampled_from(KINDS))
    def worker_begins(self, name: str, kind: Kind) -> None:
        self.begin_worker(name, kind)

    @precondition(lambda self: self.model.workers)
    @rule(pick=picks)
    def another_machine_wants_an_id(self, pick: int) -> None:
        worker_id = self.of(sorted(self.model.workers), pick)
        self.register("intruder", worker_id, PLAIN, machine="other")

    @precondition(lambda self: self.model.sessions)
    @rule(pick=picks, name=st.sampled_from((*NAMES, "w8")))
    def session_registers_again(self, pick: int, name: str) -> None:
        session = self.of(self.sessions(), pick)
        _, _, words = self.model.sessions[session].provides.partition("|")
        modules = tuple(w[7:] for w in words.split("|") if w.startswith("module:"))
        labels = tuple(w[6:] for w in words.split("|") if w.startswith("label:"))
        self.register(session, name, (modules, labels))

    @precondition(lambda self: self.model.sessions)
    @rule(pick=picks, again=st.booleans())
    def worker_takes(self, pick: int, again: bool) -> None:
        self.pass_time(1)
        for _ in range(1 + again):
            self.take(self.of(self.sessions(), pick))

    @precondition(lambda self: self.held())
    @rule(pick=picks, how=hows, again=st.booleans())
    def worker_settles(self, pick: int, how: str, again: bool) -> None:
        lease = self.of(self.held(), pick)
        for _ in range(1 + again):
            self.settle(lease, how)

    @precondition(lambda self: self.held())
    @rule(pick=picks, how=hows, again=st.booleans(), us=st.sampled_from((0, 1, 3000)))
    def worker_settles_and_takes(
        self, pick: int, how: str, again: bool, us: int
    ) -> None:
        lease = self.of(self.held(), pick)
        self.model.now_us += us
        self.set_clock()
        for _ in range(1 + again):
            self.take(lease.session, self.settlement(lease, how))

    @precondition(lambda self: self.held())
    @rule(pick=picks, how=st.sampled_from(("checkpoint", "confirm", "log")))
    def worker_tells(self, pick: int, how: str) -> None:
        for _ in range(2):
            self.write(self.of(self.held(), pick), how)

    @precondition(lambda self: self.model.sessions)
    @rule(pick=picks)
    def worker_leaves(self, pick: int) -> None:
        session = self.of(self.sessions(), pick)
        for _ in range(2):
            self.leave(session)

    # Faults

    @precondition(lambda self: self.leases)
    @rule(pick=picks, how=st.sampled_from(WRITES), again=st.booleans())
    def anyone_who_ever_had_it_writes(self, pick: int, how: str, again: bool) -> None:
        lease = self.of(self.leases[::-1], pick)
        for _ in range(1 + again):
            self.write(lease, how)

    @precondition(lambda self: self.held())
    @rule(pick=picks, how=st.sampled_from(WRITES))
    def forgers_write(self, pick: int, how: str) -> None:
        lease = self.of(self.held(), pick)
        for forged in (
            Lease(lease.session, lease.job_id, lease.token + 1),
            Lease("s0", lease.job_id, lease.token),
            Lease(lease.session, lease.job_id, lease.token // 10),
            Lease(lease.session, "never-seen", lease.token),
        ):
            self.write(forged, how)

    @precondition(lambda self: self.model.lists[0])
    @rule()
    def waiter_dies(self) -> None:
        self.stage()
        self.check()

    @precondition(lambda self: self.model.sessions)
    @rule(pick=picks, again=st.booleans())
    def supervisor_sees_a_worker_die(self, pick: int, again: bool) -> None:
        session = self.of(self.sessions(), pick)
        for _ in range(1 + again):
            self.recover(session)
        self.take(session)

    @precondition(lambda self: self.model.sessions)
    @rule(pick=picks, returns=st.booleans(), how=hows)
    def worker_is_cut_off(self, pick: int, returns: bool, how: str) -> None:
        """Its lease runs out, others stay alive; it may come back and tell."""
        session = self.of(self.sessions(), pick)
        lease = lease_of(self.model, session)
        for _ in range(8):
            self.pass_time(2000)
            self.renew(*(b for b in self.beliefs() if b.session != session))
        self.recover()
        assert session not in self.model.sessions
        if returns and lease is not None:
            for _ in range(2):
                self.settle(lease, how)

    @rule()
    def server_forgets_the_scripts(self) -> None:
        self.client.script_flush()

    # Supervisors and time

    @rule(pick=picks)
    def supervisor_renews(self, pick: int) -> None:
        held = self.beliefs()
        if held and self.leases:  # one of them is wrong about what it has
            stale = self.of(self.leases, pick)
            held.append(Lease(held[0].session, stale.job_id, stale.token))
            held.append(stale)
        self.renew(*held)

    @rule(ms=st.sampled_from((1, 700, 2000, 5000)))
    def time_passes(self, ms: int) -> None:
        self.pass_time(ms)
        self.check()

    @rule(seconds=st.sampled_from((-3600, -7, 3600, 86_400)))
    def clock_is_set(self, seconds: int) -> None:
        """A jump ends no lease that has a step left."""
        safe = [
            name
            for name, s in self.model.sessions.items()
            if s.lease_end >= self.model.clock_ms + 2000
        ]
        self.pass_time(seconds * 1000)
        self.recover()
        assert set(safe) <= set(self.model.sessions)

    @rule(limit=st.sampled_from((1, 64)))
    def supervisor_looks_after_all(self, limit: int) -> None:
        self.recover()
        self.promote(limit)

    @rule(days=st.sampled_from((0, 0, 31)), limit=st.sampled_from((2, 200)))
    def supervisor_trims(self, days: int, limit: int) -> None:
        self.pass_time(days * 86_400_000)
        self.trim(limit)

    # People

    @rule(pick=picks, spare=st.sampled_from((False, False, True)))
    def person_cancels(self, pick: int, spare: bool) -> None:
        for _ in range(2):
            self.cancel(self.of(self.job_ids(), pick), spare=spare)

    @rule(pick=picks, afresh=st.booleans())
    def person_requeues(self, pick: int, afresh: bool) -> None:
        self.requeue(self.of(self.job_ids(), pick), afresh=afresh)

    @rule(pick=picks)
    def person_removes(self, pick: int) -> None:
        self.remove(self.of(self.job_ids(), pick))

    @rule(
        who=st.sampled_from(("", *NAMES)),
        activity=st.sampled_from(("pause", "work", "work", "drain")),
    )
    def person_steers(self, who: str, activity: str) -> None:
        self.steer(who, activity)

    @precondition(lambda self: self.model.rejected)
    @rule(pick=picks, how=st.sampled_from(("as it was", "mended", "dropped")))
    def person_judges_a_rejected_document(self, pick: int, how: str) -> None:
        self.judge(pick % (len(self.model.rejected) + 1), how)

    def judge(self, index: int, how: str) -> None:
        """Put a rejected document back, or drop it; ask twice."""
        if how == "dropped":
            self.drop_rejected(index)
        elif how == "mended" or index == len(self.model.rejected):
            self.restore(index, self.fresh())
        else:
            self.restore(index, self.model.papers[self.model.rejected[index][2]])
