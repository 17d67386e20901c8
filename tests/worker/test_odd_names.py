"""Files with odd names, from the document on the list to the finished file."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sisyphus.cli.main import app
from sisyphus.client import Client
from waiting import eventually
from worker.machines import Site

pytestmark = [pytest.mark.tool, pytest.mark.timeout(240)]

BYTES = "caf\udce9 \udcff\udc80"
"""A name that is not UTF-8: the bytes E9, FF and 80 as jobs write them."""
ODD = {
    # What the encoder reads, what it writes and mkvmerge reads, what that writes.
    "signs of a shell": (
        '  it\'s "a" film`s ',
        "$(touch gone) ${HOME} `id` & ~ !x #",
        "\\b\\n\\'",
    ),
    "signs of lines": (
        "new\nline re\rturn",
        "\t\x01\x1b[31m\x7f",
        "Käse 漢字 \U0001f3ac\U0001f469\u200d\U0001f680 e\u0301\u202e",
    ),
    "signs of options": ("--output", "@list", "("),
    "signs of patterns": (
        "%03d 100% %(title)s [x]{a,b}*?",
        "=VTS_01_1",
        "concat:a|b=c,d;e+f&amp;",
    ),
    "signs without end": ("é" * 120, "x" * 240, "@" * 240),
    "no UTF-8": (BYTES, f"a{BYTES}", f"b{BYTES}"),
}


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("film") / "film.mkv"
    picture = ["-f", "lavfi", "-i", "testsrc=d=1:s=160x90:r=10"]
    command = ["ffmpeg", "-v", "error", *picture, "-c:v", "libx264", str(made)]
    subprocess.run(command, check=True)
    return made


def job(site: Site, film: Path, job_id: str) -> tuple[bytes, list[Path]]:
    """A job of all modules, all of whose files have odd names, and what it leaves."""
    names = [*ODD[job_id], ODD[job_id][0]]
    places = zip(("in", "temp", "out", "done"), names, strict=True)
    paths = [site.folder / place / name[:50] / f"{name}.mkv" for place, name in places]
    for path in paths:
        path.parent.mkdir(parents=True)
    given, temp, out, done = paths
    shutil.copy(film, given)
    text = given.with_suffix(".txt")
    text.write_text("attached")
    tasks: list[dict[str, Any]] = [
        {
            "ffmpeg": {
                "sources": [str(given)],
                "source_maps": [{"source": 0, "specifier": "v", "stream": 0}],
                "output_maps": [
                    {"stream": 0, "specifier": "v", "options": {"codec": "copy"}}
                ],
                "output_file": str(temp),
            }
        },
        {
            "mkvmerge": {
                "sources": [{"filename": str(temp)}],
                "tracks": [{"source": 0, "track": 0}],
                "attachments": [{"filename": str(text), "name": "text.txt"}],
                "output_file": str(out),
            }
        },
        {
            "mkvextract": {
                "source": str(out),
                "tracks": [{"id": 0, "filename": str(out.with_suffix(".h264"))}],
            }
        },
        {
            "cleanup": {
                "verify_exists": [str(out)],
                "move": [{"source": str(out), "destination": str(done)}],
                "delete": [str(temp)],
            }
        },
    ]
    document = {"job_title": f"odd: {job_id}", "job_id": job_id, "tasks": tasks}
    return json.dumps(document).encode(), [done, out.with_suffix(".h264")]


def test_every_module_takes_every_name(site: Site, film: Path) -> None:
    wanted: dict[str, list[Path]] = {}
    for job_id in ODD:
        raw, wanted[job_id] = job(site, film, job_id)
        site.redis.lpush("queue", raw)
    site.machine(concurrency=2)

    def over() -> bool:
        return all(site.state(each) in ("completed", "failed") for each in ODD)

    eventually(over, 150)

    errors = {each: site.job(each).get("error") for each in ODD}
    assert {each: error for each, error in errors.items() if error} == {}
    for job_id, paths in wanted.items():
        assert all(path.stat().st_size > 0 for path in paths), job_id
    ends = {path for paths in wanted.values() for path in paths}
    given = {path for path in site.folder.glob("in/*/*") if path.is_file()}
    left = {path for path in site.folder.glob("*/*/*") if path.is_file()}
    assert left == ends | given


# Looking at such jobs


@pytest.fixture
def sisyphus(site: Site, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Run a command whose terminal takes nothing but UTF-8."""
    monkeypatch.chdir(site.folder)
    monkeypatch.setenv("SISYPHUS_REDIS_URL", site.url)

    def run(*words: object, code: int = 0) -> str:
        done = CliRunner().invoke(app, [str(word) for word in words])
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == code, done.output
        return done.stdout

    return run


