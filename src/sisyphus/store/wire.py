"""One connection to Redis or Valkey: several commands, one round trip.

redis-py's client retries by itself, ten times by default; a call whose answer was lost
would run twice without our knowing. Every script may be repeated as a whole, but by whom
and how long is for the caller to decide: here nothing is retried. Using the library's
connection without its client also halves the cost of a round trip.
"""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Sequence
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    ConnectionError,
    NoScriptError,
    ResponseError,
    TimeoutError,
)
from redis.retry import Retry

from sisyphus.errors import ConfigError, StoreRefused, StoreUnavailable
from sisyphus.store.scripts import Argument, Script

CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 5.0

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
        "NOAUTH": "it wants a password: put it in the URL, redis://:PASSWORD@host",
        "WRONGPASS": "the user name or password in the URL is wrong",
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
        self._lock = threading.Lock()

    def run(self, *commands: Command) -> list[Any]:
        """Send all commands at once and return their answers, errors among them.

        Raises:
            StoreUnavailable: no answer; nobody knows which of the commands were done.
            StoreRefused: Redis does not let us in.
        """
        with self._lock:
            try:
                connection = self._open()
                connection.send_packed_command(connection.pack_commands(commands))
                return [_answer(connection) for _ in commands]
            except (ConnectionError, TimeoutError, OSError) as error:
                self._drop()
                raise _no_answer(error) from error
            except BaseException:
                self._drop()
                raise

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
        if any(isinstance(answer, NoScriptError) for answer in answers):
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
                connection = self._open()
                connection.send_packed_command(connection.pack_command(*command))
                file: socket.socket = connection._sock  # there is no public way to it
                ready, _, _ = select.select(
                    [file, wake_fd], [], [], seconds + ANSWER_SECONDS
                )
                if file in ready:
                    return _answer(connection)
                self._drop()
                return None
            except (ConnectionError, TimeoutError, OSError) as error:
                self._drop()
                raise _no_answer(error) from error
            except BaseException:
                self._drop()
                raise

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._drop()

    def _open(self) -> Any:
        if self._connection is None:
            connection: Any = self._pool.make_connection()
            try:
                connection.connect()
            except AuthenticationError as error:
                raise refusal(error) from error
            except ResponseError as error:
                raise refusal(error) from error
            self._connection = connection
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.disconnect()
            self._connection = None


def _answer(connection: Any) -> Any:
    try:
        return connection.read_response(disable_decoding=True)
    except ResponseError as error:
        return error


def _no_answer(error: Exception) -> StoreUnavailable:
    reason = str(error).strip() or type(error).__name__
    return StoreUnavailable(f"Redis does not answer: {reason}")
