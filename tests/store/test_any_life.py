"""Any life: steps in a random order."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import count

import pytest

from sisyphus.errors import WrongState
from sisyphus.lifecycle import ENDED
from sisyphus.store.replies import Activity, Lease, Paused, Taken
from store.fleet import WRITES, Fleet, document
from store.invariants import check_invariants, read


class Walk:
    """Steps in a random order; whatever comes, the invariants hold after each."""

    def __init__(self, fleet: Fleet, seed: int) -> None:
        self.fleet, self.store = fleet, fleet.store
        self.random = random.Random(seed)
        self.ids: list[str] = []
        self.leases: dict[str, Lease] = {}
        self.zombies: list[Lease] = []
        self.names = count()

    def steps(self) -> list[Callable[[], object]]:
        return [
            *[self.push] * 3,
            self.push_again,
            self.push_nonsense,
            self.stage,
            self.submit_later,
            *[self.take] * 6,
            *[self.settle] * 4,
            self.settle_late,
            self.begin,
            self.leave,
            self.die,
            self.expire,
            self.cancel,
            self.requeue,
            self.come_due,
            self.pause,
            self.resume,
        ]

    def session(self) -> str | None:
        names = [name.decode() for name in self.fleet.client.hvals(self.workers)]
        return self.random.choice(sorted(names)) if names else None

    @property
    def workers(self) -> str:
        return self.fleet.keys.workers

    def push(self) -> None:
        job_id = f"job-{next(self.names)}"
        self.ids.append(job_id)
        raw = document(job_id, module=self.random.choice(["ffmpeg", "mkvmerge"]))
        self.fleet.push(raw, priority=self.random.choice([0, 0, 0, 2, 9]))

    def push_again(self) -> None:
        ran = [
            job_id
            for job_id in self.ids
            if self.fleet.client.exists(self.fleet.keys.doc(job_id))
        ]
        if ran:
            job_id = self.random.choice(ran)
            if self.fleet.state(job_id) != "cancelled":
                raw = self.fleet.client.get(self.fleet.keys.doc(job_id))
                assert raw is not None
                if b"ffmpeg" in raw:
                    self.fleet.push(raw)

    def push_nonsense(self) -> None:
        self.fleet.push(b"nonsense")

    def stage(self) -> None:
        keys = self.fleet.keys
        self.fleet.client.lmove(keys.waiting(), keys.staged, "RIGHT", "LEFT")

    def submit_later(self) -> None:
        job_id = f"later-{next(self.names)}"
        self.ids.append(job_id)
        due_ms = self.fleet.now_ms() + 3_600_000
        self.store.submit(job_id, document(job_id), 3, due_ms, "")

    def take(self) -> None:
        session = self.session()
        if session is not None:
            reply = self.fleet.ask(session)
            if isinstance(reply, Taken):
                assert self.leases.get(session, reply.lease) == reply.lease
                self.leases[session] = reply.lease
            else:
                assert session not in self.leases or isinstance(reply, Paused)

    def settle(self) -> None:
        if self.leases:
            session = self.random.choice(sorted(self.leases))
            lease = self.leases.pop(session)
            name = self.random.choice(["complete", "fail", "retry", "release", "stop"])
            assert WRITES[name](self.store, lease)
            assert WRITES[name](self.store, lease)

    def settle_late(self) -> None:
        if self.zombies:
            lease = self.random.choice(self.zombies)
            name = self.random.choice(sorted(WRITES))
            assert not WRITES[name](self.store, lease)

    def begin(self) -> None:
        name = f"worker-{next(self.names)}"
        modules = self.random.choice([("ffmpeg",), ("ffmpeg", "mkvmerge")])
        self.fleet.worker(name, modules)

    def leave(self) -> None:
        session = self.session()
        if session is not None:
            self.store.leave(session)
            self.leases.pop(session, None)

    def die(self) -> None:
        session = self.session()
        if session is not None:
            self.store.recover(session, "killed")
            self.lose(session)

    def expire(self) -> None:
        session = self.session()
        if session is not None:
            self.fleet.age_lease(session)
            self.store.recover()
            self.lose(session)

    def lose(self, session: str) -> None:
        if session in self.leases:
            self.zombies.append(self.leases.pop(session))

    def cancel(self) -> None:
        if self.ids:
            self.store.cancel(self.random.choice(self.ids))

    def requeue(self) -> None:
        if self.ids:
            try:
                self.store.requeue(self.random.choice(self.ids))
            except WrongState:
                return

    def come_due(self) -> None:
        for job_id in self.ids:
            self.fleet.make_due(job_id)
        self.store.promote()

    def pause(self) -> None:
        self.store.steer("", Activity.PAUSE)

    def resume(self) -> None:
        self.store.steer("", Activity.WORK)

    def come_to_rest(self) -> None:
        """All workers die; a new one does all that is left."""
        self.resume()
        while (session := self.session()) is not None:
            self.store.recover(session, "killed")
        worker = self.fleet.worker("last", ("ffmpeg", "mkvmerge"))
        for _ in range(3):
            self.come_due()
            self.fleet.take_all(worker)
        self.store.leave(worker)


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_nothing_is_lost(fleet: Fleet, seed: int) -> None:
    walk = Walk(fleet, seed)
    walk.begin()

    for _ in range(70):
        walk.random.choice(walk.steps())()
        check_invariants(fleet.client, fleet.keys)
    walk.come_to_rest()

    states = {job_id: fleet.state(job_id) for job_id in walk.ids}
    assert set(states.values()) <= {state.value for state in ENDED}, states
    s = read(fleet.client, fleet.keys)
    assert not s.sessions
    assert not any(s.lists.values())
