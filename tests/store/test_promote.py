"""promote: a delayed job's time has come."""

from __future__ import annotations

import pytest

from store.fleet import ERROR, WRITES, Fleet, document, entry


def later(fleet: Fleet, job_id: str, priority: int = 0) -> None:
    due_ms = fleet.now_ms() + 3_600_000
    fleet.store.submit(job_id, document(job_id), priority, due_ms, "")


def test_a_due_job_goes_to_the_end_of_its_list(fleet: Fleet) -> None:
    later(fleet, "a")
    fleet.push(document("b"))
    fleet.make_due("a")

    assert fleet.store.promote() == 1

    assert fleet.waiting() == [document("b"), document("a")]
    assert fleet.state("a") == "queued"
    assert not fleet.client.exists(fleet.keys.doc("a"), fleet.keys.delayed)
    assert fleet.events("a") == ["delayed", "queued"]


def test_jobs_that_have_run_go_to_the_front_when_their_back_off_is_over(
    fleet: Fleet,
) -> None:
    for job_id in ("first", "second"):
        lease = fleet.running(job_id, fleet.worker())
        assert WRITES["retry"](fleet.store, lease)
        fleet.client.zadd(fleet.keys.backoff, {job_id: 0 if job_id == "first" else 1})
    fleet.push(document("waits"))

    assert fleet.store.promote() == 2

    assert fleet.waiting() == [document(i) for i in ("first", "second", "waits")]


def test_a_job_that_is_not_due_waits_on(fleet: Fleet) -> None:
    later(fleet, "a")
    lease = fleet.running("b")
    fleet.store.settle(fleet.store.retry(lease, ERROR, entry("failed"), 60))
    before = fleet.everything()

    assert fleet.store.promote() == 0

    assert fleet.everything() == before


def test_a_prioritised_job_goes_to_its_own_list(fleet: Fleet) -> None:
    later(fleet, "a", priority=8)
    fleet.make_due("a")

    fleet.store.promote()

    assert fleet.waiting(8) == [document("a")]


def test_jobs_come_in_the_order_of_their_times(fleet: Fleet) -> None:
    for number, job_id in enumerate(("c", "a", "b")):
        later(fleet, job_id)
        fleet.client.zadd(fleet.keys.delayed, {job_id: number})

    fleet.store.promote()

    assert fleet.take_all(fleet.worker()) == ["c", "a", "b"]


def test_one_call_promotes_a_bounded_number(fleet: Fleet) -> None:
    for number in range(10):
        later(fleet, str(number))
        fleet.make_due(str(number))

    counts = [fleet.store.promote(limit=4) for _ in range(4)]

    assert counts == [4, 4, 2, 0]


def test_promoting_twice_promotes_once(fleet: Fleet) -> None:
    later(fleet, "a")
    fleet.make_due("a")
    fleet.store.promote()
    before = fleet.everything()

    assert fleet.store.promote() == 0

    assert fleet.everything() == before


@pytest.mark.parametrize("away_ms", [86_400_000, -86_400_000])
def test_a_clock_that_jumps_makes_no_retry_due(fleet: Fleet, away_ms: int) -> None:
    lease = fleet.running()
    fleet.store.settle(fleet.store.retry(lease, ERROR, entry("failed"), 30))
    fleet.client.hset(fleet.keys.meta, "seen_ms", fleet.now_ms() - away_ms)

    assert fleet.store.promote() == 0

    due_ms = fleet.client.zscore(fleet.keys.backoff, "a")
    assert due_ms is not None
    assert due_ms - fleet.clock_ms() <= 30_000
