"""Is this server fit to keep jobs? What it says of itself, turned into findings."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sisyphus.store.views import ServerView

OLDEST_REDIS = (6, 2)
"""It brought LMOVE; every Valkey has it."""
NEARLY_FULL = 0.9
SLOW_ROUND_TRIP_MS = 50.0
LARGE_OFFSET_MS = 2_000.0
_MIB = 1024 * 1024


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    """Jobs cannot be done, or can be lost while nothing is broken."""
    WARNING = "warning"
    """It works, until something happens."""
    OK = "ok"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    severity: Severity
    what: str
    mend: str = ""
    """What to do about it; empty when all is well."""

    def __str__(self) -> str:
        return f"{self.what}: {self.mend}" if self.mend else self.what


def findings(server: ServerView) -> list[Finding]:
    """Judge a server: one finding for each thing that matters."""
    return [
        _version(server),
        _role(server),
        _eviction(server),
        _memory(server),
        _disk(server),
        _clock(server),
        _distance(server),
    ]


def warnings(server: ServerView) -> list[str]:
    """Say what is not well, errors first, one line each with how to mend it."""
    bad = [found for found in findings(server) if found.severity is not Severity.OK]
    return [str(found) for found in sorted(bad, key=_is_no_error)]


def _is_no_error(found: Finding) -> bool:
    return found.severity is not Severity.ERROR


def _version(server: ServerView) -> Finding:
    name = f"{server.product.capitalize()} {server.version}"
    if server.product == "redis" and server.version_numbers < OLDEST_REDIS:
        return Finding(
            Severity.ERROR,
            f"{name} is too old",
            "install Redis 6.2 or newer, or any Valkey",
        )
    return Finding(Severity.OK, name)


def _role(server: ServerView) -> Finding:
    if server.role != "master":
        return Finding(
            Severity.ERROR,
            "it is a replica and refuses writes",
            "use the address of the primary",
        )
    return Finding(Severity.OK, "it is the primary")


def _eviction(server: ServerView) -> Finding:
    policy = server.maxmemory_policy
    mend = "CONFIG SET maxmemory-policy noeviction"
    if policy in ("noeviction", ""):
        return Finding(Severity.OK, "a full server refuses writes and deletes nothing")
    if server.maxmemory and policy.startswith("allkeys"):
        what = f"maxmemory-policy {policy} deletes waiting jobs when memory is full"
        return Finding(Severity.ERROR, what, mend)
    if policy.startswith("allkeys"):
        what = f"maxmemory-policy {policy} would delete jobs once maxmemory is set"
        return Finding(Severity.WARNING, what, mend)
    what = f"maxmemory-policy {policy} deletes heartbeats when memory is full"
    return Finding(Severity.WARNING, what, mend)


def _memory(server: ServerView) -> Finding:
    used = f"{server.used_memory / _MIB:.0f} MiB"
    if not server.maxmemory:
        return Finding(Severity.OK, f"{used} of memory in use, no limit")
    what = f"{used} of memory in use, of {server.maxmemory / _MIB:.0f} MiB"
    if server.used_memory >= NEARLY_FULL * server.maxmemory:
        return Finding(
            Severity.WARNING,
            what,
            "raise maxmemory or lower history_count: when it is full no job can be"
            " submitted",
        )
    return Finding(Severity.OK, what)


def _disk(server: ServerView) -> Finding:
    if not server.aof_enabled:
        return Finding(
            Severity.WARNING,
            "no append-only file: a restart of the server loses the jobs since its last"
            " snapshot",
            "CONFIG SET appendonly yes, and the same in its configuration file",
        )
    match server.appendfsync:
        case "no":
            return Finding(
                Severity.WARNING,
                "appendfsync no: a power cut loses about the last half minute",
                "CONFIG SET appendfsync everysec",
            )
        case "everysec":
            what = (
                "append-only file, to disk every second (a power cut, or a server that"
                " is killed, may lose the last two; appendfsync always loses nothing)"
            )
        case "always":
            what = "append-only file, to disk with every write"
        case _:
            what = "append-only file"
    return Finding(Severity.OK, what)


def _clock(server: ServerView) -> Finding:
    ahead = server.clock_offset_ms
    said = (
        f"its clock is {abs(ahead) / 1000:.1f} s {'ahead' if ahead > 0 else 'behind'}"
    )
    if abs(ahead) > LARGE_OFFSET_MS:
        return Finding(
            Severity.WARNING,
            said,
            "keep both machines' time with NTP: not_before goes by the server's clock",
        )
    return Finding(Severity.OK, said)


def _distance(server: ServerView) -> Finding:
    said = f"a round trip takes {server.round_trip_ms:.1f} ms"
    if server.round_trip_ms > SLOW_ROUND_TRIP_MS:
        return Finding(
            Severity.WARNING,
            said,
            "bring it nearer, if many short jobs are to run",
        )
    return Finding(Severity.OK, said)
