"""What every test may ask for."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from sisyphus.embedded import EmbeddedServer

SAMPLES = Path(__file__).parent.parent / "samples"
SEED_VARIABLES = (
    "HOSTNAME_OVERRIDE",
    "HOST_UUID",
    "FFMPEG_PATH",
    "HANDBRAKE_CLI_PATH",
    "FONT_DIRECTORY",
    "MKVMERGE_ENABLE_FONT_ATTACHMENTS",
)


@pytest.fixture(autouse=True)
def nothing_from_outside(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Keep settings and caches of the person who runs the tests out of them."""
    monkeypatch.setenv("HOME", str(tmp_path_factory.getbasetemp() / "home"))
    for name in list(os.environ):
        if name.startswith(("SISYPHUS_", "REDIS_")) or name in SEED_VARIABLES:
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def valkey_server(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[EmbeddedServer]:
    """One real server for each process that runs tests; it writes nothing to disk."""
    folder = tmp_path_factory.mktemp("valkey")
    with EmbeddedServer(folder, appendonly=False) as server:
        yield server


@pytest.fixture(scope="session")
def _sweeper(valkey_server: EmbeddedServer) -> Iterator[Redis]:
    with Redis.from_url(valkey_server.url, retry=Retry(NoBackoff(), 0)) as client:
        yield client


@pytest.fixture
def redis_url(valkey_server: EmbeddedServer, _sweeper: Redis) -> str:
    """The address of a server that is empty."""
    _sweeper.flushall()
    return valkey_server.url


@pytest.fixture
def clip() -> Path:
    """Five seconds of a real film: 132 frames of h264, AAC 5.1."""
    return SAMPLES / "big_buck_bunny_5s.mp4"


@pytest.fixture
def free_port() -> int:
    """A TCP port of this machine that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
