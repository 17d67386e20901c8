"""What a million waiting jobs change, for workers, for people and for the server."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from bench.fleet import KEYS, Site, document
from bench.processes import peak_mb
from bench.report import Result, percentile
from sisyphus.client import Client
from sisyphus.lifecycle import JobState
from sisyphus.settings import Settings
from sisyphus.store.replies import Settlement, Taken, WorkerFacts
from sisyphus.store.scripts import script, script_names
from sisyphus.store.store import Store

TAKES, SUBMITS, CANCELS, READS = 2_000, 500, 200, 20
PUSHED_AT_ONCE = 5_000
SLOW_US = 20
"""Scripts that took longer are told one by one by the server's slow log."""

# What the kernel tells of a process that has ended counts the memory of the one that
# started it, too: so it is asked at the end of the command itself.
COMMAND = """
import atexit, pathlib, sys
def tell():
    status = pathlib.Path("/proc/self/status").read_text()
    sys.stderr.write("VmHWM:" + status.partition("VmHWM:")[2].split()[0])
atexit.register(tell)
from sisyphus.cli.main import run
run()
"""

Figures = dict[str, float]


def measure(jobs: int) -> Result:
    """Do everything once with an empty queue and once with a long one."""
    result = Result(
        "scale",
        f"With an empty queue, and with {jobs:,} waiting jobs",
        ("what", "empty", "full"),
    )
    with Site.open() as site:
        desk = Desk(site)
        empty = _all(site, desk, Waiting(0))
        before = site.redis.info("memory")["used_memory"]
        waiting = _fill(site, jobs)
        held = site.redis.info("memory")["used_memory"] - before
        full = _all(site, desk, waiting)
        desk.close()
        reload = _restart(site)
    for name, value in full.items():
        digits = 0 if name.endswith(("KB", "MB")) else 2
        pair = (f"{one:,.{digits}f}" for one in (empty[name], value))
        result.rows.append((name, *pair))
    result.figures = {"jobs": jobs, "empty": empty, "full": full}
    result.figures |= {
        "bytes_per_document": waiting.size,
        "bytes_per_waiting_job": held / jobs,
        "reload_seconds": reload,
    }
    result.notes += [
        f"A waiting job of {waiting.size:.0f} bytes costs {held / jobs:.0f} bytes in the"
        f" server. Started again, it has read its file after {reload:.1f} s.",
        f"{TAKES:,} takes, each with the end of the job before; {SUBMITS} submits;"
        f" {CANCELS} cancels of jobs that lie in the middle; {READS} reads.",
        "Peaks are of whole processes, Python included.",
    ]
    return result


@dataclass(frozen=True, slots=True)
class Waiting:
    """What was pushed."""

    jobs: int
    size: float = 0.0
    deep: Sequence[str] = ()
    """Ids of jobs in the middle."""


class Desk:
    """A worker's and a producer's doors to the store, in this process."""

    def __init__(self, site: Site) -> None:
        self.settings = Settings.load(redis_url=site.server.url)
        self.store = Store(self.settings)
        self.client = Client(settings=self.settings)
        site.redis.config_set("slowlog-log-slower-than", SLOW_US)
        site.redis.config_set("slowlog-max-len", 10_000)

    def close(self) -> None:
        """Close all connections."""
        self.client.close()
        self.store.close()


@dataclass(slots=True)
class Timed:
    """Calls, one after the other, and the longest that the server spent in a script."""

    ms: list[float] = field(default_factory=list)
    slowest: tuple[float, str] = (0.0, "")
    """Milliseconds, name of the script."""

    def call(self, work: Callable[..., Any], *given: Any) -> Any:
        """Do it and note how long it took."""
        began = time.perf_counter()
        answer = work(*given)
        self.ms.append((time.perf_counter() - began) * 1000)
        return answer


@contextmanager
def timed(site: Site) -> Iterator[Timed]:
    """Time calls, and ask the server for its longest script afterwards."""
    site.redis.slowlog_reset()
    found = Timed()
    yield found
    names = {script(name).sha: name for name in script_names()}
    entries: Any = site.redis.slowlog_get(10_000)
    for entry in entries:
        words = entry["command"].decode(errors="replace").split()
        if words[0] == "EVALSHA" and words[1] in names:
            found.slowest = max(
                found.slowest, (entry["duration"] / 1000, names[words[1]])
            )


def facts(worker_id: str, host: str = "bench") -> WorkerFacts:
    """Describe a worker that is none."""
    return WorkerFacts(
        worker_id=worker_id,
        host=host,
        machine=host,
        node=host,
        pid=1,
        version="bench",
        modules=("noop",),
        labels=(),
    )


def film(number: int) -> str:
    """Write a job document as people write them."""
    name = f"/media/films/A film with a title of its own ({1900 + number % 120})"
    return document(
        "noop",
        f"scale-{number:08}",
        source=f"{name}.mkv",
        output_file=f"{name}.out.mkv",
        output_options={"c:v": "libx264", "crf": 18, "preset": "slow", "c:a": "copy"},
    )


