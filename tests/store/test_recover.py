"""recover: a job's owner is gone."""

from __future__ import annotations

import json
import threading

import pytest

from sisyphus.store.replies import Lease
from store.conftest import MakeStore
from store.fleet import SETTLEMENTS, WRITES, Fleet, document, entry, facts


def crash(fleet: Fleet, job_id: str = "a", cause: str = "killed by SIGKILL") -> None:
    """Take the job with a new worker, and let that die."""
    session = fleet.worker("victim")
    assert fleet.take(session).lease.job_id == job_id
    fleet.store.recover(session, cause)


def test_the_first_crash_puts_a_job_to_the_front(fleet: Fleet) -> None:
    fleet.push(document("a"), document("b"))

    crash(fleet)

    assert fleet.waiting() == [document("a"), document("b")]
    taken = fleet.take(fleet.worker())
    assert (taken.lease.job_id, taken.crashes, taken.failures) == ("a", 1, 0)
    assert taken.attempt == 2


def test_the_second_crash_lets_it_wait_a_little(fleet: Fleet) -> None:
    fleet.push(document())
    crash(fleet)

    crash(fleet)

    assert fleet.state() == "delayed"
    due_ms = fleet.client.zscore(fleet.keys.backoff, "a")
    assert due_ms == fleet.clock_ms() + 4000
    assert fleet.client.get(fleet.keys.doc("a")) == document()


def test_the_third_crash_fails_it_with_all_attempts_on_record(fleet: Fleet) -> None:
    fleet.push(document())
    crash(fleet, cause="killed by SIGSEGV")
    crash(fleet, cause="lease ran out")
    fleet.make_due()
    fleet.store.promote()

    crash(fleet, cause="killed by SIGKILL")

    assert fleet.state() == "failed"
    error = json.loads(fleet.record()["error"])
    assert (error["code"], error["crashes"]) == ("crash", 3)
    assert error["message"] == "ended 3 workers; the last one: killed by SIGKILL"
    rows = fleet.attempts()
    assert [row["attempt"] for row in rows] == [1, 2, 3]
    assert [row["outcome"] for row in rows] == ["crashed"] * 3
    assert [row["cause"] for row in rows] == [
        "killed by SIGSEGV",
        "lease ran out",
        "killed by SIGKILL",
    ]
    assert {(row["worker_id"], row["host"]) for row in rows} == {("victim", "host")}
    assert all(0 < row["started_ms"] <= row["ended_ms"] for row in rows)
    assert fleet.nothing_for(fleet.worker())
    assert fleet.client.get(fleet.keys.doc("a")) == document()


def test_the_limit_of_crashes_is_a_setting(fleet: Fleet, make_store: MakeStore) -> None:
    store = make_store(crash_limit=1)
    lease = fleet.running()

    store.recover(lease.session)

    assert fleet.state() == "failed"


def test_crashes_and_failures_are_counted_apart(fleet: Fleet) -> None:
    session = fleet.worker()
    lease = fleet.running("a", session)
    fleet.store.settle(fleet.store.retry(lease, {}, entry("failed"), 0))
    fleet.make_due()
    fleet.store.promote()

    crash(fleet)

    taken = fleet.take(session)
    assert (taken.attempt, taken.failures, taken.crashes) == (3, 1, 1)


def test_a_lease_that_ran_out_ends_its_session(fleet: Fleet) -> None:
    lease = fleet.running()
    fleet.age_lease(lease.session)

    count = fleet.store.recover()

    assert count == 1
    assert fleet.state() == "queued"
    assert fleet.attempts()[0]["cause"] == "lease ran out"
    assert not fleet.client.exists(fleet.keys.session(lease.session))


def test_a_lease_that_runs_is_left_alone(fleet: Fleet) -> None:
    lease = fleet.running()
    before = fleet.everything()

    assert fleet.store.recover() == 0

    assert fleet.everything() == before
    fleet.store.confirm(lease)


