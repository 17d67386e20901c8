"""A job document may have 8 MiB, however it comes, and no byte more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from load.conftest import Start
from load.peaks import run_command
from load.sizes import LIMIT, MIB, document, of_size
from serving import serving
from sisyphus.client import Client
from sisyphus.errors import InvalidJob
from sisyphus.lifecycle import JobState
from sisyphus.settings import Settings
from sisyphus.store.replies import Taken
from sisyphus.store.store import Store
from store.fleet import facts
from worker.machines import Site

MOST_MB = 220
"""That a command may have: 64 for itself, and a few documents at once."""
PAGE_KB = 10
"""That a list of a few jobs may have, whatever their documents hold."""


@pytest.fixture
def raw_redis(site: Site) -> Redis:
    return Redis.from_url(site.url)


@pytest.mark.parametrize("member", ["remark", "job_title"])
def test_a_document_of_8_mib_is_run_shown_and_run_again(
    site: Site, worker: Start, raw_redis: Redis, member: str
) -> None:
    raw = of_size("large", LIMIT, member)
    raw_redis.lpush("queue", raw)
    with Client(settings=site.settings) as client:
        (waiting,) = client.jobs()
        assert len(waiting.title) <= 500
        assert client.document("large") == raw

        worker()
        site.until("large", "completed")
        assert len(repr(client.jobs())) < PAGE_KB * 1024
        assert len(repr(client.job("large"))) < PAGE_KB * 1024
        assert client.document("large") == raw

        client.requeue("large", afresh=True)
        site.until("large", "completed")
        assert client.job("large").attempts == 2


def test_a_document_of_8_mib_is_taken_from_client_command_and_http(
    site: Site, raw_redis: Redis, tmp_path: Path
) -> None:
    file = tmp_path / "job.json"
    file.write_bytes(of_size("from a file", LIMIT))
    body = json.dumps({"job_title": "", "tasks": [{"cleanup": {"delete_files": []}}]})
    # The server adds an id and a time, and writes more tightly.
    title = "x" * (LIMIT - len(body) - 200)

    with Client(settings=site.settings) as client, serving(site.settings) as http:
        client.submit(of_size("from the client", LIMIT))
        said, _, code = run_command("submit", str(file), url=site.url)
        answer = http.post("/queue", content=body.replace('""', f'"{title}"', 1))

    assert (code, said.decode()) == (0, "from a file\n")
    assert answer.status_code == 200, answer.text
    lengths = [len(raw) for raw in raw_redis.lrange("queue", 0, -1)]
    assert lengths[1:] == [LIMIT, LIMIT]
    assert LIMIT - 300 < lengths[0] <= LIMIT


def test_one_byte_more_is_refused_by_all_and_what_was_pushed_is_kept(
    site: Site, worker: Start, raw_redis: Redis, tmp_path: Path
) -> None:
    raw = of_size("large", LIMIT + 1)
    file = tmp_path / "job.json"
    file.write_bytes(raw)
    said_so = f"{LIMIT} bytes"

    with Client(settings=site.settings) as client, serving(site.settings) as http:
        with pytest.raises(InvalidJob, match=said_so):
            client.submit(raw)
        told, _, code = run_command("submit", str(file), url=site.url)
        assert code != 0
        assert said_so in " ".join(told.decode().split())
        job = json.loads(raw)
        body = {"job_title": "x" * (LIMIT + 1), "tasks": job["tasks"]}
        answer = http.post("/queue", json=body)
        assert answer.status_code in (400, 413)
        assert len(answer.content) < PAGE_KB * 1024
        assert raw_redis.llen("queue") == 0

        raw_redis.lpush("queue", document("next"), raw)
        raw_redis.lmove("queue", "queue", "LEFT", "RIGHT")  # the large one first
        worker()
        site.until("next", "completed")
        (kept,) = client.rejected()
        assert kept.raw == raw
        assert "max_document_bytes" in kept.reason


@pytest.mark.timeout(120)  # 200 MB are written, read and written as JSON
def test_lists_of_large_documents_fit_into_memory(site: Site, raw_redis: Redis) -> None:
    raw_redis.lpush("queue", *(document(f"small {n}") for n in range(5)))
    for number in range(24):
        raw_redis.lpush("queue", of_size(f"large {number}", LIMIT, "job_title"))

    said, peak, code = run_command("jobs", "list", "--json", url=site.url)

    assert code == 0
    assert len(json.loads(said)) == 29
    assert len(said) < 100 * 1024
    assert peak < MOST_MB
    with serving(site.settings) as http:
        answer = http.get("/queue")
    assert answer.json()["entries"] == 29
    assert len(answer.content) < 40 * MIB


def test_lists_of_rejected_large_documents_fit_into_memory(
    site: Site, raw_redis: Redis
) -> None:
    for _ in range(24):
        entry: Any = {"list": "queue", "reason": "not_json", "raw": b"x" * LIMIT}
        raw_redis.xadd("{queue}:rejected", entry)

    said, peak, code = run_command("queue", "rejected", "list", url=site.url)

    assert code == 0
    assert len(said) < PAGE_KB * 1024
    assert peak < MOST_MB


def test_the_document_of_a_job_is_found_whatever_white_space_ends_it(
    site: Site, raw_redis: Redis
) -> None:
    raw = document("with an end") + b"\n \r\n"
    raw_redis.lpush("queue", raw)
    store = Store(Settings.load(redis_url=site.url))
    store.register("s", facts("w", ("cleanup",)))
    _, taken = store.take("s")
    assert isinstance(taken, Taken)
    store.settle(store.release(taken.lease, {}))
    store.close()

    with Client(settings=site.settings) as client:
        assert client.job("with an end").state is JobState.QUEUED
        assert client.document("with an end") == raw
