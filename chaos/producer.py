"""The producer: pushes jobs as any program does, and remembers what was accepted."""

from __future__ import annotations

import json
import random
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from chaos.clock import now_us

NONSENSE = (
    b'{"job_id": "%d", ',
    b"nonsense %d",
    b'["an array", %d]',
    b'{"job_id": {"no": "text"}, "number": %d}',
    b"\xff\xfe %d",
    b'{"job_title": "no id", "tasks": [], "number": %d}',
)
SECONDS, HOW_OFTEN = (0.05, 0.15, 0.3, 0.8, 2.5, 6.0), (3, 3, 3, 2, 1, 1)
"""How long tasks last: some are sure to be met by a fault, many are done."""
MOST_WAITING = 40


@dataclass(slots=True)
class Accepted:
    """A job that the server has said it has."""

    job_id: str
    pushed_us: int
    ways: tuple[str, ...]
    tasks: int
    output: Path | None
    strict: bool


@dataclass
class Ledger:
    """What was accepted, known outside of Redis."""

    jobs: dict[str, Accepted] = field(default_factory=dict)
    nonsense: dict[bytes, int] = field(default_factory=dict)
    """Accepted documents that are no jobs, and when they were."""
    nonsense_tried: set[bytes] = field(default_factory=set)
    pushed_again: set[str] = field(default_factory=set)
    """Jobs whose document was sent more than once: after a failure that is a new start."""
    pushes_repeated: int = 0
    """Pushes without an answer, which were sent once more."""
    cancels: dict[str, tuple[str, int]] = field(default_factory=dict)
    """What a cancel was answered, and when."""


class Producer:
    """A thread that pushes until told to stop."""

    def __init__(
        self, port: int, ledger: Ledger, folder: Path, seed: int, *, wait: bool
    ) -> None:
        self._port = port
        self._ledger = ledger
        self._folder = folder
        self._random = random.Random(seed)
        self._wait = wait
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._produce, daemon=True)
        self._client = self._connect()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Stop once the push at hand has been answered."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        self._client.close()

    def _connect(self) -> Redis:
        return Redis(
            port=self._port,
            socket_timeout=2,
            socket_connect_timeout=1,
            retry=Retry(NoBackoff(), 0),
        )

    def _produce(self) -> None:
        number = 0
        while not self._over.wait(self._random.uniform(0.03, 0.12)):
            number += 1
            if self._random.random() < 0.06:
                raw = self._random.choice(NONSENSE) % number
                self._ledger.nonsense_tried.add(raw)
                if self._push(raw, ""):
                    self._ledger.nonsense[raw] = now_us()
                continue
            job, raw = self._job(number)
            if not self._push(raw, job.job_id):
                return
            job.pushed_us = now_us()
            self._ledger.jobs[job.job_id] = job
            if self._random.random() < 0.03:
                self._ledger.pushed_again.add(job.job_id)
                self._push(raw, job.job_id)

    def _job(self, number: int) -> tuple[Accepted, bytes]:
        dice, job_id = self._random, f"job-{number}"
        patient = dice.random() < 0.35
        special = dice.random()
        if special < 0.015:
            ways = ["fail"]
        elif special < 0.02:
            ways = ["poison"]
        else:
            ways = dice.choices(["tool", "code", "grandchild"], [6, 3, 1])
            if dice.random() < 0.2:
                ways = ["tool", *ways]
        output = self._folder / "outputs" / job_id if dice.random() < 0.6 else None
        if ways[-1] in ("code", "fail", "poison"):
            output = None
        module = "patient" if patient else "chaotic"
        data: list[dict[str, Any]] = [
            {
                "witness": str(self._folder / "witness" / job_id),
                "seconds": dice.choices(SECONDS, HOW_OFTEN)[0],
                "way": way,
            }
            for way in ways
        ]
        if output is not None:
            data[-1]["output"] = str(output)
        document = {
            "job_title": f"title of {job_id}",
            "job_id": job_id,
            "tasks": [{module: each} for each in data],
        }
        accepted = Accepted(job_id, 0, tuple(ways), len(data), output, not patient)
        return accepted, json.dumps(document).encode()

    def _push(self, raw: bytes, job_id: str) -> bool:
        """Push until it is answered; false when told to stop before."""
        while True:
            try:
                waiting: Any = self._client.lpush("queue", raw)
                if self._wait and self._client.wait(1, 1000) < 1:
                    raise RedisError("no replica has it")
            except (RedisError, OSError):
                # Nobody knows whether it was done: the same document again is harmless.
                self._ledger.pushes_repeated += 1
                self._ledger.pushed_again.add(job_id)
                self._client.close()
                self._client = self._connect()
                if self._over.wait(0.05):
                    return False
            else:
                while waiting > MOST_WAITING and not self._over.wait(0.2):
                    waiting = self._length()
                return True

    def _length(self) -> int:
        try:
            found: Any = self._client.llen("queue")
        except (RedisError, OSError):
            return MOST_WAITING + 1
        return int(found)
