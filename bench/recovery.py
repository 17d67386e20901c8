"""How long a job waits when everything that worked on it is killed."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import Any

from bench.fleet import Machine, Site, document
from bench.processes import children, descendants
from bench.report import Result, Spread

JOB_ID = "held"


def measure(rounds: int) -> Result:
    """Kill a whole machine, or a worker process alone, and wait for the job."""
    whole = [_whole_machine() for _ in range(rounds)]
    alone = [_worker_alone() for _ in range(rounds)]
    result = Result(
        "recovery",
        "From kill -9 until the job's tool runs again, s: median (min to max)",
        ("killed", "runs again after"),
    )
    figures: dict[str, Any] = {"machine": whole, "worker": alone}
    labels = {
        "machine": "supervisor, worker and tool; goes to another supervisor",
        "worker": "the worker process alone; its supervisor sees it",
    }
    for name, values in figures.items():
        result.rows.append((labels[name], Spread.of(values).text(2)))
    result.figures = figures
    result.notes.append(f"{rounds} rounds; the lease is the default.")
    return result


def _whole_machine() -> float:
    """Kill supervisor, worker and tool; another supervisor gets the job."""
    with Site.open() as site:
        first = site.machine("first", 1)
        _hold(site, first)
        second = site.machine("second", 1)
        time.sleep(random.uniform(0, 2))  # anywhere between two renewals
        killed = time.monotonic()
        first.lose_power()
        seconds = _running(site, second, attempt=2) - killed
        second.lose_power()
        return seconds


def _worker_alone() -> float:
    """Kill the worker process; its supervisor starts another and gives the job back."""
    with Site.open() as site:
        machine = site.machine("only", 1)
        _hold(site, machine)
        killed = time.monotonic()
        os.kill(machine.workers[0], signal.SIGKILL)
        seconds = _running(site, machine, attempt=2) - killed
        machine.lose_power()
        return seconds


def _hold(site: Site, machine: Machine) -> None:
    site.push(document("hold", JOB_ID))
    _running(site, machine, attempt=1)


def _running(site: Site, machine: Machine, attempt: int) -> float:
    """Wait until this attempt's tool runs below the machine's worker; when that was."""

    def runs() -> bool:
        record = site.record(JOB_ID)
        if record.get("state") != "running":
            return False
        if int(record["attempts"]) < attempt:
            return False
        return any(_is_tool(p) for w in machine.workers for p in descendants(w))

    site.until(runs, f"{JOB_ID} runs, attempt {attempt}", seconds=60)
    return time.monotonic()


def _is_tool(pid: int) -> bool:
    """Whether this is the tool itself: its guard has children, and another name."""
    if children(pid):
        return False
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip() == "sleep"
    except OSError:
        return False
