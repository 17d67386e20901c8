"""What is said of a server that is not set up to keep jobs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sisyphus.settings import Settings
from sisyphus.store.health import Severity, findings, warnings
from sisyphus.store.reads import Reads
from sisyphus.store.views import ServerView

GIB = 1024**3

SOUND = ServerView(
    product="redis",
    version="8.2.1",
    role="master",
    aof_enabled=True,
    appendfsync="everysec",
    maxmemory=GIB,
    maxmemory_policy="noeviction",
    used_memory=GIB // 10,
    uptime=3600,
    round_trip_ms=0.4,
    clock_offset_ms=-3,
)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"product": "valkey", "version": "7.2.4"},
        {"version": "6.2.0"},
        {"appendfsync": "always"},
        {"appendfsync": None},
        {"maxmemory": 0, "used_memory": 8 * GIB},
        {"maxmemory_policy": ""},
    ],
)
def test_a_sound_server_gives_no_warning(change: dict[str, Any]) -> None:
    server = replace(SOUND, **change)

    assert warnings(server) == []
    assert {found.severity for found in findings(server)} == {Severity.OK}
    assert all(found.what and not found.mend for found in findings(server))


@pytest.mark.parametrize(
    ("change", "severity", "said", "mended"),
    [
        ({"version": "6.0.16"}, Severity.ERROR, "too old", "6.2"),
        ({"version": "5.0"}, Severity.ERROR, "too old", "6.2"),
        ({"role": "slave"}, Severity.ERROR, "replica", "primary"),
        ({"maxmemory_policy": "allkeys-lru"}, Severity.ERROR, "deletes", "noeviction"),
        (
            {"maxmemory_policy": "allkeys-lru", "maxmemory": 0},
            Severity.WARNING,
            "would delete",
            "noeviction",
        ),
        (
            {"maxmemory_policy": "volatile-ttl"},
            Severity.WARNING,
            "heartbeats",
            "noeviction",
        ),
        ({"used_memory": GIB - 1}, Severity.WARNING, "1024 MiB", "maxmemory"),
        ({"aof_enabled": False}, Severity.WARNING, "append-only", "appendonly yes"),
        ({"appendfsync": "no"}, Severity.WARNING, "power cut", "everysec"),
        ({"clock_offset_ms": 60_000}, Severity.WARNING, "60.0 s ahead", "NTP"),
        ({"clock_offset_ms": -60_000}, Severity.WARNING, "60.0 s behind", "NTP"),
        ({"round_trip_ms": 80}, Severity.WARNING, "80.0 ms", "nearer"),
    ],
)
def test_what_is_wrong_is_named_with_how_to_mend_it(
    change: dict[str, Any], severity: Severity, said: str, mended: str
) -> None:
    server = replace(SOUND, **change)

    (found,) = [x for x in findings(server) if x.severity is not Severity.OK]

    assert found.severity is severity
    assert said in found.what
    assert mended in found.mend
    assert warnings(server) == [f"{found.what}: {found.mend}"]


def test_errors_are_told_before_warnings() -> None:
    server = replace(SOUND, aof_enabled=False, version="4.0", round_trip_ms=100)

    said = warnings(server)

    assert len(said) == 3
    assert "too old" in said[0]


def test_a_server_for_tests_is_told_to_keep_its_jobs_on_disk(redis_url: str) -> None:
    with Reads(Settings.load(redis_url=redis_url)) as reads:
        said = warnings(reads.server())

    assert any("append-only" in line for line in said)
