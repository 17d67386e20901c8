"""A tool that floods its output: the job goes on, the log is bounded, and says so."""

from __future__ import annotations

import json
import re
from typing import Any

from load.conftest import Start
from load.peaks import peak_mb
from sisyphus.client import Client
from waiting import eventually
from worker.machines import Machine, Site

LOG_LINES = 2_000
TRIMMED_LATE = 200
"""The server trims a stream by whole nodes of up to 100 lines."""
MOST_MB = 60
"""By which a worker process may grow over such a tool."""


def push(site: Site, job_id: str, **data: Any) -> None:
    job = {"job_id": job_id, "job_title": job_id, "tasks": [{"talk": data}]}
    site.redis.lpush("queue", json.dumps(job))


def warm_worker(site: Site, machine: Machine) -> int:
    """See an ordinary job through; the worker's pid."""
    push(site, "first", say="little")
    site.until("first", "completed", 40)
    (process,) = machine.workers()
    return process


def texts(site: Site, job_id: str) -> list[str]:
    with Client(settings=site.settings) as client:
        return [line.text for line in client.log(job_id)]


def test_of_100000_lines_the_last_are_kept_and_progress_among_them_is_heard(
    site: Site, worker: Start
) -> None:
    machine = worker()
    process = warm_worker(site, machine)
    before = peak_mb(process)
    go = site.path("go")

    push(site, "flood", exit_code=3, go=str(go))
    with Client(settings=site.settings) as client:
        eventually(lambda: any(one.percent == 99.5 for one in client.workers()), 40)
    go.touch()
    site.until("flood", "failed", 40)

    said = texts(site, "flood")
    assert len(said) <= LOG_LINES + TRIMMED_LATE
    assert "the last line" in said[-3]
    assert said[-2].startswith("failed: python")
    assert re.fullmatch(r"of 100,0\d\d lines the last 2,000 are kept .*", said[-1])
    error = site.error("flood")
    assert error["tail"][-1] == "the last line"
    assert error["tail"][-2].endswith("number 99999")
    assert len(error["tail"]) == 40
    assert machine.workers() == [process]
    assert peak_mb(process) - before < MOST_MB


def test_what_is_no_line_of_text_neither_fills_the_memory_nor_ends_the_job(
    site: Site, worker: Start
) -> None:
    machine = worker()
    process = warm_worker(site, machine)
    before = peak_mb(process)

    for say in ("one_line", "garbage"):
        push(site, say, say=say, exit_code=3)
        site.until(say, "failed", 40)

        said = texts(site, say)
        assert len(said) <= LOG_LINES + TRIMMED_LATE
        assert max(map(len, said)) <= 4_096
        error = site.error(say)
        assert error["tail"][-1] == "the last line"
        assert max(map(len, error["tail"])) <= 4_096
    assert machine.workers() == [process]
    assert peak_mb(process) - before < MOST_MB
