"""Whole lives of jobs, through several transitions."""

from __future__ import annotations

import random

import pytest

from sisyphus.errors import WrongState
from sisyphus.lifecycle import TRANSITIONS, JobState
from sisyphus.store.replies import Activity, Lease, Taken
from store.conftest import MakeStore
from store.fleet import ERROR, WRITES, Fleet, document, entry
from store.invariants import read

TABLE = {row.name: row for row in TRANSITIONS}
STATES = ["nothing", *map(str, JobState)]


# The table of transitions


def do(fleet: Fleet, name: str, lease: Lease) -> None:
    """Do something to job ``a``, or try to."""
    match name:
        case "submit":
            fleet.store.submit("a", document(), 0, 0, "")
        case "take":
            fleet.push(document())
            fleet.ask(fleet.worker("taker"))
        case "recover":
            fleet.store.recover(lease.session)
        case "promote":
            fleet.make_due()
            fleet.store.promote()
        case "trim":
            fleet.age_history("a", days=400)
            fleet.store.trim()
        case "cancel" | "requeue" | "remove":
            getattr(fleet.store, name)("a")
        case _:
            WRITES[name](fleet.store, lease)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", TABLE)
def test_a_job_changes_as_the_table_says_and_not_otherwise(
    fleet: Fleet, name: str, state: str
) -> None:
    row = TABLE[name]
    lease = fleet.in_state(state) or Lease("session-w", "a", 1)

    try:
        do(fleet, name, lease)
    except WrongState:
        assert state not in row.before

    before, after = (None if state == "nothing" else state), fleet.state()
    if before != after:
        assert before in row.before
        assert after in row.after


# Lives


def test_a_hard_life(fleet: Fleet) -> None:
    store = fleet.store
    store.submit("a", document(), 0, fleet.now_ms() + 60_000, "A film")
    fleet.make_due()
    store.promote()
    victim = fleet.take(fleet.worker("victim"))
    store.checkpoint(victim.lease, '[{"task": 0}]')
    store.recover(victim.lease.session, "killed by SIGKILL")
    second = fleet.take(fleet.worker("w"))
    retry = store.retry(second.lease, ERROR, entry("failed"), 10)
    store.settle(retry)
    fleet.make_due()
    store.promote()
    third = fleet.take("session-w")
    store.settle(store.release(third.lease, entry("released")))
    fourth = fleet.take("session-w")

    assert store.settle(store.complete(fourth.lease, {"ok": True}))

    assert [t.attempt for t in (victim, second, third, fourth)] == [1, 2, 3, 4]
    assert [t.crashes for t in (victim, second, third, fourth)] == [0, 1, 1, 1]
    assert [t.failures for t in (victim, second, third, fourth)] == [0, 0, 1, 1]
    assert fourth.checkpoint == '[{"task": 0}]'
    assert fourth.raw == document()
    outcomes = [row["outcome"] for row in fleet.attempts()]
    assert outcomes == ["crashed", "failed", "released"]
    assert fleet.events() == [
        "delayed",
        "queued",
        "running",
        "queued",
        "running",
        "delayed",
        "queued",
        "running",
        "queued",
        "running",
        "completed",
    ]


def test_a_poisonous_job_does_not_stop_the_others(fleet: Fleet) -> None:
    fleet.push(document("poison"), *(document(f"job-{number}") for number in range(5)))
    done: list[str] = []

    for life in range(20):
        session = fleet.worker("w")
        while isinstance(reply := fleet.ask(session), Taken):
            if reply.lease.job_id == "poison":
                fleet.store.recover(session, f"life {life}: killed by SIGSEGV")
                break
            done.append(reply.lease.job_id)
            fleet.store.settle(fleet.store.complete(reply.lease, None))
        else:
            fleet.store.leave(session)
            fleet.make_due("poison")
            fleet.store.promote()

    assert done == [f"job-{number}" for number in range(5)]
    assert fleet.state("poison") == "failed"
    assert len(fleet.attempts("poison")) == 3


def test_a_drained_machine_hands_its_jobs_to_the_next(fleet: Fleet) -> None:
    fleet.push(*(document(str(number)) for number in range(4)))
    leases = [fleet.take(fleet.worker(f"old-{n}")).lease for n in range(2)]
    fleet.store.checkpoint(leases[0], "[1]")
    for number in range(2):
        fleet.store.steer(f"old-{number}", Activity.DRAIN)

    for lease in reversed(leases):
        fleet.store.settle(fleet.store.release(lease, entry("released")))
        fleet.store.leave(lease.session)

    new = fleet.worker("new")
    assert fleet.take(new).checkpoint == "[1]"
    assert fleet.take_all(new) == ["0", "1", "2", "3"]
    assert "crashes" not in fleet.record("0")


def test_a_job_cancelled_and_wanted_again_runs(fleet: Fleet) -> None:
    session = fleet.worker()
    lease = fleet.running("a", session)
    fleet.store.cancel("a")
    fleet.store.settle(fleet.store.stop(lease, entry("cancelled")))
    fleet.store.requeue("a")
    fleet.store.cancel("a")
    fleet.store.requeue("a")

    assert fleet.take_all(session) == ["a"]
    assert fleet.state() == "completed"


def test_what_was_pushed_is_what_ended_and_what_was_dropped(fleet: Fleet) -> None:
    good = [document(str(number)) for number in range(60)]
    bad = [b"bad %d" % number for number in range(15)]
    other = [document(str(number), job_title="another") for number in range(7)]
    pushed = good + bad + good[:10] + other
    random.Random(7).shuffle(pushed)
    fleet.push(*pushed)

    ids = fleet.take_all(fleet.worker())

    records = read(fleet.client, fleet.keys).records.values()
    duplicates = sum(int(record.get("duplicates", "0")) for record in records)
    assert sorted(ids, key=int) == [str(number) for number in range(60)]
    assert len(ids) + duplicates + len(fleet.rejected()) == len(pushed)


def test_with_nobody_left_nothing_is_in_anybody_s_hand(fleet: Fleet) -> None:
    for number in range(7):
        fleet.running(f"job-{number}", fleet.worker(str(number)))
        fleet.age_lease(f"session-{number}")
    fleet.client.lpush(fleet.keys.staged, document("staged"))

    while fleet.store.recover():
        pass

    s = read(fleet.client, fleet.keys)
    assert not s.sessions
    assert not s.scores("sessions")
    assert not s.hash("workers")
    assert not s.hash("kinds")
    assert not fleet.staged()
    assert len(fleet.waiting()) == 8


def test_two_families_do_not_touch_each_other(
    fleet: Fleet, make_store: MakeStore
) -> None:
    films = Fleet(make_store(queue="films"), fleet.client)
    fleet.push(document("a"))
    films.push(document("a", job_title="another"))

    taken = films.take(films.worker("w"))

    assert taken.raw == document("a", job_title="another")
    assert fleet.waiting() == [document("a")]
    assert fleet.take_all(fleet.worker("w")) == ["a"]
    films.store.settle(films.store.complete(taken.lease, None))
    for name in fleet.client.keys("*films*"):
        fleet.client.delete(name)
