"""The address, the password, the user or the database is wrong: all commands say which."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from sisyphus.embedded import EmbeddedServer
from trouble.conftest import PASSWORD, TASKS, Command
from trouble.strangers import (
    Answer,
    Stranger,
    cluster,
    crowded,
    hangs_up,
    loading,
    sentinel,
    tls_server,
    too_few_replicas,
    web_server,
)

COMMANDS = (
    ("submit", "job.json"),
    ("submit", "job.json", "--json"),
    ("queue", "show", "--json"),
    ("jobs", "list"),
    ("workers", "list"),
    ("top", "--once"),
)


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    folder = tmp_path_factory.mktemp("locked")
    with EmbeddedServer(folder, appendonly=False, password=PASSWORD) as server:
        yield server


def refused(command: Command, url: str, *words: str) -> None:
    """Every command ends with 4 and one line that has the words; so does a worker."""
    for given in COMMANDS:
        said = command(url, *given)
        assert (said.code, said.out) == (4, "")
        (line,) = said.err.splitlines()
        for word in words:
            assert word in line
    doctor = command(url, "doctor", "--json")
    assert doctor.code == 1
    (row,) = [row for row in doctor.json if row["topic"] == "redis"]
    assert row["severity"] == "error"
    assert all(word in row["what"] for word in words)
    assert row["mend"]


def user(client: Redis, rights: str, *keys: str) -> None:
    """A user with all rights but for one."""
    client.acl_setuser(
        "w",
        enabled=True,
        reset=True,
        passwords=[f"+{PASSWORD}"],
        keys=list(keys) or ["*"],
        categories=["+@all"],
        commands=[rights],
    )


def a_worker_ends(command: Command, url: str, word: str) -> None:
    worker = command(url, "worker", "-c", 4)
    assert worker.code == 4
    lines = [
        said for said in worker.err.splitlines() if "on the command line" not in said
    ]
    assert len(lines) == 1
    assert word in lines[0]


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ("", ("password", "redis://:PASSWORD@")),
        (":guess@", ("user name or password", "wrong")),
        ("nobody:guess@", ("user name or password", "wrong")),
    ],
)
def test_a_wrong_password_is_said_and_never_shown(
    user: str, words: tuple[str, str], locked: EmbeddedServer, command: Command
) -> None:
    path = re.sub(r".*@", "", locked.url)
    url = f"unix://{user.replace('guess', PASSWORD + '!')}{path.replace('unix://', '')}"

    refused(command, url, *words)
    a_worker_ends(command, url, words[0])


def test_a_password_that_is_not_wanted_is_said(
    redis_url: str, command: Command
) -> None:
    url = redis_url.replace("unix://", f"unix://:{PASSWORD}@")

    refused(command, url, "no password", "take it out")
    a_worker_ends(command, url, "no password")


def test_a_database_that_is_not_there_is_said(redis_url: str, command: Command) -> None:
    refused(command, f"{redis_url}?db=99", "database", "too large")


@pytest.mark.parametrize("database", ["abc", "-1", "0/1"])
def test_a_database_that_is_no_number_is_not_taken_for_the_first(
    database: str, command: Command
) -> None:
    said = command(f"redis://:{PASSWORD}@127.0.0.1:1/{database}", "queue", "show")

    assert said.code == 2
    assert "number of a database" in said.err


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (web_server, "web server"),
        (tls_server, "rediss://"),
        (cluster, "cluster"),
        (sentinel, "Sentinel"),
        (loading, "still reading its data"),
        (too_few_replicas, "replicas"),
        (crowded, "maxclients"),
        (hangs_up, "connection was closed"),
    ],
)
def test_what_answers_there_is_named(
    answer: Answer, word: str, command: Command
) -> None:
    with Stranger(answer) as stranger:
        url = f"redis://:{PASSWORD}@127.0.0.1:{stranger.port}/0"

        refused(command, url, word)


@pytest.mark.parametrize("answer", [web_server, tls_server, cluster, sentinel])
def test_a_worker_does_not_wait_for_what_is_no_redis_of_ours(
    answer: Answer, command: Command
) -> None:
    with Stranger(answer) as stranger:
        url = f"redis://:{PASSWORD}@127.0.0.1:{stranger.port}/0"

        assert command(url, "worker").code == 4


def test_nobody_there_is_said_with_the_address(
    free_port: int, command: Command
) -> None:
    url = f"redis://:{PASSWORD}@127.0.0.1:{free_port}/0"

    refused(command, url, "does not answer: connection refused", f":{free_port}")


def test_an_unknown_host_is_said(command: Command) -> None:
    refused(command, "redis://no-such-host.invalid:6379/0", "no host of this name")


@pytest.mark.parametrize(
    ("rights", "missing"),
    [("-evalsha", "EVALSHA"), ("-zadd", "ZADD"), ("-hset", "HSET")],
)
def test_a_right_that_a_worker_lacks_is_named_before_it_works(
    rights: str, missing: str, redis_url: str, command: Command
) -> None:
    with Redis.from_url(redis_url) as client:
        user(client, rights)
    url = redis_url.replace("unix://", f"unix://w:{PASSWORD}@")

    said = command(url, "doctor", "--json")

    assert said.code == 1
    (row,) = [row for row in said.json if "may not" in row["what"]]
    assert missing in row["what"]
    assert "ACL" in row["mend"]


@pytest.mark.parametrize("rights", ["+ping", "-multi", "-discard"])
def test_asking_for_rights_changes_nothing(
    rights: str, redis_url: str, command: Command
) -> None:
    with Redis.from_url(redis_url) as client:
        user(client, rights)
        client.lpush("queue", "a document")
        client.set("worker:x", "a heartbeat")
        client.hset("{queue}:meta", "paused", 1)
        before = {key: client.dump(key) for key in client.scan_iter()}

        command(redis_url.replace("unix://", f"unix://w:{PASSWORD}@"), "doctor")

        assert {key: client.dump(key) for key in client.scan_iter()} == before


def test_keys_that_a_user_may_not_touch_are_named(
    redis_url: str, command: Command
) -> None:
    with Redis.from_url(redis_url) as client:
        user(client, "+ping", "queue", "{queue}:*", "worker:*")
    url = redis_url.replace("unix://", f"unix://w:{PASSWORD}@")

    (row,) = [
        row
        for row in command(url, "doctor", "--json").json
        if row["severity"] == "error" and row["topic"] == "redis"
    ]

    assert row["what"].endswith("the key progress:x")


def test_the_queue_in_another_database_is_found(
    redis_url: str, command: Command, tmp_path: Path
) -> None:
    with Redis.from_url(redis_url) as client:
        client.lpush("queue", json.dumps({"job_id": "a", "tasks": TASKS}))
    elsewhere = f"{redis_url}?db=3"

    shown = command(elsewhere, "queue", "show", "--json")
    doctor = command(elsewhere, "doctor")

    assert "database 0" in shown.err
    assert shown.json["waiting"] == {"0": 0}
    assert "database 0 of this server has one of that name" in doctor.out
    assert command(redis_url, "queue", "show").err == ""
    assert "server.sock" in command(redis_url, "queue", "show").out


def test_an_empty_queue_that_is_nowhere_else_is_no_trouble(
    redis_url: str, command: Command
) -> None:
    with Redis.from_url(redis_url) as client:
        client.set("something of others", 1)

    assert command(f"{redis_url}?db=3", "queue", "show").err == ""