def _fill(site: Site, jobs: int) -> Waiting:
    size = 0
    for start in range(0, jobs, PUSHED_AT_ONCE):
        some = [film(n) for n in range(start, min(jobs, start + PUSHED_AT_ONCE))]
        size += sum(map(len, some))
        site.redis.lpush(KEYS.waiting(), *some)
    middle = range(jobs // 2, jobs // 2 + CANCELS)
    return Waiting(jobs, size / jobs, [f"scale-{n:08}" for n in middle])


def _all(site: Site, desk: Desk, waiting: Waiting) -> Figures:
    return {
        **_takes(site, desk, waiting),
        **_changes(site, desk, waiting),
        **_reads(site, desk),
        **_programs(site),
        **_over_http(site, waiting),
    }


def _takes(site: Site, desk: Desk, waiting: Waiting) -> Figures:
    store, session = desk.store, "scale"
    if not waiting.jobs:
        site.redis.lpush(KEYS.waiting(), *(film(n) for n in range(-TAKES - 1, 0)))
    store.register(session, facts("scale"))
    settlement: Settlement | None = None
    with timed(site) as calls:
        site.redis.config_resetstat()
        for _ in range(TAKES):
            _, reply = calls.call(store.take, session, settlement)
            assert isinstance(reply, Taken)
            settlement = store.complete(reply.lease, None)
        told: Any = site.redis.info("commandstats")
    if settlement is not None:
        store.settle(settlement)
    store.leave(session)
    if not waiting.jobs:
        site.redis.delete(KEYS.waiting())
    used = told["cmdstat_evalsha"]
    return {
        **_spread("take + complete", calls.ms),
        "take + complete, server's mean ms": used["usec"] / TAKES / 1000,
        "take + complete, longest script ms": calls.slowest[0],
    }


def _changes(site: Site, desk: Desk, waiting: Waiting) -> Figures:
    with timed(site) as submits:
        for number in range(SUBMITS):
            job = {"job_title": "submitted", "tasks": [{"noop": {"number": number}}]}
            submits.call(desk.client.submit, job)
    deep = waiting.deep or [
        view.job_id for view in desk.client.jobs(JobState.QUEUED, CANCELS)
    ]
    with timed(site) as cancels:
        for job_id in deep:
            cancels.call(desk.client.cancel, job_id)
    if not waiting.jobs:
        site.redis.delete(KEYS.waiting())
    return {
        **_spread("submit", submits.ms),
        "submit, longest script ms": submits.slowest[0],
        **_spread("cancel", cancels.ms),
        "cancel, longest script ms": cancels.slowest[0],
    }


def _reads(site: Site, desk: Desk) -> Figures:
    figures: Figures = {}
    looks: dict[str, Callable[[], Any]] = {
        "client.queue()": desk.client.queue,
        "client.jobs(), first page": desk.client.jobs,
        "client.jobs(), page in the middle": lambda: desk.client.jobs(
            JobState.QUEUED, 50, site.redis.llen(KEYS.waiting()) // 2
        ),
    }
    for name, look in looks.items():
        with timed(site) as calls:
            for _ in range(READS):
                calls.call(look)
        figures[f"{name}, p50 ms"] = median(calls.ms)
    return figures


def _programs(site: Site) -> Figures:
    figures: Figures = {}
    for words in (("queue", "show"), ("jobs", "list"), ("top", "--once")):
        seconds, peak = _run(*words, url=site.server.url)
        figures[f"sisyphus {words[0]}, s"] = seconds
        figures[f"sisyphus {words[0]}, peak MB"] = peak
    return figures


def _run(*words: str, url: str) -> tuple[float, float]:
    """Run a command; how long it took, and the most memory it had."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *words, "--redis-url", url],
        capture_output=True,
        check=True,
    )
    seconds = time.perf_counter() - began
    return seconds, int(done.stderr.rpartition(b"VmHWM:")[2]) / 1024


def _over_http(site: Site, waiting: Waiting) -> Figures:
    figures: Figures = {}
    with _serving(site) as (pid, address):
        for route in ("/queue", "/queue?limit=50", "/workers", "/jobs/nobody"):
            times, size = [], 0
            for _ in range(READS // 4):
                began = time.perf_counter()
                try:
                    with urlopen(address + route) as answer:
                        size = len(answer.read())
                except HTTPError as error:
                    size = len(error.read())
                times.append((time.perf_counter() - began) * 1000)
            figures[f"GET {route}, p50 ms"] = median(times)
            figures[f"GET {route}, KB"] = size / 1024
        figures["the HTTP server, peak MB"] = peak_mb(pid)
    return figures


@contextmanager
def _serving(site: Site) -> Iterator[tuple[int, str]]:
    program = str(Path(sys.executable).parent / "sisyphus")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    words = [program, "server", "--port", str(port), "--redis-url", site.server.url]
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            with urlopen(address + "/status/health"):
                return True
        except OSError:
            return False

    try:
        site.until(answers, "the HTTP server answers", 30)
        yield process.pid, address
    finally:
        process.terminate()
        process.wait()


def _restart(site: Site) -> float:
    site.server.stop()
    began = time.perf_counter()
    site.server.start()
    return time.perf_counter() - began


def _spread(name: str, ms: Sequence[float]) -> Figures:
    return {
        f"{name}, p50 ms": median(ms),
        f"{name}, p99 ms": percentile(ms, 99),
        f"{name}, max ms": max(ms),
    }
