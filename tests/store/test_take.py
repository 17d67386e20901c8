"""take: a free worker gets a document, under a new token."""

from __future__ import annotations

import json
import threading
from collections import Counter

import pytest

from sisyphus.job import parse_job
from sisyphus.store.replies import Activity, Empty, Gone, Paused, Taken
from store.conftest import MakeStore
from store.fleet import ERROR, Fleet, document, entry, facts


def test_documents_come_first_in_first_out(fleet: Fleet) -> None:
    ids = [f"job-{number:03}" for number in range(100)]
    fleet.push(*map(document, ids))

    assert fleet.take_all(fleet.worker()) == ids


def test_higher_priorities_come_first_and_each_in_its_order(fleet: Fleet) -> None:
    for priority in (0, 3, 9, 1):
        for number in (1, 2):
            fleet.push(document(f"{priority}-{number}"), priority=priority)

    taken = fleet.take_all(fleet.worker())

    assert taken == ["9-1", "9-2", "3-1", "3-2", "1-1", "1-2", "0-1", "0-2"]


def test_a_prioritised_list_may_be_pushed_to_by_anyone(fleet: Fleet) -> None:
    fleet.push(document("plain"))
    fleet.push(document("urgent"), priority=7)

    taken = fleet.take(fleet.worker())

    assert taken.lease.job_id == "urgent"
    assert fleet.record("urgent")["priority"] == "7"


def test_what_was_staged_comes_before_the_list(fleet: Fleet) -> None:
    fleet.client.lpush(fleet.keys.staged, document("1"), document("2"))
    fleet.push(document("3"))

    assert fleet.take_all(fleet.worker()) == ["1", "2", "3"]


def test_taking_writes_record_hand_and_document(fleet: Fleet) -> None:
    session = fleet.worker("w")
    raw = document("a", job_title="A film")
    fleet.push(raw)
    before_ms = fleet.now_ms()

    taken = fleet.take(session)

    record = fleet.record()
    assert record["state"] == "running"
    assert record["session"] == session
    assert record["worker_id"] == "w"
    assert record["title"] == "A film"
    assert record["attempts"] == "1"
    assert before_ms <= int(record["started_ms"]) <= fleet.now_ms()
    assert int(record["token"]) == taken.lease.token
    assert (taken.raw, taken.attempt, taken.failures, taken.crashes) == (raw, 1, 0, 0)
    assert taken.checkpoint == ""
    assert fleet.client.get(fleet.keys.doc("a")) == raw
    assert fleet.waiting() == []
    assert fleet.events() == ["running"]


def test_tokens_only_grow(fleet: Fleet) -> None:
    session = fleet.worker()
    fleet.push(*(document(str(number)) for number in range(50)))

    tokens = []
    while isinstance(reply := fleet.ask(session), Taken):
        tokens.append(reply.lease.token)
        fleet.store.settle(fleet.store.complete(reply.lease, None))

    assert len(tokens) == 50
    assert tokens == sorted(set(tokens))


def test_a_token_grows_also_when_the_server_s_clock_is_behind(fleet: Fleet) -> None:
    session = fleet.worker()
    far = 2**52
    fleet.client.hset(fleet.keys.meta, "fence", far)
    fleet.push(document())

    assert fleet.take(session).lease.token == far + 1


def test_a_lost_answer_is_given_again(fleet: Fleet) -> None:
    session = fleet.worker()
    fleet.push(document("a"), document("b"))
    first = fleet.take(session)
    before = fleet.everything()

    again = fleet.take(session)

    assert again == first
    assert fleet.everything() == before


def test_a_job_given_again_has_its_checkpoint(fleet: Fleet) -> None:
    session = fleet.worker()
    lease = fleet.running("a", session)
    fleet.store.checkpoint(lease, '[{"task": 0}]')

    assert fleet.take(session).checkpoint == '[{"task": 0}]'


def test_settling_and_taking_are_one_call_that_may_be_repeated(fleet: Fleet) -> None:
    session = fleet.worker()
    lease = fleet.running("a", session)
    fleet.push(document("b"), document("c"))
    done = fleet.store.complete(lease, None)

    first = fleet.store.take(session, done)
    before = fleet.everything()
    again = fleet.store.take(session, done)

    assert first == again
    assert isinstance(first[1], Taken)
    assert (first[0], first[1].lease.job_id) == (True, "b")
    assert fleet.everything() == before


