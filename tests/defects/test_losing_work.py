"""Defects 1 to 5 of the original workers and servers: work was lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from farm import Farm
from serving import serving
from sisyphus.embedded import EmbeddedServer
from sisyphus.lifecycle import JobState
from waiting import eventually
from worker.machines import Site

TASKS = [{"module": "cleanup", "data": {"delete": []}}]
REPORT = {"failed": False, "info": {"completed": True}}


def test_defect_01_a_worker_that_dies_does_not_lose_its_job(site: Site) -> None:
    """A job was popped from the list before it was done, and died with its worker."""
    first = site.machine("one")
    site.push("j", {"do": "wait", "file": str(site.path("f"))})
    eventually(lambda: site.lines("f"))
    assert not site.redis.llen("queue")

    first.lose_power()
    site.machine("two")
    eventually(lambda: len(site.lines("f")) == 2, 20)
    site.path("f.go").touch()

    assert site.until("j", "completed")["attempts"] == "2"


def test_defect_02_a_job_that_was_polled_over_http_comes_back(site: Site) -> None:
    """A polled job stood as queued in the database for ever, and in no list."""
    with serving(site.settings) as server:
        job = {"job_title": "t", "tasks": TASKS}
        job_id = server.post("/queue", json=job).json()["job_id"]
        assert server.get("/queue/poll").json()["job_id"] == job_id
        assert site.state(job_id) == "running"
        assert server.get("/queue/poll").status_code == 404

        lent: Any = site.redis.zrange("{queue}:sessions", 0, -1)
        site.redis.zadd("{queue}:sessions", dict.fromkeys(lent, 0))

        again = eventually(lambda: server.get("/queue/poll").json())
        assert again["job_id"] == job_id
    assert site.job(job_id)["crashes"] == "1"


def test_defect_03_of_every_job_a_record_is_kept(farm: Farm) -> None:
    """A failed job left a line in a log; the list of completed ones stayed empty."""
    farm.push("good", {"do": "nothing"})
    farm.push("bad", {"do": "fail"})
    assert farm.ends("good") == "completed"
    assert farm.ends("bad") == "failed"

    good, bad = farm.client.job("good"), farm.client.job("bad")

    assert good.result is not None
    assert good.ended_at is not None
    assert bad.error is not None
    assert "it was told to fail" in bad.error["message"]
    assert [view.job_id for view in farm.client.jobs(JobState.FAILED)] == ["bad"]
    assert farm.client.document("bad") is not None
    farm.client.requeue("bad")
    assert farm.ends("bad") == "failed"
    assert farm.client.job("bad").attempts == 2


def test_defect_04_clearing_the_queue_leaves_running_jobs_alone(site: Site) -> None:
    """Clearing deleted the documents of running jobs; their reports got a 500."""
    with serving(site.settings) as server:
        runs, waits = (
            server.post("/queue", json={"job_title": name, "tasks": TASKS}).json()["id"]
            for name in ("runs", "waits")
        )
        assert server.get("/queue/poll").json()["job_id"] == runs

        assert server.delete("/queue").status_code == 204

        report = server.patch(f"/jobs/{runs}/completed", json=REPORT)
        assert report.status_code == 204
    assert (site.state(runs), site.state(waits)) == ("completed", "cancelled")


def test_defect_05_an_end_that_cannot_be_told_now_is_told_later(tmp_path: Path) -> None:
    """The last report was dropped when the network failed."""
    with EmbeddedServer(tmp_path / "server", appendfsync="always") as server:
        site = Site(server.url, tmp_path)
        try:
            machine = site.machine()
            site.push("j", {"do": "wait", "file": str(site.path("f"))})
            eventually(lambda: site.lines("f"))

            server.kill()
            site.path("f.go").touch()
            eventually(lambda: "has ended; Redis is told" in machine.log)
            server.start()

            assert site.until("j", "completed")["attempts"] == "1"
        finally:
            site.close()
