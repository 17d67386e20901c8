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
import ssl
import threading
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import SplitResult, urlsplit

from hiredis import Reader, pack_command
from redis import Redis
from redis.backoff import NoBackoff
from redis.connection import SSLConnection
from redis.exceptions import AuthenticationError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from sisyphus.errors import ConfigError, StoreUnavailable
from sisyphus.logs import has_password
from sisyphus.secret_files import secret_of
from sisyphus.settings import Settings
from sisyphus.store.refusals import no_redis, refusal, silence
from sisyphus.store.scripts import Argument, Script
from sisyphus.store.tls import hint_at_tls, tls_options, tls_refusal

CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 5.0
IDLE_SECONDS = 1.0
"""A connection that was not used for so long is looked at before it is used."""
_CHUNK = 65536

Command = tuple[Argument, ...]

_NOT_UNDERSTOOD = (
    "redis_url: cannot be understood: in its password percent-encode what is no letter or"
    " digit (/ is %2F, ? is %3F, # is %23, @ is %40), or use redis_password_file"
)


def client_of(settings: Settings) -> Redis:
    """Make the client that the settings describe.

    Raises:
        ConfigError: the URL cannot be understood, or a file does not do.
    """
    given: dict[str, Any] = {**tls_options(settings)}
    if settings.redis_password_file is not None:
        given["password"] = secret_of(
            "redis_password_file", settings.redis_password_file
        )
    return open_client(settings.redis_url, **given)


def open_client(url: str, **given: Any) -> Redis:
    """Make redis-py's client for a URL, with its own retries switched off.

    What is given besides counts where the URL says nothing of it.

    Raises:
        ConfigError: the URL cannot be understood. Nothing of it is told: what is wrong
            may be the password.
    """
    parts = _parts_of(url)
    tcp_only = {} if url.startswith("unix:") else {"socket_keepalive": True}
    if "password" in given and has_password(url):
        raise ConfigError("redis_password_file: the URL has a password as well")
    try:
        client = Redis.from_url(
            url,
            **tcp_only,
            retry=Retry(NoBackoff(), 0),
            socket_connect_timeout=CONNECT_SECONDS,
            socket_timeout=ANSWER_SECONDS,
            protocol=2,
            client_name="sisyphus",
            driver_info=None,  # what it would say of itself costs two round trips
            **given,
        )
        pool: Any = client.connection_pool
        pool.connection_class(**pool.connection_kwargs)  # opens nothing, checks options
    except ValueError as error:
        raise ConfigError(f"redis_url: {error}") from None
    except (TypeError, RedisError) as error:
        said = str(error).partition("argument ")[2] or str(error)
        raise ConfigError(f"redis_url: cannot have the option {said}") from None
    database = parts.path.strip("/")
    if parts.scheme != "unix" and database and not database.isdecimal():
        raise ConfigError(  # redis-py would take database 0
            "redis_url: what follows the host must be the number of a database, /0"
        )
    return client


def _parts_of(url: str) -> SplitResult:
    """Take a URL apart; one in which the password may reach into other parts is refused.

    What urlsplit says of such a URL has pieces of the password in it.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port  # only now it is looked at
    except ValueError:
        raise ConfigError(_NOT_UNDERSTOOD) from None
    # Only a socket's path may have an `@` of its own, and there is no host before it.
    is_socket = parts.scheme == "unix" and parts.netloc[-1:] in ("", "@")
    if "@" in "".join(parts[2:]) and not is_socket:
        raise ConfigError(_NOT_UNDERSTOOD)
    return parts


class Wire:
    """One connection, opened when first used and again after an error. Thread-safe."""

    def __init__(self, client: Redis) -> None:
        self._pool = client.connection_pool
        given = self._pool.connection_kwargs
        address = f"{given.get('host', 'localhost')}:{given.get('port', 6379)}"
        self._where = given.get("path") or address
        self._tls = issubclass(self._pool.connection_class, SSLConnection)
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
                if self._await_bytes(line, seconds + ANSWER_SECONDS, wake_fd):
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
            # Nothing was asked: what can be read is its end, the server hung up.
            try:
                ended = self._await_bytes(self._line, 0)
            except OSError:
                ended = True
            if ended:
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

    def _await_bytes(
        self, line: socket.socket, seconds: float, wake_fd: int | None = None
    ) -> bool:
        """Wait for bytes of an answer, or the line's end; false when none came.

        With TLS a readable socket may bring no byte of an answer: session tickets and new
        keys travel on it, too.
        """
        give_up = time.monotonic() + seconds
        watched: list[Any] = [line] if wake_fd is None else [line, wake_fd]
        while True:
            left = max(0.0, give_up - time.monotonic())
            if line not in select.select(watched, [], [], left)[0]:
                return False
            if not isinstance(line, ssl.SSLSocket):
                return True
            patience = line.gettimeout()
            line.setblocking(False)
            try:
                received = line.recv(_CHUNK)
            except ssl.SSLWantReadError:
                continue
            finally:
                line.settimeout(patience)
            if not received:
                raise ConnectionError("the connection was closed")
            self._reader.feed(received)
            return True

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
        was_open = self._connection is not None
        self._drop()
        if isinstance(error, RedisConnectionError | RedisTimeoutError | OSError):
            if refused := tls_refusal(error):
                return refused
            silent = silence(error, self._where, tls=self._tls)
            hint = "" if was_open else hint_at_tls(error, tls=self._tls)
            return StoreUnavailable(silent.message + hint) if hint else silent
        return no_redis(error) or error


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
