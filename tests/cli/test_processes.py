"""Commands as processes: workers that run jobs, waits, interruptions, the demo."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from cli.conftest import MODULES, Sisyphus, Start
from waiting import eventually

JobFile = Callable[..., Path]
LONG = {"tool": ["sleep", "600"]}


@pytest.fixture
def worker(with_redis: str, start: Start) -> subprocess.Popen[str]:
    """A worker with the test's modules."""
    return start("worker", "--modules", MODULES, "--name", "here", "--label", "test")


def busy(sisyphus: Sisyphus) -> bool:
    return any(row["job_id"] for row in sisyphus("workers", "list", "--json").json)


def test_a_job_is_submitted_run_and_waited_for(
    worker: subprocess.Popen[str], start: Start, job_file: JobFile, anywhere: Path
) -> None:
    waiting = start("submit", job_file(text="hello"), "--wait")

    _, err = waiting.communicate(timeout=30)

    assert waiting.returncode == 0
    assert "A job: completed" in err
    assert (anywhere / "note.txt").read_text() == "hello"


def test_a_job_pushed_by_anyone_is_watched_until_it_has_failed(
    worker: subprocess.Popen[str],
    client: Redis,
    start: Start,
    job: Callable[..., dict[str, Any]],
) -> None:
    watching = start("jobs", "watch", "pushed")
    client.lpush("queue", json.dumps(job("pushed", outcome="fail")))

    _, err = watching.communicate(timeout=30)

    assert watching.returncode == 1
    assert "the pen broke" in err


def test_a_cancelled_job_is_code_5_for_those_who_wait(
    worker: subprocess.Popen[str], sisyphus: Sisyphus, start: Start, job_file: JobFile
) -> None:
    waiting = start("submit", job_file(**LONG), "--wait")
    eventually(lambda: busy(sisyphus), 20)

    assert "stopping" in sisyphus("jobs", "cancel", "a-job").out

    waiting.communicate(timeout=30)
    assert waiting.returncode == 5


def test_a_log_is_followed_until_the_job_ends(
    worker: subprocess.Popen[str], sisyphus: Sisyphus, start: Start, job_file: JobFile
) -> None:
    sisyphus("submit", job_file(text="hello"))

    following = start("jobs", "log", "a-job", "--follow")

    out, _ = following.communicate(timeout=30)
    assert following.returncode == 0
    assert "writing hello" in out


def test_interrupting_a_wait_leaves_the_job_alone(
    worker: subprocess.Popen[str], sisyphus: Sisyphus, start: Start, job_file: JobFile
) -> None:
    waiting = start("submit", job_file(**LONG), "--wait")
    eventually(lambda: busy(sisyphus), 20)

    waiting.send_signal(signal.SIGINT)

    _, err = waiting.communicate(timeout=30)
    assert waiting.returncode == 130
    assert "go on without you" in err
    assert sisyphus("jobs", "show", "a-job", "--json").json["state"] == "running"


def test_a_drained_worker_ends_in_order(
    worker: subprocess.Popen[str], sisyphus: Sisyphus
) -> None:
    eventually(lambda: sisyphus("workers", "list", "--json").json, 20)

    assert "ends now" in sisyphus("workers", "drain", "here").out

    worker.communicate(timeout=30)
    assert worker.returncode == 0


def test_an_interrupted_run_stops_its_tool_and_is_code_130(
    start: Start, job_file: JobFile, anywhere: Path
) -> None:
    running = start("run", job_file(**LONG), "--modules", MODULES)
    assert running.stdout is not None
    eventually(
        lambda: "$ " in (running.stdout.readline() if running.stdout else ""), 20
    )

    running.send_signal(signal.SIGINT)

    running.communicate(timeout=30)
    assert running.returncode == 130
    assert not (anywhere / "note.txt").exists()


def test_top_draws_on_a_terminal_until_q_is_pressed(with_redis: str) -> None:
    ours, theirs = pty.openpty()
    top = subprocess.Popen(
        [sys.executable, "-m", "sisyphus.cli", "top"],
        stdin=theirs,
        stdout=theirs,
        env={**os.environ, "TERM": "xterm"},
    )
    drawn = b""
    while b"no worker is alive" not in drawn:
        drawn += os.read(ours, 4096)

    os.write(ours, b"q")

    assert top.wait(20) == 0
    os.close(theirs)
    os.close(ours)


@pytest.mark.tool
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_demo_that_is_ended_leaves_nothing_running(
    number: signal.Signals, start: Start, anywhere: Path
) -> None:
    demo = start("demo")
    log = anywhere / "demo" / "worker.log"
    eventually(lambda: log.exists() and "worker(s) on" in log.read_text(), 40)
    assert living_in(anywhere)

    demo.send_signal(number)

    demo.communicate(timeout=30)
    eventually(lambda: not living_in(anywhere), 20)
    if number is signal.SIGTERM:
        assert demo.returncode == 130


def living_in(folder: Path) -> list[int]:
    """List the processes that work in a folder of the demo."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdecimal() and int(process.name) != os.getpid():
            try:
                place = (process / "cwd").readlink()
            except OSError:
                continue
            if folder / "demo" in (place, *place.parents):
                found.append(int(process.name))
    return found
