"""The take script and the worker read every document alike, and neither breaks."""

from __future__ import annotations

import json
from datetime import date

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fuzz.documents import DOCUMENTS
from fuzz.many import tried
from sisyphus.cli.documents import as_text
from sisyphus.client import Client
from sisyphus.errors import ABSENT, InvalidJob
from sisyphus.job import parse_job
from sisyphus.settings import Settings
from store.corpus import with_id
from store.fleet import Fleet

_ENVELOPE = b'"job_id": "a", "job_title": "t", "tasks": [{"x": {}}]'


def with_member(text: bytes) -> bytes:
    return b"{" + _ENVELOPE + b", " + text + b"}"


def id_read_by_the_worker(raw: bytes) -> str | None:
    try:
        return parse_job(raw).job_id
    except InvalidJob as error:
        assert error.problems
        assert all(problem.field and problem.expected for problem in error.problems)
        str(error).encode("utf-8", "backslashreplace")
        assert error.facts()["problems"]
        return None


def id_read_by_the_script(fleet: Fleet, raw: bytes) -> str | None:
    """Have it taken from an empty queue; what is rejected must be whole."""
    fleet.client.flushdb()
    session = fleet.worker()
    fleet.push(raw)
    fleet.ask(session)
    known = fleet.client.keys(fleet.keys.job("*"))
    rejected = fleet.rejected()
    assert len(known) + len(rejected) == 1
    if rejected:
        (_, reason, kept) = rejected[0]
        assert kept == raw
        assert not reason.startswith("script"), reason
        return None
    job_id: str = known[0].decode().removeprefix(fleet.keys.job(""))
    return job_id


@example(with_member(b'"not_before": []'))
@example(with_member(b'"not_before": {}'))
@example(with_member(b'"not_before": 1e300'))
@example(with_member(b'"not_before": ' + b"9" * 400))
@example(with_id(b"9" * 400))
@example(with_member(b'"timeout": 1e400'))
@tried(150)
@given(DOCUMENTS)
def test_script_and_worker_agree_on_every_document(fleet: Fleet, raw: bytes) -> None:
    by_script = id_read_by_the_script(fleet, raw)
    by_worker = id_read_by_the_worker(raw)

    if by_script is None:
        assert by_worker is None, "rejected, although it is a job"
    else:
        assert by_worker in (by_script, None)
    fleet.client.flushdb()


WRITTEN_TIMES = st.builds(
    "{:%Y-%m-%d}{}".format,
    st.dates(date(2035, 1, 1), date(9998, 12, 31)),
    st.one_of(
        st.just(""),
        st.builds(
            "{}{:02}:{:02}{}{}".format,
            st.sampled_from("T "),
            st.integers(0, 23),
            st.integers(0, 59),
            st.sampled_from(["", ":00", ":59", ":07.5", ":30.123456"]),
            st.sampled_from(["", "Z", "+00:00", "-0930", "+23:59", "-23:59", "+0100"]),
        ),
    ),
)


@example("9998-12-31T23:59:59Z")
@example("2096-02-29")
@tried(80)
@given(st.one_of(WRITTEN_TIMES, st.integers(2_000_000_000, 250_000_000_000)))
def test_script_and_worker_mean_the_same_moment(
    fleet: Fleet, moment: str | int
) -> None:
    raw = with_member(b'"not_before": ' + json.dumps(moment).encode())
    due = parse_job(raw).not_before
    assert due is not None

    assert id_read_by_the_script(fleet, raw) == "a"

    [(job_id, score)] = fleet.client.zrange(fleet.keys.delayed, 0, -1, withscores=True)
    assert job_id == b"a"
    # The script leaves out parts of a second.
    assert 0 <= due.timestamp() * 1000 - score < 1000
    fleet.client.flushdb()


@tried(50)
@given(DOCUMENTS)
def test_a_client_submits_just_what_a_worker_can_read(
    fleet: Fleet, redis_url: str, raw: bytes
) -> None:
    fleet.client.flushdb()
    by_worker = id_read_by_the_worker(raw)
    with Client(settings=Settings.load(redis_url=redis_url)) as client:
        try:
            job_id = client.submit(raw)
        except InvalidJob:
            assert by_worker is None
            return

    assert job_id == by_worker
    fleet.ask(fleet.worker())
    assert fleet.rejected() == []
    assert fleet.client.exists(fleet.keys.job(job_id))
    fleet.client.flushdb()


@tried(50)
@given(DOCUMENTS)
def test_every_document_can_be_shown(raw: bytes) -> None:
    as_text(raw)


@pytest.mark.parametrize("text", [b'"timeout": 1e400', b'"timeout": 1e300'])
def test_a_time_that_no_clock_can_hold_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidJob) as caught:
        parse_job(with_member(text))

    assert caught.value.problems[0].field == "timeout"
    assert caught.value.problems[0].value is not ABSENT


def test_a_name_that_stands_twice_among_very_many_is_found() -> None:
    names = ", ".join(f'"k{number}": 0' for number in range(200_000))

    with pytest.raises(InvalidJob) as caught:
        parse_job(with_member(names.encode() + b', "k199999": 1'))

    # Counting each name among all would take an hour.
    assert "the same member twice" in caught.value.problems[0].expected
    assert caught.value.problems[0].value == "k199999"
