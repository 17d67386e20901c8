"""register: a session begins."""

from __future__ import annotations

import pytest

from sisyphus.store.replies import Activity, Held, Paused, Verdict
from store.conftest import MakeStore
from store.fleet import Fleet, facts


def test_a_new_session_is_described_and_has_a_lease(fleet: Fleet) -> None:
    before = fleet.clock_ms()

    session = fleet.worker("w", modules=("ffmpeg", "cleanup"), labels=("gpu",))

    row = fleet.client.hgetall(fleet.keys.session(session))
    assert row[b"worker_id"] == b"w"
    assert row[b"pid"] == b"1234"
    assert row[b"node"] == b"node"
    assert row[b"modules"] == b"ffmpeg,cleanup"
    assert row[b"provides"] == b"|label:gpu|module:cleanup|module:ffmpeg|"
    lease_end = fleet.client.zscore(fleet.keys.sessions, session)
    assert lease_end is not None
    assert 12_000 <= lease_end - before <= 14_000


def test_a_session_that_registers_again_counts_once(fleet: Fleet) -> None:
    session = fleet.worker()

    again = fleet.store.register(session, facts())

    assert again is None
    assert fleet.client.hvals(fleet.keys.kinds) == [b"1"]


def test_a_session_may_become_another_workers_one(fleet: Fleet) -> None:
    session = fleet.worker("first")
    lease = fleet.running("a", session)

    assert fleet.store.register(session, facts("second")) is None

    assert fleet.client.hgetall(fleet.keys.workers) == {b"second": session.encode()}
    assert fleet.client.hvals(fleet.keys.kinds) == [b"1"]
    assert fleet.store.settle(fleet.store.complete(lease, None))


def test_workers_that_provide_the_same_are_one_kind(fleet: Fleet) -> None:
    fleet.worker("one")
    fleet.worker("two")
    fleet.worker("three", modules=("cleanup",))

    assert fleet.client.hgetall(fleet.keys.kinds) == {
        b"|module:ffmpeg|": b"2",
        b"|module:cleanup|": b"1",
    }


def test_an_id_in_use_is_refused_and_its_owner_named(fleet: Fleet) -> None:
    session = fleet.worker("w", machine="the other machine")
    before = fleet.everything()

    answer = fleet.store.register("another session", facts("w"))

    assert answer == (session, "the other machine", "host")
    assert fleet.everything() == before


def test_an_id_whose_lease_ran_out_is_in_use_until_it_is_recovered(
    fleet: Fleet,
) -> None:
    session = fleet.worker("w")
    fleet.age_lease(session)

    before = fleet.store.register("new", facts("w"))
    fleet.store.recover()
    after = fleet.store.register("new", facts("w"))

    assert before == (session, "m", "host")
    assert after is None


def test_a_restarted_worker_gets_its_job_back_at_once(fleet: Fleet) -> None:
    session = fleet.worker("w")
    lease = fleet.running("a", session)

    fleet.store.recover(session, "it was started anew")
    fleet.store.register("new", facts("w"))

    taken = fleet.take("new")
    assert (taken.lease.job_id, taken.attempt, taken.crashes) == ("a", 2, 1)
    assert taken.lease.token > lease.token


def test_an_id_whose_session_vanished_is_free(fleet: Fleet) -> None:
    fleet.client.hset(fleet.keys.workers, "w", "a session of which nothing is left")

    assert fleet.store.register("new", facts("w")) is None


def test_a_worker_paused_in_an_earlier_life_is_paused(fleet: Fleet) -> None:
    fleet.store.steer("w", Activity.PAUSE)

    session = fleet.worker("w")

    assert isinstance(fleet.ask(session), Paused)
    renewal = fleet.store.renew([Held(session)])
    assert renewal.orders == ((Verdict.KEEP, Activity.PAUSE),)


def test_a_pause_does_not_follow_a_session_to_its_next_id(fleet: Fleet) -> None:
    session = fleet.worker("paused")
    fleet.store.steer("paused", Activity.PAUSE)

    assert fleet.store.register(session, facts("another")) is None

    assert fleet.nothing_for(session)


@pytest.mark.parametrize("lease", [3.0, 60.0])
def test_the_lease_is_the_setting(
    fleet: Fleet, make_store: MakeStore, lease: float
) -> None:
    store = make_store(lease=lease)

    store.register("s", facts("w"))

    lease_end = fleet.client.zscore(fleet.keys.sessions, "s")
    assert lease_end == fleet.clock_ms() + lease * 1000
