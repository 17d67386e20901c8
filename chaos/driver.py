"""One run: faults for a while by a schedule from the seed, then peace, then the checks."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

from redis.exceptions import RedisError

from chaos.clock import now_us
from chaos.faults import bag, inject
from chaos.world import World
from sisyphus.lifecycle import ENDED

WARM_UP_SECONDS = 2.0
END_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Step:
    """One fault of the schedule."""

    at: float
    kind: str
    machine: int
    seed: int


def schedule(kinds: list[str], machines: int, seed: int, seconds: float) -> list[Step]:
    """Draw the faults of a run; the same seed gives the same ones."""
    dice = random.Random(seed)
    drawn = _endless(kinds, dice)
    steps, at = list[Step](), WARM_UP_SECONDS
    while at < seconds:
        steps.append(
            Step(at, next(drawn), dice.randrange(machines), dice.randrange(2**32))
        )
        at += dice.uniform(0.1, 1.1)
    return steps


def _endless(kinds: list[str], dice: random.Random) -> Iterator[str]:
    """Draw from a bag that is filled again when it is empty: no kind is left out."""
    while True:
        yield from dice.sample(kinds, len(kinds))


def run(world: World) -> tuple[float, int]:
    """Let it happen.

    Returns:
        The seconds until all was at rest again, and how many faults could not be had in
        their moment.
    """
    plan, missed = world.plan, 0
    began = time.monotonic()
    for step in schedule(bag(world), plan.machines, plan.seed, plan.seconds):
        while time.monotonic() - began < step.at:
            world.do_what_is_due()
            time.sleep(0.02)
        dice = random.Random(step.seed)
        missed += not inject(world, step.kind, step.machine, dice)
    world.producer.stop()
    world.heal()
    return _come_to_rest(world), missed


def _come_to_rest(world: World) -> float:
    healed = time.monotonic()
    while time.monotonic() - healed < world.plan.peace and not _at_rest(world):
        world.do_what_is_due()
        time.sleep(0.2)
    rested = time.monotonic()
    for machine in world.machines:
        machine.down_until_us = now_us() + 10**12
        if machine.alive:
            machine.tell_to_end()
    while any(machine.alive for machine in world.machines):
        if time.monotonic() - rested > END_SECONDS:
            break
        time.sleep(0.02)
    for machine in world.machines:
        if not machine.alive:
            machine.look_after()
    return rested - healed


def _at_rest(world: World) -> bool:
    ended = {state.value for state in ENDED}
    try:
        with world.admin() as admin, admin.pipeline(transaction=False) as pipe:
            pipe.llen("queue")
            pipe.llen("{queue}:staged")
            pipe.scard("{queue}:idle")
            for job_id in world.ledger.jobs:
                pipe.hget(f"{{queue}}:job:{job_id}", "state")
            waiting, staged, world.idle_at_rest, *states = pipe.execute()
    except (RedisError, OSError):
        return False
    wanted = world.plan.machines * world.plan.workers
    quiet = waiting == staged == 0 and world.idle_at_rest == wanted
    return quiet and set(states) <= ended
