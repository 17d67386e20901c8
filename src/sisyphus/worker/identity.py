"""Which ids the workers of this supervisor have: one holder each on this machine."""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from sisyphus.machine import worker_id
from sisyphus.settings import Settings

SETTLE_SECONDS = 2.0
"""How long a dead supervisor's processes may take to be gone."""
MOST = 1000


@dataclass(frozen=True, slots=True)
class Identity:
    """A worker's id, and the lock that is held while any process of it lives."""

    number: int
    worker_id: str
    lock_fd: int


def family_of(settings: Settings) -> str:
    """Tell workers of several queues on one host apart: their ids may be the same."""
    words = f"{settings.redis_url} {settings.queue} {settings.hostname}"
    return hashlib.sha256(words.encode()).hexdigest()[:16]


def claim(settings: Settings, count: int) -> list[Identity]:
    """Take the first free ids of this host.

    The lock's descriptor goes to the worker process too, so an id is free again only when
    the processes of its last holder are gone.
    """
    folder = Path(tempfile.gettempdir()) / f"sisyphus-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    family = family_of(settings)
    patience_ends = time.monotonic() + SETTLE_SECONDS
    claimed: list[Identity] = []
    for number in range(1, MOST):
        first = settings.worker_id if number == 1 else None
        name = first or worker_id(settings.hostname, number)
        fd = _lock(folder / f"{family}-{number}.lock", patience_ends)
        if fd is not None:
            claimed.append(Identity(number, name, fd))
        if len(claimed) == count:
            break
    return claimed


def _lock(path: Path, patience_ends: float) -> int | None:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    never = threading.Event()
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fd
        except BlockingIOError:
            if time.monotonic() > patience_ends:
                os.close(fd)
                return None
            never.wait(0.05)
