"""A job's log on its way to the store: collected, sent in bundles, never waited for."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque

from sisyphus.errors import StoreError
from sisyphus.store.replies import Lease
from sisyphus.store.store import Store

logger = logging.getLogger(__name__)

BUNDLE_SECONDS = 0.5
BUNDLE_LINES = 500
WAITING_LINES = 5_000
"""Lines kept while Redis does not answer; older ones are dropped and counted."""
LINE_CHARACTERS = 2_000

Line = tuple[int, str, str, str]
"""Time in ms since 1970, task, level, text."""


class JobLog:
    """Owned by the worker process; lines come from any of its threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lines: deque[Line] = deque(maxlen=WAITING_LINES)
        self._dropped = 0
        self._lease: Lease | None = None
        self._work = threading.Event()
        self._sending = threading.Lock()
        threading.Thread(target=self._send_bundles, name="joblog", daemon=True).start()

    def begin(self, lease: Lease) -> None:
        """Lines belong to this job from now on."""
        self._lines.clear()
        self._dropped = 0
        self._lease = lease

    def add(self, task: str, level: str, text: str) -> None:
        """Take one line."""
        if len(self._lines) == WAITING_LINES:
            self._dropped += 1
        line = (time.time_ns() // 1_000_000, task, level, text[:LINE_CHARACTERS])
        self._lines.append(line)
        self._work.set()

    def flush(self) -> None:
        """Send what is waiting, once; what cannot be sent is given up."""
        while self._lines and self._send_bundle():
            pass
        self._work.clear()

    def _send_bundles(self) -> None:
        while True:
            self._work.wait()
            self._work.clear()
            time.sleep(BUNDLE_SECONDS)
            while len(self._lines) > 0 and self._send_bundle():
                pass
            if self._lines:
                self._work.set()

    def _send_bundle(self) -> bool:
        with self._sending:
            lease = self._lease
            bundle = [
                self._lines[i] for i in range(min(BUNDLE_LINES, len(self._lines)))
            ]
            if lease is None or not bundle:
                return False
            if self._dropped:
                said = f"{self._dropped} lines are missing here: Redis did not answer"
                bundle.insert(0, (bundle[0][0], "", "warning", said))
            try:
                self._store.log(lease, bundle)
            except StoreError as error:
                logger.debug("log lines wait: %s", error)
                return False
            for _ in range(len(bundle) - bool(self._dropped)):
                self._lines.popleft()
            self._dropped = 0
            return True
