"""Waiting for work on a connection of its own, and how a wait ends."""

from __future__ import annotations

import os
import threading

import pytest
from redis import Redis

from sisyphus.errors import StoreRefused, StoreUnavailable
from sisyphus.store.replies import Empty
from sisyphus.store.store import Store
from store.fleet import Fleet, document, facts
from store.proxy import Proxy
from waiting import eventually


def blocked(client: Redis) -> int:
    return int(client.info("clients")["blocked_clients"])


def test_a_wait_ends_when_the_wake_pipe_is_written(
    fleet: Fleet, wake: tuple[int, int]
) -> None:
    waiter = threading.Thread(target=fleet.store.wait, args=(60, wake[0]))
    waiter.start()
    eventually(lambda: blocked(fleet.client) == 1)

    os.write(wake[1], b"!")

    waiter.join(10)
    assert not waiter.is_alive()
    eventually(lambda: blocked(fleet.client) == 0)


def test_a_wait_that_was_ended_takes_nothing_any_more(
    fleet: Fleet, wake: tuple[int, int]
) -> None:
    os.write(wake[1], b"!")
    fleet.store.wait(60, wake[0])
    eventually(lambda: blocked(fleet.client) == 0)

    fleet.push(document())

    assert fleet.waiting() == [document()]
    assert fleet.staged() == []


def test_a_wait_ends_by_itself(fleet: Fleet, wake: tuple[int, int]) -> None:
    fleet.store.wait(0.01, wake[0])

    assert blocked(fleet.client) == 0


def test_other_calls_go_on_during_a_wait(fleet: Fleet, wake: tuple[int, int]) -> None:
    waiter = threading.Thread(target=fleet.store.wait, args=(60, wake[0]))
    waiter.start()
    eventually(lambda: blocked(fleet.client) == 1)

    assert fleet.store.promote() == 0

    os.write(wake[1], b"!")
    waiter.join(10)


def test_a_wait_ends_when_the_connection_does(
    fleet: Fleet, proxy: Proxy, far: Store, wake: tuple[int, int]
) -> None:
    ended: list[bool] = []

    def wait() -> None:
        with pytest.raises(StoreUnavailable):
            far.wait(60, wake[0])
        ended.append(True)

    waiter = threading.Thread(target=wait)
    waiter.start()
    eventually(lambda: blocked(fleet.client) == 1)
    proxy.swallow_answers = True

    fleet.push(document())

    waiter.join(10)
    assert ended == [True]
    assert fleet.staged() == [document()]


def test_a_document_that_came_just_as_the_waiter_died_is_taken(
    fleet: Fleet, proxy: Proxy, far: Store, wake: tuple[int, int]
) -> None:
    far.register("s", facts("w"))
    waiter = threading.Thread(target=far.wait, args=(60, wake[0]))
    waiter.start()
    eventually(lambda: blocked(fleet.client) == 1)
    proxy.silent = True
    fleet.push(document())
    os.write(wake[1], b"!")
    waiter.join(10)

    assert fleet.take(fleet.worker("another")).lease.job_id == "a"


@pytest.mark.parametrize("way", ["lost", "woken"])
def test_a_connection_may_be_lost_any_number_of_times(
    fleet: Fleet, wake: tuple[int, int], way: str
) -> None:
    os.write(wake[1], b"!")

    for _ in range(150):
        if way == "lost":
            fleet.store._wire.close()
            fleet.store.promote()
        else:
            fleet.store.wait(10, wake[0])


def test_a_wait_that_is_refused_says_so(fleet: Fleet, wake: tuple[int, int]) -> None:
    fleet.client.set(fleet.keys.waiting(), "not a list")

    try:
        with pytest.raises(StoreRefused):
            fleet.store.wait(0.05, wake[0])
    finally:
        fleet.client.delete(fleet.keys.waiting())


def test_threads_may_share_a_store(fleet: Fleet) -> None:
    def submit(thread: int) -> None:
        for number in range(50):
            job_id = f"{thread}-{number}"
            fleet.store.submit(job_id, document(job_id), 0, 0, "")

    threads = [threading.Thread(target=submit, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    ids = fleet.take_all(fleet.worker())
    assert len(ids) == len(set(ids)) == 200
    for number in range(4):
        own = [job_id for job_id in ids if job_id.startswith(f"{number}-")]
        assert own == [f"{number}-{count}" for count in range(50)]


def test_an_empty_answer_after_a_lost_one_is_right(
    fleet: Fleet, proxy: Proxy, far: Store
) -> None:
    far.register("s", facts("w"))
    proxy.swallow_answers = True
    with pytest.raises(StoreUnavailable):
        far.take("s")
    proxy.swallow_answers = False

    assert far.take("s") == (True, Empty(None))
