"""The fence: whoever lost a job cannot write to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from sisyphus.store.replies import Activity, Held, Lease, Verdict
from store.fleet import ERROR, SETTLEMENTS, WRITES, Fleet


def lose_by_recovery(fleet: Fleet, lease: Lease) -> None:
    fleet.age_lease(lease.session)
    fleet.store.recover()


def lose_to_another(fleet: Fleet, lease: Lease) -> None:
    lose_by_recovery(fleet, lease)
    fleet.take(fleet.worker("another"))


def lose_to_the_next_life(fleet: Fleet, lease: Lease) -> None:
    lose_by_recovery(fleet, lease)
    fleet.take(fleet.worker("w"))


def lose_to_a_completion(fleet: Fleet, lease: Lease) -> None:
    lose_by_recovery(fleet, lease)
    taken = fleet.take(fleet.worker("another"))
    assert fleet.store.settle(fleet.store.complete(taken.lease, None))


def lose_to_a_retry(fleet: Fleet, lease: Lease) -> None:
    lose_by_recovery(fleet, lease)
    taken = fleet.take(fleet.worker("another"))
    assert fleet.store.settle(fleet.store.retry(taken.lease, ERROR, {}, 60))


def lose_to_a_person(fleet: Fleet, lease: Lease) -> None:
    lose_to_a_completion(fleet, lease)
    fleet.store.remove("a")


LOSSES: dict[str, Callable[[Fleet, Lease], None]] = {
    "recovered": lose_by_recovery,
    "taken by another": lose_to_another,
    "taken by its next life": lose_to_the_next_life,
    "completed by another": lose_to_a_completion,
    "failed by another": lose_to_a_retry,
    "removed": lose_to_a_person,
}


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("lose", LOSSES.values(), ids=LOSSES)
def test_whoever_lost_a_job_cannot_write_to_it(
    fleet: Fleet, name: str, lose: Callable[[Fleet, Lease], None]
) -> None:
    lease = fleet.running("a", fleet.worker("w"))
    lose(fleet, lease)
    before = fleet.all_but_the_crash()

    accepted = WRITES[name](fleet.store, lease)

    assert not accepted
    assert fleet.all_but_the_crash() == before
    if "session-w" in fleet.client.hvals(fleet.keys.workers):
        assert fleet.store.renew([Held("session-w", "a", lease.token)]).orders[0] == (
            Verdict.LOST,
            Activity.WORK,
        )


@pytest.mark.parametrize("name", WRITES)
def test_a_token_that_nobody_gave_opens_nothing(fleet: Fleet, name: str) -> None:
    lease = fleet.running()
    forged = [
        Lease(lease.session, "a", lease.token + 1),
        Lease(lease.session, "a", 0),
        Lease("another", "a", lease.token),
        Lease(lease.session, "b", lease.token),
    ]
    before = fleet.everything()

    accepted = [WRITES[name](fleet.store, lease) for lease in forged]

    assert accepted == [False] * 4
    assert fleet.everything() == before


@pytest.mark.parametrize("name", ["log"])
def test_the_beginning_of_a_token_is_no_token(fleet: Fleet, name: str) -> None:
    lease = fleet.running()
    fleet.store.settle(fleet.store.complete(lease, None))
    before = fleet.everything()

    accepted = WRITES[name](fleet.store, replace(lease, token=lease.token // 10))

    assert not accepted
    assert fleet.everything() == before


@pytest.mark.parametrize("told", SETTLEMENTS)
@pytest.mark.parametrize("settled", SETTLEMENTS)
def test_only_the_very_outcome_that_was_told_is_accepted_again(
    fleet: Fleet, settled: str, told: str
) -> None:
    lease = fleet.running()
    assert WRITES[settled](fleet.store, lease)
    before = fleet.everything()

    accepted = WRITES[told](fleet.store, lease)

    assert accepted == (told == settled)
    assert fleet.everything() == before
