"""What any supervisor clears up for the fleet: dead sessions, due jobs, old history."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from sisyphus.store.replies import Lease, Renewal
from sisyphus.store.store import Store

logger = logging.getLogger(__name__)

TRIM_SECONDS = 60.0
MOST_CALLS = 32
"""Of one kind in one round: each is short, and the beat must not be kept."""


class Upkeep:
    """Owned by the beat; only ``bury`` is called by others."""

    def __init__(self, store: Store, seconds: float) -> None:
        """``seconds`` is how long one round may take, or renewals come late."""
        self._store = store
        self._seconds = seconds
        self._dead: list[tuple[str, str, Lease | None]] = []
        self._lock = threading.Lock()
        self._trimmed = time.monotonic()

    def bury(self, session: str, cause: str, spared: Lease | None = None) -> None:
        """Remember a session whose process is dead.

        ``spared`` is the job that it had, if that is not to be charged with a crash.
        """
        with self._lock:
            self._dead.append((session, cause, spared))

    def bury_all(self) -> None:
        """Give back the jobs of those sessions."""
        while self._dead:
            session, cause, spared = self._dead[0]
            if spared is not None:
                # If it was given up meanwhile, that takes the charge back.
                entry = {"outcome": "released", "cause": cause}
                self._store.settle(self._store.release(spared, entry))
            self._store.recover(session, cause)
            with self._lock:
                self._dead.pop(0)

    def round(self, renewal: Renewal) -> None:
        """Do what the last renewal found to do, a bounded piece of it."""
        ends = time.monotonic() + self._seconds
        self.bury_all()
        if renewal.recover and (count := _repeated(self._store.recover, ends)):
            logger.warning(
                "gave up %d silent worker(s): what they held is back in the queue",
                count,
            )
        if renewal.promote:
            _repeated(self._store.promote, ends)
        if time.monotonic() - self._trimmed > TRIM_SECONDS:
            self._trimmed = time.monotonic()
            _repeated(self._store.trim, ends)


def _repeated(call: Callable[[], int], ends: float) -> int:
    """Call until nothing is left to do, or long enough; adds up what was done."""
    done = 0
    for _ in range(MOST_CALLS):
        some = call()
        if not some or time.monotonic() > ends:
            done += some
            break
        done += some
    return done
