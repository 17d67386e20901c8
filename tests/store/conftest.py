"""A store on an empty server; whatever a test did, the invariants hold at its end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from sisyphus.settings import Settings
from sisyphus.store.store import Store
from store.elsewhere import scripts_in
from store.fleet import Fleet
from store.invariants import check_invariants
from store.proxy import Proxy

MakeStore = Callable[..., Store]


@pytest.fixture(scope="session", autouse=True)
def scripts_with_a_defect() -> Iterator[None]:
    """Run other scripts than ours; ``python -m mutants`` sets the variable."""
    folder = os.environ.get("LUA_FOLDER")
    with scripts_in(Path(folder)) if folder else nullcontext():
        yield


@pytest.fixture
def client(redis_url: str) -> Iterator[Redis]:
    """The raw client, for looking and for moving data."""
    with Redis.from_url(redis_url, retry=Retry(NoBackoff(), 0)) as client:
        yield client


@pytest.fixture
def make_store(redis_url: str) -> Iterator[MakeStore]:
    """Open stores with settings of their own."""
    opened: list[Store] = []

    def make(**given: Any) -> Store:
        store = Store(Settings.load(**{"redis_url": redis_url, **given}))
        opened.append(store)
        return store

    yield make
    for store in opened:
        store.close()


@pytest.fixture
def store(make_store: MakeStore) -> Store:
    """A store with the default settings."""
    return make_store()


@pytest.fixture
def fleet(store: Store, client: Redis) -> Iterator[Fleet]:
    """The queue and its workers; the invariants are checked when the test is over."""
    yield Fleet(store, client)
    check_invariants(client, store.keys)


@pytest.fixture
def wake() -> Iterator[tuple[int, int]]:
    """A pipe that ends a wait: its readable and its writable end."""
    readable, writable = os.pipe()
    yield readable, writable
    os.close(readable)
    os.close(writable)


@pytest.fixture
def quiet() -> Iterator[tuple[int, int]]:
    """A pipe that nobody writes to."""
    readable, writable = os.pipe()
    yield readable, writable
    os.close(readable)
    os.close(writable)


@pytest.fixture
def proxy(redis_url: str) -> Iterator[Proxy]:
    with Proxy(unquote(urlsplit(redis_url).path)) as proxy:
        yield proxy


@pytest.fixture
def far(proxy: Proxy, make_store: MakeStore) -> Store:
    """A store behind the proxy, connected."""
    far = make_store(redis_url=proxy.url)
    far.promote()
    return far
