"""Defects 6 to 14 of the original workers and servers: a job ended the worker."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from farm import Farm
from serving import serving
from sisyphus.embedded import EmbeddedServer
from sisyphus.errors import InvalidSettings, JobError, ToolMissing
from sisyphus.modules.legacy import JobConfigurationError, JobModule, adapt
from sisyphus.modules.tool import Tools
from sisyphus.testing import run_module
from waiting import eventually
from worker.machines import Site

MALFORMED: list[bytes | str] = [
    "{",
    b'{"job_title": "caf\xe9", "job_id": "1", "tasks": []}',
    "",
    "[]",
    "17",
    '{"job_title": "t", "tasks": []}',
    '{"job_id": "a", "tasks": [{"cleanup": {}}]}',
    '{"job_title": "t", "job_id": "b"}',
    '{"job_title": "t", "job_id": "c", "tasks": [{}]}',
    '{"job_title": "t", "job_id": "d", "tasks": [7]}',
    '{"job_title": "t", "job_id": "e", "tasks": {"cleanup": {}}}',
    '{"job_title": [], "job_id": "f", "tasks": [{"cleanup": {}}]}',
    '{"job_title": "t", "job_id": "g", "tasks": [{"cleanup": null}]}',
]


def push(farm: Farm, job_id: str, *tasks: Any) -> None:
    farm.push_raw(json.dumps({"job_title": "t", "job_id": job_id, "tasks": tasks}))


def error_of(farm: Farm, job_id: str) -> dict[str, Any]:
    assert farm.ends(job_id) == "failed"
    return farm.client.job(job_id).error or {}


def test_defect_06_malformed_documents_are_kept_and_the_worker_goes_on(
    farm: Farm,
) -> None:
    """Bad JSON, bad UTF-8, missing or wrong members: an uncaught exception each."""
    for raw in MALFORMED:
        farm.push_raw(raw)

    farm.do_next()

    failed = [view.job_id for view in farm.client.jobs() if view.state == "failed"]
    assert sorted(failed) == list("1abcdefg")
    assert len(farm.client.rejected()) == len(MALFORMED) - len(failed)


def test_defect_07_a_job_that_is_refused_does_not_end_the_worker(farm: Farm) -> None:
    """The loop was left at the first job that was refused, or had no tasks."""
    push(farm, "wrong data", {"cleanup": {"shred": ["x"]}})
    push(farm, "no tasks")
    push(farm, "no file", {"mkvmerge": {"sources": ["/no"], "tracks": []}})

    farm.do_next()

    assert error_of(farm, "wrong data")["code"] == "validation_error"
    assert error_of(farm, "no tasks")["code"] == "invalid_job"
    assert error_of(farm, "no file")["code"] == "validation_error"
    with serving(farm.settings) as server:
        job: dict[str, Any] = {"job_title": "t", "tasks": []}
        assert server.post("/queue", json=job).status_code == 400


def test_defect_08_an_unknown_module_is_named_in_the_error(farm: Farm) -> None:
    """The handler named an exception that was not imported: the process ended."""
    push(farm, "j", {"mkvmereg": {}})

    error = error_of(farm, "j")

    assert error["code"] == "unknown_module"
    assert "'mkvmereg'" in error["message"]
    assert "'mkvmerge'" in error["message"] or "mkvmerge?" in error["message"]


@pytest.mark.parametrize("mistake", ["index", "file", "exit", "key", "bytes"])
def test_defect_09_whatever_a_module_raises_fails_its_job_only(
    farm: Farm, mistake: str
) -> None:
    """Two kinds of exceptions were caught; all others, and exits, ended the process."""
    push(farm, "j", {"faulty": {"mistake": mistake}})

    error = error_of(farm, "j")

    assert error["code"] == "module_error"
    assert "faulty.py" in error["traceback"]
    assert farm.client.job("j").crashes == 0


FFMPEG = {
    "sources": ["${clip}"],
    "source_map": [{"source": 0, "stream_type": "a", "stream": 0}],
    "output_map": [{"stream_type": "a", "stream": 0, "options": {"codec": "copy"}}],
    "output_file": "${out}.mka",
}


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in FFMPEG.items() if name != key}


@pytest.mark.parametrize(
    ("module", "data"),
    [
        ("ffmpeg", without("sources")),
        ("ffmpeg", without("output_file")),
        ("ffmpeg", without("output_map")),
        ("ffmpeg", {**FFMPEG, "output_map": [{"stream": 0, "profile": "gone"}]}),
        ("mkvmerge", {"tracks": [{"source": 0, "track": 0}]}),
        ("handbrake", {"output_file": "${out}.mkv"}),
        ("mkvextract", {"source": "${clip}"}),
        ("cleanup", {"delete_files": ["${out}"]}),
    ],
)
def test_defect_10_missing_data_is_an_error_of_the_job(
    module: str, data: dict[str, Any], clip: Path, tmp_path: Path
) -> None:
    """Missing keys, a folder among files, an unknown profile: uncaught exceptions."""
    text = json.dumps(data).replace("${clip}", str(clip))

    with pytest.raises(JobError) as caught:
        run_module(module, json.loads(text.replace("${out}", str(tmp_path))))

    assert caught.value.code in ("validation_error", "run_error")


@pytest.mark.tool
def test_defect_10_a_film_without_a_picture_is_no_error(
    clip: Path, tmp_path: Path
) -> None:
    """A source without a video track, or without a count of frames, ended the worker."""
    text = json.dumps(FFMPEG).replace("${clip}", str(clip))

    run = run_module("ffmpeg", json.loads(text.replace("${out}", str(tmp_path / "o"))))

    assert (tmp_path / "o.mka").stat().st_size > 1000
    assert run.progress[-1].percent == 100


def test_defect_10_an_older_class_may_refuse_its_data_in_its_constructor() -> None:
    """One of the errors that classes raise was not caught there."""

    class Picky(JobModule):
        def __init__(self, data: dict[str, Any], job_title: str) -> None:
            raise JobConfigurationError("no such preset", module="picky")

    with pytest.raises(InvalidSettings, match="no such preset"):
        run_module(adapt(Picky), {})


def test_defect_11_a_missing_tool_is_an_error_that_says_what_to_install(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing program was a TypeError in the constructor."""
    text = json.dumps(FFMPEG).replace("${clip}", str(clip))
    data = json.loads(text.replace("${out}", str(tmp_path / "o")))
    with pytest.raises(ToolMissing, match="/no/ffmpeg"):
        run_module("ffmpeg", data, tools={"ffmpeg": "/no/ffmpeg"})

    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("ffprobe", "mkvmerge", "mkvextract", "HandBrakeCLI"):
        with pytest.raises(ToolMissing, match=f"{name} is not installed: install "):
            Tools().find(name)


