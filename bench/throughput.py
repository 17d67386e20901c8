"""How many no-op jobs a second, and what each costs workers and server."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from bench.commands import commands
from bench.fleet import KEYS, Machine, Site, document
from bench.processes import cpu_seconds
from bench.report import Result, Spread

WARM_UP_JOBS = 50
POLL_SECONDS = 0.02
_COLUMNS = ("worker CPU", "server CPU", "trips", "sent", "in scripts")


@dataclass(frozen=True, slots=True)
class Drain:
    """One queue drained."""

    jobs_per_second: float
    worker_us: float
    """CPU microseconds a job, all worker processes together."""
    server_us: float
    round_trips: float
    """A job; counted by the server as reads from its clients."""
    commands_sent: float
    commands_in_scripts: float


def measure(jobs: int, rounds: int) -> Result:
    """Drain queues with one and two workers, in turns."""
    drains: dict[tuple[int, bool], list[Drain]] = {}
    for _ in range(rounds):
        for workers in (1, 2):
            for full, drain in enumerate(_drains(workers, jobs)):
                drains.setdefault((workers, bool(full)), []).append(drain)
    result = Result(
        "throughput",
        f"No-op jobs drained from a queue of {jobs:,}, median (min to max)",
        ("workers", "jobs/s", *_COLUMNS),
    )
    for (workers, full), found in sorted(drains.items(), key=lambda x: (x[0][1], x[0])):
        result.rows.append(_row(f"{workers}{', full history' * full}", found))
        name = f"workers_{workers}{'_full_history' * full}"
        result.figures[name] = _figures(found)
    result.notes.append(
        "For each job: CPU microseconds of all worker processes and of the server,"
        " round trips, commands sent by workers, commands that scripts ran. "
        f"{rounds} rounds in turns, each on a new server. Full history: as many ended"
        " jobs are kept as the queue is long, so each end drops an old one."
    )
    return result


def _drains(workers: int, jobs: int) -> list[Drain]:
    """Drain two queues: the first fills the history, in the second it is full."""
    with Site.open() as site:
        history = {"SISYPHUS_HISTORY_COUNT": str(jobs)}
        machine = site.machine("bench", workers, **history)
        site.run((document("noop") for _ in range(WARM_UP_JOBS)), workers)
        return [_drain(site, machine, workers, jobs) for _ in range(2)]


def _drain(site: Site, machine: Machine, workers: int, jobs: int) -> Drain:
    for start in range(0, jobs, 1000):
        some = (document("noop") for _ in range(start, min(jobs, start + 1000)))
        site.redis.lpush("prepared", *some)
    site.redis.config_resetstat()
    pids, server = machine.workers, site.server.pid
    worker_cpu, server_cpu = cpu_seconds(pids), cpu_seconds([server])
    with site.redis.pipeline(transaction=True) as pipe:
        # All jobs wait before the first is taken.
        pipe.time()
        pipe.rename("prepared", KEYS.waiting())
        seconds, us = pipe.execute()[0]
    own_commands, own_reads = 5, 2  # CONFIG, MULTI, TIME, RENAME, EXEC
    while True:
        own_commands, own_reads = own_commands + 3, own_reads + 1
        if site.drained(workers):
            break
        time.sleep(POLL_SECONDS)
    worker_cpu = cpu_seconds(pids) - worker_cpu
    server_cpu = cpu_seconds([server]) - server_cpu
    counted = commands(site)
    return Drain(
        jobs_per_second=jobs / _seconds_since(site, seconds + us / 1e6, jobs),
        worker_us=worker_cpu / jobs * 1e6,
        server_us=server_cpu / jobs * 1e6,
        round_trips=(counted.reads - own_reads - 1) / jobs,
        commands_sent=counted.sent / jobs,
        commands_in_scripts=(counted.others - own_commands) / jobs,
    )


def _seconds_since(site: Site, began: float, jobs: int) -> float:
    """Tell how long the drain took on the server's clock, and that nothing is missing."""
    ended: Any = site.redis.zrange(KEYS.ended, -1, -1, withscores=True)
    found = site.redis.zcount(KEYS.ended, int(began * 1000), "+inf")
    if found != jobs:
        raise RuntimeError(f"{found} of {jobs} jobs have ended")
    return max(float(ended[0][1]) / 1000 - began, 0.001)


def _row(name: str, found: Sequence[Drain]) -> tuple[str, ...]:
    def of(field: str) -> Spread:
        return Spread.of([getattr(drain, field) for drain in found])

    return (
        name,
        of("jobs_per_second").text(),
        f"{of('worker_us').median:.0f} µs",
        f"{of('server_us').median:.0f} µs",
        f"{of('round_trips').median:.2f}",
        f"{of('commands_sent').median:.2f}",
        f"{of('commands_in_scripts').median:.2f}",
    )


def _figures(found: Sequence[Drain]) -> dict[str, Any]:
    rounds = [asdict(drain) for drain in found]
    medians = {name: median(each[name] for each in rounds) for name in rounds[0]}
    return {**medians, "rounds": rounds}
