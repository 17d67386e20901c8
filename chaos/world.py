"""Everything that a run has: server, network, machines, producer, and the faults so far."""

from __future__ import annotations

import heapq
import os
import random
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from chaos import shim
from chaos.clock import now_us
from chaos.machine import ROOT, Machine
from chaos.producer import Ledger, Producer
from chaos.proxy import Link, Network
from chaos.server import Server

_FOREIGN = ("SISYPHUS_", "REDIS_", "HOST", "FFMPEG_", "PYTHONPATH")


@dataclass(frozen=True)
class Plan:
    """What is to be run."""

    seconds: float
    seed: int
    folder: Path
    appendfsync: str = "always"
    machines: int = 3
    workers: int = 2
    lease: float = 3.0
    replica: bool = False
    peace: float = 90.0
    """Seconds that the fleet may take to come to rest when all faults are over."""
    build: Path | None = None
    """A source folder to be run instead of the installed one."""


@dataclass(slots=True)
class Hit:
    """One fault that was injected."""

    kind: str
    machine: str
    """Empty when it hits all."""
    began_us: int
    ended_us: int


@dataclass
class World:
    """Owned by the one thread that injects faults."""

    plan: Plan
    server: Server
    replica: Server | None
    network: Network
    producer: Producer
    library: Path | None
    links: list[Link] = field(default_factory=list)
    """One for each machine, and the last one for the producer."""
    clocks: list[shim.Control] = field(default_factory=list)
    machines: list[Machine] = field(default_factory=list)
    ledger: Ledger = field(default_factory=Ledger)
    hits: list[Hit] = field(default_factory=list)
    outputs_are_small: bool = False
    """Whether the outputs lie on a disk that can be filled."""
    clock_is_off: bool = False
    idle_at_rest: int = 0
    """Workers that waited for jobs when all faults were over."""
    _due: list[tuple[int, int, Callable[[], object]]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=count)

    @property
    def folder(self) -> Path:
        """Where all of it lies."""
        return self.plan.folder

    def later(self, seconds: float, call: Callable[[], object]) -> None:
        """Do something when so much time has passed."""
        moment = now_us() + int(seconds * 1e6)
        heapq.heappush(self._due, (moment, next(self._numbers), call))

    def do_what_is_due(self) -> None:
        """Heal what is to be healed by now; start again what has died."""
        while self._due and self._due[0][0] <= now_us():
            heapq.heappop(self._due)[2]()
        for machine in self.machines:
            machine.look_after()

    def heal(self) -> None:
        """End all faults."""
        due, self._due = sorted(self._due), []
        for _, _, call in due:
            call()
        self._due.clear()  # what could not be done is done below
        for link in self.links:
            link.heal()
        for machine in self.machines:
            machine.thaw()
            machine.down_until_us = 0
        for clock in (*self.clocks, self.server.control):
            clock.set_clock(0)
            clock.delay_flushes(0)
        self.server.start_again()
        with self.admin() as admin:
            admin.config_set("maxmemory", 0)
            admin.hdel("{queue}:meta", "paused")

    @contextmanager
    def admin(self) -> Iterator[Redis]:
        """Talk to the server without any fault in between."""
        client = self.server.client()
        try:
            yield client
        finally:
            client.close()

    def try_admin(self, *words: str | int) -> bool:
        """Tell the server something, if it hears."""
        with suppress(RedisError, OSError), self.admin() as admin:
            admin.execute_command(*words)  # type: ignore[no-untyped-call]
            return True
        return False

    def insist(self, *words: str | int) -> None:
        """Tell the server something as soon as it hears."""
        if not self.try_admin(*words):
            self.later(0.2, lambda: self.insist(*words))


@contextmanager
def open_world(plan: Plan) -> Iterator[World]:
    """Start everything; end everything."""
    folder = plan.folder
    (folder / "witness").mkdir(parents=True)
    (folder / "outputs").mkdir()
    library = shim.build(folder)
    server = Server(folder, plan.appendfsync, library)
    server.start()
    replica = None
    if plan.replica:
        replica = Server(folder, plan.appendfsync, library, "replica")
        replica.start(replica_of=server.port)
    dice, network, ledger = random.Random(plan.seed), Network(server.port), Ledger()
    its_link = network.link(dice.randrange(2**32))
    its_seed = dice.randrange(2**32)
    producer = Producer(its_link.port, ledger, folder, its_seed, wait=plan.replica)
    world = World(plan, server, replica, network, producer, library, ledger=ledger)
    world.outputs_are_small = _small_disk(folder / "outputs")
    for number in range(plan.machines):
        _add_machine(world, f"machine-{number}", dice.randrange(2**32))
    world.links.append(its_link)
    producer.start()
    try:
        yield world
    finally:
        producer.stop()
        for machine in world.machines:
            machine.close()
        for each in (world.server, world.replica):
            if each is not None:
                each.stop()
        if world.outputs_are_small:
            subprocess.run(["umount", folder / "outputs"], check=False)


def _add_machine(world: World, name: str, seed: int) -> None:
    plan = world.plan
    link, clock = world.network.link(seed), shim.Control(plan.folder, name)
    world.links.append(link)
    world.clocks.append(clock)
    variables = {k: v for k, v in os.environ.items() if not k.startswith(_FOREIGN)}
    if world.library is not None:
        variables |= clock.variables(world.library)
    path = [str(each) for each in (plan.build, ROOT) if each is not None]
    variables |= {
        "PYTHONPATH": os.pathsep.join(path),
        "SISYPHUS_REDIS_URL": f"redis://127.0.0.1:{link.port}/0",
        "SISYPHUS_MODULE_FOLDERS": str(ROOT / "chaos" / "modules"),
        "SISYPHUS_MODULES": "chaotic,patient",
        "SISYPHUS_ROOTS": str(plan.folder),
        "SISYPHUS_LEASE": str(plan.lease),
        "SISYPHUS_PATIENCE": str(3 * plan.lease),
        "SISYPHUS_GRACE": "0.5",
        "SISYPHUS_DRAIN_TIMEOUT": "1",
        "SISYPHUS_HISTORY_COUNT": "1000000",
        "SISYPHUS_LOG_LEVEL": "DEBUG",
        "SISYPHUS_LOG_JSON": "false",
    }
    world.machines.append(Machine(name, plan.workers, plan.folder, variables))


def _small_disk(folder: Path) -> bool:
    """Mount a disk that can be filled; only root may."""
    words = ["mount", "-t", "tmpfs", "-o", "size=256m", "chaos", str(folder)]
    with suppress(OSError):
        mounted = subprocess.run(words, capture_output=True, check=False)
        return mounted.returncode == 0
    return False
