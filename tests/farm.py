"""One machine with the real modules, for many tests that need a worker."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sisyphus.client import Client
from sisyphus.embedded import EmbeddedServer
from waiting import eventually
from worker.machines import Machine, Site

HOSTNAME = "encode001"


class Farm(Site):
    """A site that lives longer than one test; its worker may touch all their files."""

    def __init__(
        self, url: str, folder: Path, root: Path, modules: Sequence[Path] = ()
    ) -> None:
        super().__init__(url, folder)
        self._root = root
        self._modules = [str(path) for path in modules]
        self.client = Client(settings=self.settings)

    @functools.cached_property
    def worker(self) -> Machine:
        """Started when the first test asks for it."""
        machine = self.start(HOSTNAME)
        eventually(self.client.workers, 30)
        return machine

    def start(self, hostname: str) -> Machine:
        settings = {"module_folders": self._modules, "roots": [str(self._root)]}
        return self.machine(hostname, lease=12.0, **settings)

    def push_raw(self, raw: bytes | str) -> None:
        self.redis.lpush("queue", raw)

    def ends(self, job_id: str) -> str:
        """Wait for the end of a job, and tell how it ended."""
        return str(self.client.wait(job_id, 30).state)

    def do_next(self) -> None:
        """See a good job through: whatever came before it has been dealt with."""
        tasks: Any = [{"cleanup": {"delete_files": []}}]
        job = {"job_title": "next", "job_id": "the next job", "tasks": tasks}
        self.push_raw(json.dumps(job))
        assert self.ends("the next job") == "completed"

    def shown(self, prefix: str, worker_id: str) -> Any:
        """Read a value that a worker shows to onlookers."""
        return json.loads(self.redis.get(f"{prefix}:{worker_id}") or "{}")

    def tidy(self) -> None:
        """Leave nothing of a test for the next one, but the worker."""
        for machine in self.machines:
            if machine is not self.worker:
                machine.end()
        for job in self.client.jobs():
            if not job.ended:
                self.client.cancel(job.job_id)
                self.client.wait(job.job_id, 20)
            self.client.remove(job.job_id)
        for entry in self.client.rejected():
            self.client.drop(entry.entry)

    def close(self) -> None:
        self.client.close()
        super().close()


@contextmanager
def farming(folder: Path, root: Path, modules: Sequence[Path] = ()) -> Iterator[Farm]:
    """Have a farm on a server of its own until the block ends."""
    with EmbeddedServer(folder / "server", appendonly=False) as server:
        farm = Farm(server.url, folder, root, modules)
        yield farm
        farm.close()


@contextmanager
def unharmed(farm: Farm) -> Iterator[Farm]:
    """Lend a farm; afterwards its worker must be the same process as before."""
    before = farm.worker.workers()
    yield farm
    farm.tidy()
    assert farm.worker.workers() == before
