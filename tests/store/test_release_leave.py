"""release and leave: a job is handed back unharmed."""

from __future__ import annotations

import pytest

from sisyphus.store.replies import Gone
from store.fleet import Fleet, document, entry, facts


def test_a_released_job_goes_to_the_front_uncharged(fleet: Fleet) -> None:
    lease = fleet.running()
    fleet.push(document("b"))

    assert fleet.store.settle(fleet.store.release(lease, entry("released")))

    assert fleet.waiting() == [document("a"), document("b")]
    assert fleet.state() == "queued"
    assert fleet.attempts() == [entry("released")]
    taken = fleet.take(lease.session)
    assert (taken.lease.job_id, taken.failures, taken.crashes) == ("a", 0, 0)
    assert (taken.attempt, taken.lease.token > lease.token) == (2, True)


def test_a_released_job_goes_to_the_front_of_its_own_list(fleet: Fleet) -> None:
    fleet.push(document("a"), document("b"), priority=3)
    lease = fleet.take(fleet.worker()).lease

    fleet.store.settle(fleet.store.release(lease, entry("released")))

    assert fleet.waiting(3) == [document("a"), document("b")]


def test_a_released_job_goes_on_at_its_checkpoint(fleet: Fleet) -> None:
    lease = fleet.running()
    fleet.store.checkpoint(lease, "[1]")
    fleet.store.settle(fleet.store.release(lease, entry("released")))

    assert fleet.take(fleet.worker("another")).checkpoint == "[1]"


def test_releasing_twice_is_releasing_once(fleet: Fleet) -> None:
    released = fleet.store.release(fleet.running(), entry("released"))
    assert fleet.store.settle(released)
    before = fleet.everything()

    assert fleet.store.settle(released)

    assert fleet.everything() == before


def test_releasing_again_does_not_take_it_from_the_next_worker(fleet: Fleet) -> None:
    lease = fleet.running("a", fleet.worker("one"))
    released = fleet.store.release(lease, entry("released"))
    fleet.store.settle(released)
    two = fleet.worker("two")
    taken = fleet.take(two)

    fleet.store.settle(released)

    assert fleet.take(two) == taken
    assert fleet.state() == "running"


def test_a_worker_that_lost_its_lease_cannot_release(fleet: Fleet) -> None:
    lease = fleet.running()
    fleet.store.recover(lease.session)
    before = fleet.everything()

    assert not fleet.store.settle(fleet.store.release(lease, entry("released")))

    assert fleet.everything() == before


def test_leaving_ends_the_session_and_frees_its_id(fleet: Fleet) -> None:
    session = fleet.worker("w")
    assert fleet.nothing_for(session)

    fleet.store.leave(session)

    assert isinstance(fleet.ask(session), Gone)
    assert (
        fleet.client.exists(
            fleet.keys.sessions, fleet.keys.workers, fleet.keys.kinds, fleet.keys.idle
        )
        == 0
    )
    assert fleet.worker("w") == session


def test_what_a_leaving_session_holds_goes_to_the_front_uncharged(
    fleet: Fleet,
) -> None:
    lease = fleet.running()
    fleet.push(document("b"))

    fleet.store.leave(lease.session)

    assert fleet.waiting() == [document("a"), document("b")]
    taken = fleet.take(fleet.worker("another"))
    assert (taken.failures, taken.crashes) == (0, 0)


def test_what_was_staged_is_put_back_in_its_order(fleet: Fleet) -> None:
    session = fleet.worker()
    fleet.client.lpush(fleet.keys.staged, document("1"), document("2"))
    fleet.push(document("3"))

    fleet.store.leave(session)

    assert fleet.waiting() == [document("1"), document("2"), document("3")]


@pytest.mark.parametrize("busy", [True, False])
def test_leaving_twice_is_leaving_once(fleet: Fleet, busy: bool) -> None:
    session = fleet.worker()
    if busy:
        fleet.running("a", session)
    fleet.store.leave(session)
    before = fleet.everything()

    fleet.store.leave(session)

    assert fleet.everything() == before


def test_leaving_after_one_was_recovered_does_not_end_the_next_life(
    fleet: Fleet,
) -> None:
    fleet.store.register("first life", facts("w"))
    fleet.store.recover("first life")
    lease = fleet.running("a", fleet.worker("w"))
    before = fleet.everything()

    fleet.store.leave("first life")

    assert fleet.everything() == before
    fleet.store.confirm(lease)


def test_a_kind_is_forgotten_with_its_last_session(fleet: Fleet) -> None:
    fleet.worker("one", labels=("gpu",))
    fleet.worker("two", labels=("gpu",))

    fleet.store.leave("session-one")
    one_left = fleet.client.hvals(fleet.keys.kinds)
    fleet.store.leave("session-two")

    assert one_left == [b"1"]
    assert not fleet.client.exists(fleet.keys.kinds)
