"""A server, workers and a producer for one part of the measurement."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Self

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from bench.processes import children, descendants
from sisyphus.embedded import EmbeddedServer
from sisyphus.store.keys import Keys

ROOT = Path(__file__).resolve().parent.parent
MODULES = Path(__file__).resolve().parent / "modules"
KEYS = Keys()
_FOREIGN = ("SISYPHUS_", "REDIS_", "HOST", "FFMPEG_", "PYTHONDONTWRITE")


class Machine:
    """One ``sisyphus worker`` with its worker processes, started as a user would."""

    def __init__(
        self, site: Site, name: str, workers: int, variables: Mapping[str, str]
    ) -> None:
        self.name = name
        self._log = site.folder / f"{name}.log"
        with self._log.open("ab") as log:
            words = _worker_words(site, name, workers)
            self.process = sisyphus(site.folder, *words, log=log, variables=variables)

    @property
    def supervisor(self) -> int:
        """The supervisor's pid."""
        return self.process.pid

    @property
    def workers(self) -> list[int]:
        """The pids of the worker processes."""
        return children(self.supervisor)

    @property
    def log(self) -> str:
        """What the supervisor and its workers have said."""
        return self._log.read_text(errors="replace")

    def stop(self) -> None:
        """Let it end in order."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.lose_power()

    def lose_power(self) -> None:
        """End all of it at once, so that nobody is left who could tell."""
        if self.process.poll() is not None:
            return
        tree = [self.supervisor, *descendants(self.supervisor)]
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in tree:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
        self.process.wait()


class Site:
    """A folder, a server of its own and a plain producer's client."""

    def __init__(self, folder: Path, server: EmbeddedServer) -> None:
        self.folder, self.server = folder, server
        self.redis: Redis = Redis.from_url(
            server.url, retry=Retry(NoBackoff(), 0), decode_responses=True
        )
        self.machines: list[Machine] = []

    @classmethod
    @contextmanager
    def open(cls) -> Iterator[Self]:
        """Start a server in an empty folder, AOF everysec; clear up at the end."""
        with (
            tempfile.TemporaryDirectory(prefix="sisyphus-bench-") as folder,
            EmbeddedServer(Path(folder) / "server", appendfsync="everysec") as server,
        ):
            site = cls(Path(folder), server)
            try:
                yield site
            finally:
                for machine in site.machines:
                    machine.stop()
                site.redis.close()

    def machine(self, name: str, workers: int, **variables: str) -> Machine:
        """Start workers and wait until all of them are idle."""
        wanted = self.idle() + workers
        made = self.start(name, workers, **variables)
        self.until(lambda: self.idle() >= wanted, f"{name} is ready")
        return made

    def start(self, name: str, workers: int, **variables: str) -> Machine:
        """Start workers that may find something to do at once."""
        made = Machine(self, name, workers, variables)
        self.machines.append(made)
        return made

    def idle(self) -> int:
        """How many workers have found nothing to do."""
        return self.redis.scard(KEYS.idle)

    def push(self, document: str) -> None:
        """Submit a job as any producer would."""
        self.redis.lpush(KEYS.waiting(), document)

    def run(self, documents: Iterable[str], workers: int) -> None:
        """Submit jobs and wait until all workers are idle again."""
        for document in documents:
            self.push(document)
        self.until(lambda: self.drained(workers), "all jobs have run")

    def drained(self, workers: int) -> bool:
        """Whether nothing waits and nobody works; three commands, one round trip."""
        with self.redis.pipeline(transaction=False) as pipe:
            pipe.llen(KEYS.waiting())
            pipe.llen(KEYS.staged)
            pipe.scard(KEYS.idle)
            found: list[int] = pipe.execute()
        return found == [0, 0, workers]

    def record(self, job_id: str) -> dict[str, str]:
        """Read what is known of a job."""
        found: Any = self.redis.hgetall(KEYS.job(job_id))
        return dict(found)

    def until(
        self,
        condition: Callable[[], bool],
        what: str,
        seconds: float = 300,
        pause: float = 0.02,
    ) -> None:
        """Wait for something to become true, or end with what the workers said."""
        give_up = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > give_up:
                logs = "\n".join(machine.log[-2000:] for machine in self.machines)
                raise TimeoutError(f"not within {seconds:g} s: {what}\n{logs}")
            time.sleep(pause)


def compile_modules() -> None:
    """Start a worker once, so that no measured one has to compile anything."""
    with Site.open() as site:
        site.machine("first", 1).stop()


def document(module: str, job_id: str = "", **data: Any) -> str:
    """Write an ordinary job document of one task."""
    job = {
        "job_title": f"bench: {module}",
        "job_id": job_id or str(uuid.uuid4()),
        "tasks": [{module: data}],
    }
    return json.dumps(job)


def sisyphus(
    folder: Path,
    *words: str,
    log: IO[bytes] | None = None,
    variables: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a command as a user would, in a session of its own."""
    return subprocess.Popen(
        [str(Path(sys.executable).parent / "sisyphus"), *words],
        cwd=folder,
        env=_environment() | dict(variables or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL if log is None else log,
        start_new_session=True,
    )


def _worker_words(site: Site, name: str, workers: int) -> list[str]:
    place = ["--redis-url", site.server.url, "--root", str(site.folder)]
    place += ["--root", str(ROOT / "samples"), "--modules", str(MODULES)]
    return ["worker", "-c", str(workers), "--name", name, *place]


def _environment() -> dict[str, str]:
    """This environment without settings of somebody else's workers.

    Compiled modules are kept, as in every installation that has run before: compiling
    at each start would cost memory and time, and some environments forbid keeping them.
    """
    ours = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_FOREIGN)
    }
    return ours | {"PYTHONPYCACHEPREFIX": str(ROOT / ".cache" / "bench")}
