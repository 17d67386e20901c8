"""submit: a checked document is put in its place."""

from __future__ import annotations

import pytest

from sisyphus.errors import InvalidJob, WrongState
from sisyphus.job import parse_job
from sisyphus.lifecycle import JobState
from sisyphus.store.replies import Taken
from store.conftest import MakeStore
from store.fleet import Fleet, document


def submit(fleet: Fleet, raw: bytes, priority: int = 0, due_ms: int = 0) -> JobState:
    job = parse_job(raw)
    return fleet.store.submit(job.job_id, raw, priority, due_ms, job.job_title)


def test_a_submitted_document_waits_byte_for_byte(fleet: Fleet) -> None:
    raw = '{"job_title": "Ä\\u00e4", "job_id": "a", "tasks": [{"x": {"n": 1.0}}]}'

    state = fleet.store.submit("a", raw, 0, 0, "Ää")

    assert state is JobState.QUEUED
    assert fleet.waiting() == [raw.encode()]
    assert fleet.record()["title"] == "Ää"


def test_jobs_are_taken_in_the_order_of_submission(fleet: Fleet) -> None:
    ids = [f"job-{number:02}" for number in range(30)]
    for job_id in ids:
        submit(fleet, document(job_id))

    assert fleet.take_all(fleet.worker()) == ids


@pytest.mark.parametrize("priority", range(1, 10))
def test_each_priority_has_its_list(fleet: Fleet, priority: int) -> None:
    submit(fleet, document(), priority)

    assert fleet.waiting(priority) == [document()]
    assert fleet.waiting() == []


def test_a_prioritised_document_wakes_an_idle_worker(fleet: Fleet) -> None:
    assert fleet.nothing_for(fleet.worker())

    submit(fleet, document("a"), 5)

    assert fleet.waiting(5) == [document("a")]
    assert fleet.client.lrange(fleet.keys.orders("node"), 0, -1) == [b"wake"]
    assert 0 < fleet.client.ttl(fleet.keys.orders("node")) <= 60


def test_with_nobody_idle_nobody_is_woken(fleet: Fleet) -> None:
    fleet.running()

    submit(fleet, document("b"), 5)

    assert not fleet.client.exists(fleet.keys.orders("node"))


def test_a_released_job_keeps_its_priority(fleet: Fleet) -> None:
    session = fleet.worker()
    assert fleet.nothing_for(session)
    submit(fleet, document("a"), 5)
    lease = fleet.take(session).lease

    fleet.store.settle(fleet.store.release(lease, {}))

    assert fleet.record()["priority"] == "5"
    assert fleet.waiting(5) == [document("a")]


def test_a_document_for_later_is_delayed(fleet: Fleet) -> None:
    due_ms = fleet.now_ms() + 60_000

    state = submit(fleet, document(), due_ms=due_ms)

    assert state is JobState.DELAYED
    assert fleet.waiting() == []
    assert fleet.client.zscore(fleet.keys.delayed, "a") == due_ms
    assert fleet.client.get(fleet.keys.doc("a")) == document()


def test_a_time_that_has_passed_is_now(fleet: Fleet) -> None:
    assert submit(fleet, document(), due_ms=1000) is JobState.QUEUED


@pytest.mark.parametrize("due_in_ms", [0, 60_000], ids=["queued", "delayed"])
def test_the_same_document_again_changes_nothing(fleet: Fleet, due_in_ms: int) -> None:
    due_ms = fleet.now_ms() + due_in_ms if due_in_ms else 0
    first = submit(fleet, document(), due_ms=due_ms)
    before = fleet.everything()

    again = submit(fleet, document(), due_ms=due_ms)

    assert again is first
    assert fleet.everything() == before


@pytest.mark.parametrize("state", ["running", "completed"])
def test_a_document_that_has_been_taken_is_known(fleet: Fleet, state: str) -> None:
    fleet.in_state(state)
    before = fleet.everything()

    assert submit(fleet, document()) == state

    assert fleet.everything() == before


