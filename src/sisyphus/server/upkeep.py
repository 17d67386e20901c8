"""What a server does for the fleet: the part of a supervisor that needs no worker.

Without it, nobody would notice the end of a lease where all workers speak HTTP.
"""

from __future__ import annotations

import logging
import threading

from sisyphus.errors import StoreError
from sisyphus.settings import Settings
from sisyphus.store.store import Store
from sisyphus.worker.outage import Outage
from sisyphus.worker.upkeep import Upkeep

logger = logging.getLogger(__name__)


class Rounds:
    """A thread that goes on until it is stopped, whether Redis answers or not."""

    def __init__(self, settings: Settings) -> None:
        self._store = Store(settings)
        self._seconds = settings.lease / 8
        self._upkeep = Upkeep(self._store, self._seconds)
        self._over = threading.Event()
        self._away = Outage(logger)
        self._thread = threading.Thread(target=self._go_on, name="upkeep", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; a round that waits for Redis is not waited for."""
        self._over.set()
        self._thread.join(timeout=1)

    def _go_on(self) -> None:
        while not self._over.is_set():
            try:
                self._upkeep.round(self._store.renew([]))
            except StoreError as error:
                self._away.goes_on(f"{error}; requests are answered 503 meanwhile")
            else:
                self._away.is_over("Redis is back")
            self._over.wait(self._seconds)
        self._store.close()
