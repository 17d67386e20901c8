"""take: workers that found nothing, and what wakes them."""

from __future__ import annotations

import os
import threading

import pytest

from sisyphus.store.replies import Activity, Empty, Taken
from store.conftest import MakeStore
from store.fleet import ERROR, Fleet, document, facts
from waiting import eventually


def test_a_worker_that_found_nothing_is_idle_until_it_gets_a_job(fleet: Fleet) -> None:
    session = fleet.worker()
    assert fleet.nothing_for(session)
    assert fleet.client.smembers(fleet.keys.idle) == {session.encode()}

    fleet.push(document())
    fleet.take(session)

    assert fleet.client.scard(fleet.keys.idle) == 0


@pytest.mark.parametrize("how", ["pushed", "prioritised", "released", "promoted"])
def test_an_idle_worker_wakes_when_a_job_comes(
    fleet: Fleet,
    make_store: MakeStore,
    wake: tuple[int, int],
    quiet: tuple[int, int],
    how: str,
) -> None:
    other = fleet.worker("other")
    lease = fleet.running("held", other)
    fleet.client.hset(fleet.keys.job("held"), "priority", 4)
    store = make_store()
    store.register("sleeper", facts("sleeper"))
    got: list[object] = []

    def sleep_and_take() -> None:
        got.append(store.take("sleeper")[1])
        store.wait(30, wake[0])
        got.append(store.take("sleeper")[1])

    sleeper = threading.Thread(target=sleep_and_take)
    sleeper.start()
    eventually(lambda: fleet.client.info("clients")["blocked_clients"] == 1)
    match how:
        case "pushed":
            fleet.push(document("held2"))
        case "prioritised":
            fleet.store.submit("held2", document("held2"), 9, 0, "")
        case "released":
            fleet.store.settle(fleet.store.release(lease, {}))
        case "promoted":
            retry = fleet.store.retry(lease, ERROR, {}, 3600)
            fleet.store.settle(retry)
            fleet.make_due("held")
            fleet.store.promote()
    if how != "pushed":  # its supervisor hears of it and passes it on
        assert make_store().orders("node", 10, quiet[0]) == "wake"
        os.write(wake[1], b"!")

    sleeper.join(10)
    assert not sleeper.is_alive()
    assert isinstance(got[0], Empty)
    assert isinstance(got[1], Taken), got
    assert fleet.staged() == []


def test_one_document_wakes_one_worker(
    fleet: Fleet, make_store: MakeStore, wake: tuple[int, int]
) -> None:
    stores = [make_store() for _ in range(3)]
    woken = threading.Semaphore(0)

    def wait(number: int) -> None:
        stores[number].wait(30, wake[0])
        woken.release()

    sleepers = [threading.Thread(target=wait, args=(number,)) for number in range(3)]
    for sleeper in sleepers:
        sleeper.start()
    eventually(lambda: fleet.client.info("clients")["blocked_clients"] == 3)

    fleet.push(document())

    assert woken.acquire(timeout=10)
    assert fleet.client.info("clients")["blocked_clients"] == 2
    assert fleet.staged() == [document()]
    os.write(wake[1], b"!")
    for sleeper in sleepers:
        sleeper.join(10)


def test_what_a_dead_waiter_staged_is_taken_by_anyone(fleet: Fleet) -> None:
    fleet.push(document())
    fleet.client.lmove(fleet.keys.waiting(), fleet.keys.staged, "RIGHT", "LEFT")

    assert fleet.take(fleet.worker()).lease.job_id == "a"


def test_a_job_set_aside_wakes_the_idle_worker_that_can_do_it(fleet: Fleet) -> None:
    able, unable = fleet.worker("able", labels=("gpu",)), fleet.worker("unable")
    assert fleet.nothing_for(able)
    fleet.push(document(requires=["gpu"]))

    assert fleet.nothing_for(unable)

    assert fleet.client.lrange(fleet.keys.orders("node"), 0, -1) == [b"wake"]


def test_as_many_idle_workers_wake_as_prioritised_jobs_come(fleet: Fleet) -> None:
    for name in ("one", "two"):
        assert fleet.nothing_for(fleet.worker(name))
    for job_id in ("a", "b"):
        fleet.store.submit(job_id, document(job_id), 5, fleet.now_ms() + 60_000, "")
        fleet.make_due(job_id)

    fleet.store.promote()

    assert fleet.client.llen(fleet.keys.orders("node")) >= 2


@pytest.mark.parametrize("second_priority", [5, 1])
def test_idle_workers_do_not_turn_the_order_round(
    fleet: Fleet, second_priority: int
) -> None:
    for name in ("one", "two"):
        assert fleet.nothing_for(fleet.worker(name))

    fleet.store.submit("a", document("a"), 5, 0, "")
    fleet.store.submit("b", document("b"), second_priority, 0, "")

    assert fleet.take("session-one").lease.job_id == "a"


def test_a_paused_queue_keeps_prioritised_jobs_apart(fleet: Fleet) -> None:
    session = fleet.worker()
    assert fleet.nothing_for(session)
    fleet.store.steer("", Activity.PAUSE)

    fleet.store.submit("a", document("a"), 5, 0, "")

    assert (fleet.waiting(), fleet.waiting(5)) == ([], [document("a")])


def test_a_worker_that_finds_the_queue_paused_is_not_idle(fleet: Fleet) -> None:
    session = fleet.worker()
    assert fleet.nothing_for(session)
    fleet.store.steer("", Activity.PAUSE)

    fleet.ask(session)

    assert fleet.client.scard(fleet.keys.idle) == 0


def test_a_job_set_aside_wakes_nobody_who_cannot_do_it(fleet: Fleet) -> None:
    for name in ("one", "two"):
        assert fleet.nothing_for(fleet.worker(name))
    fleet.push(document(requires=["gpu"]))

    assert fleet.nothing_for("session-one")

    assert not fleet.client.exists(fleet.keys.orders("node"))
