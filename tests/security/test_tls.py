"""Redis behind TLS: real handshakes, real certificates, good ones and bad ones."""

from __future__ import annotations

import json
import os
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from security.tls import Authority, Certificate, TlsDoor
from sisyphus.errors import ConfigError, StoreRefused, StoreUnavailable
from sisyphus.settings import Settings
from sisyphus.store import wire
from sisyphus.store.store import Store
from waiting import eventually
from worker.machines import Site

OpenDoor = Callable[..., TlsDoor]


@pytest.fixture
def open_door(socket_of: Path) -> Iterator[OpenDoor]:
    with ExitStack() as opened:
        yield lambda *given: opened.enter_context(TlsDoor(socket_of, *given))


def answers(url: str, **settings: Any) -> bool:
    """Whether a store behind this URL does what it is told."""
    store = Store(Settings.load(redis_url=url, **settings))
    try:
        return store.promote() == 0
    finally:
        store.close()


# Who may vouch for Redis


def test_a_private_authority_is_named_by_a_setting(
    door: TlsDoor, authority: Authority
) -> None:
    assert answers(door.url(), redis_ca=authority.file)
    assert door.connections == 1


def test_a_private_authority_is_named_in_the_url(
    door: TlsDoor, authority: Authority
) -> None:
    assert answers(f"{door.url()}?ssl_ca_certs={authority.file}")


def test_who_is_vouched_for_by_nobody_is_refused(door: TlsDoor) -> None:
    with pytest.raises(StoreRefused, match=r"issuer.*: set redis_ca"):
        answers(door.url())
    assert door.connections == 0


def test_who_is_vouched_for_by_another_authority_is_refused(
    door: TlsDoor, stranger: Authority
) -> None:
    with pytest.raises(StoreRefused, match="set redis_ca"):
        answers(door.url(), redis_ca=stranger.file)


def test_a_certificate_for_another_host_is_refused(
    open_door: OpenDoor, authority: Authority
) -> None:
    door = open_door(authority.issue("elsewhere", names="DNS:elsewhere.example"))

    with pytest.raises(StoreRefused, match=r"mismatch.*use a name in redis_url"):
        answers(door.url(), redis_ca=authority.file)


def test_a_certificate_that_has_expired_is_refused(
    open_door: OpenDoor, authority: Authority
) -> None:
    door = open_door(authority.issue("old", names="DNS:localhost", days=-1))

    with pytest.raises(StoreRefused, match="certificate has expired"):
        answers(door.url(), redis_ca=authority.file)


# Who we are


def test_a_certificate_of_ours_opens(
    open_door: OpenDoor, for_localhost: Certificate, authority: Authority
) -> None:
    door, ours = open_door(for_localhost, authority.file), authority.issue("worker")

    assert answers(
        door.url(),
        redis_ca=authority.file,
        redis_certificate=ours.file,
        redis_key=ours.key,
    )
    url = f"{door.url()}?ssl_certfile={ours.file}&ssl_keyfile={ours.key}"
    assert answers(url, redis_ca=authority.file)


def test_a_redis_that_wants_a_certificate_says_so(
    open_door: OpenDoor, for_localhost: Certificate, authority: Authority
) -> None:
    door = open_door(for_localhost, authority.file)

    with pytest.raises((StoreRefused, StoreUnavailable), match="redis_certificate"):
        answers(door.url(), redis_ca=authority.file)
    assert door.connections == 0


def test_a_certificate_of_ours_by_a_stranger_is_refused(
    open_door: OpenDoor,
    for_localhost: Certificate,
    authority: Authority,
    stranger: Authority,
) -> None:
    door, theirs = open_door(for_localhost, authority.file), stranger.issue("worker")

    with pytest.raises((StoreRefused, StoreUnavailable)):
        answers(
            door.url(),
            redis_ca=authority.file,
            redis_certificate=theirs.file,
            redis_key=theirs.key,
        )
    assert door.connections == 0


# Wrong settings are told at once


def wrong_settings() -> list[Any]:
    def case(name: str, said: str, **settings: str) -> Any:
        return pytest.param(settings, said, id=name)

    return [
        case("no such file", "redis_ca: .*cannot be read", redis_ca="none.pem"),
        case("a key for a certificate", "redis_ca: .*no PEM file", redis_ca="key"),
        case("no certificate to the key", "needs redis_certificate", redis_key="key"),
        case(
            "another's key",
            "redis_certificate: .*key does not fit",
            redis_certificate="ca",
            redis_key="key",
        ),
    ]


@pytest.mark.parametrize(("given", "said"), wrong_settings())
def test_files_that_do_not_do_are_told(
    given: dict[str, str], said: str, authority: Authority, for_localhost: Certificate
) -> None:
    files = {"ca": authority.file, "key": for_localhost.key}
    settings: Any = {name: files.get(file, file) for name, file in given.items()}

    with pytest.raises(ConfigError, match=said):
        answers("rediss://localhost", **settings)


def test_certificates_without_tls_are_told(authority: Authority) -> None:
    with pytest.raises(ConfigError, match="redis_ca: is for TLS only: write rediss://"):
        answers("redis://localhost", redis_ca=authority.file)


def test_a_misspelt_option_of_the_url_is_told() -> None:
    with pytest.raises(ConfigError, match="cannot have the option 'ssl_ca_cert'"):
        answers("rediss://localhost?ssl_ca_cert=/ca.pem")