def test_a_settlement_that_is_not_accepted_does_not_stop_the_take(
    fleet: Fleet,
) -> None:
    lost = fleet.running("a", fleet.worker("lost"))
    fleet.store.recover("session-lost")
    fleet.store.cancel("a")
    session = fleet.worker("w")
    fleet.push(document("b"))

    accepted, reply = fleet.store.take(session, fleet.store.complete(lost, None))

    assert not accepted
    assert isinstance(reply, Taken)
    assert reply.lease.job_id == "b"


def test_a_session_that_ended_gets_nothing(fleet: Fleet) -> None:
    session = fleet.worker()
    fleet.store.recover(session)
    fleet.push(document())

    assert isinstance(fleet.ask(session), Gone)
    assert isinstance(fleet.ask("never registered"), Gone)

    assert fleet.waiting() == [document()]


# Duplicates and conflicts


@pytest.mark.parametrize("state", ["running", "completed", "delayed"])
def test_the_same_document_again_is_counted_and_dropped(
    fleet: Fleet, state: str
) -> None:
    fleet.in_state(state)
    fleet.push(document())
    session = fleet.worker("another")

    assert fleet.nothing_for(session)

    assert fleet.state() == state
    assert fleet.record()["duplicates"] == "1"
    assert fleet.events()[-1] == "duplicate"
    assert fleet.rejected() == []


@pytest.mark.parametrize("state", ["running", "completed", "delayed", "queued"])
def test_another_document_of_the_same_id_is_rejected_not_dropped(
    fleet: Fleet, state: str
) -> None:
    fleet.in_state(state)
    other = document(job_title="another")
    fleet.push(other)

    reply = fleet.ask(fleet.worker("another"))
    if state == "queued":
        assert isinstance(reply, Taken)
        assert reply.raw == document()
        assert fleet.nothing_for(fleet.worker("third"))

    assert fleet.rejected() == [("queue", "conflict", other)]


def test_two_copies_run_once(fleet: Fleet) -> None:
    fleet.push(document(), document(), document("b"), document())

    assert fleet.take_all(fleet.worker()) == ["a", "b"]
    assert fleet.record()["duplicates"] == "2"


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_a_job_that_ended_badly_runs_again_when_it_is_pushed_again(
    fleet: Fleet, state: str
) -> None:
    first = fleet.in_state(state)
    assert first is not None
    fleet.push(document())

    taken = fleet.take("session-w")

    assert taken.lease.token > first.token
    assert (taken.attempt, taken.failures, taken.crashes) == (2, 0, 0)
    assert not {"cancel", "error", "ended_ms"} & set(fleet.record())
    assert fleet.client.zcard(fleet.keys.ended) == 0


def test_a_job_pushed_again_goes_on_at_its_checkpoint(fleet: Fleet) -> None:
    lease = fleet.running()
    fleet.store.checkpoint(lease, '[{"task": 0}]')
    fleet.store.settle(fleet.store.fail(lease, ERROR, entry("failed")))

    fleet.push(document())

    assert fleet.take("session-w").checkpoint == '[{"task": 0}]'


def test_a_mended_document_starts_at_its_first_task(fleet: Fleet) -> None:
    lease = fleet.running()
    fleet.store.checkpoint(lease, '[{"task": 0}]')
    fleet.store.settle(fleet.store.fail(lease, ERROR, entry("failed")))

    mended = document(job_title="mended")
    fleet.push(mended)

    taken = fleet.take("session-w")
    assert (taken.raw, taken.checkpoint, taken.attempt) == (mended, "", 2)


# Pauses


def test_a_paused_queue_gives_nothing_and_keeps_its_order(fleet: Fleet) -> None:
    session = fleet.worker()
    fleet.client.lpush(fleet.keys.staged, document("1"), document("2"))
    fleet.push(document("3"))
    fleet.store.steer("", Activity.PAUSE)

    assert isinstance(fleet.ask(session), Paused)

    assert fleet.staged() == []
    assert fleet.waiting() == [document("1"), document("2"), document("3")]
    fleet.store.steer("", Activity.WORK)
    assert fleet.take_all(session) == ["1", "2", "3"]


def test_a_paused_worker_gets_nothing_but_others_do(fleet: Fleet) -> None:
    one, two = fleet.worker("one"), fleet.worker("two")
    fleet.push(document())
    fleet.store.steer("one", Activity.PAUSE)

    assert isinstance(fleet.ask(one), Paused)
    assert fleet.take(two).lease.job_id == "a"


def test_a_pause_does_not_hide_a_job_whose_answer_was_lost(fleet: Fleet) -> None:
    session = fleet.worker()
    lease = fleet.running("a", session)

    fleet.store.steer("", Activity.PAUSE)

    assert fleet.take(session).lease == lease


