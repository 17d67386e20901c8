"""What may listen at an address instead of the Redis that was meant."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

Answer = Callable[[bytes], bytes | None]
"""Of what was received; nothing for no answer, ``b""`` to hang up."""


class Stranger:
    """Listens on a port of this machine and answers as it was told."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                side, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._talk, args=(side,), daemon=True).start()

    def _talk(self, side: socket.socket) -> None:
        with side, suppress(OSError):
            while received := side.recv(65536):
                answer = self._answer(received)
                if answer == b"":
                    return
                if answer is not None:
                    side.sendall(answer)
                    if not answer.startswith((b"+", b"-")):
                        return


def web_server(received: bytes) -> bytes:
    return b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"


def tls_server(received: bytes) -> bytes:
    """The alert of a TLS server that was spoken to without TLS."""
    return b"\x15\x03\x03\x00\x02\x02\x46"


def hangs_up(received: bytes) -> bytes:
    return b""


def silent(received: bytes) -> None:
    return None


def refusing(error: bytes) -> Answer:
    """Let everybody in, and refuse every command in these words."""

    def answer(received: bytes) -> bytes:
        words = re.findall(rb"\*\d+\r\n\$\d+\r\n([A-Z]+)\r\n", received)
        polite = (b"CLIENT", b"AUTH", b"SELECT")
        return b"".join(b"+OK\r\n" if w in polite else error + b"\r\n" for w in words)

    return answer


cluster = refusing(b"-MOVED 13011 10.0.0.2:6379")
sentinel = refusing(b"-ERR unknown command 'EVALSHA', with args beginning with: x")
loading = refusing(b"-LOADING Redis is loading the dataset in memory")
too_few_replicas = refusing(b"-NOREPLICAS Not enough good replicas to write.")
crowded = refusing(b"-ERR max number of clients reached")
