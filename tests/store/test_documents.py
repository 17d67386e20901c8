"""Whatever is pushed is handed to a worker, or kept byte for byte with the reason."""

from __future__ import annotations

import json
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sisyphus.errors import InvalidJob
from sisyphus.job import parse_job
from sisyphus.store.replies import Empty, Taken, TakeReply
from sisyphus.store.store import Store
from store.conftest import MakeStore
from store.corpus import DISAGREE, HANDED_OUT, MAX_BYTES, REJECTED, with_id
from store.fleet import ERROR, Fleet, document


@pytest.fixture
def store(make_store: MakeStore) -> Store:
    return make_store(max_document_bytes=MAX_BYTES)


def offered(fleet: Fleet, raw: bytes) -> TakeReply:
    session = fleet.worker()
    fleet.push(raw)
    return fleet.ask(session)


def id_that_the_worker_reads(raw: bytes) -> str | None:
    """Nothing, if the worker says that the document is no job."""
    try:
        return parse_job(raw).job_id
    except InvalidJob:
        return None


def test_the_corpus_is_large() -> None:
    assert len(REJECTED) >= 60
    assert len({raw for _, raw in REJECTED.values()}) == len(REJECTED)


@pytest.mark.parametrize(("reason", "raw"), REJECTED.values(), ids=REJECTED)
def test_what_is_no_job_is_rejected_byte_for_byte(
    fleet: Fleet, reason: str, raw: bytes
) -> None:
    assert isinstance(offered(fleet, raw), Empty)

    assert fleet.rejected() == [("queue", reason, raw)]
    assert fleet.events("") == ["rejected"]
    assert not fleet.client.keys(fleet.keys.job("*"))
    assert fleet.waiting() == fleet.staged() == []


@pytest.mark.parametrize(("job_id", "raw"), HANDED_OUT.values(), ids=HANDED_OUT)
def test_what_is_a_job_is_handed_out_under_the_id_that_its_worker_reads(
    fleet: Fleet, job_id: str, raw: bytes
) -> None:
    reply = offered(fleet, raw)

    assert isinstance(reply, Taken)
    assert (reply.lease.job_id, reply.raw) == (job_id, raw)
    assert fleet.rejected() == []
    assert id_that_the_worker_reads(raw) in (job_id, None)
    assert fleet.store.settle(fleet.store.fail(reply.lease, {}, {}))


TRICKY = st.text(
    ["\\", '"', *"udcDC89e\n", "\udce9", "\udc80", "\U0001f3ac"], max_size=9
)


@hypothesis.settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@given(st.dictionaries(TRICKY, TRICKY | st.lists(TRICKY, max_size=3), max_size=3))
def test_a_name_in_bytes_keeps_no_document_from_its_worker(
    fleet: Fleet, data: dict[str, Any]
) -> None:
    raw = json.dumps(
        {"data": data, "job_id": "a", "tasks": [{"x": data}], "job_title": "t"}
    ).encode()

    reply = offered(fleet, raw)

    assert isinstance(reply, Taken)
    assert (reply.lease.job_id, reply.raw) == ("a", raw)
    assert fleet.store.settle(fleet.store.fail(reply.lease, {}, {}))


@pytest.mark.parametrize("raw", DISAGREE.values(), ids=DISAGREE)
def test_store_and_worker_read_the_same_id(fleet: Fleet, raw: bytes) -> None:
    reply = offered(fleet, raw)

    if isinstance(reply, Taken):
        assert id_that_the_worker_reads(raw) in (reply.lease.job_id, None)


@pytest.mark.parametrize("job_id", [b'"\xc3a\xa9"', b'"\xe2 \x82\xac"'])
def test_an_id_with_a_letter_torn_apart_is_rejected(
    fleet: Fleet, job_id: bytes
) -> None:
    assert isinstance(offered(fleet, with_id(job_id)), Empty)


