"""The server under test: killed, cut off from power, restarted, filled, failed over."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from chaos.shim import Control
from sisyphus.embedded import find_server

START_SECONDS = 30.0


class Server:
    """One Valkey or Redis on one folder and one TCP port; its data outlive it."""

    def __init__(
        self, folder: Path, appendfsync: str, shim: Path | None, name: str = "server"
    ) -> None:
        self.folder = folder / name
        self.folder.mkdir()
        self.port = free_port()
        self.control = Control(folder, name)
        self._binary = find_server()
        self._shim = shim
        self._appendfsync = appendfsync
        self._process: subprocess.Popen[bytes] | None = None
        self._replica_of: int | None = None

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.poll() is None

    def start(self, replica_of: int | None = None) -> None:
        """Start it on what its folder holds, and wait until it answers."""
        options = {
            "dir": self.folder,
            "port": self.port,
            "bind": "127.0.0.1",
            "appendonly": "yes",
            "appendfsync": self._appendfsync,
            "auto-aof-rewrite-percentage": 0,
            "save": "",
            "maxmemory-policy": "noeviction",
            "repl-diskless-sync-delay": 0,
        }
        words = [
            part for name, value in options.items() for part in (f"--{name}", value)
        ]
        if replica_of is not None:
            words += ["--replicaof", f"127.0.0.1 {replica_of}"]
        variables = dict(os.environ)
        if self._shim is not None:
            variables |= self.control.variables(self._shim)
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._binary, *map(str, words)],
                env=variables,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._until_it_answers()

    def start_again(self) -> None:
        """Start it, if it does not run."""
        if not self.alive:
            self.start()

    def signal(self, number: signal.Signals) -> None:
        """Send its process a signal."""
        if self._process is not None and self.alive:
            self._process.send_signal(number)

    def kill(self) -> None:
        """End it as a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def cut_power(self) -> int:
        """End it, and with it all that was not on the disk; tells how many bytes."""
        self.kill()
        gone = 0
        for file in (self.folder / "appendonlydir").glob("*.incr.aof"):
            left = self.control.flushed_size(file)
            gone += max(0, file.stat().st_size - left)
            if left < file.stat().st_size:
                os.truncate(file, left)
        return gone

    def stop(self) -> None:
        """Let it end in order."""
        if self._process is not None and self.alive:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
        self.kill()

    def client(self) -> Redis:
        """Connect without any fault in between."""
        return Redis(
            port=self.port,
            socket_timeout=1,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
        )

    def _until_it_answers(self) -> None:
        give_up = time.monotonic() + START_SECONDS
        with self.client() as client:
            while True:
                try:
                    client.ping()
                except (RedisError, OSError):
                    if time.monotonic() > give_up:
                        log = (self.folder / "server.log").read_text(errors="replace")
                        raise RuntimeError(f"no answer: {log[-500:]}") from None
                    time.sleep(0.01)
                else:
                    return


def free_port() -> int:
    """Find a TCP port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
