"""Redis goes away and comes back: nothing stops, nothing is lost or run twice."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from sisyphus.embedded import EmbeddedServer
from waiting import eventually
from worker.machines import Site

LEASE = 3.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path / "server", appendfsync="always") as made:
        yield made


@pytest.fixture
def site(server: EmbeddedServer, tmp_path: Path) -> Iterator[Site]:
    made = Site(server.url, tmp_path)
    yield made
    made.close()


def ticks_after(site: Site, name: str, moment: float) -> bool:
    """The tool still runs at that moment."""
    lines = site.lines(name)
    return bool(lines) and float(lines[-1][2]) > moment


def has_more_than(site: Site, notes: int) -> bool:
    return len(site.lines("notes")) > notes


def test_an_encoder_goes_on_while_redis_is_away_for_longer_than_the_lease(
    site: Site, server: EmbeddedServer, alive: Callable[[int], bool]
) -> None:
    machine = site.machine()
    site.push("j", {"do": "tick", "file": str(site.path("ticks"))})
    tool = site.ticking("ticks")

    server.kill()
    away = time.time()
    eventually(lambda: "running encoders go on" in machine.log)
    eventually(lambda: ticks_after(site, "ticks", away + LEASE + 1))
    server.start()
    eventually(lambda: "Redis is back" in machine.log)
    back = time.time()
    eventually(lambda: ticks_after(site, "ticks", back + 1))

    assert alive(tool)
    assert {line[1] for line in site.lines("ticks")} == {str(tool)}
    job = site.job("j")
    assert (job["state"], job["attempts"]) == ("running", "1")


def test_a_strict_tool_is_stopped_before_the_lease_ends(
    site: Site, server: EmbeddedServer, alive: Callable[[int], bool]
) -> None:
    site.machine(patience=0.0)
    site.push("j", {"do": "tick", "file": str(site.path("ticks"))})
    tool = site.ticking("ticks")

    server.kill()
    away = time.time()
    eventually(lambda: not alive(tool))

    assert float(site.lines("ticks")[-1][2]) - away < LEASE
    server.start()
    eventually(lambda: len({line[0] for line in site.lines("ticks")}) == 2)


def test_a_job_that_ends_while_redis_is_away_is_told_when_it_is_back(
    site: Site, server: EmbeddedServer
) -> None:
    machine = site.machine()
    site.push("j", {"do": "wait", "file": str(site.path("f"))})
    eventually(lambda: site.lines("f"))

    server.kill()
    site.path("f.go").touch()
    eventually(lambda: "has ended; Redis is told" in machine.log)
    server.start()

    job = site.until("j", "completed")
    assert job["attempts"] == "1"
    assert len(site.lines("f")) == 1


def test_a_waiting_worker_takes_jobs_again_when_redis_is_back(
    site: Site, server: EmbeddedServer
) -> None:
    site.machine()
    eventually(lambda: site.redis.scard("{queue}:idle") == 1)

    server.kill()
    server.start()
    site.push("j", {"do": "nothing"})

    site.until("j", "completed")


def test_a_worker_that_starts_while_redis_is_away_waits_for_it(
    site: Site, server: EmbeddedServer
) -> None:
    server.kill()
    machine = site.machine()
    eventually(lambda: "the workers wait for it" in machine.log)

    server.start()
    site.push("j", {"do": "nothing"})

    site.until("j", "completed")


def test_no_job_is_lost_or_run_twice_when_the_server_is_killed_at_work(
    site: Site, server: EmbeddedServer
) -> None:
    site.machine(concurrency=2)
    ids = [f"j{number}" for number in range(300)]
    for job_id in ids:
        site.push(job_id, {"do": "note", "file": str(site.path("notes"))})

    for part in (60, 150, 240):
        eventually(partial(has_more_than, site, part))
        server.kill()
        server.start()
    eventually(lambda: all(site.state(job_id) == "completed" for job_id in ids), 30)

    assert len(site.lines("notes")) == len(ids)
    assert site.redis.llen("queue") == site.redis.llen("{queue}:staged") == 0


def test_a_fleet_that_forgot_its_scripts_goes_on(
    site: Site, server: EmbeddedServer
) -> None:
    site.machine()
    site.push("j", {"do": "wait", "file": str(site.path("f"))})
    eventually(lambda: site.lines("f"))

    site.redis.script_flush()
    site.path("f.go").touch()

    site.until("j", "completed")


def test_what_a_server_with_older_data_has_forgotten_is_told_and_not_done_again(
    site: Site, server: EmbeddedServer
) -> None:
    machine = site.machine()
    site.push("j", {"do": "wait", "file": str(site.path("f"))})
    eventually(lambda: site.lines("f"))
    site.redis.config_set("auto-aof-rewrite-percentage", 0)
    older = shutil.copytree(server.folder / "appendonlydir", site.path("older"))
    site.path("f.go").touch()
    site.until("j", "completed")
    site.push("next", {"do": "note", "file": str(site.path("notes"))})
    site.until("next", "completed")

    server.kill()
    shutil.rmtree(server.folder / "appendonlydir")
    shutil.copytree(older, server.folder / "appendonlydir")
    server.start()

    job = site.until("j", "completed")
    assert job["attempts"] == "1"
    assert len(site.lines("f")) == 1
    assert "has forgotten how j ended" in machine.log


def test_a_strict_task_waits_for_a_renewal_before_it_begins(
    site: Site, server: EmbeddedServer
) -> None:
    """Its deadline has long passed when Redis is back after an encode."""
    site.machine(concurrency=1)
    task = {"do": "wait", "file": str(site.path("f"))}
    strict = {"file": str(site.path("strict"))}
    tasks = [{"scripted": task}, {"strict": strict}]
    job = {"job_title": "t", "job_id": "j", "tasks": tasks}
    site.redis.lpush("queue", json.dumps(job))
    eventually(lambda: site.lines("f"))

    server.kill()
    away = time.monotonic()
    eventually(lambda: time.monotonic() > away + 2 * LEASE)
    site.path("f.go").touch()
    server.start()

    done = site.until("j", "completed")
    assert (done["attempts"], done.get("crashes", "0")) == ("1", "0")


def test_a_job_that_has_ended_is_not_killed_while_redis_is_silent(
    site: Site, server: EmbeddedServer
) -> None:
    site.machine()
    site.push("j", {"do": "wait", "file": str(site.path("f"))})
    eventually(lambda: site.lines("f"))

    os.kill(server.pid, signal.SIGSTOP)
    silent = time.monotonic()
    site.path("f.go").touch()
    eventually(lambda: time.monotonic() > silent + 4 * LEASE)
    os.kill(server.pid, signal.SIGCONT)

    done = site.until("j", "completed")
    assert (done["attempts"], done.get("crashes", "0")) == ("1", "0")
    assert len(site.lines("f")) == 1
