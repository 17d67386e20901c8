"""Jobs without a server: what they would do, and doing it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import MODULES, Sisyphus
from sisyphus.cli.demo_films import documents, find_samples, prepare
from sisyphus.modules.registry import Registry
from sisyphus.modules.tool import Tools
from sisyphus.settings import Settings
from sisyphus.worker.local import plan_job

HERE = ("--modules", MODULES)
NOBODY = ("--redis-url", "redis://127.0.0.1:1")
FFMPEG = {
    "sources": ["film.mkv"],
    "source_maps": [{"source": 0, "specifier": "v"}],
    "output_file": "out.mkv",
}

JobFile = Callable[..., Path]


def write(folder: Path, *tasks: dict[str, Any]) -> Path:
    path = folder / "job.json"
    job = {"job_title": "A job", "job_id": "a-job", "tasks": list(tasks)}
    path.write_text(json.dumps(job))
    return path


# check


def test_check_shows_commands_that_can_be_copied_and_the_files(
    sisyphus: Sisyphus, job_file: JobFile, anywhere: Path
) -> None:
    said = sisyphus("check", job_file(), *HERE)

    assert said.code == 0
    (line,) = [line.strip() for line in said.lines if "tee" in line]
    wanted = ["tee", str(anywhere / "note.txt"), "a word with 'quotes'"]
    assert shlex.split(line) == wanted
    assert f"writes  {anywhere / 'note.txt'}" in said.out
    assert not (anywhere / "note.txt").exists()


def test_check_finds_everything_that_is_wrong_at_once(
    sisyphus: Sisyphus, anywhere: Path
) -> None:
    path = write(
        anywhere,
        {"note": {"output_file": "/elsewhere/a.txt"}},
        {"note": {"output_file": "b.txt", "txt": "b"}},
        {"nte": {}},
    )

    said = sisyphus("check", path, *HERE)

    assert said.code == 2
    assert "3 things are wrong" in said.out
    assert "tasks[0].note.output_file: is outside the allowed roots" in said.out
    assert "tasks[1].note.txt: is not a known key; did you mean 'text'?" in said.out
    assert "tasks[2]: is not a module of this worker; did you mean 'note'?" in said.out


def test_check_knows_what_earlier_tasks_make(
    sisyphus: Sisyphus, anywhere: Path
) -> None:
    tasks = [
        {"note": {"output_file": "a.txt"}},
        {"note": {"source": "a.txt", "output_file": "b.txt"}},
    ]

    assert sisyphus("check", write(anywhere, *tasks), *HERE).code == 0
    assert sisyphus("check", write(anywhere, *tasks[::-1]), *HERE).code == 2


def test_check_gives_the_same_as_json(sisyphus: Sisyphus, job_file: JobFile) -> None:
    (found,) = sisyphus("check", job_file(), *HERE, "--json").json

    assert found["fine"] is True
    assert found["tasks"][0]["steps"][0]["argv"][0] == "tee"


def test_check_reads_stored_option_sets(
    with_redis: str, sisyphus: Sisyphus, anywhere: Path
) -> None:
    (anywhere / "film.mkv").write_text("a film")
    maps = [{"specifier": "v", "stream": 0, "option_set": "anime"}]
    path = write(anywhere, {"ffmpeg": {**FFMPEG, "output_maps": maps}})
    stored = '{"options": {"codec": "libx265", "crf": 19}}'

    before = sisyphus("check", path)
    sisyphus("data", "put", "ffmpeg", "anime", "-", typed=stored)
    after = sisyphus("check", path)

    assert before.code == 2
    assert "is not stored" in before.out
    assert after.code == 0
    assert "-codec:v:0 libx265 -crf:v:0 19" in after.out


def test_check_needs_redis_only_for_option_sets(
    sisyphus: Sisyphus, anywhere: Path, job_file: JobFile
) -> None:
    (anywhere / "film.mkv").write_text("a film")
    maps = [{"specifier": "v", "stream": 0, "option_set": "anime"}]
    path = write(anywhere, {"ffmpeg": {**FFMPEG, "output_maps": maps}})

    said = sisyphus("check", path, *NOBODY)

    assert said.code == 2
    assert "Redis, which cannot be asked" in said.out
    assert sisyphus("check", job_file(), *HERE, *NOBODY).code == 0


@pytest.mark.tool
def test_the_sample_jobs_are_fine(
    anywhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = find_samples(None)
    prepare(samples, anywhere, Tools())
    settings = Settings.load(roots=[anywhere])
    registry = Registry.load(settings)

    jobs = documents(samples)

    assert len(jobs) == 3
    for job in jobs:
        plan = plan_job(job.raw, settings, registry, lambda module, name: None)
        assert plan.all_problems == []


# run


def test_run_does_the_job_and_shows_its_log_and_outputs(
    sisyphus: Sisyphus, job_file: JobFile, anywhere: Path
) -> None:
    said = sisyphus("run", job_file(text="hello"), *HERE)

    assert said.code == 0
    assert (anywhere / "note.txt").read_text() == "hello"
    assert "writing hello" in said.out
    assert said.lines[-1].startswith(f"{anywhere / 'note.txt'}  5 B")


def test_a_failed_run_is_code_1_and_says_which_task(
    sisyphus: Sisyphus, anywhere: Path
) -> None:
    path = write(
        anywhere,
        {"note": {"output_file": "a.txt"}},
        {"note": {"output_file": "b.txt", "outcome": "fail"}},
        {"note": {"output_file": "c.txt"}},
    )

    said = sisyphus("run", path, *HERE)

    assert said.code == 1
    assert "task 2 note: the pen broke" in said.err
    assert sorted(p.name for p in anywhere.glob("*.txt")) == ["a.txt"]


def test_a_mistake_of_a_module_is_shown_with_its_traceback(
    sisyphus: Sisyphus, job_file: JobFile
) -> None:
    said = sisyphus("run", job_file(outcome="mistake"), *HERE)

    assert said.code == 1
    assert "KeyError: 'a mistake of the module'" in said.err
    assert "note.py" in said.err


def test_a_run_ends_at_the_task_s_timeout(sisyphus: Sisyphus, anywhere: Path) -> None:
    task = {"note": {"output_file": "a.txt", "tool": ["sleep", "60"]}, "timeout": 0.5}

    said = sisyphus("run", write(anywhere, task), *HERE)

    assert said.code == 1
    assert "longer than its timeout of 0.5 s" in said.err


def test_run_takes_one_job(sisyphus: Sisyphus, anywhere: Path) -> None:
    (anywhere / "two.json").write_text('[{"job_id": "a"}, {"job_id": "b"}]')

    said = sisyphus("run", "two.json")

    assert said.code == 2
    assert "holds 2 jobs" in said.err
