"""Servers with users, TLS in front of them, and keys, for the tests of security."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from security.tls import Authority, Certificate, TlsDoor
from sisyphus.embedded import EmbeddedServer


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "ours")


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger")


@pytest.fixture(scope="session")
def for_localhost(authority: Authority) -> Certificate:
    return authority.issue("redis", names="DNS:localhost")


@pytest.fixture
def socket_of(valkey_server: EmbeddedServer, redis_url: str) -> Path:
    """The unix socket of a server that is empty."""
    return Path(redis_url.removeprefix("unix://"))


@pytest.fixture
def door(socket_of: Path, for_localhost: Certificate) -> Iterator[TlsDoor]:
    """TLS with a certificate for localhost, by a private authority."""
    with TlsDoor(socket_of, for_localhost) as door:
        yield door


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """A file with one signing key."""
    path = tmp_path / "signing.key"
    path.write_text("0123456789abcdef" * 4 + "\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def wake() -> Iterator[tuple[int, int]]:
    """A pipe: its end to read, its end to write."""
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)
