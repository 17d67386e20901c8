"""How long from the push of a job to its start, with a worker that is idle."""

from __future__ import annotations

import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.fleet import KEYS, ROOT, Site, document
from bench.report import Result, percentile

PACE_SECONDS = 0.02
BLOCK = 50
_BARE = "bare"


def measure(pushes: int) -> Result:
    """Push jobs at a slow pace, by turns to a worker and to a bare taker."""
    late: dict[str, list[float]] = {"worker": [], "bare": []}
    with Site.open() as site, _bare_taker(site) as bare_file:
        site.machine("bench", 1)
        worker_file = site.folder / "worker.stamps"
        targets = {
            "worker": (KEYS.waiting(), worker_file),
            "bare": (_BARE, bare_file),
        }
        for waiting, file in targets.values():
            _block(site, waiting, file, 5)  # modules are loaded, connections opened
        for start in range(0, pushes, BLOCK):
            for name, (waiting, file) in targets.items():
                count = min(BLOCK, pushes - start)
                late[name] += _block(site, waiting, file, count)
    result = Result(
        "pickup",
        f"Push to start, ms: {pushes} jobs, one every {PACE_SECONDS * 1000:.0f} ms",
        ("", "p50", "p99", "max"),
    )
    labels = {"worker": "idle worker", "bare": "bare BLMOVE + 1 round trip"}
    for name, values in late.items():
        found = {
            "p50_ms": percentile(values, 50),
            "p99_ms": percentile(values, 99),
            "max_ms": max(values),
        }
        result.rows.append((labels[name], *(f"{x:.3f}" for x in found.values())))
        result.figures[name] = found
    result.notes.append(
        "From before a plain client's LPUSH to the first line of the module's run;"
        f" by turns in blocks of {BLOCK}."
    )
    return result


def _block(site: Site, waiting: str, file: Path, count: int) -> list[float]:
    """Push some jobs, each at its time; the milliseconds until each had started."""
    pushed: dict[str, int] = {}
    due = time.monotonic()
    for _ in range(count):
        job_id = str(uuid.uuid4())
        text = document("stamp", job_id, file=str(file))
        due += PACE_SECONDS
        time.sleep(max(0.0, due - time.monotonic()))
        pushed[job_id] = time.monotonic_ns()
        site.redis.lpush(waiting, text)
    site.until(lambda: pushed.keys() <= _stamps(file).keys(), "every job has started")
    started = _stamps(file)
    return [(started[job_id] - at) / 1e6 for job_id, at in pushed.items()]


def _stamps(file: Path) -> dict[str, int]:
    if not file.exists():
        return {}
    whole = file.read_text().rpartition("\n")[0].splitlines()
    return {job_id: int(at) for job_id, at in map(str.split, whole)}


@contextmanager
def _bare_taker(site: Site) -> Iterator[Path]:
    """Run the bare taker; gives the file it writes."""
    file = site.folder / "bare.stamps"
    path = site.server.url.removeprefix("unix://")
    taker = subprocess.Popen(
        [sys.executable, "-m", "bench.bare", path, _BARE, str(file)], cwd=ROOT
    )
    try:
        yield file
    finally:
        taker.kill()
        taker.wait()
