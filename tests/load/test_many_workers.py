"""Hundreds of supervisors, and many of them dead at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from load.peaks import run_command
from load.sizes import document
from sisyphus.client import Client
from sisyphus.store.replies import Activity, Held, Taken, Verdict
from sisyphus.store.store import Store
from sisyphus.worker.upkeep import Upkeep
from store.fleet import facts
from worker.machines import Site

SUPERVISORS = 300


@pytest.fixture
def sessions(site: Site) -> list[Held]:
    """As many workers, each with a job in its hand."""
    held = []
    for number in range(SUPERVISORS):
        name = f"s{number:03}"
        site.store.register(name, facts(f"w{number:03}", ("cleanup",)))
        site.redis.lpush("queue", document(f"j{number:03}"))
        _, taken = site.store.take(name)
        assert isinstance(taken, Taken)
        held.append(Held(name, taken.lease.job_id, taken.lease.token))
    return held


@pytest.fixture
def stores(site: Site) -> Iterator[list[Store]]:
    opened = [Store(site.settings) for _ in range(SUPERVISORS)]
    yield opened
    for store in opened:
        store.close()


def test_each_of_300_supervisors_keeps_its_job(
    site: Site, sessions: list[Held], stores: list[Store]
) -> None:
    for _ in range(2):
        for store, held in zip(stores, sessions, strict=True):
            key = store.keys.heartbeat(f"w{held.session[1:]}")
            renewal = store.renew([held], {key: '{"status": "in_progress"}'})
            assert renewal.orders == ((Verdict.KEEP, Activity.WORK),)
            assert not renewal.recover

    with Client(settings=site.settings) as client:
        assert len(client.workers()) == SUPERVISORS
        assert client.queue().running == SUPERVISORS


def test_a_renewal_costs_as_many_commands_as_with_one_worker(
    site: Site, sessions: list[Held]
) -> None:
    def cost(held: Held) -> Any:
        site.redis.config_resetstat()
        site.store.renew([held])
        told: Any = site.redis.info("commandstats")
        return {name: found["calls"] for name, found in told.items()}

    among_many = cost(sessions[0])
    for held in sessions[1:]:
        site.store.leave(held.session)

    assert among_many == cost(sessions[0])


def test_one_supervisor_recovers_300_dead_ones_in_three_rounds(
    site: Site, sessions: list[Held]
) -> None:
    for held in sessions:
        site.redis.zincrby(site.store.keys.sessions, -3_600_000, held.session)
    upkeep, rounds = Upkeep(site.store, 60.0), 0

    while (renewal := site.store.renew([])).recover:
        upkeep.round(renewal)
        rounds += 1

    assert rounds <= 3
    assert site.redis.llen("queue") == SUPERVISORS


def test_one_recovery_ends_four_sessions_at_most(
    site: Site, sessions: list[Held]
) -> None:
    for held in sessions:
        site.redis.zincrby(site.store.keys.sessions, -3_600_000, held.session)

    assert site.store.recover() == 4


def test_delayed_jobs_that_are_due_at_once_come_back_in_bounded_pieces(
    site: Site,
) -> None:
    keys, later = site.store.keys, 2**42
    for number in range(3_000):
        job_id = f"j{number:04}"
        site.store.submit(job_id, document(job_id), 0, later, "")
    with site.redis.pipeline() as pipe:
        for number in range(3_000):
            pipe.zadd(keys.delayed, {f"j{number:04}": number})
        pipe.execute()
    upkeep, rounds = Upkeep(site.store, 60.0), 0

    assert site.store.promote() == 64
    while (renewal := site.store.renew([])).promote:
        upkeep.round(renewal)
        rounds += 1

    assert rounds <= 3
    assert site.redis.llen("queue") == 3_000


def test_top_shows_as_many_workers_as_fit_and_counts_the_others(
    site: Site, sessions: list[Held]
) -> None:
    said, _, code = run_command("top", "--once", url=site.url)

    assert code == 0
    assert said.decode().count("\n") < 80
    assert "and 250 more workers" in said.decode()
