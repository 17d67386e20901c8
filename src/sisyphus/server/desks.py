"""What a request works with: connections to the store, handed from request to request."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from sisyphus.client import Client
from sisyphus.settings import Settings
from sisyphus.store.reads import Reads
from sisyphus.store.store import Store

LENT_SECONDS = 60.0
"""Lease of a job that is lent over HTTP: such workers cannot stop a job that they have
lost, and beat every five seconds at best."""


class Desk:
    """One request's doors to the store; each opens a connection when first used.

    Attributes:
        store: its sessions have the lease of workers that speak HTTP.
    """

    client: Client
    reads: Reads
    store: Store

    def __init__(self, settings: Settings) -> None:
        lease = max(settings.lease, LENT_SECONDS)
        self.client = Client(settings=settings)
        self.reads = self.client.reads
        self.store = Store(settings.model_copy(update={"lease": lease}))

    def close(self) -> None:
        """Close all connections."""
        self.client.close()
        self.store.close()


class Desks:
    """As many desks as requests were ever served at once. Thread-safe."""

    def __init__(self, settings: Settings) -> None:
        """Make the first one.

        Raises:
            ConfigError: the address of Redis cannot be understood.
        """
        self._settings = settings
        self._free = deque([Desk(settings)])

    @contextmanager
    def one(self) -> Iterator[Desk]:
        """Lend a desk that nobody else uses meanwhile.

        So a request that waits for a silent Redis holds up no other one.
        """
        try:
            desk = self._free.pop()
        except IndexError:
            desk = Desk(self._settings)
        try:
            yield desk
        finally:
            self._free.append(desk)

    def close(self) -> None:
        """Close all that are free."""
        while self._free:
            self._free.pop().close()
