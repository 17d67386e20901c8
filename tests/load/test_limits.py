"""Jobs at the limits of what a job may be, and far above them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from load.conftest import Start
from load.sizes import LIMIT, NOTHING, document
from sisyphus.client import Client
from sisyphus.errors import InvalidJob
from sisyphus.modules.cleanup import Cleanup
from store.fleet import Fleet
from store.invariants import check_invariants
from worker.machines import Site

MOST_KINDS = 256
ERROR_BYTES = 10_000


@pytest.fixture
def fleet(redis_url: str, site: Site) -> Iterator[Fleet]:
    with Redis.from_url(redis_url) as client:
        yield Fleet(site.store, client)
        check_invariants(client, site.store.keys)


def plain_worker(fleet: Fleet) -> str:
    return fleet.worker("plain", modules=("cleanup",))


# A job's parts


def test_a_job_of_1000_tasks_is_run_and_one_of_10000_is_refused_in_few_words(
    site: Site, worker: Start
) -> None:
    for count in (10_000, 1_000):
        site.redis.lpush("queue", document(f"{count} tasks", tasks=[NOTHING] * count))
    worker()

    site.until("10000 tasks", "failed")
    site.until("1000 tasks", "completed")

    error = site.error("10000 tasks")
    assert error["problems"][0]["field"] == "tasks"
    assert "1000" in error["message"]
    assert len(json.dumps(error)) < ERROR_BYTES


def test_one_document_pushed_1000_times_is_run_once(site: Site, worker: Start) -> None:
    site.redis.lpush("queue", *[document("again and again")] * 1000)
    site.redis.lpush("queue", document("next"))
    worker()

    site.until("next", "completed")

    record = site.job("again and again")
    assert record["state"] == "completed"
    assert (record["attempts"], record["duplicates"]) == ("1", "999")


@pytest.mark.timeout(120)
def test_a_cleanup_of_5000_files_is_carried_out(site: Site, worker: Start) -> None:
    folder = site.path("many")
    folder.mkdir()
    files = [folder / f"{number:05}" for number in range(5_000)]
    for file in files:
        file.touch()
    task = {"cleanup": {"delete_files": [str(file) for file in files]}}
    site.redis.lpush("queue", document("tidy", tasks=[task]))
    worker()

    site.until("tidy", "completed", 50)

    assert not any(folder.iterdir())


def test_looking_at_30000_files_that_an_earlier_attempt_has_deleted_is_no_work(
    tmp_path: Path,
) -> None:
    names = [str(tmp_path / f"{number:05}") for number in range(30_000)]
    settings = Cleanup.Settings.model_validate({"delete_files": names})
    began = time.process_time()

    files = Cleanup(settings).files()

    # Comparing each with each would take a minute.
    assert time.process_time() - began < 15
    assert len(files.deletes) == 30_000


@pytest.mark.parametrize(
    ("limit", "over", "members"),
    [
        (200, 201, lambda n: {"job_id": "i" * n}),
        (100, 101, lambda n: {"job_id": "é" * n}),
        (64, 65, lambda n: {"requires": ["l" * n]}),
        (32, 33, lambda n: {"requires": [f"label-{x}" for x in range(n)]}),
        (1000, 1001, lambda n: {"retries": n}),
        (9, 10, lambda n: {"priority": n}),
    ],
)
def test_what_is_at_a_limit_is_submitted_and_what_is_above_is_refused(
    site: Site, limit: int, over: int, members: Any
) -> None:
    def job(number: int) -> bytes:
        return document(**{"job_id": "a", **members(number)})

    with Client(settings=site.settings) as client:
        job_id = client.submit(job(limit))
        assert client.document(job_id) == job(limit)
        with pytest.raises(InvalidJob) as refused:
            client.submit(job(over))
    assert len(str(refused.value)) < ERROR_BYTES


# One document must not stop a fleet


def test_a_document_that_asks_for_500000_labels_is_for_its_taker_to_report(
    fleet: Fleet,
) -> None:
    session = plain_worker(fleet)
    labels = [f"label-{number}" for number in range(500_000)]
    fleet.push(document("greedy", requires=labels), document("next"))

    assert fleet.take_all(session) == ["greedy", "next"]

    assert fleet.client.hkeys(fleet.keys.aside) == []


@pytest.mark.parametrize("size", [201, 100_000])
def test_a_label_that_is_too_long_is_for_its_taker_to_report(
    fleet: Fleet, size: int
) -> None:
    session = plain_worker(fleet)
    fleet.push(document("greedy", requires=["l" * size]))

    assert fleet.take_all(session) == ["greedy"]


def test_jobs_are_set_aside_for_so_many_kinds_of_workers_and_others_wait_a_minute(
    fleet: Fleet,
) -> None:
    session = plain_worker(fleet)
    count = MOST_KINDS + 50
    fleet.push(*(document(f"{n}", requires=[f"label-{n}"]) for n in range(count)))
    fleet.push(document("again", requires=["label-0"]), document("plain"))

    assert fleet.take_all(session) == ["plain"]

    assert fleet.client.hlen(fleet.keys.aside) == MOST_KINDS
    assert fleet.client.zcard(fleet.keys.delayed) == 50
    assert fleet.state("0") == fleet.state("again") == "queued"
    assert fleet.state(str(count - 1)) == "delayed"


def test_a_job_that_waited_for_its_kind_reaches_a_worker_that_has_the_label(
    fleet: Fleet,
) -> None:
    session = plain_worker(fleet)
    count = MOST_KINDS + 1
    fleet.push(*(document(f"{n}", requires=[f"label-{n}"]) for n in range(count)))
    assert fleet.nothing_for(session)
    last = str(count - 1)
    fleet.make_due(last)
    fleet.store.promote()

    able = fleet.worker("able", modules=("cleanup",), labels=(f"label-{last}",))

    assert fleet.take_all(able) == [last]


def test_large_documents_that_are_no_jobs_are_looked_at_one_by_one(
    fleet: Fleet,
) -> None:
    session = plain_worker(fleet)
    fleet.push(*[b"x" * 2**20] * 8, document("next"))
    fleet.client.config_resetstat()

    assert fleet.take(session).lease.job_id == "next"

    calls = fleet.client.info("commandstats")["cmdstat_evalsha"]["calls"]
    assert calls >= 9
    assert len(fleet.rejected()) == 8


def test_megabytes_of_white_space_after_a_document_cost_no_more_than_within(
    fleet: Fleet, site: Site
) -> None:
    session = plain_worker(fleet)
    within = json.dumps({"pad": " " * (LIMIT - 300), **json.loads(document("a"))})
    after = document("b") + b" \n" * (LIMIT // 2 - 200)
    spent = {}
    for job_id, raw in (("a", within.encode()), ("b", after)):
        spent[job_id] = min(_script_ms(fleet, raw, job_id, session) for _ in range(3))

    assert spent["b"] < 3 * spent["a"] + 100


def _script_ms(fleet: Fleet, raw: bytes, job_id: str, session: str) -> float:
    """How long the server was in the script that takes this document."""
    fleet.push(raw)
    fleet.client.config_set("slowlog-log-slower-than", 1000)
    fleet.client.slowlog_reset()
    taken = fleet.take(session)
    assert taken.lease.job_id == job_id
    longest: float = max(row["duration"] for row in fleet.client.slowlog_get(10)) / 1000
    done = fleet.store.complete(taken.lease, None)
    assert fleet.store.settle(done)
    fleet.store.remove(job_id)
    return longest
