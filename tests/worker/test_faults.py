"""What happens when things die: the promises, shown on real processes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from sisyphus.machine import worker_id
from sisyphus.store.replies import WorkerFacts
from waiting import eventually
from worker.machines import Site

Alive = Callable[[int], bool]


def overlaps(lines: list[list[str]]) -> bool:
    """Tell whether two attempts wrote at the same time: their tokens interleave."""
    seen: list[str] = []
    for token, *_ in lines:
        if not seen or token != seen[-1]:
            seen.append(token)
    return len(seen) != len(set(seen))


def test_a_worker_process_that_is_killed_costs_one_attempt_and_leaves_no_tool(
    site: Site, alive: Alive
) -> None:
    machine = site.machine()
    site.push("j", {"do": "tick", "file": str(site.path("ticks"))})
    tool = site.ticking("ticks")
    (worker,) = machine.workers()

    os.kill(worker, signal.SIGKILL)

    eventually(lambda: not alive(tool), 1)
    eventually(lambda: len({line[0] for line in site.lines("ticks")}) == 2)
    assert not overlaps(site.lines("ticks"))
    job = site.job("j")
    assert (job["state"], job["attempts"], job["crashes"]) == ("running", "2", "1")
    (entry,) = site.attempts("j")
    assert entry["outcome"] == "crashed"
    assert "SIGKILL" in entry["cause"]


def test_a_worker_that_was_killed_leaves_no_temporary_files(site: Site) -> None:
    work = site.path("work")
    work.mkdir()
    machine = site.machine(workdir=str(work))
    site.push("j", {"do": "tick", "file": str(site.path("ticks"))})
    site.ticking("ticks")
    before = set(work.rglob("*j-*"))
    assert before

    os.kill(machine.workers()[0], signal.SIGKILL)
    eventually(lambda: len({line[0] for line in site.lines("ticks")}) == 2)

    assert not before & set(work.rglob("*"))
    machine.process.terminate()
    eventually(lambda: "draining" in machine.log)
    machine.process.terminate()
    machine.process.wait()
    assert not list(work.iterdir())


def test_nothing_survives_a_supervisor_that_is_killed(site: Site, alive: Alive) -> None:
    machine = site.machine()
    site.push("j", {"do": "tick", "file": str(site.path("ticks"))})
    tool = site.ticking("ticks")
    below = machine.tree()[1:]

    os.kill(machine.pid, signal.SIGKILL)
    machine.process.wait()

    eventually(lambda: not any(map(alive, [tool, *below])), 1)


def test_a_job_runs_again_elsewhere_within_15_seconds_of_its_machines_death(
    site: Site,
) -> None:
    first = site.machine("one", lease=12.0)
    site.push("j", {"do": "tick", "file": str(site.path("ticks"))})
    site.ticking("ticks")
    second = site.machine("two", lease=12.0)
    eventually(lambda: "1 worker(s) on two" in second.log)

    died = time.time()
    first.lose_power()

    eventually(lambda: len({line[0] for line in site.lines("ticks")}) == 2, 20)
    again = next(
        line for line in site.lines("ticks") if line[0] != site.lines("ticks")[0][0]
    )
    assert float(again[2]) - died < 15
    assert not overlaps(site.lines("ticks"))


def test_a_machine_that_starts_again_has_its_job_back_at_once(site: Site) -> None:
    machine = site.machine("one", lease=600.0)
    site.push("j", {"do": "tick", "file": str(site.path("ticks"))})
    site.ticking("ticks")
    machine.lose_power()

    site.machine("one", lease=600.0)

    eventually(lambda: len({line[0] for line in site.lines("ticks")}) == 2)
    assert not overlaps(site.lines("ticks"))


def test_a_frozen_machine_has_stopped_its_tool_before_another_takes_its_job(
    site: Site, alive: Alive
) -> None:
    first = site.machine("one")
    site.push("j", {"do": "wait", "file": str(site.path("f"))})
    eventually(lambda: site.state("j") == "running" and site.lines("f"))
    frozen = first.freeze()
    second = site.machine("two")
    eventually(lambda: len(site.lines("f")) == 2)

    first.thaw(frozen)
    eventually(lambda: "lost j" in first.log or "released j" in first.log)
    tools = [pid for pid in frozen if pid not in (first.pid, *first.workers())]
    eventually(lambda: not any(map(alive, tools)))
    site.path("f.go").touch()

    job = site.until("j", "completed")
    assert job["attempts"] == "2"
    assert job["token"] == site.lines("f")[1][0]
    assert second.process.poll() is None


def test_a_stopped_supervisor_cannot_leave_an_encoder_beside_its_successor(
    site: Site, alive: Alive
) -> None:
    first = site.machine("one")
    site.push("j", {"do": "tick", "file": str(site.path("ticks"))})
    tool = site.ticking("ticks")
    os.kill(first.pid, signal.SIGSTOP)
    site.machine("two")

    eventually(lambda: not alive(tool))
    eventually(lambda: len({line[0] for line in site.lines("ticks")}) == 2)

    assert not overlaps(site.lines("ticks"))
    os.kill(first.pid, signal.SIGCONT)


def test_a_module_that_hears_nothing_ends_before_its_lease_does(site: Site) -> None:
    first = site.machine("one")
    site.push("j", {"do": "tick_deaf", "file": str(site.path("ticks"))})
    site.ticking("ticks")
    os.kill(first.pid, signal.SIGSTOP)
    site.machine("two")

    eventually(lambda: len({line[0] for line in site.lines("ticks")}) == 2)

    assert "did not stop" in first.log
    assert not overlaps(site.lines("ticks"))
    assert site.job("j")["crashes"] == "1"
    os.kill(first.pid, signal.SIGCONT)  # it tells that no crash was to blame
    eventually(lambda: site.job("j")["crashes"] == "0")


def test_a_worker_that_nobody_renews_rests_whatever_it_is_told(site: Site) -> None:
    machine = site.machine()
    eventually(lambda: site.redis.scard("{queue}:idle") == 1)
    (worker,) = machine.workers()
    os.kill(machine.pid, signal.SIGSTOP)
    eventually(site.store.recover)

    began, used = time.monotonic(), cpu_of(worker)
    with Path(f"/proc/{worker}/fd/0").open("wb", buffering=0) as orders:
        eventually(lambda: orders.write(b"wake 0 \n") and time.monotonic() > began + 1)

    assert cpu_of(worker) - used < 0.3
    os.kill(machine.pid, signal.SIGCONT)


def test_a_worker_whose_session_was_given_up_meanwhile_begins_a_new_one(
    site: Site,
) -> None:
    machine = site.machine()
    eventually(lambda: site.redis.scard("{queue}:idle") == 1)
    os.kill(machine.pid, signal.SIGSTOP)
    eventually(site.store.recover)
    os.kill(machine.pid, signal.SIGCONT)

    site.push("j", {"do": "nothing"})

    site.until("j", "completed")


def test_a_flood_of_orders_does_not_deafen_a_worker(site: Site) -> None:
    machine = site.machine()
    site.push("j", {"do": "tick", "file": str(site.path("ticks"))})
    site.ticking("ticks")
    (worker,) = machine.workers()

    with Path(f"/proc/{worker}/fd/0").open("wb") as orders:
        orders.write(b"wake 0 \n" * 70_000)
    site.store.cancel("j")

    site.until("j", "cancelled")
    assert machine.workers() == [worker]


def cpu_of(pid: int) -> float:
    """CPU time of a process; the kernel's name for its clock, see clock_getcpuclockid."""
    return time.clock_gettime((~pid << 3) | 2)