def test_defect_12_an_empty_queue_is_nothing_special(farm: Farm) -> None:
    """The first poll of an empty queue was taken for a job."""
    with serving(farm.settings) as server:
        for _ in range(3):
            assert server.get("/queue/poll").status_code == 404
    eventually(lambda: farm.redis.scard("{queue}:idle") == 1)

    farm.do_next()


def test_defect_13_workers_are_listed_whatever_they_are_doing(farm: Farm) -> None:
    """A worker at work without progress made the list of all answer 500."""
    flag = farm.path("busy")
    farm.push("j", {"do": "wait", "file": str(flag)})
    (worker,) = farm.client.workers()
    eventually(lambda: farm.shown("worker", worker.worker_id).get("job_id") == "j")
    with serving(farm.settings) as server:
        listed = server.get("/workers")
        assert listed.status_code == 200
        (shown,) = listed.json()["workers"]
        assert shown["status"] == "in_progress"
        assert "progress" not in shown

        beat = {"status": "idle", "online_at": "t", "hostname": "h", "version": "1"}
        assert server.post("/workers/w", json=beat).status_code == 204
        off = server.patch("/workers/w", json={"disabled": True})
        assert off.json() == {"disabled": True}
        assert server.delete("/workers/w").status_code == 204
    flag.with_suffix(".go").touch()
    assert farm.ends("j") == "completed"


def test_defect_14_heartbeats_outlive_a_server_that_does_not_answer(
    tmp_path: Path,
) -> None:
    """The thread that beat died of a timeout, and the worker looked dead at work."""
    with EmbeddedServer(tmp_path / "server", appendonly=False) as server:
        site = Site(server.url, tmp_path)
        try:
            machine = site.machine()
            eventually(lambda: site.redis.scard("{queue}:idle") == 1)
            (beat,) = site.redis.keys("worker:*")

            os.kill(server.pid, signal.SIGSTOP)
            eventually(lambda: "no job is taken until it is back" in machine.log, 20)
            os.kill(server.pid, signal.SIGCONT)

            eventually(lambda: "Redis is back" in machine.log)
            site.redis.delete(beat)
            eventually(lambda: site.redis.get(beat))
        finally:
            os.kill(server.pid, signal.SIGCONT)
            site.close()
