"""What a worker does with jobs, and what onlookers see."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from typing import Any

import pytest

from sisyphus.store.replies import Activity
from waiting import eventually
from worker.machines import Site

WORKER_ID = "170ce07d-9e6b-5e7f-b503-6de6624d5ff5"


def heartbeat(site: Site) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(site.redis.get(f"worker:{WORKER_ID}") or "{}")
    return found


def test_heartbeat_and_progress_have_the_promised_shape_in_each_state(
    site: Site,
) -> None:
    site.machine()
    eventually(lambda: heartbeat(site).get("status") == "startup")
    eventually(lambda: heartbeat(site).get("status") == "idle")
    idle = heartbeat(site)
    assert idle["hostname"] == "encode001"
    assert not {"job_id", "job_title"} & idle.keys()
    site.push("j", {"do": "wait", "file": str(site.path("f")), "progress": True})

    eventually(lambda: "progress" in heartbeat(site))

    busy = heartbeat(site)
    assert busy["status"] == "in_progress"
    assert busy["job_id"] == "j"
    assert busy["job_title"] == "title of j"
    assert busy["task"] == "scripted"
    assert 0 < site.redis.ttl(f"worker:{WORKER_ID}") <= 10
    assert json.loads(site.redis.get(f"progress:{WORKER_ID}") or "") == {
        "current_frame": 1,
        "total_frames": 8,
        "percent_complete": "12.50",
    }
    site.path("f.go").touch()
    eventually(lambda: heartbeat(site).get("status") == "idle")


def test_jobs_of_one_list_run_first_in_first_out(site: Site) -> None:
    for number in range(5):
        site.push(f"j{number}", {"do": "note", "file": str(site.path("order"))})
    site.machine()

    site.until("j4", "completed")

    ends = [site.job(f"j{number}")["token"] for number in range(5)]
    assert ends == sorted(ends)


@pytest.mark.parametrize(
    ("document", "code", "said"),
    [
        ({"tasks": [{"scripted": {}}]}, "invalid_job", "job_title: is missing"),
        ({"job_title": "t"}, "invalid_job", "tasks: is missing"),
        ({"job_title": "t", "tasks": []}, "invalid_job", "tasks"),
        (
            {"job_title": "t", "tasks": [{"scripted": {}, "b": {}}]},
            "invalid_job",
            "must name exactly one module",
        ),
        ({"job_title": "t", "tasks": ["x"]}, "invalid_job", "tasks[0]"),
        (
            {"job_title": "t", "tasks": [{"script": {}}]},
            "unknown_module",
            "scripted",
        ),
        (
            {"job_title": "t", "tasks": [{"scripted": {"doo": "nothing"}}]},
            "validation_error",
            "tasks[0].scripted.doo",
        ),
    ],
)
def test_a_bad_job_fails_with_the_field_and_the_worker_goes_on(
    site: Site, document: dict[str, Any], code: str, said: str
) -> None:
    site.redis.lpush("queue", json.dumps({"job_id": "bad", **document}))
    site.push("good", {"do": "nothing"})
    site.machine()

    site.until("good", "completed")

    assert site.state("bad") == "failed"
    error = site.error("bad")
    assert error["code"] == code
    assert said in error["message"]
    assert site.redis.exists("{queue}:doc:bad")


def test_no_task_runs_before_all_are_known(site: Site) -> None:
    precious = site.path("precious")
    tasks = [{"scripted": {"do": "note", "file": str(precious)}}, {"teleport": {}}]
    document = {"job_title": "t", "job_id": "j", "tasks": tasks}
    site.redis.lpush("queue", json.dumps(document))
    site.machine()

    site.until("j", "failed")

    assert site.error("j")["code"] == "unknown_module"
    assert not precious.exists()


def test_a_modules_own_mistake_fails_the_job_with_its_traceback(site: Site) -> None:
    site.push("j", {"do": "break"})
    machine = site.machine()

    site.until("j", "failed")

    error = site.error("j")
    assert error["code"] == "module_error"
    assert "ZeroDivisionError" in error["traceback"]
    assert (error["task"], error["module"]) == (1, "scripted")
    assert machine.process.poll() is None


def test_a_failure_is_tried_again_after_a_while(site: Site) -> None:
    site.push("j", {"do": "fail", "file": str(site.path("f")), "once": True}, retries=1)
    site.machine()

    site.until("j", "delayed")
    site.redis.zadd("{queue}:backoff", {"j": 0})

    job = site.until("j", "completed")
    assert (job["attempts"], job["failures"]) == ("2", "1")


def test_a_delayed_job_starts_when_its_time_has_come(site: Site) -> None:
    site.machine()
    raw = json.dumps({"job_title": "t", "job_id": "j", "tasks": [{"scripted": {}}]})
    due = int(site.redis.time()[0] * 1000 + 60_000)
    site.store.submit("j", raw, 0, due, "t")
    assert site.state("j") == "delayed"

    site.redis.zadd("{queue}:delayed", {"j": 1})

    site.until("j", "completed")


def test_cancel_stops_the_tool_and_the_worker_goes_on(
    site: Site, alive: Callable[[int], bool]
) -> None:
    site.machine()
    site.push("j", {"do": "tick", "file": str(site.path("ticks"))})
    tool = site.ticking("ticks")

    assert site.store.cancel("j") == "asked"

    site.until("j", "cancelled")
    assert not alive(tool)
    site.push("next", {"do": "nothing"})
    site.until("next", "completed")
    assert site.attempts("j")[0]["outcome"] == "cancelled"


def test_a_task_past_its_timeout_is_stopped_and_fails(
    site: Site, alive: Callable[[int], bool]
) -> None:
    site.machine()
    task = {"module": "scripted", "timeout": 1, "data": {}}
    task["data"] = {"do": "tick", "file": str(site.path("ticks"))}
    document = {"job_title": "t", "job_id": "j", "tasks": [task]}
    site.redis.lpush("queue", json.dumps(document))
    tool = site.ticking("ticks")

    site.until("j", "failed")

    assert site.error("j")["code"] == "timeout"
    assert "timeout of 1 s" in site.error("j")["message"]
    assert not alive(tool)


def test_a_task_without_progress_is_stopped_and_fails(site: Site) -> None:
    site.machine()
    data = {"do": "tick", "file": str(site.path("ticks"))}
    task = {"module": "scripted", "stall_timeout": 1, "data": data}
    document = {"job_title": "t", "job_id": "j", "tasks": [task]}
    site.redis.lpush("queue", json.dumps(document))

    site.until("j", "failed")

    assert site.error("j")["code"] == "stalled"


def test_code_that_hears_nothing_is_killed_and_the_job_cancelled(site: Site) -> None:
    machine = site.machine(grace=0.1)
    site.push("j", {"do": "hang", "file": str(site.path("f"))})
    eventually(lambda: site.lines("f"))

    site.store.cancel("j")

    site.until("j", "cancelled")
    assert "did not come back" in machine.log
    site.push("next", {"do": "nothing"})
    site.until("next", "completed")


def test_sigterm_lets_the_job_finish_and_takes_no_other(site: Site) -> None:
    machine = site.machine()
    site.push("j", {"do": "wait", "file": str(site.path("f"))})
    site.push("k", {"do": "nothing"})
    eventually(lambda: site.lines("f"))

    machine.process.send_signal(signal.SIGTERM)
    eventually(lambda: "draining" in machine.log)
    site.path("f.go").touch()

    assert machine.process.wait(10) == 0
    assert site.state("j") == "completed"
    assert site.redis.llen("queue") == 1
    assert not site.redis.keys("worker:*")
    assert not site.redis.zcard("{queue}:sessions")


@pytest.mark.parametrize("how", ["setting", "second signal", "deadline"])
def test_a_drain_can_hand_the_job_back_to_the_front_uncharged(
    site: Site, how: str, alive: Callable[[int], bool]
) -> None:
    more: dict[str, dict[str, Any]] = {
        "setting": {"on_drain": "release"},
        "deadline": {"drain_timeout": 0.5},
    }
    machine = site.machine(**more.get(how, {}))
    site.push("j", {"do": "tick", "file": str(site.path("ticks"))})
    site.push("k", {"do": "nothing"})
    tool = site.ticking("ticks")

    machine.process.send_signal(signal.SIGTERM)
    if how == "second signal":
        eventually(lambda: "draining" in machine.log)
        machine.process.send_signal(signal.SIGTERM)

    assert machine.process.wait(10) == 0
    assert not alive(tool)
    job = site.job("j")
    assert job["state"] == "queued"
    assert not {"failures", "crashes"} & job.keys()
    assert json.loads(site.redis.lrange("queue", -1, -1)[0])["job_id"] == "j"


def test_a_paused_worker_takes_nothing_until_it_may_go_on(site: Site) -> None:
    site.machine()
    eventually(lambda: heartbeat(site).get("status") == "idle")
    site.store.steer(WORKER_ID, Activity.PAUSE)
    site.push("j", {"do": "nothing"})
    eventually(lambda: site.redis.llen("queue") == 1)

    site.store.steer(WORKER_ID, Activity.WORK)

    site.until("j", "completed")


def test_a_paused_queue_gives_nothing_until_it_may_go_on(site: Site) -> None:
    site.machine()
    eventually(lambda: heartbeat(site).get("status") == "idle")
    site.store.steer("", Activity.PAUSE)
    site.push("j", {"do": "nothing"})
    eventually(lambda: site.redis.llen("queue") == 1)

    site.store.steer("", Activity.WORK)

    site.until("j", "completed")


def test_a_drained_worker_leaves_and_is_not_replaced(site: Site) -> None:
    machine = site.machine()
    eventually(lambda: heartbeat(site).get("status") == "idle")

    site.store.steer(WORKER_ID, Activity.DRAIN)

    assert machine.process.wait(10) == 0


def test_a_worker_process_is_replaced_after_its_number_of_jobs(site: Site) -> None:
    site.machine(max_jobs=2)
    for number in range(4):
        site.push(f"j{number}", {"do": "note", "file": str(site.path("pids"))})

    site.until("j3", "completed")

    pids = [line[1] for line in site.lines("pids")]
    assert pids[0] == pids[1] != pids[2] == pids[3]


def test_a_job_handed_out_again_goes_on_after_its_last_recorded_task(
    site: Site,
) -> None:
    site.machine()
    out = str(site.path("out.txt"))
    site.push(
        "j",
        {"do": "write", "output": out, "file": str(site.path("first"))},
        {"do": "crash", "file": str(site.path("second")), "once": True},
    )

    site.until("j", "completed")

    assert len(site.lines("first")) == 1
    assert len(site.lines("second")) == 2


def test_a_job_goes_on_although_what_is_done_took_its_sources_away(site: Site) -> None:
    site.machine()
    source, out = site.path("source"), str(site.path("out.txt"))
    source.touch()
    job = {
        "job_title": "j",
        "job_id": "j",
        "tasks": [
            {"scripted": {"do": "write", "source": str(source), "output": out}},
            {"cleanup": {"delete": [str(source)]}},
            {"scripted": {"do": "crash", "file": str(site.path("runs")), "once": True}},
        ],
    }
    site.redis.lpush("queue", json.dumps(job))

    site.until("j", "completed")

    assert len(site.lines("runs")) == 2
    assert not source.exists()


def test_a_tool_sees_no_secret(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SISYPHUS_LOG_LEVEL", "INFO")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    site.machine()
    site.push("j", {"do": "environment", "file": str(site.path("env"))})

    site.until("j", "completed")

    said = site.path("env").read_text()
    assert "PATH=" in said
    assert "hush" not in said
    assert "SISYPHUS_LOG_LEVEL" not in said
    assert site.url not in said


def test_what_a_task_says_is_in_the_jobs_log(site: Site) -> None:
    site.machine()
    site.push("j", {"do": "fail"})

    site.until("j", "failed")

    entries: Any = eventually(lambda: site.redis.xrange("{queue}:log:j"))
    assert "failed: it was told to fail" in [entry["text"] for _, entry in entries]
