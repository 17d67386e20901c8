"""Defects 27 to 35 of the original workers and servers: waste, and doors left open."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from conformance.materials import Workshop
from farm import Farm
from serving import serving
from sisyphus.embedded import EmbeddedServer
from sisyphus.errors import (
    ConfigError,
    InvalidJob,
    OutputRefused,
    TaskFailed,
    ToolFailed,
    UnknownModule,
)
from sisyphus.job import parse_job
from sisyphus.logs import redacted
from sisyphus.machine import worker_id
from sisyphus.modules import output
from sisyphus.modules.base import Module
from sisyphus.modules.registry import Registry
from sisyphus.modules.task import Task
from sisyphus.server.access import refuse_open_doors
from sisyphus.settings import Settings
from sisyphus.store.replies import Activity
from sisyphus.testing import fake_tool, run_module
from waiting import eventually
from worker.machines import Site, is_alive

DOCUMENT = '{{"job_title": "t", "job_id": "1", "tasks": [{{"a": {{"b": {}}}}}]}}'
UNREACHABLE = "redis://someone:hush-hush@127.0.0.1:1/0"


def encode(source: Path, made: Path, **more: Any) -> dict[str, Any]:
    return {
        "sources": [str(source)],
        "source_maps": [{"source": 0, "specifier": "v", "stream": 0}],
        "output_maps": [{"specifier": "v", "stream": 0, "options": {"codec": "mpeg4"}}],
        "output_file": str(made),
        **more,
    }


@pytest.mark.tool
def test_defect_27_fonts_matter_only_to_who_needs_them(
    clip: Path, tmp_path: Path
) -> None:
    """Every merge needed a folder of fonts, read them all, and died of a broken one."""
    fonts, subtitles, made = tmp_path / "fonts", tmp_path / "s.ass", tmp_path / "o.mkv"
    tracks = [{"source": 0, "track": 0}]
    data = {"sources": [str(clip)], "tracks": tracks, "output_file": str(made)}
    settings = {"font_folders": (fonts,)}
    run_module("mkvmerge", data, settings=settings)

    styles = [{"name": "Default", "font": "Alpha Sans"}]
    book = {"family": "Alpha Sans", "subfamily": "Book"}
    workshop = Workshop(tmp_path)
    workshop.make({"path": str(subtitles), "kind": "ass", "styles": styles})
    workshop.make({"path": str(fonts / "book.ttf"), "kind": "ttf", **book})
    (fonts / "broken.ttf").write_bytes(b"no font")
    data["sources"] = [str(clip), str(subtitles)]
    run_module("mkvmerge", data, settings=settings)

    said = json.loads(subprocess.check_output(["mkvmerge", "-J", made]))
    assert [one["file_name"] for one in said["attachments"]] == ["book.ttf"]


@pytest.mark.tool
def test_defect_28_a_chain_of_tasks_is_no_missing_file(
    farm: Farm, clip: Path, tmp_path: Path
) -> None:
    """Every input had to exist before the first task, also what earlier tasks make."""
    source = tmp_path / "in.mp4"
    shutil.copy(clip, source)
    first, second = tmp_path / "1.mkv", tmp_path / "2.mkv"
    tasks: list[dict[str, Any]] = [
        {"ffmpeg": encode(source, first)},
        {"ffmpeg": encode(first, second)},
        {"cleanup": {"verify_exists": [str(second)], "delete": [str(first)]}},
    ]
    farm.push_raw(json.dumps({"job_title": "t", "job_id": "c", "tasks": tasks}))

    assert farm.ends("c") == "completed", farm.client.job("c").error

    assert second.exists()
    assert not first.exists()


@pytest.mark.tool
def test_defect_29_no_tool_and_no_half_film_outlives_its_worker(
    site: Site, clip: Path
) -> None:
    """Encoders went on without their worker, and half a film had the final name."""
    source, made = site.path("in.mp4"), site.path("out.mkv")
    shutil.copy(clip, source)
    task = {"ffmpeg": encode(source, made, input_options={"re": True})}
    machine = site.machine()
    site.push("j", tasks=[task])

    def parts() -> set[str]:
        return {path.name for path in site.folder.glob(".sisyphus-*")}

    first = eventually(parts)
    (worker,) = machine.workers()
    below = machine.tree()[1:]
    assert len(below) >= 3  # the worker, the guard, ffmpeg
    os.kill(worker, signal.SIGKILL)
    eventually(lambda: not any(map(is_alive, below)))
    assert not made.exists()

    eventually(lambda: parts() and not parts() & first)
    machine.process.send_signal(signal.SIGTERM)
    eventually(lambda: "draining" in machine.log)
    machine.process.send_signal(signal.SIGTERM)
    assert machine.process.wait(20) == 0
    assert site.state("j") == "queued"
    assert not parts()
    assert not made.exists()


@pytest.mark.tool
def test_defect_29_no_tool_waits_for_an_answer(clip: Path, tmp_path: Path) -> None:
    """ffmpeg asked on an inherited terminal whether to overwrite, and waited."""

    class Reads(Module):
        def run(self, task: Task) -> None:
            task.tool(["cat"])

    made = tmp_path / "out.mkv"
    made.write_text("older")
    with pytest.raises(TaskFailed, match='"overwrite": true'):
        run_module("ffmpeg", encode(clip, made))
    assert made.read_text() == "older"
    assert run_module(Reads, {}).tools[0].exit_code == 0


@pytest.mark.tool
def test_defect_30_a_tool_that_crashes_is_not_started_for_ever(
    clip: Path, tmp_path: Path
) -> None:
    """ffmpeg was started anew after every SIGSEGV, without end."""
    starts = tmp_path / "starts"
    crash = f"open({str(starts)!r}, 'a').write('x')\n    os.kill(os.getpid(), 11)"
    body = f"if '-i' in sys.argv:\n    {crash}"
    tools = {"ffmpeg": fake_tool(tmp_path, "ffmpeg", body)}

    with pytest.raises(ToolFailed, match="SIGSEGV"):
        run_module("ffmpeg", encode(clip, tmp_path / "o.mkv"), tools=tools)

    assert starts.read_text() == "xxx"


@pytest.mark.parametrize("name", ["this", "antigravity", "base", "../base", "os.path"])
def test_defect_31_a_modules_name_imports_nothing(name: str) -> None:
    """The name that a job gave was imported, whatever it was."""
    loaded = set(sys.modules)

    with pytest.raises(UnknownModule):
        Registry.load(Settings.load()).get(name)

    assert name not in set(sys.modules) - loaded


def test_defect_32_no_call_looks_through_all_keys_or_the_whole_queue(
    site: Site,
) -> None:
    """A poll carried the whole queue; keys were scanned, and could be gone when read."""
    site.redis.config_resetstat()
    site.machine()
    site.push("j", {"do": "nothing"})
    site.until("j", "completed")
    site.store.steer(worker_id("encode001"), Activity.PAUSE)
    tasks: Any = [{"cleanup": {"delete": []}}]
    jobs = [{"job_title": "t", "job_id": n, "tasks": tasks} for n in range(3000)]
    site.redis.lpush("queue", *map(json.dumps, jobs), "no job")
    with serving(site.settings) as server:
        switched = server.patch("/workers/nobody", json={"disabled": True})
        assert switched.status_code == 200
        assert server.get("/workers").json()["count"] == 1
        assert None not in server.get("/queue").json()["queue"]
        before = sent(site)
        assert server.get("/queue/poll").json()["job_id"] == "0"
        assert sent(site) - before < 50_000

    calls = site.redis.info("commandstats")
    assert not {"cmdstat_keys", "cmdstat_scan"} & calls.keys()


def sent(site: Site) -> int:
    """How many bytes the server has sent so far."""
    return int(site.redis.info("stats")["total_net_output_bytes"])


@pytest.mark.parametrize(
    "url",
    [
        "redis://someone:hush-hush@my-host-1:6379/0",
        "redis://:hush-hush@host:6379/0",
        "redis://someone:hush-hush@host/0",
        "mongodb+srv://someone:hush-hush@cluster-0.example.net",
        "rediss://someone:hush-hush@host:1/0",
        "redis://host:6379/0?password=hush-hush",
        "unix://:hush-hush@/run/valkey.sock",
    ],
)
def test_defect_33_a_password_is_masked_in_every_address(url: str) -> None:
    """Names with a dash, no user, no port, +srv or a port of one digit showed it."""
    assert "hush" not in redacted(url)
    assert re.search(r"host|cluster|valkey", redacted(url))


def test_defect_33_no_message_shows_a_password(tmp_path: Path) -> None:
    """What was not masked could be read by all in the status page."""
    site = Site(UNREACHABLE, tmp_path)
    try:
        machine = site.machine()
        eventually(lambda: "the workers wait for it" in machine.log, 20)
        with serving(site.settings) as server:
            answers = [server.get(path) for path in ("/status/config", "/queue")]
        doctor = [sys.executable, "-m", "sisyphus.cli", "doctor", "--redis-url"]
        said = subprocess.run(
            [*doctor, UNREACHABLE], capture_output=True, text=True, cwd=tmp_path
        )
    finally:
        site.close()

    assert "127.0.0.1:1" in said.stdout
    told = [machine.log, said.stdout, said.stderr, *(one.text for one in answers)]
    assert "hush" not in "".join(told)


def test_defect_34_jobs_have_limits(
    farm: Farm, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No limit of size, depth or time; disk and output were not looked at."""
    with pytest.raises(InvalidJob, match="deep"):
        parse_job(DOCUMENT.format("[" * 100 + "]" * 100))
    farm.push_raw(DOCUMENT.format(json.dumps("x" * 9_000_000)))
    ticks = str(tmp_path / "ticks")
    endless = {
        "module": "scripted",
        "timeout": 0.5,
        "data": {"do": "tick", "file": ticks},
    }
    farm.push_raw(json.dumps({"job_title": "t", "job_id": "late", "tasks": [endless]}))
    assert farm.ends("late") == "failed"
    assert (farm.client.job("late").error or {})["code"] == "timeout"
    assert [entry.reason for entry in farm.client.rejected()] != []

    empty = fake_tool(tmp_path, "ffmpeg", "open(sys.argv[-1], 'w').close()")
    data = encode(clip, tmp_path / "o.mkv")
    with pytest.raises(OutputRefused, match="empty"):
        run_module("ffmpeg", data, tools={"ffmpeg": empty})
    monkeypatch.setattr(output, "FREE_BYTES", 1 << 60)
    with pytest.raises(TaskFailed, match="disk full"):
        run_module("ffmpeg", data)


