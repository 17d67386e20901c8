"""Redis that hangs, or whose answers are lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

import pytest
from httpx import Client as Http

from server.conftest import Serve, reports, submitted
from sisyphus.client import Client
from sisyphus.lifecycle import JobState
from store.fleet import Fleet
from store.proxy import Proxy
from waiting import eventually


@pytest.fixture
def proxy(redis_url: str) -> Iterator[Proxy]:
    with Proxy(unquote(urlsplit(redis_url).path)) as proxy:
        yield proxy


@pytest.fixture
def far(proxy: Proxy, serve: Serve) -> Http:
    """A server whose way to Redis goes through the proxy."""
    return serve(redis_url=proxy.url, lease=600.0)


def test_requests_that_wait_for_redis_hold_up_no_others(
    far: Http, proxy: Proxy
) -> None:
    assert far.get("/queue").status_code == 200
    answers: list[int] = []

    def ask() -> None:
        answers.append(far.get("/queue", timeout=30).status_code)

    proxy.silent = True
    asking = [threading.Thread(target=ask) for _ in range(6)]
    for thread in asking:
        thread.start()
    assert far.get("/status/health", timeout=3).status_code == 200
    assert answers == []
    for thread in asking:
        thread.join()

    # All of them waited at the same time, and each was told.
    assert answers == [503] * 6
    proxy.silent = False
    assert eventually(lambda: far.get("/queue").status_code == 200)


def test_a_poll_whose_answer_from_redis_was_lost_loses_no_job(
    far: Http, http: Http, proxy: Proxy, client: Client, fleet: Fleet
) -> None:
    job_id = submitted(http)
    assert far.get("/jobs/x").status_code == 404

    proxy.swallow_answers = True
    assert far.get("/queue/poll").status_code == 503
    proxy.swallow_answers = False

    def polled() -> bool:
        for session, _ in fleet.client.zscan_iter(fleet.keys.sessions):
            fleet.age_lease(session.decode())
        return http.get("/queue/poll").status_code == 200

    eventually(polled)
    assert client.job(job_id).state is JobState.RUNNING


def test_a_report_whose_answer_was_lost_may_be_repeated(
    far: Http, http: Http, proxy: Proxy, client: Client
) -> None:
    job_id = submitted(http)
    http.get("/queue/poll")
    assert far.get("/jobs/x").status_code == 404

    proxy.swallow_answers = True
    assert reports(far, job_id) == 503
    proxy.swallow_answers = False

    assert reports(far, job_id) == 204
    assert client.job(job_id).state is JobState.COMPLETED
