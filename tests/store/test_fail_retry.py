"""fail and retry: an attempt did not end well."""

from __future__ import annotations

import json

import pytest

from store.fleet import ERROR, Fleet, document, entry


def test_a_failed_job_keeps_its_error_and_its_attempts(fleet: Fleet) -> None:
    lease = fleet.running()

    assert fleet.store.settle(fleet.store.fail(lease, ERROR, entry("failed")))

    record = fleet.record()
    assert (record["state"], record["failures"]) == ("failed", "1")
    assert json.loads(record["error"]) == ERROR
    assert fleet.attempts() == [entry("failed")]
    assert fleet.client.get(fleet.keys.doc("a")) == document()
    assert fleet.events() == ["running", "failed"]


def test_a_retried_job_waits_for_its_time_on_the_fleet_clock(fleet: Fleet) -> None:
    lease = fleet.running()

    assert fleet.store.settle(fleet.store.retry(lease, ERROR, entry("failed"), 7.5))

    assert fleet.state() == "delayed"
    due_ms = fleet.client.zscore(fleet.keys.backoff, "a")
    assert due_ms == fleet.clock_ms() + 7500
    assert fleet.client.get(fleet.keys.doc("a")) == document()
    assert fleet.waiting() == []
    assert fleet.events() == ["running", "delayed"]


def test_a_retried_job_knows_its_failures(fleet: Fleet) -> None:
    session = fleet.worker()
    fleet.running("a", session)

    for failures in (1, 2, 3):
        lease = fleet.take(session).lease
        fleet.store.settle(fleet.store.retry(lease, ERROR, entry("failed"), 60))
        fleet.make_due()
        fleet.store.promote()
        taken = fleet.take(session)
        assert (taken.failures, taken.attempt) == (failures, failures + 1)
        assert taken.crashes == 0

    assert len(fleet.attempts()) == 3


def test_a_retried_job_has_waited_its_turn_and_goes_to_the_front(fleet: Fleet) -> None:
    lease = fleet.running()
    fleet.push(document("b"))
    fleet.store.settle(fleet.store.retry(lease, ERROR, entry("failed"), 1))
    fleet.make_due()

    fleet.store.promote()

    assert fleet.waiting() == [document("a"), document("b")]


@pytest.mark.parametrize("name", ["fail", "retry"])
def test_telling_it_twice_charges_once(fleet: Fleet, name: str) -> None:
    lease = fleet.running()
    told = {
        "fail": fleet.store.fail(lease, ERROR, entry("failed")),
        "retry": fleet.store.retry(lease, ERROR, entry("failed"), 5),
    }[name]
    assert fleet.store.settle(told)
    before = fleet.everything()

    assert fleet.store.settle(told)

    assert fleet.everything() == before


def test_telling_it_again_does_not_end_the_next_attempt(fleet: Fleet) -> None:
    lease = fleet.running()
    told = fleet.store.retry(lease, ERROR, entry("failed"), 5)
    fleet.store.settle(told)
    fleet.make_due()
    fleet.store.promote()
    fleet.take(lease.session)
    before = fleet.everything()

    assert fleet.store.settle(told)

    assert fleet.everything() == before


def test_a_job_that_is_to_be_cancelled_is_not_tried_again(fleet: Fleet) -> None:
    lease = fleet.running()
    fleet.store.cancel("a")

    assert fleet.store.settle(fleet.store.retry(lease, ERROR, entry("failed"), 1))

    assert fleet.state() == "cancelled"
    assert fleet.client.zcard(fleet.keys.backoff) == 0
    assert json.loads(fleet.record()["error"]) == ERROR


def test_a_job_that_failed_before_a_cancel_was_heard_has_failed(fleet: Fleet) -> None:
    lease = fleet.running()
    fleet.store.cancel("a")

    fleet.store.settle(fleet.store.fail(lease, ERROR, entry("failed")))

    assert fleet.state() == "failed"


def test_fifty_attempts_are_remembered(fleet: Fleet) -> None:
    session = fleet.worker()
    fleet.running("a", session)
    for number in range(60):
        lease = fleet.take(session).lease
        told = fleet.store.retry(lease, ERROR, {"attempt": number}, 0)
        fleet.store.settle(told)
        fleet.make_due()
        fleet.store.promote()

    assert [row["attempt"] for row in fleet.attempts()] == list(range(10, 60))
    assert fleet.take(session).attempt == 61


def test_an_error_may_name_a_file_that_is_not_utf8(fleet: Fleet) -> None:
    lease = fleet.running()
    error = {"code": "run_error", "message": "no such file: \udcff"}

    assert fleet.store.settle(fleet.store.fail(lease, error, entry("failed")))