def test_defect_35_nothing_is_open_to_the_network(
    tmp_path: Path, redis_url: str
) -> None:
    """Everybody could ask and be answered: root/root, any origin, no password."""
    with pytest.raises(ConfigError, match="needs a password"):
        EmbeddedServer(tmp_path, host="0.0.0.0", port=6379)
    with EmbeddedServer(tmp_path / "server") as own:
        assert own.tcp_url is None
        assert (
            stat.S_IMODE((tmp_path / "server" / "server.sock").stat().st_mode) == 0o700
        )
        listening = [line.split()[1] for line in tcp_of(own.pid)]
        assert listening == []

    settings = Settings.load(redis_url=redis_url)
    assert settings.server_host == "127.0.0.1"
    with pytest.raises(ConfigError, match="SISYPHUS_SERVER_TOKEN"):
        refuse_open_doors(Settings.load(redis_url=redis_url, server_host="0.0.0.0"))
    with serving(settings) as server:
        answer = server.get("/queue", headers={"Origin": "https://elsewhere.example"})
        assert answer.status_code == 403
        assert "access-control-allow-origin" not in answer.headers
        answer = server.get("/queue", headers={"Host": "elsewhere.example"})
        assert answer.status_code == 400


def tcp_of(pid: int) -> list[str]:
    """The TCP ports that a process listens on."""
    sockets = {
        found[1]
        for fd in Path(f"/proc/{pid}/fd").iterdir()
        if (found := re.match(r"socket:\[(\d+)\]", str(fd.readlink())))
    }
    rows = [
        line
        for name in ("tcp", "tcp6")
        for line in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]
    ]
    return [row for row in rows if row.split()[9] in sockets]


# All of them


def test_every_defect_has_its_test() -> None:
    here = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    tests = re.findall(
        r'def test_defect_(\d\d)_\w+\(.*?\) -> None:\n    """', here, re.S
    )

    assert {int(number) for number in tests} == set(range(1, 36))
