"""The faults, each with how it is injected. They are drawn from a bag, by a seed.

A fault gives how long it lasts, in seconds, or nothing when it cannot be had just now.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from chaos.clock import now_us
from chaos.machine import Machine, send
from chaos.proxy import Link
from chaos.world import Hit, World
from sisyphus.errors import StoreError
from sisyphus.settings import Settings
from sisyphus.store.store import Store

Inject = Callable[[World, int, random.Random], float | None]
"""World, number of a machine, dice."""
ALL = ""


@dataclass(frozen=True)
class Fault:
    """A kind of fault."""

    kind: str
    what: str
    inject: Inject
    for_all: bool
    """Whether it hits every machine."""
    weight: int = 2


FAULTS: dict[str, Fault] = {}


def fault(
    what: str, *, for_all: bool = False, weight: int = 2
) -> Callable[[Inject], Inject]:
    """Put a function among the faults, under its name."""

    def put(inject: Inject) -> Inject:
        kind = inject.__name__
        FAULTS[kind] = Fault(kind, what, inject, for_all, weight)
        return inject

    return put


def bag(world: World) -> list[str]:
    """Name the kinds that can be had in this world, the frequent ones more often."""
    missing = set()
    if world.replica is None:
        missing.add("failover")
    else:  # a failover must not meet a primary that is not there
        missing |= {"power_cut", "kill_server"}
    if world.library is None:
        missing |= {"power_cut", "slow_disk", "server_clock", "machine_clock"}
    if not world.outputs_are_small:
        missing.add("disk_full")
    return [
        kind
        for kind, each in FAULTS.items()
        if kind not in missing
        for _ in range(each.weight)
    ]


def left_out(world: World) -> list[str]:
    """Name the kinds that cannot be had here."""
    wanted = set(FAULTS) - set(bag(world))
    if world.replica is None:
        wanted.discard("failover")
    return sorted(wanted)


def inject(world: World, kind: str, number: int, dice: random.Random) -> bool:
    """Inject one fault, and write it down.

    One fault at a time for each machine, and one for all of them: with more nobody would
    get anything done, and there would be nothing to lose.
    """
    each = FAULTS[kind]
    for _ in world.machines:  # if that machine is down, another one may do
        where = ALL if each.for_all else world.machines[number].name
        began = now_us()
        if not _is_hit(world, where, began):
            lasts = each.inject(world, number, dice)
            if lasts is not None:
                _write_down(world, Hit(kind, where, began, now_us() + int(lasts * 1e6)))
                return True
        number = (number + 1) % len(world.machines)
    return False


def _is_hit(world: World, where: str, moment: int) -> bool:
    return any(hit.machine == where and hit.ended_us > moment for hit in world.hits)


def _write_down(world: World, hit: Hit) -> None:
    world.hits.append(hit)
    with (world.folder / "faults.log").open("a") as log:
        log.write(f"{hit.began_us} {hit.ended_us} {hit.kind} {hit.machine}\n")


# Processes of a machine


@fault("SIGKILL of a tool")
def kill_tool(world: World, number: int, dice: random.Random) -> float | None:
    """Kill one tool; its task fails."""
    return _kill_one(world.machines[number], Machine.tools, dice)


@fault("SIGKILL of a guard")
def kill_guard(world: World, number: int, dice: random.Random) -> float | None:
    """Kill what watches over a tool."""
    return _kill_one(world.machines[number], Machine.guards, dice)


@fault("SIGKILL of a worker process", weight=4)
def kill_worker(world: World, number: int, dice: random.Random) -> float | None:
    """Kill a worker process; its supervisor sees it."""
    return _kill_one(world.machines[number], Machine.workers, dice)


def _kill_one(
    machine: Machine, those: Callable[[Machine], list[int]], dice: random.Random
) -> float | None:
    found = those(machine) if machine.alive and not machine.frozen else []
    if not found:
        return None
    send([dice.choice(found)], signal.SIGKILL)
    return 0.0


@fault("SIGKILL of a supervisor")
def kill_supervisor(world: World, number: int, dice: random.Random) -> float | None:
    """Kill a supervisor; it is started again a moment later."""
    machine = world.machines[number]
    if not machine.alive:
        return None
    machine.thaw()
    machine.kill()
    return _down(machine, dice.uniform(0, 2))


@fault("a whole machine loses power", weight=3)
def lose_power(world: World, number: int, dice: random.Random) -> float | None:
    """Kill all of a machine at once; it boots again, sometimes after its lease."""
    machine = world.machines[number]
    if not machine.alive:
        return None
    machine.lose_power()
    return _down(machine, dice.uniform(0.2, 1.7 * world.plan.lease))


def _down(machine: Machine, seconds: float) -> float:
    machine.down_until_us = now_us() + int(seconds * 1e6)
    return seconds


@fault("SIGSTOP of a whole machine, then SIGCONT")
def freeze_machine(world: World, number: int, dice: random.Random) -> float | None:
    """Stop a machine, often for longer than its lease."""
    return _freeze(world, number, dice, Machine.tree)


@fault("SIGSTOP of a worker process, then SIGCONT")
def freeze_worker(world: World, number: int, dice: random.Random) -> float | None:
    """Stop one worker process."""
    return _freeze(world, number, dice, lambda m: m.workers()[:1])


@fault("SIGSTOP of a supervisor, then SIGCONT")
def freeze_supervisor(world: World, number: int, dice: random.Random) -> float | None:
    """Stop a supervisor only: its workers and tools go on, and nobody renews."""
    return _freeze(world, number, dice, lambda m: [m.pid])


def _freeze(
    world: World,
    number: int,
    dice: random.Random,
    those: Callable[[Machine], list[int]],
) -> float | None:
    machine = world.machines[number]
    if not machine.alive or machine.frozen or machine.told_to_end:
        return None
    machine.freeze(those(machine))
    seconds = dice.uniform(0.2, 1.8) * world.plan.lease
    world.later(seconds, machine.thaw)
    return seconds


@fault("deploy: SIGTERM to one machine")
def deploy(world: World, number: int, dice: random.Random) -> float | None:
    """Let a machine end in order, and start again."""
    return _deploy(world, [world.machines[number]], dice)


@fault("deploy storm: SIGTERM to all machines", for_all=True, weight=1)
def deploy_all(world: World, number: int, dice: random.Random) -> float | None:
    """Let all machines end within a moment."""
    return _deploy(world, world.machines, dice)


def _deploy(world: World, machines: list[Machine], dice: random.Random) -> float | None:
    ready = [m for m in machines if m.alive and not m.frozen and not m.told_to_end]
    for machine in ready:
        machine.tell_to_end()
        if dice.random() < 0.3:
            world.later(dice.uniform(0.05, 0.8), partial(_again, machine, machine.pid))
    return 3.0 if ready else None


def _again(machine: Machine, pid: int) -> None:
    if machine.alive and machine.pid == pid:
        send([pid], signal.SIGTERM)


@fault("clock of a machine steps")
def machine_clock(world: World, number: int, dice: random.Random) -> float | None:
    """Set a machine's wall clock wrong."""
    world.clocks[number].set_clock(dice.choice([-86400, -3600, -5, 5, 3600, 86400]))
    return 0.0


