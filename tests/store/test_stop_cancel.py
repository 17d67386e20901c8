"""cancel and stop: a person calls a job off."""

from __future__ import annotations

import os
import threading

import pytest

from sisyphus.store.replies import Activity, Held, Verdict
from store.conftest import MakeStore
from store.fleet import ERROR, Fleet, document, entry, facts


def test_a_waiting_job_is_cancelled_at_once_and_never_runs(fleet: Fleet) -> None:
    fleet.in_state("queued")

    assert fleet.store.cancel("a") == "cancelled"

    assert fleet.state() == "cancelled"
    fleet.push(document("b"))
    assert fleet.take_all(fleet.worker()) == ["b"]
    assert fleet.state() == "cancelled"
    assert fleet.events() == ["queued", "cancelled", "swallowed"]


def test_a_document_may_be_cancelled_before_any_worker_saw_it(fleet: Fleet) -> None:
    fleet.push(document("a"), document("b"))

    assert fleet.store.cancel("a") == "unseen"

    assert fleet.take_all(fleet.worker()) == ["b"]
    assert fleet.state() == "cancelled"


def test_a_job_may_be_cancelled_before_it_is_pushed(fleet: Fleet) -> None:
    assert fleet.store.cancel("a") == "unseen"

    fleet.push(document())

    assert fleet.nothing_for(fleet.worker())
    assert fleet.state() == "cancelled"


def test_a_cancel_may_spare_running_jobs(fleet: Fleet) -> None:
    fleet.running()
    fleet.store.submit("b", document("b"), 0, 0, "")
    before = fleet.record()

    assert fleet.store.cancel("a", spare_running=True) == "running"
    assert fleet.store.cancel("b", spare_running=True) == "cancelled"

    assert fleet.record() == before
    assert fleet.state("b") == "cancelled"


def test_a_delayed_job_is_cancelled_at_once(fleet: Fleet) -> None:
    fleet.in_state("delayed")

    assert fleet.store.cancel("a") == "cancelled"

    fleet.make_due()
    assert fleet.store.promote() == 0
    assert fleet.state() == "cancelled"


def test_a_job_that_waits_for_its_retry_is_cancelled_at_once(fleet: Fleet) -> None:
    lease = fleet.running()
    fleet.store.settle(fleet.store.retry(lease, ERROR, entry("failed"), 9))

    assert fleet.store.cancel("a") == "cancelled"

    assert fleet.client.zcard(fleet.keys.backoff) == 0


def test_a_job_set_aside_is_cancelled_at_once(fleet: Fleet) -> None:
    fleet.push(document(requires=["gpu"]))
    assert fleet.nothing_for(fleet.worker("plain"))

    assert fleet.store.cancel("a") == "cancelled"

    assert fleet.nothing_for(fleet.worker("able", labels=("gpu",)))
    assert fleet.state() == "cancelled"


def test_a_staged_job_is_cancelled_at_once(fleet: Fleet) -> None:
    fleet.client.lpush(fleet.keys.staged, document())

    assert fleet.store.cancel("a") == "unseen"

    assert fleet.nothing_for(fleet.worker())


def test_the_worker_of_a_running_job_is_asked_and_nudged(
    fleet: Fleet, make_store: MakeStore, wake: tuple[int, int]
) -> None:
    lease = fleet.running()

    assert fleet.store.cancel("a") == "asked"

    assert fleet.state() == "running"
    assert make_store().orders("node", 5, wake[0]) == "look"
    held = Held(lease.session, "a", lease.token)
    renewal = fleet.store.renew([held])
    assert renewal.orders == ((Verdict.CANCEL, Activity.WORK),)


def test_a_nudge_ends_a_wait_for_orders(
    fleet: Fleet, make_store: MakeStore, wake: tuple[int, int]
) -> None:
    fleet.running()
    heard: list[str | None] = []
    store = make_store()
    listener = threading.Thread(
        target=lambda: heard.append(store.orders("node", 30, wake[0]))
    )
    listener.start()

    fleet.store.cancel("a")

    listener.join(10)
    os.write(wake[1], b"!")
    assert heard == ["look"]


def test_a_stopped_job_is_cancelled(fleet: Fleet) -> None:
    lease = fleet.running()
    fleet.store.cancel("a")

    assert fleet.store.settle(fleet.store.stop(lease, entry("cancelled")))

    assert fleet.state() == "cancelled"
    assert fleet.attempts() == [entry("cancelled")]
    assert fleet.events() == ["running", "cancel_asked", "cancelled"]
    assert fleet.nothing_for(lease.session)


def test_stopping_twice_is_stopping_once(fleet: Fleet) -> None:
    lease = fleet.running()
    stopped = fleet.store.stop(lease, entry("cancelled"))
    assert fleet.store.settle(stopped)
    before = fleet.everything()

    assert fleet.store.settle(stopped)

    assert fleet.everything() == before


@pytest.mark.parametrize("how", ["release", "retry", "leave", "recover", "expire"])
def test_a_job_that_is_to_be_cancelled_never_comes_back(fleet: Fleet, how: str) -> None:
    lease = fleet.running()
    fleet.store.cancel("a")

    match how:
        case "release":
            fleet.store.settle(fleet.store.release(lease, entry("released")))
        case "retry":
            fleet.store.settle(fleet.store.retry(lease, ERROR, entry("failed"), 0))
        case "leave":
            fleet.store.leave(lease.session)
        case "recover":
            fleet.store.recover(lease.session)
        case "expire":
            fleet.age_lease(lease.session)
            fleet.store.recover()

    assert fleet.state() == "cancelled"
    fleet.store.promote()
    assert fleet.nothing_for(fleet.worker("another"))