def test_a_port_without_tls_is_told(
    monkeypatch: pytest.MonkeyPatch, free_port: int
) -> None:
    monkeypatch.setattr(wire, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(wire, "CONNECT_SECONDS", 0.2)
    with (
        socket.create_server(("127.0.0.1", free_port)),  # answers no TLS hello
        pytest.raises(StoreUnavailable, match="is it a TLS port"),
    ):
        answers(f"rediss://localhost:{free_port}")


def test_a_port_with_tls_is_told(door: TlsDoor) -> None:
    with pytest.raises(StoreUnavailable, match="rediss://"):
        answers(door.url().replace("rediss:", "redis:"))


# Waiting and being idle


@pytest.fixture
def bare(door: TlsDoor, authority: Authority) -> Iterator[wire.Wire]:
    """A connection that asks nothing when it is opened.

    So what TLS itself has sent after the handshake (session tickets) is still unread.
    """
    client = Redis.from_url(
        door.url(),
        retry=Retry(NoBackoff(), 0),
        socket_timeout=wire.ANSWER_SECONDS,
        protocol=2,
        driver_info=None,
        ssl_ca_certs=str(authority.file),
    )
    line = wire.Wire(client)
    yield line
    line.close()
    client.close()


def test_what_tls_says_for_itself_does_not_end_an_idle_connection(
    bare: wire.Wire, door: TlsDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare.run()
    assert bare._line is not None
    assert select.select([bare._line], [], [], 10)[0] == [bare._line]
    monkeypatch.setattr(wire, "IDLE_SECONDS", -1.0)

    for _ in range(3):
        assert bare.run(("ECHO", "x")) == [b"x"]

    assert door.connections == 1


def test_what_tls_says_for_itself_is_no_answer_to_a_wait(
    bare: wire.Wire,
    wake: tuple[int, int],
    socket_of: Path,
) -> None:
    bare._pool.connection_kwargs["socket_timeout"] = 0.2
    pushed = threading.Timer(1.0, push, (socket_of, "a"))
    pushed.start()

    answer = bare.wait(("BLMOVE", "queue", "staged", "RIGHT", "LEFT", 20), 20, wake[0])

    assert answer == b"a"
    pushed.join()


def push(socket: Path, raw: str) -> None:
    with Redis(unix_socket_path=str(socket)) as client:
        client.lpush("queue", raw)


def test_a_wait_lasts_longer_than_an_answer_may(
    door: TlsDoor,
    authority: Authority,
    wake: tuple[int, int],
    socket_of: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wire, "ANSWER_SECONDS", 0.2)
    store = Store(Settings.load(redis_url=door.url(), redis_ca=authority.file))
    pushed = threading.Timer(1.0, push, (socket_of, "a"))
    pushed.start()

    store.wait(20, wake[0])

    pushed.join()
    with Redis(unix_socket_path=str(socket_of)) as client:
        assert client.lrange("{queue}:staged", 0, -1) == [b"a"]
    assert door.connections == 1
    store.close()


def test_a_large_answer_to_a_wait_is_read_to_its_end(
    door: TlsDoor, authority: Authority, wake: tuple[int, int], socket_of: Path
) -> None:
    """Of several TLS records: some are decrypted already when the socket is read."""
    push(socket_of, "x" * 1_000_000)
    store = Store(Settings.load(redis_url=door.url(), redis_ca=authority.file))
    line = store._waiting

    answer = line.wait(("BLPOP", "queue", 5), 5, wake[0])

    assert len(answer[1]) == 1_000_000
    store.close()


def test_a_wait_ends_when_it_is_woken(
    door: TlsDoor, authority: Authority, wake: tuple[int, int]
) -> None:
    store = Store(Settings.load(redis_url=door.url(), redis_ca=authority.file))
    os.write(wake[1], b"!")

    store.wait(60, wake[0])

    store.close()


def test_a_wait_ends_when_the_connection_is_cut(
    door: TlsDoor, authority: Authority, wake: tuple[int, int]
) -> None:
    store = Store(Settings.load(redis_url=door.url(), redis_ca=authority.file))
    ended: list[str] = []

    def wait() -> None:
        with pytest.raises(StoreUnavailable) as caught:
            store.wait(60, wake[0])
        ended.append(str(caught.value))

    waiter = threading.Thread(target=wait)
    waiter.start()
    eventually(lambda: door.connections == 1)
    door.cut()

    waiter.join(10)
    assert ended
    store.close()


def test_an_idle_connection_that_was_cut_is_opened_anew(
    door: TlsDoor, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(Settings.load(redis_url=door.url(), redis_ca=authority.file))
    store.promote()
    monkeypatch.setattr(wire, "IDLE_SECONDS", -1.0)
    door.cut()

    assert eventually(lambda: store.promote() == 0)
    assert door.connections == 2
    store.close()


# All of it together


def test_a_worker_runs_jobs_over_tls_with_a_certificate(
    socket_of: Path,
    redis_url: str,
    for_localhost: Certificate,
    authority: Authority,
    open_door: OpenDoor,
    tmp_path: Path,
) -> None:
    door, ours = open_door(for_localhost, authority.file), authority.issue("worker")
    site = Site(redis_url, tmp_path)
    try:
        site.machine(
            redis_url=door.url(),
            redis_ca=str(authority.file),
            redis_certificate=str(ours.file),
            redis_key=str(ours.key),
        )
        file = str(tmp_path / "note")
        site.push("a", {"do": "note", "file": file}, {"do": "note", "file": file})

        site.until("a", "completed")

        # The cut reaches the waiting connection too, and costs nothing.
        door.cut()
        site.redis.lpush("queue", json.dumps(job_with("b", file)))
        site.until("b", "completed")
    finally:
        site.close()


def job_with(job_id: str, file: str) -> dict[str, Any]:
    task = {"scripted": {"do": "note", "file": file}}
    return {"job_title": "t", "job_id": job_id, "tasks": [task]}