def test_bad_documents_do_not_hold_up_good_ones(fleet: Fleet) -> None:
    for number, (_, raw) in enumerate(REJECTED.values()):
        fleet.push(raw, document(str(number)))

    ids = fleet.take_all(fleet.worker())

    assert ids == [str(number) for number in range(len(REJECTED))]
    assert [raw for _, _, raw in fleet.rejected()] == [
        raw for _, raw in REJECTED.values()
    ]


def test_a_rejected_document_tells_its_list(fleet: Fleet) -> None:
    fleet.push(b"bad", priority=3)

    assert fleet.nothing_for(fleet.worker())

    assert fleet.rejected() == [("queue:3", "not_json", b"bad")]


def test_a_bad_document_in_the_staged_list_is_rejected_too(fleet: Fleet) -> None:
    fleet.client.lpush(fleet.keys.staged, b"bad")

    assert fleet.nothing_for(fleet.worker())

    assert fleet.rejected() == [("queue", "not_json", b"bad")]


def test_a_record_of_another_type_loses_nothing(fleet: Fleet) -> None:
    fleet.client.set(fleet.keys.job("a"), "taken by someone else")
    fleet.push(document())

    assert fleet.nothing_for(fleet.worker())

    [(_, reason, raw)] = fleet.rejected()
    assert reason.startswith("script: ")
    assert "WRONGTYPE" in reason
    assert raw == document()
    fleet.client.delete(fleet.keys.job("a"), fleet.keys.rejected)


def test_a_document_of_the_largest_size_is_no_trouble(
    fleet: Fleet, make_store: MakeStore
) -> None:
    store = make_store()
    session = fleet.worker()
    raw = document(data="x" * (8 * 1024 * 1024 - 200))
    fleet.push(raw)

    _, reply = store.take(session)

    assert isinstance(reply, Taken)
    assert reply.raw == raw
    assert json.loads(reply.raw)["job_id"] == "a"


RAW_BYTES = {
    "whole number with a point": b'{"n": 1.0, "job_id": "a"}',
    "exponent": b'{"n": [1e5, 1E+5, 1e-7, 0.1e1], "job_id": "a"}',
    "20 digits": b'{"n": 12345678901234567890, "job_id": "a"}',
    "order of members": b'{"z": 1, "b": 2, "job_id": "a", "aa": {"y": 1, "x": 2}}',
    "same member twice": b'{"x": 1, "x": 2, "job_id": "a"}',
    "UTF-8": '{"t": "Grüße 漢字 \U0001f3ac", "job_id": "a"}'.encode(),
    "escapes": b'{"t": "\\u00e4\\ud83c\\udfac\\/\\b", "job_id": "a"}',
    "byte order mark": b'\xef\xbb\xbf{"job_id": "a"}',
    "white space": b' \t\r\n{ "job_id" :\n\n"a" }\r\n ',
    "empty array and object": b'{"e": [], "o": {}, "n": null, "job_id": "a"}',
    "invalid UTF-8": b'{"t": "\xff\xfe", "job_id": "a"}',
}


@pytest.mark.parametrize("raw", RAW_BYTES.values(), ids=RAW_BYTES)
@pytest.mark.parametrize("way", ["taken", "released", "crashed", "retried", "requeued"])
def test_not_a_byte_of_a_document_changes(fleet: Fleet, raw: bytes, way: str) -> None:
    session = fleet.worker()
    fleet.push(raw)
    lease = fleet.take(session).lease
    store = fleet.store

    match way:
        case "released":
            store.settle(store.release(lease, {}))
        case "crashed":
            store.recover(session)
            fleet.worker()
        case "retried":
            store.settle(store.retry(lease, ERROR, {}, 10))
            fleet.make_due()
            store.promote()
        case "requeued":
            store.settle(store.complete(lease, None))
            store.requeue("a")

    taken = fleet.take(session)
    assert taken.raw == raw
    assert (taken.lease == lease) == (way == "taken")
