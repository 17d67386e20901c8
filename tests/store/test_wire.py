"""One connection: nothing is hidden, nothing is done twice behind one's back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from redis import Redis

from sisyphus.embedded import EmbeddedServer
from sisyphus.errors import ConfigError, StoreRefused, StoreUnavailable
from sisyphus.settings import Settings
from sisyphus.store import wire
from sisyphus.store.replies import Held, Taken
from sisyphus.store.store import Store
from store.conftest import MakeStore
from store.fleet import Fleet, document, facts
from store.proxy import Proxy

# Nothing is repeated by itself


def test_a_call_whose_answer_was_cut_off_ran_once_and_says_so(
    fleet: Fleet, proxy: Proxy, far: Store
) -> None:
    proxy.swallow_answers = True

    with pytest.raises(StoreUnavailable, match="does not answer"):
        far.submit("a", document("a"), 0, 0, "")

    assert fleet.waiting() == [document("a")]
    assert fleet.events("a") == ["queued"]
    assert proxy.connections == 1


def test_a_command_whose_answer_was_cut_off_ran_once(
    client: Redis, proxy: Proxy
) -> None:
    line = wire.Wire(wire.open_client(proxy.url))
    line.run(("PING",))
    proxy.swallow_answers = True

    with pytest.raises(StoreUnavailable):
        line.run(("INCR", "counter"), ("INCR", "counter"))

    assert client.get("counter") == b"2"
    client.delete("counter")
    line.close()


def test_a_request_that_was_cut_in_half_did_nothing(
    fleet: Fleet, proxy: Proxy, far: Store
) -> None:
    proxy.bytes_to_pass = 60
    before = fleet.everything()

    with pytest.raises(StoreUnavailable):
        far.submit("a", document("a"), 0, 0, "")

    assert fleet.everything() == before


def test_the_next_call_connects_anew(fleet: Fleet, proxy: Proxy, far: Store) -> None:
    proxy.swallow_answers = True
    with pytest.raises(StoreUnavailable):
        far.submit("a", document("a"), 0, 0, "")
    proxy.swallow_answers = False

    far.submit("a", document("a"), 0, 0, "")

    assert proxy.connections == 2
    assert fleet.waiting() == [document("a")]


def test_a_take_whose_answer_was_cut_off_gives_the_same_job_again(
    fleet: Fleet, proxy: Proxy, far: Store
) -> None:
    far.register("s", facts("w"))
    fleet.push(document("a"), document("b"))
    proxy.swallow_answers = True
    with pytest.raises(StoreUnavailable):
        far.take("s")
    proxy.swallow_answers = False

    _, reply = far.take("s")

    assert isinstance(reply, Taken)
    assert (reply.lease.job_id, reply.attempt) == ("a", 1)
    assert fleet.waiting() == [document("b")]


def test_a_settlement_whose_answer_was_cut_off_is_accepted_again(
    fleet: Fleet, proxy: Proxy, far: Store
) -> None:
    far.register("s", facts("w"))
    fleet.push(document("a"), document("b"))
    _, first = far.take("s")
    assert isinstance(first, Taken)
    done = far.complete(first.lease, None)
    proxy.swallow_answers = True
    with pytest.raises(StoreUnavailable):
        far.take("s", done)
    proxy.swallow_answers = False

    accepted, second = far.take("s", done)

    assert accepted
    assert isinstance(second, Taken)
    assert second.lease.job_id == "b"
    assert fleet.events("a") == ["running", "completed"]


def test_a_server_that_says_nothing_is_given_up(
    fleet: Fleet,
    proxy: Proxy,
    make_store: MakeStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wire, "ANSWER_SECONDS", 0.1)
    far = make_store(redis_url=proxy.url)
    far.promote()
    proxy.silent = True

    with pytest.raises(StoreUnavailable):
        far.promote()


def test_an_answer_that_came_late_is_not_taken_for_the_next_one(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "ANSWER_SECONDS", 0.1)
    line = wire.Wire(wire.open_client(redis_url))
    with pytest.raises(StoreUnavailable):
        line.run(("BLPOP", "nothing there", 1))

    assert line.run(("ECHO", "hello")) == [b"hello"]
    line.close()


# Errors in words


def test_nobody_there_is_unavailable(tmp_path: Path) -> None:
    store = Store(Settings.load(redis_url=f"unix://{tmp_path}/nobody.sock"))

    with pytest.raises(StoreUnavailable):
        store.promote()


def test_a_url_that_is_none_is_a_wrong_setting() -> None:
    with pytest.raises(ConfigError, match="redis_url"):
        Store(Settings.load(redis_url="http://localhost"))


@pytest.fixture(scope="module")
def locked_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    folder = tmp_path_factory.mktemp("locked")
    with EmbeddedServer(folder, appendonly=False, password="secret") as server:
        yield server


def test_the_right_password_opens(locked_server: EmbeddedServer) -> None:
    store = Store(Settings.load(redis_url=locked_server.url))

    assert store.promote() == 0
    store.close()


@pytest.mark.parametrize("password", [":wrong@", ""], ids=["wrong", "none"])
def test_a_wrong_password_is_refused(
    locked_server: EmbeddedServer, password: str
) -> None:
    store = Store(
        Settings.load(redis_url=locked_server.url.replace(":secret@", password))
    )

    with pytest.raises(StoreRefused, match=r"password|Authentication"):
        store.promote()


@pytest.mark.parametrize(
    ("password", "hint"),
    [(":wrong@", "in the URL is wrong"), ("", "put it in the URL")],
)
def test_a_wrong_password_says_what_to_do(
    locked_server: EmbeddedServer, password: str, hint: str
) -> None:
    store = Store(
        Settings.load(redis_url=locked_server.url.replace(":secret@", password))
    )

    with pytest.raises(StoreRefused, match=hint):
        store.promote()


def test_a_user_who_may_not_is_told_so(
    fleet: Fleet, make_store: MakeStore, redis_url: str
) -> None:
    fleet.client.execute_command(
        "ACL", "SETUSER", "looker", "on", ">secret", "~*", "+@read", "+@connection"
    )
    store = make_store(redis_url=redis_url.replace("unix://", "unix://looker:secret@"))

    with pytest.raises(StoreRefused, match="may not run that command"):
        store.promote()

    fleet.client.execute_command("ACL", "DELUSER", "looker")


def test_a_key_of_another_type_is_told(fleet: Fleet) -> None:
    fleet.client.set(fleet.keys.meta, "mine")

    with pytest.raises(StoreRefused, match="is the list's name taken"):
        fleet.store.promote()

    fleet.client.delete(fleet.keys.meta)


def test_a_replica_is_told(fleet: Fleet) -> None:
    fleet.store.promote()
    fleet.client.replicaof("127.0.0.1", "1")

    try:
        with pytest.raises(StoreRefused, match="address of the primary"):
            fleet.store.submit("a", document(), 0, 0, "")
    finally:
        fleet.client.replicaof("NO", "ONE")


def test_an_error_leaves_the_connection_usable(fleet: Fleet) -> None:
    fleet.client.set(fleet.keys.meta, "mine")
    with pytest.raises(StoreRefused):
        fleet.store.promote()
    fleet.client.delete(fleet.keys.meta)

    assert fleet.store.promote() == 0


# Scripts that the server has forgotten


def test_forgotten_scripts_are_loaded_again(fleet: Fleet) -> None:
    session = fleet.worker()
    fleet.push(document())
    fleet.client.script_flush()

    assert fleet.take(session).lease.job_id == "a"


@pytest.mark.parametrize("known", ["nothing", "take", "complete"])
def test_a_pair_of_which_scripts_are_forgotten_is_done_once(
    fleet: Fleet, known: str
) -> None:
    session = fleet.worker()
    lease = fleet.running("a", session)
    fleet.push(document("b"), document("c"))
    done = fleet.store.complete(lease, None)
    stale = replace(lease, token=1)
    fleet.client.script_flush()
    match known:
        case "take":
            fleet.take(session)
        case "complete":
            assert not fleet.store.settle(fleet.store.complete(stale, None))

    accepted, reply = fleet.store.take(session, done)

    assert accepted
    assert isinstance(reply, Taken)
    assert reply.lease.job_id == "b"
    assert fleet.waiting() == [document("c")]
    assert fleet.events("a") == ["running", "completed"]


def test_what_travels_with_a_forgotten_script_is_done(fleet: Fleet) -> None:
    session = fleet.worker()
    fleet.client.script_flush()

    fleet.store.renew([Held(session)], {"worker:w": "{}"})

    assert fleet.client.get("worker:w") == b"{}"


def test_a_restarted_server_is_found_again(
    tmp_path: Path, make_store: MakeStore
) -> None:
    with EmbeddedServer(tmp_path / "data", appendfsync="always") as server:
        store = make_store(redis_url=server.url)
        store.register("s", facts("w"))
        store.submit("a", document(), 0, 0, "")
        server.kill()
        with pytest.raises(StoreUnavailable):
            store.take("s")
        server.restart()

        _, reply = store.take("s")

        assert isinstance(reply, Taken)
        assert reply.lease.job_id == "a"
        store.close()
