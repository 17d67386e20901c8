"""What a producer does, on a real server; the test acts as the worker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from sisyphus.client import Client
from sisyphus.errors import (
    ConfigError,
    InvalidJob,
    JobNotFound,
    StoreUnavailable,
    WrongState,
)
from sisyphus.lifecycle import JobState
from sisyphus.settings import Settings
from sisyphus.store.reads import Reads
from sisyphus.store.store import Store
from sisyphus.store.views import JobUpdate, JobView, LogLine, WorkerActivity
from store.fleet import ERROR, Fleet, document, entry
from store.invariants import check_invariants
from waiting import eventually


@pytest.fixture
def client(redis_url: str) -> Iterator[Client]:
    with Client(redis_url) as client:
        yield client


@pytest.fixture
def fleet(redis_url: str) -> Iterator[Fleet]:
    """Workers on the same queue; the invariants are checked when the test is over."""
    store = Store(Settings.load(redis_url=redis_url))
    with Redis.from_url(redis_url, retry=Retry(NoBackoff(), 0)) as raw:
        yield Fleet(store, raw)
        check_invariants(raw, store.keys)
    store.close()


@pytest.fixture
def background() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def film(**members: Any) -> dict[str, Any]:
    return {"job_title": "A film", "tasks": [{"ffmpeg": {}}], **members}


def listening(fleet: Fleet, clients: int = 1) -> None:
    """Return when so many clients wait for something to happen."""
    eventually(lambda: fleet.client.info("clients")["blocked_clients"] == clients)


# Submit


def test_a_job_is_submitted_and_taken_as_it_was_given(
    client: Client, fleet: Fleet
) -> None:
    job_id = client.submit(film(job_id="a", title="Schönes ☃"))

    taken = fleet.take(fleet.worker())

    assert job_id == taken.lease.job_id == "a"
    assert json.loads(taken.raw) == film(job_id="a", title="Schönes ☃")


def test_a_mapping_without_an_id_is_given_one(client: Client) -> None:
    given = film()
    first, second = client.submit(given), client.submit(given)

    assert first != second
    assert len(first) == 36
    assert client.job(first).state is JobState.QUEUED
    assert "job_id" not in given


def test_text_bytes_and_files_are_submitted_byte_for_byte(
    client: Client, tmp_path: Path
) -> None:
    texts = [json.dumps(film(job_id=x)) for x in "abc"]
    odd = [text.replace(",", " ,\n ") for text in texts]
    file = tmp_path / "job.json"
    file.write_text(odd[2])

    client.submit_many([odd[0], b"\xef\xbb\xbf" + odd[1].encode(), file])

    assert client.document("a") == odd[0].encode()
    assert client.document("b") == b"\xef\xbb\xbf" + odd[1].encode()
    assert client.document("c") == odd[2].encode()


def test_a_number_for_an_id_is_written_as_text(client: Client, fleet: Fleet) -> None:
    given = client.submit(json.dumps(film(job_id=5)))

    taken = fleet.take(fleet.worker())

    assert taken.lease.job_id == given == "5"
    assert json.loads(taken.raw)["job_id"] == "5"


def test_arguments_are_written_into_the_document(client: Client, fleet: Fleet) -> None:
    due = datetime(2100, 1, 1, tzinfo=UTC)
    client.submit(film(job_id="a", retries=1), priority=7, retries=3)
    client.submit(json.dumps(film(job_id="b")), not_before=due)

    job = json.loads(client.document("a") or b"")
    assert (job["priority"], job["retries"]) == (7, 3)
    assert client.job("a").priority == 7
    assert fleet.waiting(7) == [client.document("a")]
    assert client.job("b").state is JobState.DELAYED
    assert client.job("b").due_at == due


def test_a_delay_counts_by_the_servers_clock(client: Client) -> None:
    client.submit(film(job_id="a"), delay=60)

    due = client.job("a").due_at
    assert due is not None
    assert timedelta(seconds=50) < due - client.reads.now() <= timedelta(seconds=60)


@pytest.mark.parametrize(
    "arguments",
    [
        {"delay": 1, "not_before": datetime.now(UTC)},
        {"not_before": datetime(2100, 1, 1)},  # noqa: DTZ001 - that is the point
    ],
)
def test_a_start_that_can_be_misunderstood_is_refused(
    client: Client, arguments: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match="not_before"):
        client.submit(film(), **arguments)


def test_paths_and_times_may_stand_in_a_mapping(client: Client) -> None:
    moment = datetime(2100, 1, 1, tzinfo=UTC)
    tasks = [{"ffmpeg": {"source": Path("/in/film.mkv")}}]
    client.submit(film(job_id="a", tasks=tasks, not_before=moment))

    job = json.loads(client.document("a") or b"")
    assert job["tasks"] == [{"ffmpeg": {"source": "/in/film.mkv"}}]
    assert client.job("a").due_at == moment


@pytest.mark.parametrize(
    ("job", "named"),
    [
        (film(tasks=[]), "tasks"),
        (film(job_id=""), "job_id"),
        (film(job_id="é" * 150), "job_id.*200 bytes"),
        (film(retries=-1), "retries"),
        (film(extra=float("nan")), "JSON"),
        (film(extra={1, 2}), "JSON"),
        (film(extra="\ud800"), "half of a surrogate pair"),
        ("{", "not JSON"),
        ("[]", "JSON object"),
        (b"\xff", "UTF-8"),
        ('"\ud800"', "JSON object"),
    ],
)
def test_what_is_no_job_is_refused_with_what_is_wrong(
    client: Client, job: Any, named: str
) -> None:
    with pytest.raises(InvalidJob, match=named):
        client.submit(job)

    assert client.queue().queued == 0


def test_a_document_that_the_workers_would_reject_for_its_size_is_refused(
    redis_url: str,
) -> None:
    small = Settings.load(redis_url=redis_url, max_document_bytes=1024)
    with Client(settings=small) as client, pytest.raises(InvalidJob, match="1024"):
        client.submit(film(extra="x" * 1024))


def test_one_wrong_job_among_many_lets_none_be_submitted(client: Client) -> None:
    with pytest.raises(InvalidJob):
        client.submit_many([film(), film(tasks=[])])

    assert client.queue().queued == 0


def test_the_same_job_again_is_no_second_one(client: Client) -> None:
    client.submit(film(job_id="a"))
    client.submit(film(job_id="a"))

    assert client.queue().queued == 1
    with pytest.raises(WrongState, match="another document"):
        client.submit(film(job_id="a", other=1))


# Wait and watch


def test_waiting_ends_when_the_job_does(
    client: Client, fleet: Fleet, background: ThreadPoolExecutor
) -> None:
    client.submit(document("a"))
    waiting: Future[JobView] = background.submit(client.wait, "a", 20)
    listening(fleet)
    lease = fleet.take(fleet.worker()).lease
    fleet.store.settle(fleet.store.complete(lease, {"frames": 1}))

    view = waiting.result(4)

    assert view.state is JobState.COMPLETED
    assert view.result == {"frames": 1}
    assert client.wait("a") == view


def test_a_raw_job_that_nobody_knows_yet_is_waited_for(
    client: Client, fleet: Fleet, background: ThreadPoolExecutor
) -> None:
    waiting: Future[JobView] = background.submit(client.wait, "a", 20)
    listening(fleet)
    lease = fleet.running("a")
    fleet.store.settle(fleet.store.fail(lease, ERROR, entry("failed")))

    assert waiting.result(4).error == ERROR


def test_several_jobs_are_waited_for_at_once(
    client: Client, fleet: Fleet, background: ThreadPoolExecutor
) -> None:
    jobs = [client.submit(film(job_id=x)) for x in "ab"]
    waiting = [background.submit(client.wait, job_id, 20) for job_id in jobs]
    listening(fleet, clients=2)
    assert fleet.take_all(fleet.worker()) == ["a", "b"]

    assert [one.result(4).job_id for one in waiting] == ["a", "b"]


@pytest.mark.parametrize("known", [True, False])
def test_waiting_gives_up_at_its_timeout(client: Client, known: bool) -> None:
    if known:
        client.submit(film(job_id="a"))

    with pytest.raises(TimeoutError, match=r"'a' has not ended after 0\.05 s"):
        client.wait("a", timeout=0.05)


def test_waiting_for_a_job_that_is_removed_ends(
    client: Client, fleet: Fleet, background: ThreadPoolExecutor
) -> None:
    fleet.running("a")
    waiting: Future[JobView] = background.submit(client.wait, "a", 20)
    listening(fleet)
    with fleet.client.pipeline(transaction=True) as both:
        both.delete(fleet.keys.job("a"))
        both.xadd(fleet.keys.events, {"event": "removed", "job_id": "a"})
        both.execute()

    with pytest.raises(JobNotFound):
        waiting.result(4)
    fleet.client.flushall()


def test_a_watched_job_is_shown_at_every_change_until_it_ends(
    client: Client, fleet: Fleet, background: ThreadPoolExecutor
) -> None:
    client.submit(document("a"))
    seen: list[JobUpdate] = []
    watching = background.submit(lambda: seen.extend(client.watch("a")))
    listening(fleet)
    lease = fleet.take(fleet.worker()).lease
    shown = {"status": "in_progress", "job_id": "a", "progress": 40.0}
    fleet.store.show({fleet.keys.heartbeat("w"): json.dumps(shown)})
    eventually(lambda: fleet.client.info("clients")["blocked_clients"] == 1)
    fleet.store.settle(fleet.store.complete(lease, None))
    watching.result(4)

    states = [update.view.state for update in seen]
    assert states[0] is JobState.QUEUED
    assert states[-1] is JobState.COMPLETED
    assert seen[-1].progress is None
    assert all(a != b for a, b in pairwise(seen))


def test_a_watched_job_shows_how_far_it_is(client: Client, fleet: Fleet) -> None:
    lease = fleet.running("a", fleet.worker("w"))
    shown = {"status": "in_progress", "job_id": "a", "progress": 40.0}
    fleet.store.show({fleet.keys.heartbeat("w"): json.dumps(shown)})

    updates = client.watch("a")
    assert next(updates).progress == shown

    fleet.store.show({fleet.keys.heartbeat("w"): json.dumps(shown | {"progress": 41})})
    assert (next(updates).progress or {})["progress"] == 41
    fleet.store.settle(fleet.store.complete(lease, None))
    assert [update.view.state for update in updates] == [JobState.COMPLETED]


def test_a_log_is_followed_until_the_job_ends(
    client: Client, fleet: Fleet, background: ThreadPoolExecutor
) -> None:
    lease = fleet.running("a")
    lines: list[LogLine] = []
    fleet.store.log(lease, [(1, "1 ffmpeg", "info", "first")])
    following = background.submit(lambda: lines.extend(client.follow_log("a")))
    listening(fleet)
    fleet.store.log(lease, [(2, "1 ffmpeg", "info", "second")])
    fleet.store.settle(fleet.store.complete(lease, None))
    following.result(4)

    assert [line.text for line in lines] == ["first", "second"]
    assert client.log("a") == lines


def test_a_long_log_is_given_whole(client: Client, fleet: Fleet) -> None:
    lease = fleet.running("a")
    said = [(1, "1 ffmpeg", "info", str(number)) for number in range(1500)]
    fleet.store.log(lease, said)
    fleet.store.settle(fleet.store.complete(lease, None))

    assert [line.text for line in client.log("a")] == [str(x) for x in range(1500)]
    assert list(client.follow_log("a")) == client.log("a")


# Steer


def test_a_job_is_cancelled_requeued_and_removed(client: Client, fleet: Fleet) -> None:
    lease = fleet.running("a")
    fleet.store.settle(fleet.store.fail(lease, ERROR, entry("failed")))

    client.requeue("a", afresh=True)
    assert client.job("a").state is JobState.QUEUED
    with pytest.raises(WrongState, match="queued"):
        client.remove("a")

    taken = fleet.take("session-w")
    assert client.cancel("a") == "asked"
    fleet.store.settle(fleet.store.stop(taken.lease, entry("cancelled")))
    assert client.cancel("a") == "cancelled"
    assert [one["outcome"] for one in client.attempts("a")] == ["failed", "cancelled"]

    client.remove("a")
    with pytest.raises(JobNotFound):
        client.job("a")
    assert client.jobs() == []


def test_the_queue_is_paused_and_resumed(client: Client) -> None:
    client.pause_queue()
    assert client.queue().paused
    client.resume_queue()
    assert not client.queue().paused


def test_a_worker_is_steered_while_it_lives(client: Client, fleet: Fleet) -> None:
    fleet.worker("w")

    assert client.pause_worker("w")
    assert client.workers()[0].activity is WorkerActivity.PAUSED
    assert client.resume_worker("w")
    assert not client.workers()[0].paused
    assert client.drain_worker("w")
    assert client.workers()[0].activity is WorkerActivity.DRAINING
    assert not client.drain_worker("nobody")


# Rejected documents


@pytest.fixture
def rejected(fleet: Fleet, client: Client) -> list[str]:
    """Two rejected documents, the newest first."""
    fleet.push(b"bad one", b"bad two")
    assert fleet.nothing_for(fleet.worker())
    return [found.entry for found in client.rejected()]


def test_a_rejected_document_is_restored_as_it_was(
    client: Client, fleet: Fleet, rejected: list[str]
) -> None:
    assert client.restore(rejected[0])

    assert fleet.waiting() == [b"bad two"]
    assert [found.entry for found in client.rejected()] == rejected[1:]


def test_a_rejected_document_is_restored_mended(
    client: Client, fleet: Fleet, rejected: list[str]
) -> None:
    with pytest.raises(InvalidJob):
        client.restore(rejected[0], "still bad")
    assert client.restore(rejected[0], film(job_id="a"))

    assert fleet.take("session-w").lease.job_id == "a"


def test_a_rejected_document_is_dropped(client: Client, rejected: list[str]) -> None:
    assert client.drop(rejected[0])
    assert not client.drop(rejected[0])
    assert [found.raw for found in client.rejected()] == [b"bad one"]


@pytest.mark.parametrize("unknown", ["1-1", "no entry", "", "-"])
def test_an_entry_that_is_not_there_is_neither_restored_nor_dropped(
    client: Client, rejected: list[str], unknown: str
) -> None:
    assert not client.restore(unknown)
    assert not client.drop(unknown)
    assert len(client.rejected()) == len(rejected)


# The rest


def test_documents_are_stored_for_modules(client: Client) -> None:
    client.put_data("ffmpeg", "slow", {"preset": "slow"})

    assert client.get_data("ffmpeg", "slow") == {"preset": "slow"}
    assert client.data_names("ffmpeg") == ["slow"]
    assert client.remove_data("ffmpeg", "slow")
    assert not client.remove_data("ffmpeg", "slow")


def test_another_queue_is_another_world(client: Client, redis_url: str) -> None:
    client.submit(film(job_id="a"))

    settings = Settings.load(redis_url=redis_url)
    with Client(queue="other", settings=settings) as other:
        assert other.queue().name == "other"
        assert other.jobs() == []


def test_the_settings_tell_where_the_queue_is(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SISYPHUS_REDIS_URL", redis_url)
    monkeypatch.setenv("SISYPHUS_QUEUE", "films")

    with Client() as client:
        assert client.queue().name == "films"
        assert client.server().role == "master"


def test_a_wrong_address_is_said_at_once() -> None:
    with pytest.raises(ConfigError):
        Client("localhost:6379")


def test_a_server_that_is_not_there_is_unavailable(free_port: int) -> None:
    with Client(f"redis://127.0.0.1:{free_port}") as client:
        with pytest.raises(StoreUnavailable):
            client.submit(film())
        with pytest.raises(StoreUnavailable):
            client.wait("a")


def test_everything_else_can_be_looked_at_through_reads(client: Client) -> None:
    assert isinstance(client.reads, Reads)
    assert client.reads.events() == []
