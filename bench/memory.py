"""What supervisor and worker processes hold in memory when they have nothing to do."""

from __future__ import annotations

import shutil
import time
from dataclasses import asdict
from statistics import mean

from bench.encode import film_job
from bench.fleet import Machine, Site, document
from bench.processes import Memory, memory
from bench.report import Result

WORKERS = 2
NOOP_JOBS = 200
SETTLE_SECONDS = 1.0


def measure() -> Result:
    """Let two workers run jobs, then look."""
    result = Result(
        "memory",
        f"Memory when idle, MB: a supervisor with {WORKERS} workers",
        ("after", "process", "PSS", "private", "RSS"),
    )
    with Site.open() as site:
        machine = site.machine("bench", WORKERS)
        site.run((document("noop") for _ in range(NOOP_JOBS)), WORKERS)
        _look(result, machine, f"{NOOP_JOBS} no-op jobs")
        if shutil.which("ffmpeg"):
            films = [site.folder / f"{number}.mkv" for number in range(WORKERS)]
            site.run((film_job("", out, preset="ultrafast") for out in films), WORKERS)
            _look(result, machine, "an encode each")
    result.notes.append(
        "PSS counts pages that several processes share in equal parts: the supervisor,"
        " its workers and the other Python processes of this program share some."
    )
    return result


def _look(result: Result, machine: Machine, after: str) -> None:
    time.sleep(SETTLE_SECONDS)
    workers = [memory(pid) for pid in machine.workers]
    supervisor = memory(machine.supervisor)
    everyone = [supervisor, *workers]
    found = {
        "supervisor": supervisor,
        "worker process": Memory(
            mean(w.pss for w in workers),
            mean(w.private for w in workers),
            mean(w.rss for w in workers),
        ),
        "all": Memory(
            sum(m.pss for m in everyone),
            sum(m.private for m in everyone),
            sum(m.rss for m in everyone),
        ),
    }
    for name, held in found.items():
        numbers = (f"{x:.1f}" for x in (held.pss, held.private, held.rss))
        result.rows.append((after if name == "supervisor" else "", name, *numbers))
        place = f"{name} after {after}".replace(" ", "_")
        result.figures[place] = asdict(held)
