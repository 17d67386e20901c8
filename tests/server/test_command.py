"""``sisyphus server`` as a process."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.conftest import JOB
from waiting import eventually

TOKEN = "0123456789abcdef-secret"
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(redis_url: str, tmp_path: Path) -> Iterator[Start]:
    """Start a command; it is gone when the test is over."""
    started: list[subprocess.Popen[str]] = []

    def run(*words: object, **variables: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "sisyphus.cli", *map(str, words)],
            cwd=tmp_path,
            env=os.environ | {"SISYPHUS_REDIS_URL": redis_url} | variables,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def address_of(process: subprocess.Popen[str]) -> str:
    """Read where it listens."""
    assert process.stderr is not None
    said = json.loads(process.stderr.readline())["message"]
    assert said.startswith("listening on http://")
    return str(said.split()[-1])


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, err = process.communicate(timeout=30)
    return process.returncode, err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_told_to_stop_and_then_stops_at_once(
    start: Start, number: int
) -> None:
    process = start("server", "--port", 0)
    with httpx.Client(base_url=address_of(process), trust_env=False) as http:
        assert http.get("/status/health", timeout=30).json() == {"status": "online"}
        assert http.post("/queue", json=JOB).status_code == 200

        asked = time.monotonic()
        process.send_signal(number)  # while a connection is open
        code, _ = ended(process)

    assert code == 0
    assert time.monotonic() - asked < 5


def test_a_job_that_is_posted_is_run_by_a_worker(start: Start, tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    start("worker", "--name", "encode001")
    with httpx.Client(
        base_url=address_of(start("server", "--port", 0)), trust_env=False, timeout=30
    ) as http:

        def listed() -> list[Any]:
            return list(http.get("/workers").json()["workers"])

        eventually(lambda: [one["status"] for one in listed()] == ["idle"], 20)
        (worker,) = listed()
        assert worker["hostname"] == "encode001"
        assert worker["worker_id"] == "170ce07d-9e6b-5e7f-b503-6de6624d5ff5"
        assert {"version", "online_at", "attributes"} <= set(worker)

        job_id = http.post("/queue", json=JOB).json()["job_id"]
        eventually(lambda: http.get(f"/jobs/{job_id}").status_code == 404, 20)

    assert not (tmp_path / "x").exists()


def test_the_token_comes_from_the_settings_and_is_not_logged(start: Start) -> None:
    process = start(
        *("server", "--port", 0, "--host", "0.0.0.0"),
        SISYPHUS_SERVER_TOKEN=TOKEN,
        SISYPHUS_LOG_LEVEL="DEBUG",
    )
    port = address_of(process).rpartition(":")[2]
    address = f"http://127.0.0.1:{port}/queue"

    assert httpx.get(address, trust_env=False, timeout=30).status_code == 401
    known = {"Authorization": f"Bearer {TOKEN}"}
    assert httpx.get(address, headers=known, trust_env=False).status_code == 200

    process.terminate()
    code, err = ended(process)
    assert code == 0
    assert "GET /queue" in err
    assert TOKEN not in err


def test_what_it_cannot_do_is_said_in_one_line(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, err = ended(start("server", "--port", port))
        assert code == 2
        assert err.startswith(
            f"cannot listen on 127.0.0.1, port {port}: Address already"
        )

    code, err = ended(start("server", "--host", "0.0.0.0"))
    assert code == 2
    assert "set SISYPHUS_SERVER_TOKEN" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("missing", ["uvicorn", "fastapi"])
def test_without_its_extra_it_says_how_to_install_it(missing: str) -> None:
    code = (
        f"import sys; sys.modules[{missing!r}] = None; sys.argv = ['s', 'server'];"
        " from sisyphus.cli.main import run; run()"
    )

    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert said.returncode == 2
    assert f"{missing} is not installed" in said.stderr
    assert "pip install 'sisyphus-worker[server]'" in said.stderr
