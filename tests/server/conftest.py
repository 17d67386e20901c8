"""The server as its callers see it, on a real store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from httpx import Client as Http
from httpx import Response
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from serving import serving
from sisyphus.client import Client
from sisyphus.settings import Settings
from sisyphus.store.store import Store
from store.fleet import Fleet
from store.invariants import check_invariants

JOB: dict[str, Any] = {
    "job_title": "A film",
    "tasks": [{"module": "cleanup", "data": {"delete": ["x"]}}],
}
STATUS = {
    "status": "idle",
    "online_at": "now",
    "hostname": "encode001",
    "version": "1.5",
}

Serve = Callable[..., Http]


@pytest.fixture
def serve(redis_url: str) -> Iterator[Serve]:
    """Start servers of this test's queue, with any settings."""
    with ExitStack() as running:

        def start(**settings: Any) -> Http:
            given = Settings.load(**{"redis_url": redis_url, **settings})
            return running.enter_context(serving(given))

        yield start


@pytest.fixture
def http(serve: Serve) -> Http:
    """A server with the default settings."""
    return serve()


@pytest.fixture
def store(redis_url: str) -> Iterator[Store]:
    store = Store(Settings.load(redis_url=redis_url))
    yield store
    store.close()


@pytest.fixture
def fleet(store: Store, redis_url: str) -> Iterator[Fleet]:
    """The queue and its other workers; the invariants are checked in the end."""
    with Redis.from_url(redis_url, retry=Retry(NoBackoff(), 0)) as client:
        yield Fleet(store, client)
        check_invariants(client, store.keys)


@pytest.fixture
def client(redis_url: str) -> Iterator[Client]:
    with Client(redis_url) as client:
        yield client


def submitted(http: Http, **members: Any) -> str:
    """Put a job into the queue; its id."""
    answer = http.post("/queue", json={**JOB, **members})
    assert answer.status_code == 200, answer.text
    job_id: str = answer.json()["job_id"]
    return job_id


def beats(http: Http, worker_id: str, job_id: str = "", **more: Any) -> Response:
    """Beat as a worker that speaks HTTP does."""
    job = {"status": "in_progress", "job_id": job_id} if job_id else {}
    return http.post(f"/workers/{worker_id}", json={**STATUS, **job, **more})


def reports(
    http: Http, job_id: str, worker_id: str = "w", *, failed: bool = False
) -> int:
    """Report the end of a job as such a worker does."""
    info = {"worker": "encode001", "worker_id": worker_id, "completed": not failed}
    if failed:
        info |= {"module": "ffmpeg", "message": "it broke"}
    body = {"failed": failed, "info": info}
    return http.patch(f"/jobs/{job_id}/completed", json=body).status_code