def copying(site: Site, name: str, **more: Any) -> tuple[dict[str, Any], Path]:
    """A job of one copy, and another task that fails as long as "later" is not there."""
    given, made = site.path(f"{name}.txt"), site.path(f"{name} 2.txt")
    given.write_text("text")
    copy = {"copy": [{"source": str(given), "destination": str(made)}]}
    wait = {"verify_exists": [str(site.path(f"{name} later"))]}
    document = {
        "job_title": "odd",
        "job_id": "j",
        "tasks": [{"cleanup": copy}, {"cleanup": wait}],
    }
    return {**document, **more}, made


def test_a_failed_job_with_such_a_name_can_be_looked_at_and_goes_on(
    site: Site, sisyphus: Callable[..., str]
) -> None:
    document, made = copying(site, BYTES)
    site.redis.lpush("queue", json.dumps(document))
    site.machine()
    site.until("j", "failed", 60)

    shown = r"caf\udce9 \udcff\udc80"
    assert shown in sisyphus("jobs", "show", "j")
    assert shown in sisyphus("jobs", "log", "j")
    assert f"{BYTES} later does not exist" in site.error("j")["message"]
    entry = json.loads(site.job("j")["checkpoint"])[0]
    assert entry["outputs"][0]["path"] == str(made)
    for command in (
        ("jobs", "show", "j", "--json"),
        ("jobs", "log", "j", "--json"),
        ("jobs", "list", "--json"),
        ("jobs", "list"),
        ("jobs", "watch", "j"),
        ("top", "--once"),
        ("workers", "list"),
    ):
        sisyphus(*command, code=1 if "watch" in command else 0)
    written = sisyphus("jobs", "show", "j", "--document")
    assert json.loads(written) == document

    made_at = made.stat().st_mtime_ns
    site.path(f"{BYTES} later").touch()
    sisyphus("jobs", "retry", "j")
    site.until("j", "completed", 60)

    assert made.stat().st_mtime_ns == made_at
    assert "are not run again" in sisyphus("jobs", "log", "j")


def test_such_a_job_can_be_checked_run_and_submitted(
    site: Site, sisyphus: Callable[..., str]
) -> None:
    document, made = copying(site, BYTES)
    site.path(f"{BYTES} later").touch()
    file = site.path("job.json")
    file.write_text(json.dumps(document))

    assert r"caf\udce9" in sisyphus("check", file)
    sisyphus("check", file, "--json")
    assert "completed" in sisyphus("run", file)
    assert made.read_text() == "text"
    made.unlink()
    sisyphus("submit", file)
    sisyphus("submit", file, "--set-id")
    site.machine()
    site.until("j", "completed", 60)
    assert made.exists()


def test_a_client_writes_such_names_as_jobs_do(site: Site) -> None:
    document, made = copying(site, BYTES, job_id="of a client")
    site.path(f"{BYTES} later").touch()
    later = os.fsencode(site.folder) + b"/caf\xe9 \xff\x80 later"
    document["tasks"][1]["cleanup"]["verify_exists"] = [Path(os.fsdecode(later))]
    with Client(redis_url=site.url) as client:
        client.submit(document, priority=3)

    site.machine()

    site.until("of a client", "completed", 60)
    assert os.fsencode(made.name) == b"caf\xe9 \xff\x80 2.txt"


def test_the_raw_document_stays_as_it_was_pushed(site: Site) -> None:
    document, _ = copying(site, BYTES)
    raw = json.dumps(document, indent=3).replace("udce9", "uDCe9")
    site.path(f"{BYTES} later").touch()
    site.redis.lpush("queue", raw)
    site.machine()

    site.until("j", "completed", 60)

    assert site.redis.get("{queue}:doc:j") == raw


def test_outside_of_data_no_byte_may_stand(
    site: Site, sisyphus: Callable[..., str]
) -> None:
    document, _ = copying(site, "plain")
    wrong: dict[str, dict[str, Any]] = {
        "job_title": {"job_title": BYTES},
        "requires": {"requires": [BYTES]},
        "unknown": {"unknown": BYTES},
        "module": {"tasks": [{BYTES: {}}]},
        "named module": {"tasks": [{"module": BYTES, "data": {}}]},
        "member": {"tasks": [{"cleanup": {BYTES: []}}]},
    }
    for job_id, change in wrong.items():
        site.redis.lpush("queue", json.dumps({**document, "job_id": job_id, **change}))
    site.redis.lpush("queue", json.dumps({**document, "job_id": BYTES}))
    site.machine()

    for job_id in wrong:
        site.until(job_id, "failed", 60)
        assert "half of a surrogate pair" in site.error(job_id)["message"]
        sisyphus("jobs", "show", job_id)
    eventually(lambda: site.redis.xlen("{queue}:rejected") == 1, 60)
    sisyphus("jobs", "list")
    sisyphus("queue", "rejected", "list")
    entries: Any = site.redis.xrange("{queue}:rejected")
    sisyphus("queue", "rejected", "show", entries[0][0])
