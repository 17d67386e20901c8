"""Machines of a test: real supervisors with real worker processes, and an onlooker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from redis import Redis

from sisyphus.settings import Settings
from sisyphus.store.store import Store
from waiting import eventually

HERE = Path(__file__).parent


class Machine:
    """A supervisor with its workers: a process group that can be killed or frozen."""

    def __init__(self, settings: dict[str, Any], log: Path) -> None:
        self.settings = settings
        self.log_file = log
        with log.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, str(HERE / "supervise.py"), json.dumps(settings)],
                stderr=stderr,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def workers(self) -> list[int]:
        """Pids of the worker processes."""
        return children(self.pid)

    def tree(self) -> list[int]:
        return [self.pid, *descendants(self.pid)]

    def freeze(self) -> list[int]:
        frozen = self.tree()
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        return frozen

    def thaw(self, pids: list[int]) -> None:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def lose_power(self) -> None:
        """All of it is gone at once."""
        for pid in self.freeze():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def end(self) -> None:
        if self.process.poll() is None:
            self.thaw(self.tree())
            self.lose_power()


class Site:
    """Everything a test needs: machines, the store, the files that tasks write."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder
        self.settings = Settings.load(redis_url=url, roots=[str(folder)])
        self.store = Store(self.settings)
        self.redis: Redis = Redis.from_url(url, decode_responses=True)
        self.machines: list[Machine] = []

    def machine(self, hostname: str = "encode001", **more: Any) -> Machine:
        settings = {
            "redis_url": self.url,
            "hostname": hostname,
            "module_folders": [str(HERE / "modules")],
            "roots": [str(self.folder)],
            "grace": 1.0,
            "lease": 3.0,
            **more,
        }
        log = self.folder / f"{hostname}-{len(self.machines)}.log"
        made = Machine(settings, log)
        self.machines.append(made)
        return made

    def push(self, job_id: str, *tasks: dict[str, Any], **envelope: Any) -> None:
        """Submit a job as any producer would."""
        document = {
            "job_title": f"title of {job_id}",
            "job_id": job_id,
            "tasks": [{"scripted": task} for task in tasks],
            **envelope,
        }
        self.redis.lpush("queue", json.dumps(document))

    def job(self, job_id: str) -> dict[str, str]:
        found: Any = self.redis.hgetall(f"{{queue}}:job:{job_id}")
        return dict(found)

    def state(self, job_id: str) -> str | None:
        return self.job(job_id).get("state")

    def error(self, job_id: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.job(job_id)["error"])
        return found

    def attempts(self, job_id: str) -> list[dict[str, Any]]:
        entries = self.redis.lrange(f"{{queue}}:attempts:{job_id}", 0, -1)
        return [json.loads(entry) for entry in entries]

    def until(self, job_id: str, state: str, seconds: float = 20) -> dict[str, str]:
        try:
            eventually(lambda: self.state(job_id) == state, seconds)
        except AssertionError:
            logs = "\n".join(machine.log for machine in self.machines)
            raise AssertionError(
                f"{job_id} is {self.job(job_id)}, not {state}\n{logs}"
            ) from None
        return self.job(job_id)

    def path(self, name: str) -> Path:
        return self.folder / name

    def lines(self, name: str) -> list[list[str]]:
        with suppress(FileNotFoundError):
            return [line.split() for line in self.path(name).read_text().splitlines()]
        return []

    def ticking(self, name: str) -> int:
        """The pid of a ticker that runs, once it has begun."""
        return int(eventually(lambda: self.lines(name))[-1][1])

    def close(self) -> None:
        for machine in self.machines:
            machine.end()
        self.store.close()
        self.redis.close()


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def children(pid: int) -> list[int]:
    found: list[int] = []
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                found += map(int, (thread / "children").read_text().split())
    return found


def descendants(pid: int) -> list[int]:
    return [each for child in children(pid) for each in (child, *descendants(child))]
