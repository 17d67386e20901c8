"""Checkpoints that nobody's worker has written: what is believed of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sisyphus.modules.fields import Files
from sisyphus.signatures import read_keys, signed
from sisyphus.worker.resume import believable, fingerprint, first_task
from worker.machines import Site

NOTHING = Files(frozenset(), frozenset())


@pytest.fixture
def site(redis_url: str, tmp_path: Path) -> Iterator[Site]:
    made = Site(redis_url, tmp_path)
    yield made
    made.close()


def entry(number: Any, module: Any, **more: Any) -> dict[str, Any]:
    return {"task": number, "module": module, **more}


@pytest.mark.parametrize(
    ("entries", "good"),
    [
        ([entry(1, "ffmpeg"), entry(2, "cleanup")], 2),
        ([entry(1, "ffmpeg"), entry(2, "ffmpeg")], 1),
        ([entry(2, "cleanup"), entry(1, "ffmpeg")], 0),
        ([entry(1, "cleanup")], 0),
        ([entry("1", "ffmpeg")], 0),
        ([entry(True, "ffmpeg")], 0),
        ([{}], 0),
        ([None, entry(2, "cleanup")], 0),
        ([entry(1, "ffmpeg", outputs=7)], 0),
        ([entry(1, "ffmpeg", outputs=["a"])], 0),
        ([entry(1, "ffmpeg", outputs=[{"size": 1}])], 0),
        ([entry(1, "ffmpeg", outputs=[{"path": 1}])], 0),
        ([entry(1, "ffmpeg"), entry(2, "cleanup"), entry(3, "ffmpeg")], 2),
    ],
)
def test_only_entries_that_fit_the_jobs_tasks_are_believed(
    entries: list[Any], good: int
) -> None:
    assert believable(entries, ["ffmpeg", "cleanup"]) == entries[:good]


def test_a_task_that_writes_files_is_not_done_without_outputs(tmp_path: Path) -> None:
    output = tmp_path / "out.mkv"
    encode = Files(frozenset(), frozenset({output}))

    assert first_task([entry(1, "ffmpeg")], [encode, NOTHING]) == 0
    assert first_task([entry(1, "ffmpeg", outputs=[])], [encode, NOTHING]) == 0
    assert first_task([entry(1, "wait")], [NOTHING, encode]) == 1
    output.touch()
    done = [entry(1, "ffmpeg", outputs=[fingerprint(output)])]
    assert first_task(done, [encode, NOTHING]) == 1


# Real workers


def two_tasks(site: Site) -> tuple[bytes, Path]:
    """A job that makes a film and then takes the source away, and its source."""
    source = site.path("source")
    source.write_text("a film")
    write = {"do": "write", "output": str(site.path("out"))}
    tasks = [{"scripted": write}, {"cleanup": {"delete_files": [str(source)]}}]
    job = {"job_title": "t", "job_id": "a", "tasks": tasks}
    return json.dumps(job).encode(), source


def forge(site: Site, *entries: dict[str, Any]) -> None:
    site.redis.hset("{queue}:job:a", "checkpoint", json.dumps(entries))


def log_of(site: Site) -> str:
    return str(site.redis.xrange("{queue}:log:a"))


@pytest.mark.parametrize("module", ["scripted", "another"])
def test_a_forged_checkpoint_skips_no_encode(site: Site, module: str) -> None:
    """Neither one without outputs, nor one of another module's."""
    raw, source = two_tasks(site)
    outputs = [fingerprint(source)] if module == "another" else []
    forge(site, entry(1, module, outputs=outputs))
    site.redis.lpush("queue", raw)

    site.machine()
    site.until("a", "completed")

    assert site.path("out").exists()


def test_a_worker_that_requires_signatures_believes_no_checkpoint(
    site: Site, key_file: Path
) -> None:
    """Nobody has signed it, however well it fits."""
    raw, source = two_tasks(site)
    site.path("out").write_text("not what the job makes")
    forge(site, entry(1, "scripted", outputs=[fingerprint(site.path("out"))]))
    site.redis.lpush("queue", signed(raw, read_keys(key_file)[0]))

    site.machine(require_signed=True, signing_key_file=str(key_file))
    site.until("a", "completed")

    assert site.path("out").read_text() != "not what the job makes"
    assert not source.exists()
    assert "starts at the first task: " in log_of(site)
