"""What a worker of several processes says in trouble: one line, and one when it is over."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from sisyphus.embedded import EmbeddedServer
from trouble.conftest import PASSWORD, loud, saying
from trouble.strangers import Answer, Stranger, loading, silent, too_few_replicas
from waiting import eventually
from worker.machines import Machine, Site


def idle(site: Site, count: int) -> None:
    eventually(lambda: site.redis.scard("{queue}:idle") == count)


def heard(machine: Machine, *words: str) -> None:
    """Wait until a line has all these words."""
    eventually(partial(saying, machine, *words))


def begun(site: Site, job_id: str) -> None:
    site.push(job_id, {"do": "wait", "file": str(site.path(job_id))})
    eventually(lambda: site.lines(job_id))


def finish(site: Site, job_id: str) -> None:
    site.path(f"{job_id}.go").touch()


def may_do(site: Site, command: str) -> None:
    site.redis.acl_setuser(
        "w",
        enabled=True,
        passwords=[f"+{PASSWORD}"],
        keys=["*"],
        categories=["+@all"],
        commands=[command],
    )


def test_an_outage_is_one_line_for_all_workers_and_one_when_it_is_over(
    site: Site, own_server: EmbeddedServer
) -> None:
    machine = site.machine(concurrency=4)
    begun(site, "runs on")
    begun(site, "ends meanwhile")
    idle(site, 2)

    own_server.kill()
    heard(machine, "does not answer", "running encoders go on for up to 600 s")
    finish(site, "ends meanwhile")
    heard(machine, "ends meanwhile has ended; Redis is told when it answers")
    own_server.start()
    heard(machine, "Redis is back after")
    heard(machine, "Redis was told how ends meanwhile ended")
    site.until("ends meanwhile", "completed")
    finish(site, "runs on")
    site.until("runs on", "completed")

    (line,) = loud(machine)
    assert str(own_server.tcp_url).split("/")[2] in line
    assert len(saying(machine, "Redis is back")) == 1


@pytest.mark.parametrize("answer", [loading, too_few_replicas, silent])
def test_a_worker_waits_for_a_server_that_is_not_ready_says_so_and_can_be_stopped(
    answer: Answer, site: Site
) -> None:
    with Stranger(answer) as stranger:
        url = f"redis://:{PASSWORD}@127.0.0.1:{stranger.port}/0"
        machine = site.machine(concurrency=3, redis_url=url)
        heard(machine, "the workers wait for it")
        heard(machine, "3 worker(s)", "redis://:***@127.0.0.1")
        eventually(lambda: len(machine.workers()) == 3)
        machine.process.send_signal(signal.SIGTERM)

        assert machine.process.wait(30) == 0
        assert len(loud(machine)) == 1


def test_a_drained_worker_tells_how_its_job_ended_before_it_leaves(
    site: Site, own_server: EmbeddedServer
) -> None:
    machine = site.machine()
    begun(site, "j")
    own_server.kill()
    heard(machine, "does not answer")
    finish(site, "j")
    heard(machine, "j has ended")

    machine.process.send_signal(signal.SIGTERM)
    heard(machine, "waiting for Redis, to tell it how 1 job(s) ended")
    own_server.start()

    site.until("j", "completed")
    assert machine.process.wait(30) == 0
    assert site.job("j")["attempts"] == "1"


def test_when_patience_ends_it_is_said_once_and_the_job_is_handed_back(
    site: Site, own_server: EmbeddedServer, alive: Callable[[int], bool]
) -> None:
    machine = site.machine(patience=2.0)
    site.push("j", {"do": "tick", "file": str(site.path("ticks"))})
    tool = site.ticking("ticks")

    own_server.kill()
    heard(machine, "Redis has been away for 2 s (patience)", "encoders are stopped")
    eventually(lambda: not alive(tool))
    own_server.start()
    eventually(lambda: len({line[0] for line in site.lines("ticks")}) == 2)

    assert len(saying(machine, "(patience)", "are stopped")) == 1
    assert site.job("j").get("crashes", "0") == "0"


def test_a_server_that_comes_back_empty_is_one_line_and_nothing_hangs(
    site: Site,
) -> None:
    machine = site.machine(concurrency=3)
    begun(site, "forgotten")
    idle(site, 2)

    site.redis.flushall()
    heard(machine, "Redis does not know", "it was emptied")
    idle(site, 3)
    site.push("next", {"do": "nothing"})
    site.until("next", "completed")

    assert saying(machine, "lost forgotten: it is stopped here")
    assert len(loud(machine)) == 2
    assert site.state("forgotten") is None


def test_a_job_that_older_data_give_to_the_queue_again_runs_again(
    site: Site, own_server: EmbeddedServer
) -> None:
    """The server is restored to a moment at which the job still waited."""
    task = '{"scripted": {"do": "nothing"}}'
    document = f'{{"job_id": "j", "job_title": "j", "tasks": [{task}]}}'
    machine = site.machine()
    idle(site, 1)
    site.redis.lpush("queue", document)
    site.until("j", "completed")

    with site.redis.pipeline(transaction=True) as older:
        older.flushall()
        older.lpush("queue", document)
        older.execute()

    heard(machine, "Redis does not know 1 of 1 worker(s)")
    site.until("j", "completed")


def test_a_full_server_is_one_line_jobs_end_and_its_end_is_heard(site: Site) -> None:
    machine = site.machine(concurrency=3)
    begun(site, "j")
    idle(site, 2)

    site.redis.config_set("maxmemory", 1)
    heard(machine, "it is full", "jobs are run and settled meanwhile")
    finish(site, "j")
    site.until("j", "completed")
    site.redis.config_set("maxmemory", 0)
    heard(machine, "Redis takes heartbeats and jobs again after")

    assert len(loud(machine)) == 1


def test_a_failover_under_the_worker_is_one_line_and_the_job_goes_on(
    site: Site,
) -> None:
    machine = site.machine(concurrency=3, lease=6.0)
    begun(site, "j")
    idle(site, 2)

    site.redis.replicaof("127.0.0.1", "1")
    heard(machine, "it is a replica", "running encoders go on")
    site.redis.replicaof("NO", "ONE")
    heard(machine, "Redis is back after")
    finish(site, "j")
    site.until("j", "completed")

    assert len(loud(machine)) == 1
    assert len(site.lines("j")) == 1


def test_a_server_that_cannot_save_is_one_line_and_waited_for(
    tmp_path: Path, free_port: int
) -> None:
    folder = tmp_path / "server"
    with EmbeddedServer(folder, port=free_port, appendonly=False) as server:
        site = Site(str(server.tcp_url), tmp_path)
        machine = site.machine(concurrency=3)
        begun(site, "j")
        idle(site, 2)

        site.redis.config_set("save", "3600 1")
        shutil.rmtree(folder)  # where it would save
        site.redis.set("a", "change")
        site.redis.bgsave()
        heard(machine, "cannot save to its disk", "running encoders go on")
        late = site.machine("encode002")
        heard(late, "cannot save to its disk", "the workers wait for it")
        finish(site, "j")
        heard(machine, "j has ended")
        site.redis.config_set("stop-writes-on-bgsave-error", "no")
        heard(machine, "Redis is back after")
        site.until("j", "completed")

        assert len(loud(machine)) == len(loud(late)) == 1
        site.close()
        folder.mkdir()


def test_a_right_taken_away_at_work_is_said_and_the_job_is_told_when_it_is_back(
    site: Site,
) -> None:
    may_do(site, "+hset")
    url = site.url.replace("redis://", f"redis://w:{PASSWORD}@")
    machine = site.machine(redis_url=url)
    begun(site, "j")

    may_do(site, "-hset")
    heard(machine, "may not run that command, HSET")
    finish(site, "j")
    may_do(site, "+hset")

    site.until("j", "completed")
    heard(machine, "Redis is back after")


def test_a_worker_whose_log_cannot_be_written_works_on(site: Site) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("there is no /dev/full here")
    machine = site.machine(concurrency=2)
    machine.end()
    site.machines.clear()
    (site.folder / "encode003-0.log").symlink_to(full)

    machine = site.machine("encode003")
    for number in range(3):
        site.push(f"j{number}", {"do": "fail" if number else "nothing"})

    site.until("j0", "completed")
    site.until("j2", "failed")
    assert machine.process.poll() is None