# Nothing to do


def test_an_empty_queue_tells_when_a_delayed_job_is_due(fleet: Fleet) -> None:
    session = fleet.worker()
    assert fleet.ask(session) == Empty(None)
    fleet.store.submit("a", document("a"), 0, fleet.now_ms() + 60_000, "")
    fleet.store.submit("b", document("b"), 0, fleet.now_ms() + 5_000, "")

    reply = fleet.ask(session)

    assert isinstance(reply, Empty)
    assert reply.due_in is not None
    assert 4 < reply.due_in <= 5


def test_an_empty_queue_tells_when_a_retry_is_due(fleet: Fleet) -> None:
    session = fleet.worker()
    lease = fleet.running("a", session)
    fleet.store.submit("b", document("b"), 0, fleet.now_ms() + 60_000, "")
    retry = fleet.store.retry(lease, ERROR, entry("failed"), 7)

    _, reply = fleet.store.take(session, retry)

    assert isinstance(reply, Empty)
    assert reply.due_in is not None
    assert 6 < reply.due_in <= 7


def test_of_a_retry_and_a_delayed_job_the_first_tells_the_time(fleet: Fleet) -> None:
    session = fleet.worker()
    lease = fleet.running("a", session)
    fleet.store.submit("b", document("b"), 0, fleet.now_ms() + 2_000, "")
    fleet.store.settle(fleet.store.retry(lease, ERROR, entry("failed"), 7))

    reply = fleet.ask(session)

    assert isinstance(reply, Empty)
    assert reply.due_in is not None
    assert reply.due_in <= 2


def test_many_bad_documents_are_taken_in_bounded_pieces(fleet: Fleet) -> None:
    fleet.push(*(b"bad %d" % number for number in range(100)), document())

    taken = fleet.take(fleet.worker())

    assert taken.lease.job_id == "a"
    assert [raw for _, _, raw in fleet.rejected()] == [
        b"bad %d" % n for n in range(100)
    ]


# Many at once


def test_no_job_is_given_to_two_workers(fleet: Fleet, make_store: MakeStore) -> None:
    fleet.client.lpush(
        fleet.keys.waiting(), *(document(str(number)) for number in range(2000))
    )
    got: list[list[str]] = [[] for _ in range(4)]

    def work(number: int) -> None:
        store, session = make_store(), f"session-{number}"
        store.register(session, facts(f"worker-{number}"))
        _, reply = store.take(session)
        while isinstance(reply, Taken):
            got[number].append(reply.lease.job_id)
            accepted, reply = store.take(session, store.complete(reply.lease, None))
            assert accepted

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)

    taken = Counter(job_id for ids in got for job_id in ids)
    assert taken == Counter(str(number) for number in range(2000))
    assert fleet.client.zcard(fleet.keys.ended) == 2000
    for ids in got:
        assert ids == sorted(ids, key=int)


def test_the_title_of_a_record_is_bounded(fleet: Fleet) -> None:
    fleet.push(document(job_title="x" * 10_000))

    fleet.take(fleet.worker())

    assert len(fleet.record()["title"]) == 500


def test_a_long_title_is_cut_between_letters(fleet: Fleet) -> None:
    fleet.push(document(job_title="x" + "é" * 400))

    fleet.take(fleet.worker())

    title: bytes = fleet.client.hget(fleet.keys.job("a"), "title")
    assert title.decode().startswith("xéé")


def test_a_title_may_be_anything(fleet: Fleet) -> None:
    titles: list[object] = [5, None, [], {"a": 1}, 1.5, True]
    for number, title in enumerate(titles):
        fleet.push(document(str(number), job_title=title))

    assert len(fleet.take_all(fleet.worker())) == 6
    assert fleet.record("0")["title"] == "5"


def test_a_number_is_taken_for_its_digits(fleet: Fleet) -> None:
    raw = json.dumps(
        {"job_id": 42, "job_title": "t", "tasks": [{"ffmpeg": {}}]}
    ).encode()
    fleet.push(raw)

    assert fleet.take(fleet.worker()).lease.job_id == "42" == parse_job(raw).job_id


def test_white_space_at_the_end_makes_no_other_document(fleet: Fleet) -> None:
    session = fleet.worker()
    lease = fleet.running("a", session)
    fleet.push(document() + b"\n")

    fleet.store.settle(fleet.store.complete(lease, None))
    assert fleet.nothing_for(session)

    assert fleet.record("a")["duplicates"] == "1"