@pytest.mark.parametrize("state", ["completed", "failed", "cancelled"])
def test_what_has_ended_stays_as_it_is(fleet: Fleet, state: str) -> None:
    fleet.in_state(state)
    before = fleet.everything()

    assert fleet.store.cancel("a") == state

    assert fleet.everything() == before


@pytest.mark.parametrize("state", ["nothing", "queued", "delayed"])
def test_cancelling_twice_is_cancelling_once(fleet: Fleet, state: str) -> None:
    fleet.in_state(state)
    fleet.store.cancel("a")
    before = fleet.everything()

    assert fleet.store.cancel("a") == "cancelled"

    assert fleet.everything() == before


def test_asking_twice_is_asking(fleet: Fleet) -> None:
    lease = fleet.running()

    assert [fleet.store.cancel("a"), fleet.store.cancel("a")] == ["asked", "asked"]

    fleet.store.settle(fleet.store.release(lease, {}))
    assert fleet.state() == "cancelled"


def test_a_cancelled_job_that_is_pushed_again_runs_once(fleet: Fleet) -> None:
    fleet.in_state("queued")
    fleet.store.cancel("a")

    fleet.push(document())

    assert fleet.take_all(fleet.worker()) == ["a"]
    assert fleet.state() == "completed"


@pytest.mark.parametrize("state", ["running", "delayed"])
def test_the_wish_does_not_outlive_a_new_start(fleet: Fleet, state: str) -> None:
    lease = fleet.running()
    fleet.store.cancel("a")
    fleet.store.settle(fleet.store.stop(lease, entry("cancelled")))
    fleet.push(document())

    again = fleet.take(lease.session).lease

    fleet.store.confirm(again)
    if state == "delayed":
        fleet.store.settle(fleet.store.retry(again, ERROR, {}, 1))
        assert fleet.state() == "delayed"


def test_a_nudge_for_a_worker_that_is_gone_is_not_kept_for_ever(fleet: Fleet) -> None:
    fleet.running()

    fleet.store.cancel("a")

    assert 0 < fleet.client.ttl(fleet.keys.orders("node")) <= 60


def test_a_cancelled_document_does_not_leave_the_history_before_it_surfaced(
    fleet: Fleet, make_store: MakeStore
) -> None:
    store = make_store(history_count=10)
    fleet.push(document("a"))
    store.cancel("a")
    for number in range(20):
        store.cancel(f"another-{number}")
    store.trim()

    assert fleet.state("a") == "cancelled"
    assert fleet.nothing_for(fleet.worker())


def test_another_document_is_not_swallowed_in_place_of_the_cancelled_one(
    fleet: Fleet,
) -> None:
    fleet.in_state("queued")
    fleet.store.cancel("a")
    another = document(job_title="another")
    fleet.push(another, priority=5)
    session = fleet.worker()

    taken = fleet.take(session)
    fleet.store.settle(fleet.store.complete(taken.lease, None))

    assert taken.raw == another
    assert fleet.nothing_for(session), "the cancelled one ran"


def test_a_document_that_is_swallowed_leaves_the_running_one_alone(
    fleet: Fleet,
) -> None:
    fleet.in_state("queued")
    fleet.store.cancel("a")
    another = document(job_title="another")
    fleet.push(another, priority=5)
    lease = fleet.take(fleet.worker("one")).lease

    assert fleet.nothing_for(fleet.worker("two"))

    fleet.store.recover(lease.session)
    assert fleet.waiting() + fleet.waiting(5) == [another]


def test_requeue_runs_the_document_that_failed_not_the_one_that_was_cancelled(
    fleet: Fleet,
) -> None:
    fleet.in_state("queued")
    fleet.store.cancel("a")
    another = document(job_title="another")
    fleet.push(another, priority=5)
    lease = fleet.take(fleet.worker("one")).lease
    fleet.store.settle(fleet.store.fail(lease, ERROR, entry("failed")))

    fleet.store.requeue("a")

    assert fleet.take(lease.session).raw == another


def test_the_other_worker_of_a_store_is_not_asked(
    fleet: Fleet, make_store: MakeStore
) -> None:
    lease = fleet.running("a", fleet.worker("one"))
    make_store().register("two", facts("two"))

    fleet.store.cancel("a")

    orders = fleet.store.renew([Held("two"), Held(lease.session, "a", lease.token)])
    verdicts = [verdict for verdict, _ in orders.orders]
    assert verdicts == [Verdict.KEEP, Verdict.CANCEL]


def called_off_with_two_documents(fleet: Fleet) -> bytes:
    """Two documents of one id lie in lists, each called off there; the newer one."""
    newer = document("a", extra=1)
    fleet.store.submit("a", document("a"), 0, 0, "")
    assert fleet.store.cancel("a") == "cancelled"
    fleet.push(newer, priority=9)
    lease = fleet.take(fleet.worker("hasty")).lease
    fleet.store.settle(fleet.store.release(lease, {}))
    assert fleet.store.cancel("a") == "cancelled"
    return newer


def test_two_documents_of_one_id_are_both_called_off(fleet: Fleet) -> None:
    newer = called_off_with_two_documents(fleet)

    assert fleet.nothing_for(fleet.worker())

    assert fleet.state() == "cancelled"
    assert fleet.client.get(fleet.keys.doc("a")) == newer
    fleet.store.requeue("a")
    assert fleet.waiting(0) + fleet.waiting(9) == [newer]


def test_of_two_documents_called_off_the_newer_one_is_wanted_again(
    fleet: Fleet,
) -> None:
    newer = called_off_with_two_documents(fleet)

    fleet.store.requeue("a")

    session = fleet.worker()
    assert fleet.take(session).raw == newer
    fleet.store.leave(session)
    assert fleet.take(fleet.worker("next")).raw == newer