def test_a_job_that_kills_its_workers_is_set_aside_with_its_history(site: Site) -> None:
    site.machine(concurrency=2)
    site.push("poison", {"do": "crash"})
    site.push("good", {"do": "nothing"})

    site.until("good", "completed")
    job = site.until("poison", "failed", 30)

    assert job["crashes"] == "3"
    assert site.error("poison")["code"] == "crash"
    causes = [entry["cause"] for entry in site.attempts("poison")]
    assert len(causes) == 3
    assert all("SIGSEGV" in cause for cause in causes)
    assert site.redis.exists("{queue}:doc:poison")


def test_a_second_supervisor_on_a_host_takes_other_ids(site: Site) -> None:
    site.machine(concurrency=2)
    eventually(lambda: len(site.redis.hkeys("{queue}:workers")) == 2)

    site.machine()

    eventually(lambda: len(site.redis.hkeys("{queue}:workers")) == 3)


def test_a_worker_with_the_id_of_a_live_one_elsewhere_says_so_and_leaves(
    site: Site,
) -> None:
    site.store.register("other", other_machine("encode001"))
    site.redis.zadd("{queue}:sessions", {"other": 10**15})

    machine = site.machine(lease=3.0)

    eventually(lambda: "is in use by a worker on elsewhere" in machine.log)


def other_machine(hostname: str) -> WorkerFacts:
    return WorkerFacts(
        worker_id=worker_id(hostname),
        host="elsewhere",
        machine="elsewhere boot",
        node="n",
        pid=1,
        version="0",
        modules=("scripted",),
        labels=(),
    )
