"""How well the server keeps jobs is said in one line, by the worker and the doctor."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis

from sisyphus.embedded import EmbeddedServer
from sisyphus.settings import Settings
from sisyphus.store.reads import Reads
from sisyphus.store.views import Profile
from trouble.conftest import PASSWORD, Command, loud, saying
from waiting import eventually
from worker.machines import Site

CHANGED = {
    "appendonly": "yes",
    "appendfsync": "everysec",
    "no-appendfsync-on-rewrite": "no",
    "maxmemory": "0",
    "maxmemory-policy": "noeviction",
    "min-replicas-to-write": "0",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(tmp_path_factory.mktemp("durable")) as server:
        yield server


@pytest.fixture
def client(server: EmbeddedServer) -> Iterator[Redis]:
    with Redis.from_url(server.url) as client:
        yield client
        for name, value in CHANGED.items():
            client.config_set(name, value)


def durability(command: Command, url: str) -> dict[str, Any]:
    rows = command(url, "doctor", "--json").json
    (row,) = [row for row in rows if row["topic"] == "durability"]
    return dict(row)


@pytest.mark.parametrize(
    ("change", "profile", "severity", "said"),
    [
        ({"appendfsync": "always"}, "strict", "ok", "survives a power cut"),
        ({}, "standard", "ok", "kill -9"),
        (
            {"appendfsync": "always", "no-appendfsync-on-rewrite": "yes"},
            "standard",
            "warning",
            "rests while",
        ),
        ({"appendfsync": "no"}, "none", "warning", "half minute"),
        ({"appendonly": "no"}, "none", "warning", "no append-only file"),
        (
            {"maxmemory": "1gb", "maxmemory-policy": "allkeys-lru"},
            "none",
            "error",
            "deletes waiting jobs",
        ),
    ],
)
def test_the_profile_is_found_and_what_it_loses_is_said(
    change: dict[str, str],
    profile: str,
    severity: str,
    said: str,
    client: Redis,
    server: EmbeddedServer,
    command: Command,
) -> None:
    for name, value in change.items():
        client.config_set(name, value)

    row = durability(command, server.url)

    assert (row["profile"], row["severity"]) == (profile, severity)
    assert row["what"].startswith(f"durability {profile}: ")
    assert said in row["what"]
    assert bool(row["mend"]) == (severity != "ok")
    with Reads(Settings.load(redis_url=server.url)) as reads:
        assert reads.server().profile is Profile(profile)


def test_without_the_right_to_ask_it_cannot_be_known(
    client: Redis, server: EmbeddedServer, command: Command
) -> None:
    client.acl_setuser(
        "w",
        enabled=True,
        reset=True,
        passwords=[f"+{PASSWORD}"],
        keys=["*"],
        categories=["+@all"],
        commands=["-config"],
    )
    url = server.url.replace("unix://", f"unix://w:{PASSWORD}@")

    row = durability(command, url)

    assert row["profile"] == "unknown"
    assert "cannot be known" in row["what"]


def test_replicas_that_are_missing_are_an_error(
    client: Redis, server: EmbeddedServer, command: Command
) -> None:
    client.config_set("min-replicas-to-write", 1)

    said = command(server.url, "doctor", "--json")

    assert said.code == 1
    (row,) = [row for row in said.json if "replicas are there" in row["what"]]
    assert row["what"] == "0 of 1 replicas are there"


def test_a_worker_says_at_its_start_what_a_power_cut_would_lose(site: Site) -> None:
    machine = site.machine(concurrency=2)
    eventually(lambda: saying(machine, "2 worker(s)"))
    assert len(saying(machine, "durability strict", "survives a power cut")) == 1
    assert loud(machine) == []

    site.redis.config_set("maxmemory", "1gb")
    site.redis.config_set("maxmemory-policy", "allkeys-lru")
    other = site.machine("encode002")
    eventually(lambda: saying(other, "1 worker(s)"))

    (line,) = loud(other)
    assert line.startswith("durability none")
    assert "deletes waiting jobs" in line
