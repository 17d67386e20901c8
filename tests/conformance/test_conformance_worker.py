"""The cases of documents, jobs and heartbeats, tried on a real worker."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest

from conformance.casebook import of_kind
from farm import HOSTNAME, Farm
from sisyphus.job import parse_job
from sisyphus.machine import worker_id
from sisyphus.settings import Settings
from sisyphus.worker.identity import claim
from waiting import eventually

EXTRA = {"version", "task", "online_at", "progress", "info", "worker_id"}
"""What a heartbeat may hold besides; readers of 2021 pass over it."""


def payload(case: Any) -> bytes:
    """Write the document of a case: a job, a text, bytes, or parts that are repeated."""
    match case["document"]:
        case {"text": str(text)}:
            return text.encode()
        case {"base64": str(text)}:
            return base64.b64decode(text)
        case {"parts": list(parts)}:
            return "".join(text * times for text, times in parts).encode()
        case document:
            return json.dumps(document, ensure_ascii=False).encode()


def check_files(expect: dict[str, Any]) -> None:
    assert [path for path in expect.get("exists", ()) if not Path(path).exists()] == []
    assert [path for path in expect.get("absent", ()) if Path(path).exists()] == []


def normal_form(raw: bytes) -> dict[str, Any]:
    job = parse_job(raw)
    tasks = [{"module": task.module, "data": task.data} for task in job.tasks]
    return {"job_id": job.job_id, "job_title": job.job_title, "tasks": tasks}


# Documents


@pytest.mark.parametrize("case", of_kind("envelope"), indirect=True)
def test_a_document_is_understood_or_refused_and_the_worker_goes_on(
    case: Any, farm: Farm
) -> None:
    raw, expect = payload(case), case["expect"]

    farm.push_raw(raw)
    farm.do_next()

    check_files(expect)
    if "accepted" in expect:
        accepted(farm, raw, expect["accepted"])
    else:
        assert refused_with(farm, raw) in expect["error"]


def accepted(farm: Farm, raw: bytes, wanted: dict[str, Any]) -> None:
    """The worker knew the job under its id and title, and took its modules' names."""
    assert farm.client.rejected() == []
    view = farm.client.job(wanted["job_id"])
    assert view.ended
    assert view.title == wanted["job_title"]
    assert (view.error or {}).get("code") in (None, "validation_error", "run_error")
    kept = farm.client.document(wanted["job_id"])
    assert kept == raw
    assert normal_form(kept) == wanted


def refused_with(farm: Farm, raw: bytes) -> str:
    """Find the raw bytes where they are kept, and tell why the job was refused."""
    rejected = farm.client.rejected()
    if rejected:
        (entry,) = rejected
        assert entry.raw == raw
        assert entry.reason
        return "invalid_job"
    (view,) = [view for view in farm.client.jobs() if view.job_id != "the next job"]
    assert view.state == "failed"
    assert view.error is not None
    assert view.error["message"]
    assert farm.client.document(view.job_id) == raw
    return str(view.error["code"])


# Jobs


@pytest.mark.tool
@pytest.mark.parametrize("case", of_kind("job"), indirect=True)
def test_jobs_run_as_they_say(case: Any, farm: Farm) -> None:
    jobs, expect = case.get("jobs") or [case["job"]], case["expect"]
    for job in jobs:
        farm.push_raw(json.dumps(job))

    ends = [farm.ends(job["job_id"]) for job in jobs]

    views = [farm.client.job(job["job_id"]) for job in jobs]
    assert set(ends) == {expect.get("state", "completed")}, views
    check_files(expect)
    if "failed_task" in expect:
        (view,) = views
        assert view.error is not None
        assert view.error["task"] == expect["failed_task"]
    if "error" in expect:
        assert [(view.error or {}).get("code") for view in views] == [expect["error"]]
    if "order" in expect:
        events = farm.client.reads.events("0")
        started = [event.job_id for event in events if event.event == "running"]
        assert started[-len(jobs) :] == expect["order"]
    farm.do_next()


# What onlookers see


@pytest.mark.tool
@pytest.mark.parametrize("case", of_kind("heartbeat"), indirect=True)
def test_a_heartbeat_says_what_the_worker_does(case: Any, farm: Farm) -> None:
    hostname, expect = case.get("hostname", HOSTNAME), case["expect"]
    required, found = expect["required"], expect["worker_id"]
    if hostname != HOSTNAME:
        farm.start(hostname)
    if "job" in case:
        farm.push_raw(json.dumps(case["job"]))

    def shown() -> Any:
        value = farm.shown("worker", found)
        seen = {name: value.get(name) for name in required} == required
        return value if seen and ("progress" in value or "job" not in case) else None

    value = eventually(shown)

    lifetime: Any = farm.redis.ttl(f"worker:{found}")
    assert 1 <= lifetime <= 10
    assert value.keys() <= required.keys() | EXTRA
    for name in expect.get("progress", ()):
        assert name in farm.shown("progress", found)


@pytest.mark.parametrize("case", of_kind("worker_id"), indirect=True)
def test_a_workers_id_comes_from_its_host(
    case: Any, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in case["variables"].items():
        monkeypatch.setenv(name, value)

    settings = Settings.load(redis_url=redis_url)
    (identity,) = claim(settings, 1)
    os.close(identity.lock_fd)

    assert identity.worker_id == case["expect"]["worker_id"]
    if "HOST_UUID" not in case["variables"]:
        assert worker_id(settings.hostname) == identity.worker_id
