"""What can be seen of jobs, workers and the queue, on a real server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sisyphus.errors import ConfigError, JobNotFound, StoreRefused, StoreUnavailable
from sisyphus.lifecycle import JobState
from sisyphus.settings import Settings
from sisyphus.store.reads import Reads
from sisyphus.store.replies import Activity
from sisyphus.store.views import SessionView, WorkerActivity
from store.fleet import ERROR, Fleet, document, entry
from waiting import eventually

SOON = timedelta(seconds=30)


@pytest.fixture
def reads(redis_url: str) -> Iterator[Reads]:
    with Reads(Settings.load(redis_url=redis_url)) as reads:
        yield reads


def ids(reads: Reads, state: JobState | None = None, **page: int) -> list[str]:
    return [view.job_id for view in reads.jobs(state, **page)]


def beat(fleet: Fleet, worker_id: str, **members: Any) -> None:
    fleet.store.show({fleet.keys.heartbeat(worker_id): json.dumps(members)})


# One job


@pytest.mark.parametrize("state", list(JobState))
def test_a_job_is_seen_in_every_state(
    fleet: Fleet, reads: Reads, state: JobState
) -> None:
    fleet.in_state(state)

    view = reads.job("a")

    assert view.state is state
    assert view.ended is (view.ended_at is not None)
    assert ids(reads, state) == ["a"]
    assert reads.jobs(state) == [view]


def test_a_job_that_nobody_knows_is_not_found(fleet: Fleet, reads: Reads) -> None:
    fleet.push(document("raw"))

    for job_id in ("raw", "nobody"):
        with pytest.raises(JobNotFound, match=job_id):
            reads.job(job_id)


def test_times_are_told_in_utc_by_the_servers_clock(fleet: Fleet, reads: Reads) -> None:
    fleet.store.submit("a", document(), 0, 0, "A film")
    lease = fleet.take(fleet.worker("w")).lease
    fleet.store.settle(fleet.store.complete(lease, {"frames": 132}))

    view, now = reads.job("a"), reads.now()

    times = [view.submitted_at, view.started_at, view.ended_at]
    assert all(time and time.tzinfo is UTC and now - time < SOON for time in times)
    assert view.title == "job a"
    assert view.worker_id == "w"
    assert view.result == {"frames": 132}


def test_a_failed_attempt_shows_its_error_and_when_the_next_one_is_due(
    fleet: Fleet, reads: Reads
) -> None:
    lease = fleet.running()
    fleet.store.settle(fleet.store.retry(lease, ERROR, entry("failed"), 60))

    view = reads.job("a")

    assert (view.state, view.failures, view.error) == (JobState.DELAYED, 1, ERROR)
    assert reads.attempts("a") == [entry("failed")]
    for shown in (view, reads.jobs(JobState.DELAYED)[0]):
        assert shown.due_at is not None
        assert timedelta(seconds=50) < shown.due_at - reads.now() < 2 * SOON


def test_a_delayed_job_shows_its_time(fleet: Fleet, reads: Reads) -> None:
    due = datetime(2100, 1, 1, tzinfo=UTC)
    fleet.store.submit("a", document(), 0, int(due.timestamp() * 1000), "")

    assert reads.job("a").due_at == due
    assert reads.jobs(JobState.DELAYED)[0].due_at == due


def test_finished_tasks_and_a_wish_to_cancel_are_seen(
    fleet: Fleet, reads: Reads
) -> None:
    lease = fleet.running()
    fleet.store.checkpoint(lease, '[{"task": 1}]')
    fleet.store.cancel("a")

    view = reads.job("a")

    assert view.checkpoint == [{"task": 1}]
    assert view.cancel_asked


def test_a_job_that_was_set_aside_says_what_it_needs_until_it_is_taken(
    fleet: Fleet, reads: Reads
) -> None:
    without, with_it = fleet.worker("w"), fleet.worker("gpu", labels=("gpu",))
    fleet.push(document("a", requires=["gpu"]))
    assert fleet.nothing_for(without)

    needs = "label:gpu module:ffmpeg"
    assert reads.job("a").needs == needs
    assert reads.jobs(JobState.QUEUED) == [reads.job("a")]
    assert reads.queue().aside == {needs: 1}

    lease = fleet.take(with_it).lease
    assert fleet.store.settle(fleet.store.release(lease, entry("released")))
    assert reads.job("a").state is JobState.QUEUED
    assert reads.job("a").needs is None


# Lists of jobs


def test_jobs_come_running_first_then_in_the_order_in_which_they_will_be_taken(
    fleet: Fleet, reads: Reads
) -> None:
    fleet.in_state("completed", "old")
    fleet.in_state("failed", "new")
    fleet.age_history("old", 1)
    fleet.running("now", "session-w")
    fleet.push(document("second"), document("third"))
    fleet.push(document("first"), priority=5)
    fleet.in_state("delayed", "later")

    order = ["now", "first", "second", "third", "later", "new", "old"]
    assert ids(reads) == order
    assert [
        job_id
        for start in range(0, 8, 2)
        for job_id in ids(reads, limit=2, offset=start)
    ] == order
    assert ids(reads, limit=0) == []
    assert ids(reads, offset=99) == []


def test_a_page_of_running_jobs_skips_no_worker_that_is_free(
    fleet: Fleet, reads: Reads
) -> None:
    for number in range(5):
        fleet.worker(f"free-{number}")
    fleet.running("a", fleet.worker("z"))

    assert ids(reads, JobState.RUNNING, limit=1) == ["a"]


def test_the_history_of_one_end_state_is_read_in_pages(
    fleet: Fleet, reads: Reads
) -> None:
    session = fleet.worker()
    for number in range(7):
        lease = fleet.running(f"c{number}", session)
        fleet.store.settle(fleet.store.complete(lease, None))
        lease = fleet.running(f"f{number}", session)
        fleet.store.settle(fleet.store.fail(lease, ERROR, entry("failed")))
        fleet.age_history(f"c{number}", 10 - number)
        fleet.age_history(f"f{number}", 10 - number)

    assert ids(reads, JobState.FAILED, limit=3) == ["f6", "f5", "f4"]
    assert ids(reads, JobState.FAILED, limit=3, offset=5) == ["f1", "f0"]
    assert ids(reads, JobState.CANCELLED) == []


def test_a_raw_document_is_shown_by_its_own_words(fleet: Fleet, reads: Reads) -> None:
    fleet.push(b'{"job_id": 12.0, "job_title": "A film"}', b"no job at all", b"[1]")
    fleet.push(b'\xef\xbb\xbf{"job_id": "b", "job_title": 5}', b'{"job_id": true}')

    views = reads.jobs(JobState.QUEUED)

    assert [(view.job_id, view.title) for view in views] == [
        ("12", "A film"),
        ("", ""),
        ("", ""),
        ("b", "5"),
        ("", ""),
    ]
    fleet.client.delete(fleet.keys.queue)


def test_documents_that_will_not_run_are_not_shown_as_queued(
    fleet: Fleet, reads: Reads
) -> None:
    fleet.in_state("completed", "done")
    fleet.push(document("done"), document("called off"))
    fleet.store.cancel("called off")

    assert ids(reads, JobState.QUEUED) == []
    assert ids(reads, JobState.CANCELLED) == ["called off"]


def test_a_failed_job_that_was_pushed_again_is_queued(
    fleet: Fleet, reads: Reads
) -> None:
    fleet.in_state("failed")
    fleet.push(document())

    assert ids(reads, JobState.QUEUED) == ["a"]


# Documents and logs


@pytest.mark.parametrize("state", list(JobState))
def test_the_document_of_a_job_is_found_byte_for_byte(
    fleet: Fleet, reads: Reads, state: JobState
) -> None:
    fleet.in_state(state)

    assert reads.document("a") == document("a")


def test_the_document_of_a_queued_job_is_looked_for_in_all_lists(
    fleet: Fleet, reads: Reads
) -> None:
    fleet.push(*(document(f"x{number}") for number in range(120)))
    fleet.push(document("high"), priority=9)
    fleet.client.lpush(fleet.keys.staged, document("staged"))

    for job_id in ("x0", "x119", "high", "staged"):
        assert reads.document(job_id) == document(job_id)
    assert reads.document("nobody") is None


def test_another_document_with_the_same_id_is_not_taken_for_the_jobs(
    fleet: Fleet, reads: Reads
) -> None:
    fleet.push(document("a", other="content"))
    fleet.store.submit("a", document("a"), 0, 0, "")

    assert reads.document("a") == document("a")


def test_a_log_is_read_on_from_the_last_line(fleet: Fleet, reads: Reads) -> None:
    lease = fleet.running()
    said = [
        (1000 * number, "1 ffmpeg", "info", f"frame {number}") for number in range(5)
    ]
    fleet.store.log(lease, said)

    first = reads.log("a", limit=3)
    rest = reads.log("a", after=first[-1].entry)

    assert [line.text for line in first + rest] == [f"frame {x}" for x in range(5)]
    assert rest[0].at == datetime.fromtimestamp(3, UTC)
    assert (rest[0].task, rest[0].level) == ("1 ffmpeg", "info")
    assert reads.log("nobody") == []


# The queue and its workers


def test_the_queue_is_counted(fleet: Fleet, reads: Reads) -> None:
    empty = reads.queue()
    assert (empty.name, empty.waiting, empty.queued) == ("queue", {0: 0}, 0)

    fleet.push(b"no job")
    session = fleet.worker()
    fleet.running("now", session)
    fleet.worker("v")
    fleet.in_state("delayed", "later")
    fleet.push(document("x"), document("y"))
    fleet.push(document("z"), priority=3)
    fleet.client.lpush(fleet.keys.staged, document("s"))
    fleet.store.cancel("unseen")
    fleet.store.steer("", Activity.PAUSE)

    view = reads.queue()

    assert view.waiting == {3: 1, 0: 2}
    assert (view.staged, view.delayed, view.running) == (1, 1, 1)
    assert (view.ended, view.rejected, view.workers) == (1, 1, 2)
    assert view.queued == 4
    assert view.paused


def test_rejected_documents_are_told_newest_first_with_a_sentence(
    fleet: Fleet, reads: Reads
) -> None:
    bad = [b"\xff\xfe", b"[]", b'{"job_id": ""}', b'{"job_id": "a", "x": 1}']
    fleet.running("a")
    fleet.push(*bad)
    assert fleet.nothing_for(fleet.worker("v"))

    found = reads.rejected()

    assert [one.raw for one in found] == bad[::-1]
    assert "another document" in found[0].reason
    assert "not JSON" in found[3].reason
    assert {one.list for one in found} == {"queue"}
    assert reads.rejected(limit=1) == found[:1]
    assert reads.rejected(before=found[1].entry) == found[2:]
    assert reads.rejected_entry(found[2].entry) == found[2]
    assert reads.rejected_entry("1-1") is None


def test_every_reason_of_the_take_script_has_a_sentence(
    fleet: Fleet, reads: Reads
) -> None:
    for reason in ("too_large", "not_json", "not_an_object", "no_usable_job_id"):
        row = {"list": "queue", "reason": reason, "raw": b"x"}
        fleet.client.xadd(fleet.keys.rejected, row)

    assert all(" " in one.reason for one in reads.rejected())


def test_a_busy_worker_shows_its_job_and_how_far_it_is(
    fleet: Fleet, reads: Reads
) -> None:
    fleet.running("a", fleet.worker("w", ("cleanup", "ffmpeg"), ("gpu",)))
    info = {"fps": 24.0, "eta_seconds": 3.0}
    beat(
        fleet,
        "w",
        status="in_progress",
        job_id="a",
        task="ffmpeg",
        progress=12.5,
        info=info,
    )

    (view,) = reads.workers()

    assert (view.worker_id, view.host, view.pid) == ("w", "host", 1234)
    assert (view.modules, view.labels) == (("cleanup", "ffmpeg"), ("gpu",))
    assert view.activity is WorkerActivity.BUSY
    assert (view.job_id, view.job_title) == ("a", "job a")
    assert (view.task, view.percent, view.info) == ("ffmpeg", 12.5, info)
    assert 5 < view.lease_ends_in <= 12
    assert view.since is not None and reads.now() - view.since < SOON
    assert (reads.progress("w") or {})["task"] == "ffmpeg"


def test_a_heartbeat_about_another_job_is_not_shown(fleet: Fleet, reads: Reads) -> None:
    fleet.running("a", fleet.worker("w"))
    beat(fleet, "w", status="in_progress", job_id="before", task="ffmpeg", progress=99)

    (view,) = reads.workers()

    assert (view.job_id, view.task, view.percent) == ("a", None, None)


def test_what_a_worker_is_at_is_told_in_one_word(fleet: Fleet, reads: Reads) -> None:
    def activity() -> WorkerActivity:
        return reads.workers()[0].activity

    session = fleet.worker("w")
    assert activity() is WorkerActivity.STARTING
    assert fleet.nothing_for(session)
    assert activity() is WorkerActivity.IDLE
    fleet.store.steer("w", Activity.PAUSE)
    assert activity() is WorkerActivity.PAUSED
    fleet.store.steer("w", Activity.WORK)
    fleet.running("a", session)
    fleet.store.steer("", Activity.PAUSE)
    assert activity() is WorkerActivity.BUSY
    assert reads.workers()[0].paused
    fleet.store.steer("w", Activity.DRAIN)
    assert activity() is WorkerActivity.DRAINING


def test_a_lease_that_ran_out_is_seen(fleet: Fleet, reads: Reads) -> None:
    fleet.age_lease(fleet.worker())

    assert reads.workers()[0].lease_ends_in < 0
    fleet.store.recover()
    assert reads.workers() == []


def test_a_worker_without_heartbeat_has_no_progress(reads: Reads) -> None:
    assert reads.progress("nobody") is None


# What happens


def test_events_are_read_on_from_the_last_one(fleet: Fleet, reads: Reads) -> None:
    start = reads.last_event()
    fleet.running("a")
    first = reads.events(start)
    fleet.store.cancel("a")
    rest = reads.events(first[-1].entry)

    assert [(event.event, event.job_id) for event in first + rest] == [
        ("running", "a"),
        ("cancel_asked", "a"),
    ]
    assert first[0].facts == {"worker_id": "w"}
    assert first[0].at.tzinfo is UTC
    assert reads.events("$") == []
    assert reads.events(rest[-1].entry, block=0.01) == []
    assert reads.last_event() == rest[-1].entry


def test_a_blocked_read_of_events_hears_the_first_at_once(
    fleet: Fleet, reads: Reads
) -> None:
    heard: list[str] = []
    listener = threading.Thread(
        target=lambda: heard.extend(x.event for x in reads.events("$", block=20))
    )
    listener.start()
    eventually(lambda: fleet.client.info("clients")["blocked_clients"] == 1)
    assert reads.queue().queued == 0  # others are not held up by it

    fleet.store.submit("a", document(), 0, 0, "")

    listener.join(5)
    assert heard == ["queued"]


# The server, and what is stored for modules


def test_stored_documents_are_named_and_read(fleet: Fleet, reads: Reads) -> None:
    fleet.store.put_data("ffmpeg", "slow", {"preset": "slow"})
    fleet.store.put_data("ffmpeg", "fast", {"preset": "fast"})

    assert reads.data_names("ffmpeg") == ["fast", "slow"]
    assert reads.data("ffmpeg", "slow") == {"preset": "slow"}
    assert reads.data("ffmpeg", "other") is None
    assert reads.data_names("cleanup") == []


def test_the_server_says_who_it_is(reads: Reads) -> None:
    view = reads.server()

    assert view.product in ("redis", "valkey")
    assert view.version_numbers >= (6, 2)
    assert view.role == "master"
    assert view.appendfsync in ("always", "everysec", "no")
    assert view.maxmemory_policy == "noeviction"
    assert view.used_memory > 0
    assert 0 < view.round_trip_ms < 5000
    assert abs(view.clock_offset_ms) < 5000


def test_a_server_that_keeps_its_configuration_to_itself_is_described_all_the_same(
    fleet: Fleet, redis_url: str
) -> None:
    rules = ("on", ">secret", "~*", "+@all", "-config")
    fleet.client.execute_command("ACL", "SETUSER", "guest", *rules)
    try:
        url = f"unix://guest:secret@{redis_url.removeprefix('unix://')}"
        with Reads(Settings.load(redis_url=url)) as reads:
            assert reads.server().appendfsync is None
    finally:
        fleet.client.execute_command("ACL", "DELUSER", "guest")


# What may go wrong


def test_a_key_of_another_type_is_refused_in_words(fleet: Fleet, reads: Reads) -> None:
    fleet.client.set(fleet.keys.rejected, "taken")

    with pytest.raises(StoreRefused, match="another type"):
        reads.rejected()
    fleet.client.delete(fleet.keys.rejected)


def test_a_server_that_is_not_there_is_unavailable(free_port: int) -> None:
    with Reads(Settings.load(redis_url=f"redis://127.0.0.1:{free_port}")) as reads:
        for look in (reads.queue, reads.workers, reads.server, reads.events):
            with pytest.raises(StoreUnavailable):
                look()


def test_a_wrong_address_is_a_wrong_setting() -> None:
    with pytest.raises(ConfigError, match="redis_url"):
        Reads(Settings.load(redis_url="http://localhost"))


def test_looking_changes_nothing(fleet: Fleet, reads: Reads) -> None:
    fleet.running("a")
    fleet.in_state("queued", "b")
    fleet.in_state("delayed", "c")
    before = fleet.everything()

    reads.jobs()
    reads.queue()
    reads.workers()
    reads.job("a")
    reads.document("a")
    reads.events()
    reads.log("a")

    assert fleet.everything() == before


# What the HTTP server asks


def test_waiting_documents_come_in_the_order_in_which_they_are_taken(
    fleet: Fleet, reads: Reads
) -> None:
    raws = [document("a"), document("b"), b"no job", document("c")]
    fleet.push(*raws)
    fleet.push(document("first"), priority=5)
    fleet.store.cancel("b")

    assert reads.waiting(10) == ([document("first"), raws[0], raws[3]], True)
    assert reads.waiting(2) == ([document("first"), raws[0]], True)


def test_a_job_leads_to_the_session_that_holds_it(fleet: Fleet, reads: Reads) -> None:
    lease = fleet.running("a", fleet.worker("w"))
    held = SessionView(lease.session, "w", "a", lease.token)

    assert reads.session_of_job("a") == held
    assert reads.session_of_worker("w") == held
    assert reads.session_of_worker("nobody") is None
    assert reads.session_of_job("nothing") is None

    fleet.store.settle(fleet.store.complete(lease, None))

    assert reads.session_of_job("a") is None
    assert reads.session_of_worker("w") == SessionView(lease.session, "w", "", 0)


def test_the_sign_of_a_worker_tells_a_pause_of_its_own_from_that_of_the_queue(
    fleet: Fleet, reads: Reads
) -> None:
    beat(fleet, "one", status="idle")
    fleet.store.steer("", Activity.PAUSE)
    fleet.store.steer("two", Activity.PAUSE)

    one, two = reads.signs(["one", "two"])

    assert (one.heartbeat, one.paused) == ({"status": "idle"}, False)
    assert (two.heartbeat, two.paused) == (None, True)
    assert reads.signs([]) == []
