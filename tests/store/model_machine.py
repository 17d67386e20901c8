"""One call on both sides: the real scripts and the model; then everything is compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine
from redis import Redis

from sisyphus.errors import Stopped, WrongState
from sisyphus.store.replies import (
    Activity,
    Empty,
    Gone,
    Held,
    Lease,
    Paused,
    Settlement,
    Taken,
    TakeReply,
)
from sisyphus.store.store import Store, provides
from store.elsewhere import CLOCK
from store.fleet import ERROR, entry, facts
from store.invariants import Snapshot, check_snapshot, read
from store.model import Limits, Paper
from store.model_compare import compare
from store.model_tally import Tally
from store.model_ways import Model, Reply

START_US = 1_700_000_000_000_000
ERROR_JSON = '{"code":"run_error","message":"no such file"}'
Kind = tuple[tuple[str, ...], tuple[str, ...]]
"""A worker's modules and labels."""


@dataclass
class World:
    """What all examples of one run share."""

    client: Redis
    stores: dict[int, Store]
    """By how many ended jobs each keeps."""
    tally: Tally


class Machine(RuleBasedStateMachine):
    """The two sides, and one method for each call."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.client: Any = world.client
        self.client.flushall()
        self.tally = world.tally
        self.tally.examples += 1
        self.stores = world.stores
        self.model: Model
        self.leases: list[Lease] = []
        """Every right that was ever handed out, the newest last."""
        self.outcomes: dict[int, str] = {}
        """How each token was settled."""
        self.off: set[str] = set()
        """Jobs that were called off for good: nothing of them may run."""
        self.accepted: set[str] = set()
        self.seen = Snapshot()
        self.sound = False
        """Whether the last call ended as it had to."""
        self.states: dict[str, str] = {}

    def start(self, keep: int) -> None:
        self.store = self.stores[keep]
        limits = Limits(12_000, keep, crash_limit=3, age_ms=30 * 86_400_000)
        self.model = Model(limits, START_US)
        self.set_clock()

    # Time

    def set_clock(self) -> None:
        seconds, micros = divmod(self.model.now_us, 1_000_000)
        self.client.mset(dict(zip(CLOCK, (seconds, micros), strict=True)))

    def pass_time(self, ms: int) -> None:
        """Let time pass on the server; its clock may also be set back."""
        self.model.now_us += ms * 1000
        self.set_clock()

    # Both sides

    def check(self) -> None:
        self.sound = False
        self.tally.steps += 1
        self.seen = read(self.client, self.store.keys)
        compare(self.model, self.seen)
        check_snapshot(self.seen)
        self.sound = True
        # Both were compared; one grows, the other expires.
        self.model.events.clear()
        self.model.orders.clear()
        self.client.delete(self.store.keys.events, self.store.keys.orders("node"))

    def both(
        self,
        name: str,
        real: Callable[[], object],
        expected: Callable[[], object],
        job_id: str = "",
    ) -> Any:
        """Do it on both sides; answers and everything else must be the same."""
        self.sound = False
        self.states = self.model.states()
        answer, wanted = real(), expected()
        assert answer == wanted, f"{name} answered {answer!r}, must be {wanted!r}"
        self.tally.calls[name] += 1
        before, after = self.states, self.model.states()
        for j in {*before, *after}:
            if before.get(j) != after.get(j):
                self.tally.count(before.get(j, ""), name, after.get(j, ""))
            elif j == job_id and wanted in (("ok",), ("cancel",), ("asked",)):
                self.tally.count(after[j], name, after[j])
        self.check()
        return answer

    # A session's life

    def register(
        self, session: str, worker_id: str, kind: Kind, machine: str = "m"
    ) -> Any:
        told = facts(worker_id, *kind, machine)

        def real() -> Reply:
            taken = self.store.register(session, told)
            return ("ok",) if taken is None else ("taken", *taken[:2])

        return self.both(
            "register",
            real,
            lambda: self.model.register(session, worker_id, provides(*kind), machine),
        )

    def renew(self, *held: Lease) -> Any:
        rows = [Held(x.session, x.job_id, x.token) for x in held]

        def real() -> Reply:
            told = self.store.renew(rows)
            orders = [(v.value, a.value) for v, a in told.orders]
            return (told.recover, told.promote, *orders)

        return self.both("renew", real, lambda: self.model.renew(list(held)))

    def leave(self, session: str) -> None:
        self.both(
            "leave",
            lambda: self.store.leave(session),
            lambda: self.model.leave(session),
        )

    def recover(self, session: str = "") -> Any:
        return self.both(
            "recover",
            lambda: self.store.recover(session, "killed"),
            lambda: self.model.recover(session),
        )

    # The way of a job

    def push(self, paper: Paper, priority: int = 0) -> None:
        self.accepted.add(paper.job_id)
        self.off.discard(paper.job_id)
        self.client.lpush(self.store.keys.waiting(priority), paper.raw)
        self.model.push(paper, priority)

    def stage(self) -> None:
        """A document arrives at a waiter that is dead the next moment."""
        keys = self.store.keys
        self.client.lmove(keys.waiting(), keys.staged, "RIGHT", "LEFT")
        self.model.stage()

    def submit(self, paper: Paper, priority: int, due_ms: int) -> Any:
        def real() -> Reply:
            try:
                state = self.store.submit(
                    paper.job_id, paper.raw, priority, due_ms, paper.title
                )
            except WrongState:
                return ("refused",)
            return ("accepted", state.value)

        def expected() -> Reply:
            word, state = self.model.submit(paper, priority, due_ms)
            if word not in ("ok", "known"):
                return ("refused",)
            self.accepted.add(paper.job_id)
            self.off.discard(paper.job_id)
            return ("accepted", state)

        return self.both("submit", real, expected, paper.job_id)

    def take(self, session: str, settlement: Settlement | None = None) -> Lease | None:
        """Take, and by the way tell how the last job ended; the job, if there is one."""

        def real() -> Reply:
            accepted, reply = self.store.take(session, settlement)
            return (accepted, *_words(reply))

        def expected() -> Reply:
            accepted = True
            if settlement is not None:
                accepted = self.settled(settlement.lease, settlement.script.name)
                self.states = self.model.states()
            return (accepted, *self.model.take(session))

        answer = self.both("take", real, expected)
        if answer[1] != "job":
            return None
        lease = Lease(session, answer[2], answer[3])
        if lease not in self.leases:
            assert all(lease.token > old.token for old in self.leases), "an old token"
            assert lease.job_id not in self.off, f"{lease.job_id} was called off"
            self.leases.append(lease)
        return lease

    def settlement(self, lease: Lease, how: str) -> Settlement:
        match how:
            case "complete":
                return self.store.complete(lease, {"frames": 132})
            case "retry":
                return self.store.retry(lease, ERROR, entry("retry"), 5)
            case "fail":
                return self.store.fail(lease, ERROR, entry("fail"))
            case "stop":
                return self.store.stop(lease, entry("stop"))
            case _:
                return self.store.release(lease, entry("release"))

    def settled(self, lease: Lease, how: str) -> bool:
        """What the model says to a settlement."""
        told = {"complete": '{"frames":132}', "retry": ERROR_JSON, "fail": ERROR_JSON}
        reply = self.model.settle(lease, how, told.get(how, ""), delay_ms=5000)
        return reply == ("ok",)

    def settle(self, lease: Lease, how: str) -> bool:
        def real() -> Reply:
            accepted = self.store.settle(self.settlement(lease, how))
            return ("ok",) if accepted else ("lost",)

        answer = self.both(
            how,
            real,
            lambda: ("ok",) if self.settled(lease, how) else ("lost",),
        )
        if answer == ("ok",):
            before = self.outcomes.setdefault(lease.token, how)
            assert before == how, f"one attempt ended by {before} and by {how}"
        return bool(answer == ("ok",))

    def ask(self, lease: Lease, checkpoint: str | None = None) -> Any:
        """Confirm, or record the tasks that are done."""

        def real() -> Reply:
            try:
                if checkpoint is None:
                    self.store.confirm(lease)
                else:
                    self.store.checkpoint(lease, checkpoint)
            except Stopped as stopped:
                return (str(stopped),)
            return ("ok",)

        name = "confirm" if checkpoint is None else "checkpoint"
        return self.both(
            name, real, lambda: self.model.ask(lease, checkpoint), lease.job_id
        )

    def log(self, lease: Lease, line: str) -> Any:
        def real() -> Reply:
            rows = [(1, "ffmpeg", "info", line)]
            return ("ok",) if self.store.log(lease, rows) else ("lost",)

        def expected() -> Reply:
            job = self.model.jobs.get(lease.job_id)
            again = job is not None and job.said[-1:] == [line]
            return self.model.log(lease, [] if again else [line])

        return self.both("log", real, expected)

    def promote(self, limit: int = 64) -> None:
        self.both(
            "promote",
            lambda: self.store.promote(limit),
            lambda: self.model.promote(limit),
        )

    # People

    def cancel(self, job_id: str, *, spare: bool = False) -> str:
        copies = self.model.copies(job_id)
        state = getattr(self.model.jobs.get(job_id), "state", "")

        def expected() -> str:
            reply = self.model.cancel(job_id, spare=spare)
            return str(reply[-1])

        def real() -> str:
            return self.store.cancel(job_id, spare_running=spare)

        answer: str = self.both("cancel", real, expected, job_id)
        if answer == "asked":
            self.tally.count("running", "cancel", "running")
        called_off = answer in ("cancelled", "unseen", "asked")
        if called_off and copies <= (state in ("", "queued")):
            self.off.add(job_id)
        return answer

    def requeue(self, job_id: str, *, afresh: bool = False) -> bool:
        def real() -> bool:
            try:
                self.store.requeue(job_id, afresh=afresh)
            except WrongState:
                return False
            return True

        def expected() -> bool:
            return self.model.requeue(job_id, afresh=afresh) == ("ok",)

        done: bool = self.both("requeue", real, expected)
        if done:
            self.off.discard(job_id)
        return done

    def remove(self, job_id: str) -> bool:
        def real() -> bool:
            try:
                self.store.remove(job_id)
            except WrongState:
                return False
            return True

        done: bool = self.both(
            "remove", real, lambda: self.model.remove(job_id) == ("ok",)
        )
        if done:
            self.off.discard(job_id)
        return done

    def trim(self, limit: int = 200) -> None:
        self.both(
            "trim", lambda: self.store.trim(limit), lambda: self.model.trim(limit)
        )

    def steer(self, worker_id: str, activity: str) -> None:
        self.both(
            "steer",
            lambda: self.store.steer(worker_id, Activity(activity)),
            lambda: self.model.steer(worker_id, activity),
        )

    def restore(self, index: int, paper: Paper) -> None:
        entry = self.entry(index)
        done = self.both(
            "restore",
            lambda: self.store.restore(entry, paper.raw),
            lambda: self.model.restore(index, paper),
        )
        self.both("restore", lambda: self.store.restore(entry, paper.raw), bool)
        if done and not paper.reason:
            self.off.discard(paper.job_id)
            self.accepted.add(paper.job_id)

    def drop_rejected(self, index: int) -> None:
        entry = self.entry(index)
        self.both(
            "drop_rejected",
            lambda: self.store.drop_rejected(entry),
            lambda: self.model.drop_rejected(index),
        )
        self.both("drop_rejected", lambda: self.store.drop_rejected(entry), bool)

    def entry(self, index: int) -> str:
        rows = self.client.xrange(self.store.keys.rejected)
        return rows[index][0].decode() if 0 <= index < len(rows) else "1-1"


def _words(reply: TakeReply) -> Reply:
    match reply:
        case Taken(lease, raw, attempt, failures, crashes, checkpoint):
            return (
                *("job", lease.job_id, lease.token, raw),
                *(attempt, failures, crashes, checkpoint),
            )
        case Empty(due_in):
            return ("empty", -1 if due_in is None else round(due_in * 1000))
        case Paused():
            return ("paused",)
        case Gone():
            return ("gone",)
