"""One connection to Redis or Valkey: several commands, one round trip.

redis-py's client retries by itself, ten times by default; a call whose answer was lost
would run twice without our knowing. Every script may be repeated as a whole, but by whom
and how long is for the caller to decide: here nothing is retried. redis-py opens the
connection (addresses, TLS, passwords), hiredis packs commands and reads answers; doing
without the layers between them saves two thirds of a round trip's cost.
"""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Sequence
from typing import Any

from hiredis import Reader, pack_command
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from sisyphus.errors import ConfigError, StoreRefused, StoreUnavailable
from sisyphus.store.scripts import Argument, Script

CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 5.0
IDLE_SECONDS = 1.0
"""A connection that was not used for so long is looked at before it is used."""
_CHUNK = 65536

Command = tuple[Argument, ...]


def open_client(url: str) -> Redis:
    """Make redis-py's client for a URL, with its own retries switched off.

    Raises:
        ConfigError: the URL cannot be understood.
    """
    tcp_only = {} if url.startswith("unix:") else {"socket_keepalive": True}
    try:
        return Redis.from_url(
            url,
            **tcp_only,
            retry=Retry(NoBackoff(), 0),
            socket_connect_timeout=CONNECT_SECONDS,
            socket_timeout=ANSWER_SECONDS,
            protocol=2,
            client_name="sisyphus",
        )
    except ValueError as error:
        raise ConfigError(f"redis_url: {error}") from None


def refusal(error: Exception) -> StoreRefused:
    """Say in words what Redis's error means for the person who runs it."""
    text = str(error)
    hints = {
        "Authentication required": "it wants a password: put it in the URL,"
        " redis://:PASSWORD@host",
        "username-password pair": "the user name or password in the URL is wrong",
        "NOPERM": "this user may not run that command",
        "OOM": "it is full: raise maxmemory or drop keys; nothing has been lost",
        "MISCONF": "it cannot save to disk and refuses to write; see its log",
        "READONLY": "it is a replica: use the address of the primary",
        "LOADING": "it is still reading its data from disk",
        "WRONGTYPE": "one of our keys holds another type: is the list's name taken?",
    }
    hint = next((said for word, said in hints.items() if word in text), "")
    return StoreRefused(f"Redis refused: {hint or text}")


class Wire:
    """One connection, opened when first used and again after an error. Thread-safe."""

    def __init__(self, client: Redis) -> None:
        self._pool = client.connection_pool
        self._connection: Any = None  # redis-py types little of what it needs
        self._line: socket.socket | None = None
        self._used = 0.0
        self._reader = Reader()
        self._lock = threading.Lock()

    def run(self, *commands: Command) -> list[Any]:
        """Send all commands at once and return their answers, errors among them.

        Raises:
            StoreUnavailable: no answer; nobody knows which of the commands were done.
            StoreRefused: Redis does not let us in.
        """
        with self._lock:
            try:
                line = self._open()
                line.sendall(b"".join(map(_packed, commands)))
                return [self._answer(line) for _ in commands]
            except BaseException as error:
                raise self._broken(error) from error

    def call(self, script: Script, command: Command) -> list[Any]:
        """Run one script; see ``call_all``."""
        answer: list[Any] = self.call_all([(script, command)])[0]
        return answer

    def call_all(
        self, calls: Sequence[tuple[Script, Command]], *more: Command
    ) -> list[Any]:
        """Run scripts by their hashes, and further commands, in one round trip.

        After a restart Redis has forgotten the scripts: they are loaded and the whole is
        repeated, which every script allows. An error of a further command stands among
        the answers.

        Raises:
            StoreUnavailable: no answer.
            StoreRefused: Redis answered a script with an error.
        """
        commands = [command for _, command in calls]
        answers = self.run(*commands, *more)
        if any(map(_is_unknown_script, answers)):
            self.run(*(("SCRIPT", "LOAD", script.text) for script, _ in calls))
            answers = self.run(*commands, *more)
        for answer in answers[: len(calls)]:
            if isinstance(answer, Exception):
                raise refusal(answer) from answer
        return answers

    def wait(self, command: Command, seconds: float, wake_fd: int) -> Any:
        """Run a command that blocks, until it answers or ``wake_fd`` is readable.

        Then the connection is closed: the server forgets the waiting client. What it moved
        in that very moment is where the command put it.
        """
        with self._lock:
            try:
                line = self._open()
                line.sendall(_packed(command))
                watched: list[Any] = [line, wake_fd]
                ready, _, _ = select.select(watched, [], [], seconds + ANSWER_SECONDS)
                if line in ready:
                    return self._answer(line)
                self._drop()
                return None
            except BaseException as error:
                raise self._broken(error) from error

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._drop()

    def _open(self) -> socket.socket:
        if self._line is not None and time.monotonic() - self._used > IDLE_SECONDS:
            readable, _, _ = select.select([self._line], [], [], 0)
            if readable:  # nothing was asked, so this is its end: the server hung up
                self._drop()
        self._used = time.monotonic()
        if self._line is None:
            # Not the pool's make_connection: that counts, and takes none back.
            connection: Any = self._pool.connection_class(
                **self._pool.connection_kwargs
            )
            try:
                connection.connect()
            except (AuthenticationError, ResponseError) as error:
                raise refusal(error) from error
            self._connection = connection
            self._line = connection._sock  # there is no public way to it
            self._reader = Reader()
        return self._line

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.disconnect()
            self._connection = self._line = None

    def _answer(self, line: socket.socket) -> Any:
        while (answer := self._reader.gets()) is False:
            received = line.recv(_CHUNK)
            if not received:
                raise ConnectionError("the connection was closed")
            self._reader.feed(received)
        return answer

    def _broken(self, error: BaseException) -> BaseException:
        """Drop a connection whose next answer may belong to this call; say what it is."""
        self._drop()
        if isinstance(error, RedisConnectionError | RedisTimeoutError | OSError):
            reason = str(error).strip() or type(error).__name__
            return StoreUnavailable(f"Redis does not answer: {reason}")
        return error


def push_raw(url: str, queue: str, raw: bytes) -> None:
    """Push a document into a list as any producer does: LPUSH, and nothing else.

    Raises:
        StoreUnavailable: no answer.
        StoreRefused: Redis will not do it.
    """
    client = open_client(url)
    wire = Wire(client)
    try:
        answer = wire.run(("LPUSH", queue, raw))[0]
    finally:
        wire.close()
        client.close()
    if isinstance(answer, Exception):
        raise refusal(answer) from answer


def _packed(command: Command) -> bytes:
    return pack_command(command)  # type: ignore[no-any-return,arg-type]  # its stub is wrong


def _is_unknown_script(answer: Any) -> bool:
    return isinstance(answer, Exception) and str(answer).startswith("NOSCRIPT")
