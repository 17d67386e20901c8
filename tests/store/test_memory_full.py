"""With memory used up Redis accepts no more work, but what it has goes on to its end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis import Redis
from redis.exceptions import ResponseError

from sisyphus.embedded import EmbeddedServer
from sisyphus.errors import StoreRefused
from sisyphus.store.replies import Activity, Held, Taken, Verdict
from store.fleet import ERROR, Fleet, document, entry, facts


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path_factory.mktemp("full"), appendonly=False) as server:
        yield server


@pytest.fixture
def redis_url(own_server: EmbeddedServer) -> str:
    with Redis.from_url(own_server.url) as client:
        client.flushall()
    return own_server.url


@pytest.fixture
def full(fleet: Fleet) -> Iterator[Fleet]:
    """Two jobs run and one waits; ``fill`` uses up the memory."""
    fleet.store.submit("later", document("later"), 0, fleet.now_ms() + 60_000, "")
    fleet.push(document("a"), document("b"), document("c"))
    for name in ("one", "two"):
        fleet.take(fleet.worker(name))
    yield fleet
    fleet.client.config_set("maxmemory", 0)


def fill(fleet: Fleet) -> None:
    fleet.client.config_set("maxmemory", 1)
    with pytest.raises(ResponseError, match="maxmemory"):
        fleet.client.set("anything", "at all")


def held(fleet: Fleet, session: str) -> Held:
    row = fleet.client.hgetall(fleet.keys.session(session))
    return Held(session, row[b"job"].decode(), int(row[b"token"]))


def test_no_more_work_is_accepted(full: Fleet) -> None:
    fill(full)

    with pytest.raises(ResponseError, match="maxmemory"):
        full.push(document("d"))
    with pytest.raises(StoreRefused, match="raise maxmemory"):
        full.store.submit("d", document("d"), 0, 0, "")

    assert full.waiting() == [document("c")]
    assert full.state("d") is None


def test_what_was_submitted_before_is_still_known(full: Fleet) -> None:
    due_ms = full.now_ms() + 60_000
    fill(full)

    assert full.store.submit("later", document("later"), 0, due_ms, "") == "delayed"


def test_a_waiting_job_is_taken_and_completed(full: Fleet) -> None:
    session = full.worker("three")
    fill(full)

    taken = full.take(session)
    full.store.checkpoint(taken.lease, '[{"task": 0}]')
    assert full.store.log(taken.lease, [(1, "ffmpeg", "info", "frame 1")])
    assert full.store.settle(full.store.complete(taken.lease, {"frames": 1}))

    assert full.state("c") == "completed"


def test_settling_and_taking_go_on(full: Fleet) -> None:
    lease = full.take("session-one").lease
    fill(full)

    accepted, reply = full.store.take("session-one", full.store.complete(lease, None))

    assert accepted
    assert isinstance(reply, Taken)
    assert reply.lease.job_id == "c"


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("complete", "completed"),
        ("fail", "failed"),
        ("retry", "delayed"),
        ("release", "queued"),
        ("stop", "cancelled"),
    ],
)
def test_every_end_of_an_attempt_is_heard(full: Fleet, name: str, state: str) -> None:
    lease = full.take("session-one").lease
    store = full.store
    told = {
        "complete": lambda: store.complete(lease, None),
        "fail": lambda: store.fail(lease, ERROR, entry("failed")),
        "retry": lambda: store.retry(lease, ERROR, entry("failed"), 5),
        "release": lambda: store.release(lease, entry("released")),
        "stop": lambda: store.stop(lease, entry("cancelled")),
    }[name]()
    fill(full)

    assert store.settle(told)
    assert store.settle(told)

    assert full.state("a") == state


def test_leases_are_renewed_and_orders_heard(full: Fleet) -> None:
    fill(full)
    full.store.cancel("a")
    full.store.steer("two", Activity.PAUSE)

    renewal = full.store.renew(
        [held(full, "session-one"), held(full, "session-two")], {"worker:one": "{}"}
    )

    assert renewal.orders == (
        (Verdict.CANCEL, Activity.WORK),
        (Verdict.KEEP, Activity.PAUSE),
    )
    assert full.client.get("worker:one") is None


def test_a_dead_worker_s_job_is_recovered(full: Fleet) -> None:
    full.age_lease("session-one")
    fill(full)

    assert full.store.recover() == 1

    assert full.waiting()[0] == document("a")


def test_a_job_that_crashed_twice_is_delayed(full: Fleet) -> None:
    full.client.hset(full.keys.job("a"), mapping={"crashes": 1, "attempts": 2})
    fill(full)

    full.store.recover("session-one", "killed")

    assert full.state("a") == "delayed"


def test_a_session_leaves(full: Fleet) -> None:
    fill(full)

    full.store.leave("session-one")

    assert full.waiting()[0] == document("a")


def test_a_new_session_registers(full: Fleet) -> None:
    fill(full)

    assert full.store.register("new", facts("new")) is None


@pytest.mark.parametrize(
    ("job_id", "answer"),
    [("a", "asked"), ("c", "unseen"), ("later", "cancelled"), ("never", "unseen")],
)
def test_jobs_are_cancelled(full: Fleet, job_id: str, answer: str) -> None:
    fill(full)

    assert full.store.cancel(job_id) == answer


def test_due_jobs_are_promoted(full: Fleet) -> None:
    full.make_due("later")
    fill(full)

    assert full.store.promote() == 1

    assert full.state("later") == "queued"


def test_a_bad_document_is_rejected_and_kept(full: Fleet) -> None:
    full.push(b"bad")
    session = full.worker("three")
    full.take(session)
    full.store.leave(session)
    session = full.worker("four")
    lease = full.take(session).lease
    fill(full)

    full.store.take(session, full.store.complete(lease, None))

    assert full.rejected() == [("queue", "not_json", b"bad")]


def test_a_paused_queue_keeps_what_was_staged(full: Fleet) -> None:
    session = full.worker("three")
    full.client.lmove(full.keys.waiting(), full.keys.staged, "RIGHT", "LEFT")
    fill(full)
    full.store.steer("", Activity.PAUSE)

    full.ask(session)

    assert full.waiting() == [document("c")]
    full.store.steer("", Activity.WORK)


def test_ended_jobs_are_run_again_removed_and_trimmed(full: Fleet) -> None:
    for session, job_id in (("session-one", "a"), ("session-two", "b")):
        lease = full.take(session).lease
        full.store.settle(full.store.fail(lease, ERROR, entry("failed")))
        assert lease.job_id == job_id
    full.store.cancel("later")
    full.age_history("later", days=40)
    fill(full)

    full.store.requeue("a")
    full.store.remove("b")

    assert full.store.trim() == 1
    assert (full.state("a"), full.state("b")) == ("queued", None)


def test_trim_goes_on_past_a_cancelled_document_that_waits(full: Fleet) -> None:
    full.store.cancel("c")
    full.age_history("c", days=50)
    full.store.cancel("later")
    full.age_history("later", days=40)
    fill(full)

    assert full.store.trim() == 1


def test_an_idle_worker_does_not_spin(full: Fleet, wake: tuple[int, int]) -> None:
    fill(full)

    with pytest.raises(StoreRefused):
        full.store.wait(0.05, wake[0])


def test_nothing_is_refused_any_more_when_there_is_room_again(full: Fleet) -> None:
    fill(full)
    full.client.config_set("maxmemory", 0)

    full.push(document("d"))
    full.store.submit("e", document("e"), 0, 0, "")

    assert full.waiting() == [document("c"), document("d"), document("e")]