# The network


@fault("hole in one machine's network", weight=3)
def hole(world: World, number: int, dice: random.Random) -> float | None:
    """Hold everything back, sometimes for longer than the lease."""
    return _trouble(world, [world.links[number]], dice, _hold_both, 2.5)


@fault("hole in everybody's network", for_all=True, weight=1)
def hole_for_all(world: World, number: int, dice: random.Random) -> float | None:
    """Hold everything back for all."""
    return _trouble(world, world.links, dice, _hold_both, 1.1)


@fault("answers held back, requests arrive")
def deaf(world: World, number: int, dice: random.Random) -> float | None:
    """Let one machine speak, but hear nothing."""
    return _trouble(world, [world.links[number]], dice, _hold_answers, 1.5)


@fault("answers cut off after the server acted", for_all=True)
def lose_answers(world: World, number: int, dice: random.Random) -> float | None:
    """Close connections in place of passing on an answer."""
    return _trouble(world, world.links, dice, _lose_answers, 0.4)


@fault("requests cut off half way", for_all=True)
def lose_requests(world: World, number: int, dice: random.Random) -> float | None:
    """Close connections in the middle of a request."""
    return _trouble(world, world.links, dice, _lose_requests, 0.4)


@fault("slow network", for_all=True)
def slow(world: World, number: int, dice: random.Random) -> float | None:
    """Delay every piece."""
    return _trouble(world, world.links, dice, _slow, 0.5)


def _trouble(
    world: World,
    links: list[Link],
    dice: random.Random,
    set_on: Callable[[Link], None],
    most_leases: float,
) -> float:
    for link in links:
        set_on(link)
    seconds = dice.uniform(0.1, most_leases) * world.plan.lease

    def heal() -> None:
        for link in links:
            link.heal()

    world.later(seconds, heal)
    return seconds


def _hold_both(link: Link) -> None:
    link.requests_held = link.answers_held = True


def _hold_answers(link: Link) -> None:
    link.answers_held = True


def _lose_answers(link: Link) -> None:
    link.lose_answers = 0.2


def _lose_requests(link: Link) -> None:
    link.lose_requests = 0.2


def _slow(link: Link) -> None:
    link.delay = 0.3


# The server


@fault("kill -9 of the server, then restart", for_all=True)
def kill_server(world: World, number: int, dice: random.Random) -> float | None:
    """Kill the server; it comes back with what its disk holds."""
    if not world.server.alive:
        return None
    world.server.kill()
    return _server_back(world, dice)


