"""``sisyphus server`` without its Redis: it starts, says so once, and hears the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sisyphus.embedded import EmbeddedServer
from trouble.conftest import PASSWORD
from waiting import eventually


@pytest.fixture
def log(tmp_path: Path, free_port: int) -> Iterator[Path]:
    """What a server says that was started without a Redis at that port."""
    path = tmp_path / "server.log"
    url = f"redis://:{PASSWORD}@127.0.0.1:{free_port}/0"
    given = {"SISYPHUS_REDIS_URL": url, "SISYPHUS_LEASE": "3"}
    with path.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "sisyphus.cli", "server", "--port", "0"],
            stderr=stderr,
            cwd=tmp_path,
            env={**os.environ, **given},
        )
    yield path
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


def test_an_http_server_says_once_that_redis_is_away_and_that_it_is_back(
    log: Path, tmp_path: Path, free_port: int
) -> None:
    eventually(lambda: "requests are answered 503 meanwhile" in log.read_text())
    with EmbeddedServer(
        tmp_path / "redis", port=free_port, password=PASSWORD, appendonly=False
    ):
        eventually(lambda: "Redis is back after" in log.read_text())

        said = log.read_text()
        assert said.count("does not answer") == said.count("Redis is back") == 1
        assert "Traceback" not in said
        assert PASSWORD not in said
