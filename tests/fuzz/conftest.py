"""The store's fixtures, for documents that go through a real server."""

from store.conftest import client, fleet, make_store, store

__all__ = ["client", "fleet", "make_store", "store"]
