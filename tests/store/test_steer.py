"""steer: pause, resume and drain; running jobs go on."""

from __future__ import annotations

import pytest

from sisyphus.store.replies import Activity, Held, Paused, Verdict
from store.fleet import Fleet, document


def wish(fleet: Fleet, session: str) -> Activity:
    [(_, activity)] = fleet.store.renew([Held(session)]).orders
    return activity


def test_a_paused_queue_is_paused_for_all_and_resumed_for_all(fleet: Fleet) -> None:
    sessions = [fleet.worker("one"), fleet.worker("two")]
    fleet.push(document("a"), document("b"))

    assert fleet.store.steer("", Activity.PAUSE)
    paused = [fleet.ask(session) for session in sessions]
    wishes = [wish(fleet, session) for session in sessions]
    assert fleet.store.steer("", Activity.WORK)

    assert paused == [Paused(), Paused()]
    assert wishes == [Activity.PAUSE, Activity.PAUSE]
    assert [wish(fleet, session) for session in sessions] == [Activity.WORK] * 2
    assert fleet.take(sessions[0]).lease.job_id == "a"


def test_a_running_job_goes_on_under_a_pause(fleet: Fleet) -> None:
    lease = fleet.running()

    fleet.store.steer("", Activity.PAUSE)
    fleet.store.steer("w", Activity.PAUSE)

    renewal = fleet.store.renew([Held(lease.session, "a", lease.token)])
    assert renewal.orders == ((Verdict.KEEP, Activity.PAUSE),)
    fleet.store.checkpoint(lease, "[]")
    assert fleet.store.settle(fleet.store.complete(lease, None))


def test_one_worker_is_paused_and_resumed(fleet: Fleet) -> None:
    one, two = fleet.worker("one"), fleet.worker("two")

    assert fleet.store.steer("one", Activity.PAUSE)
    paused = (wish(fleet, one), wish(fleet, two))
    assert fleet.store.steer("one", Activity.WORK)

    assert paused == (Activity.PAUSE, Activity.WORK)
    assert wish(fleet, one) is Activity.WORK


def test_a_worker_is_drained(fleet: Fleet) -> None:
    session = fleet.worker()

    assert fleet.store.steer("w", Activity.DRAIN)

    assert wish(fleet, session) is Activity.DRAIN


def test_a_drain_is_for_one_life(fleet: Fleet) -> None:
    session = fleet.worker()
    fleet.store.steer("w", Activity.DRAIN)
    fleet.store.leave(session)

    fleet.worker()

    assert wish(fleet, session) is Activity.WORK


def test_a_drain_is_stronger_than_a_pause(fleet: Fleet) -> None:
    session = fleet.worker()
    fleet.store.steer("w", Activity.DRAIN)
    fleet.store.steer("w", Activity.PAUSE)
    fleet.store.steer("", Activity.PAUSE)

    assert wish(fleet, session) is Activity.DRAIN


@pytest.mark.parametrize("activity", Activity)
def test_a_worker_that_is_not_alive_is_unknown(
    fleet: Fleet, activity: Activity
) -> None:
    assert not fleet.store.steer("nobody", activity)

    kept = {b"nobody"} if activity is Activity.PAUSE else set()
    assert fleet.client.smembers(fleet.keys.paused) == kept


def test_a_pause_is_kept_for_the_next_life_until_it_is_taken_back(
    fleet: Fleet,
) -> None:
    session = fleet.worker()
    fleet.store.steer("w", Activity.PAUSE)
    fleet.store.recover(session)
    fleet.worker()
    second_life = wish(fleet, session)
    fleet.store.leave(session)
    fleet.store.steer("w", Activity.WORK)

    fleet.worker()

    assert second_life is Activity.PAUSE
    assert wish(fleet, session) is Activity.WORK


@pytest.mark.parametrize("activity", Activity)
def test_its_supervisor_is_nudged(fleet: Fleet, activity: Activity) -> None:
    fleet.worker()

    fleet.store.steer("w", activity)

    assert fleet.client.lrange(fleet.keys.orders("node"), 0, -1) == [b"look"]
    assert 0 < fleet.client.ttl(fleet.keys.orders("node")) <= 60


@pytest.mark.parametrize("whom", ["", "w"])
@pytest.mark.parametrize("activity", [Activity.PAUSE, Activity.WORK])
def test_steering_twice_is_steering_once(
    fleet: Fleet, whom: str, activity: Activity
) -> None:
    session = fleet.worker()
    first = fleet.store.steer(whom, activity)
    heard = wish(fleet, session)

    second = fleet.store.steer(whom, activity)

    assert (first, heard) == (second, wish(fleet, session))


def test_draining_the_queue_does_not_resume_it(fleet: Fleet) -> None:
    session = fleet.worker()
    fleet.push(document())
    fleet.store.steer("", Activity.PAUSE)

    fleet.store.steer("", Activity.DRAIN)

    assert isinstance(fleet.ask(session), Paused)


def test_a_paused_worker_is_not_idle(fleet: Fleet) -> None:
    session = fleet.worker()
    assert fleet.nothing_for(session)

    fleet.store.steer("w", Activity.PAUSE)
    assert isinstance(fleet.ask(session), Paused)
    fleet.store.submit("a", document("a"), 1, 0, "")
    fleet.store.submit("b", document("b"), 9, 0, "")

    assert fleet.waiting() == []
