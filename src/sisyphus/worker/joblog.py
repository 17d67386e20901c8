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
BUNDLE_CHARACTERS = 50_000
"""The server does nothing else while it adds a bundle."""
WAITING_LINES = 5_000
"""Lines kept until they are sent; older ones are dropped and counted."""
LINE_CHARACTERS = 2_000

Line = tuple[int, str, str, str]
"""Time in ms since 1970, task, level, text."""


class JobLog:
    """Owned by the worker process; lines come from any of its threads.

    A tool may print faster than anybody could read: what waits is bounded by what the
    log will keep, and half a second's bundles hold no more than that.
    """

    def __init__(self, store: Store, kept: int) -> None:
        """``kept`` is how many lines the store keeps of a job (``log_lines``)."""
        self._store = store
        self._kept = kept
        self._most = min(WAITING_LINES, kept)
        self._lines = deque[Line]()
        self._bundle: list[Line] = []
        """What is being sent; sent again as it is, so that nothing is added twice."""
        self._said = 0
        self._left_out = 0
        self._away = False
        self._lease: Lease | None = None
        self._guard = threading.Lock()
        self._work = threading.Event()
        self._sending = threading.Lock()
        threading.Thread(target=self._send_bundles, name="joblog", daemon=True).start()

    def begin(self, lease: Lease) -> None:
        """Lines belong to this job from now on."""
        with self._sending, self._guard:
            self._lines.clear()
            self._bundle.clear()
            self._said = self._left_out = 0
            self._lease = lease

    def add(self, task: str, level: str, text: str) -> None:
        """Take one line."""
        line = (time.time_ns() // 1_000_000, task, level, text[:LINE_CHARACTERS])
        with self._guard:
            if len(self._lines) >= self._most:
                self._lines.popleft()
                self._left_out += 1
            self._lines.append(line)
            self._said += 1
        if not self._work.is_set():
            self._work.set()

    @property
    def waits(self) -> bool:
        """Whether there is anything to send."""
        return bool(self._lines or self._bundle or self._said > self._kept)

    def flush(self) -> None:
        """Send what is waiting, once; what cannot be sent is given up."""
        if self._said > self._kept:
            said = (
                f"of {self._said:,} lines the last {self._kept:,} are kept (log_lines)"
            )
            self.add("", "warning", said)
        while self._send_bundle():
            pass
        self._work.clear()

    def _send_bundles(self) -> None:
        while True:
            self._work.wait()
            self._work.clear()
            time.sleep(BUNDLE_SECONDS)
            left = len(self._lines)
            while left > 0 and (sent := self._send_bundle()):
                left -= sent
            if self._lines or self._bundle:
                self._work.set()

    def _send_bundle(self) -> int:
        """Send some lines; returns how many, 0 when none were there or it went wrong."""
        with self._sending:
            lease, bundle = self._lease, self._next_bundle()
            if lease is None or not bundle:
                return 0
            try:
                self._store.log(lease, bundle)
            except StoreError as error:
                logger.debug("log lines wait: %s", error)
                self._away = True
                return 0
            count = len(bundle)
            bundle.clear()
            self._away = False
            return count

    def _next_bundle(self) -> list[Line]:
        with self._guard:
            bundle, lines = self._bundle, self._lines
            if bundle or not lines:
                return bundle
            if self._left_out:
                why = "Redis did not answer" if self._away else "too many came at once"
                said = f"{self._left_out:,} lines are missing here: {why}"
                bundle.append((lines[0][0], "", "warning", said))
                self._left_out = 0
            characters = 0
            while lines and len(bundle) < BUNDLE_LINES:
                characters += len(lines[0][3])
                if characters > BUNDLE_CHARACTERS:
                    break
                bundle.append(lines.popleft())
            return bundle
