"""Disks that are full, or gone: the job fails in plain words, the worker goes on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trouble.conftest import Command, loud
from waiting import eventually
from worker.machines import Site

RAW: dict[str, Any] = {"specifier": "v", "stream": 0, "options": {"codec": "rawvideo"}}
"""180 MB of it."""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 70 MB: more than is wanted to begin with, too little for the film."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=70m", "none", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a disk can be mounted by root only")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def encode(site: Site, job_id: str, source: Path, output: Path, **more: Any) -> None:
    task = {
        "sources": [str(source)],
        "source_maps": [{"source": 0, "specifier": "v"}],
        "output_maps": [RAW],
        "output_file": str(output),
    }
    document = {"job_title": job_id, "job_id": job_id, "tasks": [{"ffmpeg": task}]}
    site.redis.lpush("queue", json.dumps({**document, **more}))


@pytest.mark.tool
def test_a_disk_that_fills_while_encoding_fails_the_job_and_leaves_nothing_behind(
    site: Site, small_disk: Path, clip: Path
) -> None:
    source = site.folder / "clip.mp4"
    shutil.copy(clip, source)
    machine = site.machine()

    encode(site, "big", source, small_disk / "film.mkv", retries=1)
    site.until("big", "failed", 40)
    site.push("next", {"do": "nothing"})
    site.until("next", "completed")

    tried = [entry["error"] for entry in site.attempts("big")]
    assert len(tried) == 2
    assert all(error["message"].startswith("disk full: ") for error in tried)
    assert str(small_disk) in site.error("big")["message"]
    assert list(small_disk.iterdir()) == []
    assert {line.split()[0] for line in loud(machine)} == {"retry", "failed"}


@pytest.mark.tool
def test_a_disk_that_is_full_from_the_start_is_said_before_the_tool_runs(
    site: Site, small_disk: Path, clip: Path
) -> None:
    source = site.folder / "clip.mp4"
    shutil.copy(clip, source)
    with (small_disk / "others").open("wb") as file:
        file.truncate(0)
        file.write(bytes(60_000_000))
    site.machine()

    encode(site, "big", source, small_disk / "film.mkv")
    site.until("big", "failed")

    assert site.error("big")["message"].startswith("disk full: ")
    assert "argv" not in site.error("big")
    assert [path.name for path in small_disk.iterdir()] == ["others"]


def test_a_root_that_is_not_there_is_said_by_the_job_and_the_worker_goes_on(
    site: Site, clip: Path
) -> None:
    films = site.folder / "films"
    films.mkdir()
    shutil.copy(clip, films / "a.mp4")
    machine = site.machine(roots=[str(films)])
    eventually(lambda: site.redis.scard("{queue}:idle") == 1)

    films.rename(site.folder / "unmounted")
    encode(site, "gone", films / "a.mp4", films / "a.mkv")
    site.until("gone", "failed")
    (site.folder / "unmounted").rename(films)
    site.push("next", {"do": "nothing"})
    site.until("next", "completed")

    error = site.error("gone")
    assert str(films / "a.mp4") in error["message"]
    assert "is not a known key" not in error["message"]
    assert "Traceback" not in json.dumps(error)
    assert [line for line in loud(machine) if "gone" not in line] == []


def test_the_doctor_says_that_a_root_or_the_temporary_folder_is_not_there(
    redis_url: str, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SISYPHUS_WORKDIR", str(tmp_path / "no-temporary"))

    said = command(redis_url, "doctor", "--root", tmp_path / "none", "--json")

    found = {row["topic"]: row for row in said.json if row["severity"] == "error"}
    assert said.code == 1
    assert "no folder" in found["roots"]["what"]
    assert "no folder" in found["temporary"]["what"]