@fault("power cut at the server, then restart", for_all=True)
def power_cut(world: World, number: int, dice: random.Random) -> float | None:
    """Kill the server, and with it all that it has not flushed to disk."""
    if not world.server.alive:
        return None
    world.server.cut_power()
    return _server_back(world, dice)


def _server_back(world: World, dice: random.Random) -> float:
    seconds = dice.uniform(0.05, 0.5 * world.plan.lease)
    server = world.server
    world.later(seconds, server.start_again)
    return seconds


@fault("failover to a replica", for_all=True, weight=3)
def failover(world: World, number: int, dice: random.Random) -> float | None:
    """Kill the primary and promote its replica; the old one becomes a replica."""
    old, new = world.server, world.replica
    if new is None or not (old.alive and new.alive):
        return None
    with new.client() as client:
        if client.info("replication")["master_link_status"] != "up":
            return None
    old.kill()
    with new.client() as client:
        client.execute_command("REPLICAOF", "NO", "ONE")
    world.server, world.replica = new, old
    world.network.target = new.port
    seconds = dice.uniform(0.1, 1.0)
    world.later(seconds, lambda: old.start(replica_of=new.port))
    return seconds


@fault("SIGSTOP of the server, then SIGCONT", for_all=True, weight=1)
def freeze_server(world: World, number: int, dice: random.Random) -> float | None:
    """Let the server hang."""
    if not world.server.alive:
        return None
    server = world.server
    server.signal(signal.SIGSTOP)
    seconds = dice.uniform(0.1, 1.0) * world.plan.lease
    world.later(seconds, lambda: server.signal(signal.SIGCONT))
    return seconds


@fault("SCRIPT FLUSH", for_all=True)
def script_flush(world: World, number: int, dice: random.Random) -> float | None:
    """Let the server forget all scripts."""
    return 0.0 if world.try_admin("SCRIPT", "FLUSH") else None


@fault("maxmemory reached", for_all=True)
def maxmemory(world: World, number: int, dice: random.Random) -> float | None:
    """Let the server be full."""
    if not world.try_admin("CONFIG", "SET", "maxmemory", 1):
        return None
    seconds = dice.uniform(0.3, world.plan.lease)
    world.later(seconds, lambda: world.insist("CONFIG", "SET", "maxmemory", 0))
    return seconds


@fault("slow disk of the server", for_all=True, weight=1)
def slow_disk(world: World, number: int, dice: random.Random) -> float | None:
    """Let every flush take a while."""
    control = world.server.control
    control.delay_flushes(dice.uniform(0.02, 0.3))
    seconds = dice.uniform(0.3, 2)
    world.later(seconds, lambda: control.delay_flushes(0))
    return seconds


@fault("clock of the server steps", for_all=True, weight=1)
def server_clock(world: World, number: int, dice: random.Random) -> float | None:
    """Set the server's wall clock wrong for a while."""
    if world.clock_is_off:
        return None
    world.clock_is_off = True
    control = world.server.control
    control.set_clock(dice.choice([-86400, -3600, -5, 5, 60, 3600, 86400]))

    def again() -> None:
        world.clock_is_off = False

    world.later(2.5 * world.plan.lease, again)
    return 0.0


# Disk, and people


@fault("disk full where outputs are written", for_all=True, weight=1)
def disk_full(world: World, number: int, dice: random.Random) -> float | None:
    """Fill the disk."""
    filler = world.folder / "outputs" / "filler"
    if filler.exists():
        return None
    _fill(filler)
    seconds = dice.uniform(0.2, 1.5)
    world.later(seconds, lambda: filler.unlink(missing_ok=True))
    return seconds


def _fill(filler: Path) -> None:
    size = shutil.disk_usage(filler.parent).free
    with filler.open("wb") as file:
        end = 0
        while size > 0:  # others take their share meanwhile
            try:
                os.posix_fallocate(file.fileno(), end, size)
            except OSError:
                size //= 2
            else:
                end += size


@fault("cancel of a job", for_all=True, weight=4)
def cancel(world: World, number: int, dice: random.Random) -> float | None:
    """Cancel one of the latest jobs, whatever it does."""
    jobs = list(world.ledger.jobs)[-40:]
    if not jobs or not world.server.alive:
        return None
    job_id = dice.choice(jobs)
    url = f"redis://127.0.0.1:{world.server.port}/0"
    store = Store(Settings(redis_url=url, history_count=1_000_000))
    try:
        said = store.cancel(job_id)
    except StoreError:
        return None
    finally:
        store.close()
    if said in ("cancelled", "unseen", "asked"):
        world.ledger.cancels[job_id] = (said, now_us())
    return 0.0


@fault("pause and resume of the queue", for_all=True, weight=1)
def pause(world: World, number: int, dice: random.Random) -> float | None:
    """Let nobody take anything for a moment."""
    if not world.try_admin("HSET", "{queue}:meta", "paused", 1):
        return None
    seconds = dice.uniform(0.2, 1)
    world.later(seconds, lambda: world.insist("HDEL", "{queue}:meta", "paused"))
    return seconds