@pytest.mark.parametrize("state", ["queued", "delayed", "running", "completed"])
def test_an_id_belongs_to_one_document(fleet: Fleet, state: str) -> None:
    fleet.in_state(state)
    before = fleet.everything()

    with pytest.raises(WrongState, match=f"'a' belongs to another.*{state}"):
        submit(fleet, document(job_title="another"))

    assert fleet.everything() == before


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_a_job_that_ended_badly_may_be_submitted_again(
    fleet: Fleet, state: str
) -> None:
    fleet.in_state(state)

    answer = submit(fleet, document())

    assert answer is JobState.QUEUED
    assert not {"error", "cancel", "failures", "ended_ms"} & set(fleet.record())
    taken = fleet.take("session-w")
    assert (taken.attempt, taken.failures, taken.crashes) == (2, 0, 0)


def test_a_document_that_was_pushed_raw_and_submitted_runs_once(fleet: Fleet) -> None:
    fleet.push(document())
    submit(fleet, document())

    assert fleet.take_all(fleet.worker()) == ["a"]
    assert fleet.record()["duplicates"] == "1"


@pytest.mark.parametrize("pushed_first", [True, False])
def test_a_submitted_and_a_pushed_document_of_one_id_conflict(
    fleet: Fleet, pushed_first: bool
) -> None:
    other = document(job_title="another")
    if pushed_first:
        fleet.push(other)
    submit(fleet, document())
    if not pushed_first:
        fleet.push(other)

    fleet.take_all(fleet.worker())

    assert fleet.state() == "completed"
    assert fleet.rejected() == [("queue", "conflict", other)]


def test_the_document_that_was_cancelled_is_not_called_another_one(
    fleet: Fleet,
) -> None:
    submit(fleet, document())
    fleet.store.cancel("a")

    with pytest.raises(WrongState) as refused:
        submit(fleet, document())

    assert "another document" not in str(refused.value)


UNUSUAL = {
    "200 letters of two bytes": document("é" * 200),
    "a number above 2^53": document(12345678901234567890),
    "a fraction": document(1.5),
    "a fraction that is whole": document(5.0),
    "text of blanks": document("  "),
    "1e400": b'{"job_id": 1e400, "job_title": "t", "tasks": [{"x": {}}]}',
    "2^53": document(2**53),
    "a line separator": document("a\u2028b\u0085"),
    "a whole surrogate pair": (
        b'{"job_id": "\\ud83c\\udfac", "job_title": "t", "tasks": [{"x": {}}]}'
    ),
    "an escaped backslash before udfff": (
        b'{"job_id": "a\\\\udfff", "job_title": "t", "tasks": [{"x": {}}]}'
    ),
    "200 letters": document("x" * 200),
    "201 letters": document("x" * 201),
    "half a surrogate in a member's name": (
        b'{"job_id": "a", "job_title": "t", "tasks": [{"x": {"\\uD800": 1}}]}'
    ),
    "half a surrogate where nobody looks": (
        b'{"job_id": "a", "job_title": "t", "tasks": [{"x": {}}], "y": "\\uDc00"}'
    ),
    "minus nought": b'{"job_id": -0.0, "job_title": "t", "tasks": [{"x": {}}]}',
    "half a surrogate in a file name": (
        b'{"job_id": "a", "job_title": "t", "tasks": [{"x": {"source": "\\udcff"}}]}'
    ),
}


@pytest.mark.parametrize("raw", UNUSUAL.values(), ids=UNUSUAL)
def test_what_the_parser_accepts_can_be_taken_under_its_id(
    fleet: Fleet, raw: bytes
) -> None:
    try:
        job = parse_job(raw)
    except InvalidJob:
        return
    fleet.store.submit(job.job_id, raw, 0, 0, job.job_title)

    assert fleet.take(fleet.worker()).lease.job_id == job.job_id


def test_what_is_too_large_to_be_taken_is_not_accepted(
    fleet: Fleet, make_store: MakeStore
) -> None:
    store = make_store(max_document_bytes=1024)
    raw = document(text="x" * 2000)
    just_right = document(text="x" * (1024 - len(document(text=""))))

    with pytest.raises(InvalidJob, match="1024 bytes"):
        store.submit("a", raw, 0, 0, "")
    with pytest.raises(InvalidJob, match="1024 bytes"):
        store.submit("a", just_right.decode().replace("xx", "éx"), 0, 0, "")
    assert fleet.everything() == {}

    store.submit("a", just_right, 0, 0, "")
    _, reply = store.take(fleet.worker())
    assert isinstance(reply, Taken)
    assert reply.raw == just_right
