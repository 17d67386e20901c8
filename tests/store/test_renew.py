"""renew: a supervisor's regular call."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sisyphus.store.replies import Activity, Held, Lease, Verdict
from store.fleet import SETTLEMENTS, WRITES, Fleet, document


def held(lease: Lease) -> Held:
    return Held(lease.session, lease.job_id, lease.token)


def verdicts(fleet: Fleet, *rows: Held) -> list[Verdict]:
    return [verdict for verdict, _ in fleet.store.renew(rows).orders]


def test_a_renewal_prolongs_the_lease(fleet: Fleet) -> None:
    lease = fleet.running()
    fleet.age_lease(lease.session)

    assert verdicts(fleet, held(lease)) == [Verdict.KEEP]

    assert fleet.client.zscore(fleet.keys.sessions, lease.session) == (
        fleet.clock_ms() + 12_000
    )
    assert fleet.store.recover() == 0


def test_an_idle_session_is_renewed_too(fleet: Fleet) -> None:
    session = fleet.worker()
    fleet.age_lease(session)

    assert verdicts(fleet, Held(session)) == [Verdict.KEEP]

    assert fleet.store.recover() == 0


def test_each_session_gets_its_own_words_in_order(fleet: Fleet) -> None:
    one = fleet.running("1", fleet.worker("one"))
    two = fleet.running("2", fleet.worker("two"))
    three = fleet.running("3", fleet.worker("three"))
    fleet.worker("four")
    fleet.store.cancel("1")
    fleet.store.recover(two.session)
    fleet.store.steer("three", Activity.PAUSE)
    fleet.store.steer("four", Activity.DRAIN)

    renewal = fleet.store.renew(
        [held(one), held(two), held(three), Held("session-four"), Held("never seen")]
    )

    assert renewal.orders == (
        (Verdict.CANCEL, Activity.WORK),
        (Verdict.GONE, Activity.WORK),
        (Verdict.KEEP, Activity.PAUSE),
        (Verdict.KEEP, Activity.DRAIN),
        (Verdict.GONE, Activity.WORK),
    )


def test_a_session_that_ended_is_not_revived(fleet: Fleet) -> None:
    session = fleet.worker()
    fleet.store.recover(session)
    before = fleet.everything()

    assert verdicts(fleet, Held(session)) == [Verdict.GONE]

    assert fleet.everything() == before


def test_a_job_that_is_another_s_is_lost(fleet: Fleet) -> None:
    lease = fleet.running()

    assert verdicts(fleet, held(replace(lease, token=1))) == [Verdict.LOST]
    assert verdicts(fleet, held(replace(lease, job_id="x"))) == [Verdict.LOST]


@pytest.mark.parametrize("settled", SETTLEMENTS)
def test_a_job_just_settled_is_not_called_lost(fleet: Fleet, settled: str) -> None:
    lease = fleet.running()
    WRITES[settled](fleet.store, lease)

    assert verdicts(fleet, held(lease)) == [Verdict.KEEP]


def test_a_repeated_renewal_changes_nothing_but_the_lease(fleet: Fleet) -> None:
    lease = fleet.running()
    first = fleet.store.renew([held(lease)])
    before = fleet.everything()

    second = fleet.store.renew([held(lease)])

    after = fleet.everything()
    del before[fleet.keys.sessions], after[fleet.keys.sessions]
    assert (first, before) == (second, after)


def test_nothing_to_do_is_said(fleet: Fleet) -> None:
    lease = fleet.running()
    fleet.store.submit("b", document("b"), 0, fleet.now_ms() + 60_000, "")

    renewal = fleet.store.renew([held(lease)])

    assert (renewal.recover, renewal.promote) == (False, False)


def test_a_dead_session_is_something_to_recover(fleet: Fleet) -> None:
    fleet.age_lease(fleet.worker("dead"))
    alive = fleet.worker("alive")

    assert fleet.store.renew([Held(alive)]).recover
    fleet.store.recover()

    assert not fleet.store.renew([Held(alive)]).recover


def test_a_staged_document_is_something_to_recover(fleet: Fleet) -> None:
    fleet.client.lpush(fleet.keys.staged, document())

    assert fleet.store.renew([]).recover
    fleet.store.recover()

    assert not fleet.store.renew([]).recover


@pytest.mark.parametrize("kind", ["delayed", "backoff"])
def test_a_due_job_is_something_to_promote(fleet: Fleet, kind: str) -> None:
    if kind == "delayed":
        fleet.in_state("delayed")
    else:
        lease = fleet.running()
        fleet.store.settle(fleet.store.retry(lease, {}, {}, 60))
    fleet.make_due()

    assert fleet.store.renew([]).promote
    fleet.store.promote()

    assert not fleet.store.renew([]).promote


def test_what_is_shown_travels_along_and_expires(fleet: Fleet) -> None:
    heartbeat, progress = fleet.keys.heartbeat("w"), fleet.keys.progress("w")
    fleet.client.set(progress, "old")

    fleet.store.renew([], {heartbeat: '{"status":"idle"}', progress: None})

    assert fleet.client.get("worker:w") == b'{"status":"idle"}'
    assert 0 < fleet.client.ttl("worker:w") <= 10
    assert fleet.client.get("progress:w") is None


def test_three_hundred_workers_are_renewed_by_one_call(fleet: Fleet) -> None:
    rows = [Held(fleet.worker(str(number))) for number in range(300)]

    assert verdicts(fleet, *rows) == [Verdict.KEEP] * 300
