"""The command line as a person or a script uses it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from typer.testing import CliRunner

from sisyphus.cli.main import app

MODULES = Path(__file__).parent / "modules"


@dataclass(frozen=True)
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


Sisyphus = Callable[..., Said]


@pytest.fixture
def anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def sisyphus(anywhere: Path) -> Sisyphus:
    """Run a command in this process."""
    runner = CliRunner()

    def run(*words: object, typed: str | bytes = "") -> Said:
        result = runner.invoke(app, [str(word) for word in words], input=typed)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Said(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def with_redis(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let every command use the test's server."""
    monkeypatch.setenv("SISYPHUS_REDIS_URL", redis_url)
    return redis_url


@pytest.fixture
def client(with_redis: str) -> Iterator[Redis]:
    """The raw client, for producers and for looking."""
    with Redis.from_url(with_redis, retry=Retry(NoBackoff(), 0)) as client:
        yield client


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(anywhere: Path) -> Iterator[Start]:
    """Start a command as a process of its own; it is gone when the test is over."""
    started: list[subprocess.Popen[str]] = []

    def run(*words: object, **more: Any) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "sisyphus.cli", *map(str, words)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            **more,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.fixture
def job(anywhere: Path) -> Callable[..., dict[str, Any]]:
    """Make a job for the module ``note``."""

    def make(
        job_id: str = "a-job", title: str = "A job", **data: Any
    ) -> dict[str, Any]:
        task = {"note": {"output_file": str(anywhere / "note.txt"), **data}}
        return {"job_title": title, "job_id": job_id, "tasks": [task]}

    return make


@pytest.fixture
def job_file(anywhere: Path, job: Callable[..., dict[str, Any]]) -> Callable[..., Path]:
    """Write such a job into a file."""

    def write(job_id: str = "a-job", **more: Any) -> Path:
        path = anywhere / f"{job_id}.json"
        path.write_text(json.dumps(job(job_id, **more)))
        return path

    return write
