"""complete: all tasks are done."""

from __future__ import annotations

import json

import pytest

from store.conftest import MakeStore
from store.fleet import ERROR, Fleet, document, entry


def test_a_completed_job_stands_in_the_history(fleet: Fleet) -> None:
    lease = fleet.running()

    assert fleet.store.settle(fleet.store.complete(lease, {"frames": 132, "ä": 1.0}))

    record = fleet.record()
    assert record["state"] == "completed"
    assert json.loads(record["result"]) == {"frames": 132, "ä": 1.0}
    assert fleet.client.zscore(fleet.keys.ended, "a") == int(record["ended_ms"])
    assert fleet.events() == ["running", "completed"]


def test_its_document_is_kept_to_be_run_again(fleet: Fleet) -> None:
    fleet.in_state("completed")

    assert fleet.client.get(fleet.keys.doc("a")) == document()


def test_the_hand_is_empty_afterwards(fleet: Fleet) -> None:
    lease = fleet.running()
    fleet.store.settle(fleet.store.complete(lease, None))

    row = fleet.client.hgetall(fleet.keys.session(lease.session))

    assert not {b"job", b"token"} & set(row)
    assert fleet.nothing_for(lease.session)


def test_completing_twice_is_completing_once(fleet: Fleet) -> None:
    lease = fleet.running()
    done = fleet.store.complete(lease, 1)
    assert fleet.store.settle(done)
    before = fleet.everything()

    assert fleet.store.settle(done)

    assert fleet.everything() == before


def test_completing_again_does_not_touch_the_next_job_in_the_hand(
    fleet: Fleet,
) -> None:
    lease = fleet.running()
    done = fleet.store.complete(lease, None)
    fleet.store.settle(done)
    fleet.push(document("b"))
    taken = fleet.take(lease.session)

    assert fleet.store.settle(done)

    assert fleet.take(lease.session) == taken


def test_a_worker_that_lost_its_lease_cannot_complete(fleet: Fleet) -> None:
    lease = fleet.running("a", fleet.worker("slow"))
    fleet.age_lease(lease.session)
    fleet.store.recover()
    fleet.take(fleet.worker("quick"))
    before = fleet.all_but_the_crash()

    assert not fleet.store.settle(fleet.store.complete(lease, None))

    assert fleet.all_but_the_crash() == before


def test_a_lease_that_ran_out_unnoticed_still_completes(fleet: Fleet) -> None:
    lease = fleet.running()
    fleet.age_lease(lease.session)

    assert fleet.store.settle(fleet.store.complete(lease, None))

    fleet.store.recover()
    assert fleet.state() == "completed"


def test_work_that_was_done_before_a_cancel_was_heard_counts(fleet: Fleet) -> None:
    lease = fleet.running()
    assert fleet.store.cancel("a") == "asked"

    assert fleet.store.settle(fleet.store.complete(lease, None))

    assert fleet.state() == "completed"


def test_an_earlier_failure_s_error_does_not_hide_the_result(fleet: Fleet) -> None:
    lease = fleet.running()
    fleet.store.settle(fleet.store.retry(lease, ERROR, entry("failed"), 1))
    fleet.make_due()
    fleet.store.promote()

    second = fleet.take(lease.session)
    fleet.store.settle(fleet.store.complete(second.lease, {"ok": True}))

    assert fleet.record()["state"] == "completed"
    assert second.failures == 1


def test_the_history_keeps_the_newest(fleet: Fleet, make_store: MakeStore) -> None:
    store = make_store(history_count=10)
    session = fleet.worker()
    for number in range(20):
        lease = fleet.running(f"job-{number:02}", session)
        assert store.settle(store.complete(lease, None))
        fleet.age_history(lease.job_id, days=1 - number / 100)

    kept = fleet.client.zrange(fleet.keys.ended, 0, -1)

    assert kept == [b"job-%02d" % number for number in range(10, 20)]
    assert fleet.state("job-00") is None
    assert not fleet.client.exists(fleet.keys.doc("job-00"))


def test_a_long_history_shrinks_in_bounded_steps(
    fleet: Fleet, make_store: MakeStore
) -> None:
    session = fleet.worker()
    for number in range(100):
        lease = fleet.running(str(number), session)
        fleet.store.settle(fleet.store.complete(lease, None))
    store = make_store(history_count=10)

    lease = fleet.running("last", session)
    store.settle(store.complete(lease, None))

    dropped = 101 - fleet.client.zcard(fleet.keys.ended)
    assert 0 < dropped <= 32


@pytest.mark.parametrize("earlier", ["release", "retry", "leave"])
def test_what_was_handed_back_cannot_be_completed(fleet: Fleet, earlier: str) -> None:
    lease = fleet.running()
    match earlier:
        case "release":
            fleet.store.settle(fleet.store.release(lease, entry("released")))
        case "retry":
            fleet.store.settle(fleet.store.retry(lease, ERROR, entry("failed"), 9))
        case "leave":
            fleet.store.leave(lease.session)

    assert not fleet.store.settle(fleet.store.complete(lease, None))