def test_an_idle_session_is_ended_too(fleet: Fleet) -> None:
    session = fleet.worker()
    assert fleet.nothing_for(session)
    fleet.age_lease(session)

    assert fleet.store.recover() == 1

    assert not fleet.client.exists(fleet.keys.idle, fleet.keys.kinds)


def test_many_dead_sessions_are_ended_four_by_four(fleet: Fleet) -> None:
    for number in range(10):
        fleet.running(f"job-{number}", fleet.worker(str(number)))
        fleet.age_lease(f"session-{number}")

    counts = [fleet.store.recover() for _ in range(4)]

    assert counts == [4, 4, 2, 0]
    assert len(fleet.waiting()) == 10


def test_recovering_twice_charges_once(fleet: Fleet) -> None:
    lease = fleet.running()
    first = fleet.store.recover(lease.session, "killed")
    before = fleet.everything()

    second = fleet.store.recover(lease.session, "killed")

    assert first == second
    assert fleet.everything() == before


def test_supervisors_that_recover_at_once_charge_once(
    fleet: Fleet, make_store: MakeStore
) -> None:
    for number in range(20):
        fleet.running(f"job-{number}", fleet.worker(str(number)))
        fleet.age_lease(f"session-{number}")

    def recover() -> None:
        store = make_store()
        while store.recover():
            pass

    threads = [threading.Thread(target=recover) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    crashes = {fleet.record(f"job-{number}")["crashes"] for number in range(20)}
    assert crashes == {"1"}
    assert len(fleet.waiting()) == 20


def test_a_session_that_settled_before_it_died_charges_nothing(fleet: Fleet) -> None:
    lease = fleet.running()
    fleet.store.settle(fleet.store.release(lease, entry("released")))

    fleet.store.recover(lease.session)

    assert "crashes" not in fleet.record()
    assert fleet.waiting() == [document()]


def test_a_job_that_is_to_be_cancelled_is_cancelled_when_its_worker_dies(
    fleet: Fleet,
) -> None:
    lease = fleet.running()
    fleet.store.cancel("a")

    fleet.store.recover(lease.session, "killed")

    assert fleet.state() == "cancelled"
    assert fleet.attempts()[0]["outcome"] == "crashed"


def test_what_a_dead_worker_staged_is_put_back_in_its_order(fleet: Fleet) -> None:
    fleet.client.lpush(fleet.keys.staged, document("1"), document("2"), document("3"))
    fleet.push(document("4"))

    fleet.store.recover()

    assert fleet.staged() == []
    assert fleet.take_all(fleet.worker()) == ["1", "2", "3", "4"]


def test_many_staged_documents_are_put_back_in_bounded_pieces(fleet: Fleet) -> None:
    ids = [f"{number:03}" for number in range(100)]
    fleet.client.lpush(fleet.keys.staged, *map(document, ids))

    fleet.store.recover()

    assert len(fleet.staged()) == 36
    assert fleet.take_all(fleet.worker()) == ids


def test_a_new_life_starts_with_a_full_budget(fleet: Fleet) -> None:
    fleet.push(document())
    crash(fleet)
    crash(fleet)
    fleet.make_due()
    fleet.store.promote()
    crash(fleet)
    assert fleet.state() == "failed"

    fleet.store.requeue("a")
    crash(fleet)

    assert fleet.state() == "queued"
    assert fleet.take(fleet.worker()).attempt == 5


# The fleet clock


@pytest.mark.parametrize("away_ms", [3_600_000, -3_600_000, 86_400_000])
@pytest.mark.parametrize("call", ["recover", "renew", "promote", "register"])
def test_the_fleet_clock_moves_by_a_small_step(
    fleet: Fleet, call: str, away_ms: int
) -> None:
    fleet.running()
    fleet.client.hset(fleet.keys.meta, "seen_ms", fleet.now_ms() - away_ms)
    before = fleet.clock_ms()

    match call:
        case "recover":
            assert fleet.store.recover() == 0
        case "renew":
            fleet.store.renew([])
        case "promote":
            fleet.store.promote()
        case "register":
            fleet.store.register("new", facts("new"))

    assert fleet.clock_ms() - before == (2000 if away_ms > 0 else 0)
    seen_ms = int(fleet.client.hget(fleet.keys.meta, "seen_ms") or 0)
    assert abs(seen_ms - fleet.now_ms()) < 1000


def test_the_step_is_kept_in_meta(fleet: Fleet) -> None:
    fleet.worker()
    now_ms = fleet.now_ms()
    fleet.client.hset(
        fleet.keys.meta, mapping={"seen_ms": now_ms - 60_000, "step_ms": 500}
    )
    before = fleet.clock_ms()

    fleet.store.recover()

    assert fleet.clock_ms() - before == 500


def test_a_long_outage_ends_no_lease(fleet: Fleet) -> None:
    leases = [fleet.running(str(n), fleet.worker(str(n))) for n in range(8)]
    day_ago = fleet.now_ms() - 86_400_000
    fleet.client.hset(fleet.keys.meta, "seen_ms", day_ago)

    assert fleet.store.recover() == 0

    for lease in leases:
        fleet.store.confirm(lease)


def test_the_step_is_a_sixth_of_the_lease_at_most(
    fleet: Fleet, make_store: MakeStore
) -> None:
    store = make_store(lease=3.0)
    store.register("s", facts("s"))
    fleet.client.hset(fleet.keys.meta, "seen_ms", fleet.now_ms() - 60_000)
    before = fleet.clock_ms()

    store.recover()

    assert fleet.clock_ms() - before <= 500


@pytest.mark.parametrize("leases", [(6.0, 60.0), (60.0, 6.0)])
def test_the_step_is_small_against_every_lease(
    fleet: Fleet, make_store: MakeStore, leases: tuple[float, float]
) -> None:
    for number, lease in enumerate(leases):
        make_store(lease=lease).register(str(number), facts(str(number)))
    fleet.client.hset(fleet.keys.meta, "seen_ms", fleet.now_ms() - 60_000)
    before = fleet.clock_ms()

    fleet.store.recover()

    assert fleet.clock_ms() - before == 1000


def cut_off(fleet: Fleet) -> Lease:
    """Take the job with a worker whose lease then runs out."""
    session = fleet.worker("cut off")
    lease = fleet.take(session).lease
    fleet.age_lease(session)
    fleet.store.recover()
    return lease


@pytest.mark.parametrize("name", SETTLEMENTS)
def test_a_worker_that_was_only_cut_off_is_no_crash_of_the_job(
    fleet: Fleet, name: str
) -> None:
    fleet.push(document())
    lease = cut_off(fleet)
    assert fleet.record()["crashes"] == "1"

    for _ in range(2):  # the answer got lost: said again
        assert not WRITES[name](fleet.store, lease)

    assert fleet.record()["crashes"] == "0"
    assert fleet.state() == "queued"


def test_a_crash_that_a_supervisor_saw_is_not_taken_back(fleet: Fleet) -> None:
    fleet.push(document())
    lease = cut_off(fleet)
    crash(fleet)

    assert not WRITES["release"](fleet.store, lease)

    assert fleet.record()["crashes"] == "2"


def test_a_job_that_ended_meanwhile_keeps_its_crashes(fleet: Fleet) -> None:
    fleet.push(document())
    lease = cut_off(fleet)
    fleet.take_all(fleet.worker("next"))

    assert not WRITES["complete"](fleet.store, lease)

    assert (fleet.state(), fleet.record()["crashes"]) == ("completed", "1")


def test_a_job_may_be_cut_off_more_often_than_it_may_crash(fleet: Fleet) -> None:
    fleet.push(document())
    for _ in range(5):
        lease = cut_off(fleet)
        assert not WRITES["release"](fleet.store, lease)

    assert fleet.state() == "queued"


def test_a_job_that_began_anew_has_no_crash_to_be_taken_back(fleet: Fleet) -> None:
    fleet.push(document())
    lease = cut_off(fleet)
    assert WRITES["fail"](fleet.store, fleet.take(fleet.worker("next")).lease)
    fleet.store.requeue("a")

    assert not WRITES["release"](fleet.store, lease)

    assert int(fleet.record().get("crashes", "0")) == 0
