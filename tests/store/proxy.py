"""A proxy between a store and its server that cuts connections when it is told to."""

from __future__ import annotations

import contextlib
import shutil
import socket
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Self


class Proxy:
    """Passes all bytes on; listens on a unix socket in a folder of its own."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._folder = Path(tempfile.mkdtemp(prefix="proxy-"))
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._folder / "socket"))
        self._listener.listen()
        self._open: list[socket.socket] = []
        self.connections = 0
        self.swallow_answers = False
        """Close instead of passing the next answer on: it was done, nobody knows."""
        self.bytes_to_pass: int | None = None
        """Close after so many bytes of the next request."""
        self.silent = False
        """Pass nothing on, and close nothing."""
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"unix://{self._folder / 'socket'}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._listener.close()
        for side in self._open:
            _close(side)
        shutil.rmtree(self._folder)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._server)
            self._open += [client, server]
            for source, target, is_answer in (
                (client, server, False),
                (server, client, True),
            ):
                threading.Thread(
                    target=self._pump, args=(source, target, is_answer), daemon=True
                ).start()

    def _pump(
        self, source: socket.socket, target: socket.socket, is_answer: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if self.silent:
                    continue
                if is_answer and self.swallow_answers:
                    break
                if not is_answer and self.bytes_to_pass is not None:
                    target.sendall(data[: self.bytes_to_pass])
                    break
                target.sendall(data)
        _close(source)
        _close(target)


def _close(side: socket.socket) -> None:
    with contextlib.suppress(OSError):
        side.shutdown(socket.SHUT_RDWR)
    side.close()
