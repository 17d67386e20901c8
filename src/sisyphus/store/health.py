"""Is this server fit to keep jobs? What it says of itself, turned into findings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sisyphus.settings import Settings
from sisyphus.store.views import Profile, ServerView

OLDEST_REDIS = (6, 2)
"""It brought LMOVE; every Valkey has it."""
NEARLY_FULL = 0.9
SLOW_ROUND_TRIP_MS = 50.0
LARGE_OFFSET_MS = 2_000.0
NO_EVICTION = "CONFIG SET maxmemory-policy noeviction"
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
        *_eviction(server),
        _memory(server),
        durability(server),
        *_replicas(server),
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


def _eviction(server: ServerView) -> list[Finding]:
    policy = server.maxmemory_policy
    if _evicts_jobs(server):  # durability says so
        return []
    if policy in ("noeviction", ""):
        said = "a full server refuses writes and deletes nothing"
        return [Finding(Severity.OK, said)]
    if policy.startswith("allkeys"):
        what = f"maxmemory-policy {policy} would delete jobs once maxmemory is set"
    else:
        what = f"maxmemory-policy {policy} deletes heartbeats when memory is full"
    return [Finding(Severity.WARNING, what, NO_EVICTION)]


def _memory(server: ServerView) -> Finding:
    used = f"{server.used_memory / _MIB:.0f} MiB"
    if not server.maxmemory:
        return Finding(Severity.OK, f"{used} of memory in use, no limit")
    what = f"{used} of memory in use, of {server.maxmemory / _MIB:.0f} MiB"
    if server.used_memory >= server.maxmemory:
        mend = "raise maxmemory or lower history_count"
        return Finding(
            Severity.ERROR, f"it is full, no job can be submitted: {what}", mend
        )
    if server.used_memory >= NEARLY_FULL * server.maxmemory:
        return Finding(
            Severity.WARNING,
            what,
            "raise maxmemory or lower history_count: when it is full no job can be"
            " submitted",
        )
    return Finding(Severity.OK, what)


def profile_of(server: ServerView) -> Profile:
    """Tell how well a server keeps what it has said yes to."""
    if not server.version:
        return Profile.UNKNOWN
    if not server.aof_enabled or _evicts_jobs(server):
        return Profile.NONE
    if server.appendfsync is None:
        return Profile.UNKNOWN
    if server.appendfsync == "always" and not server.rests_on_rewrite:
        return Profile.STRICT
    return Profile.STANDARD if server.appendfsync != "no" else Profile.NONE


def durability(server: ServerView) -> Finding:
    """Say in one line which profile a server has, and what that survives."""
    match profile_of(server):
        case Profile.STRICT:
            return Finding(Severity.OK, f"durability strict: {_STRICT}")
        case Profile.STANDARD if server.appendfsync == "always":
            return Finding(
                Severity.WARNING,
                "durability standard: appendfsync always rests while its file is written"
                " anew; a power cut or kill -9 of Redis just then loses accepted jobs",
                "CONFIG SET no-appendfsync-on-rewrite no",
            )
        case Profile.STANDARD:
            return Finding(Severity.OK, f"durability standard: {_STANDARD}")
        case Profile.UNKNOWN if server.aof_enabled:
            return Finding(
                Severity.OK,
                "durability unknown: it has an append-only file, but this user may not"
                " CONFIG GET appendfsync, so what a power cut loses cannot be known",
            )
        case Profile.UNKNOWN:
            return Finding(
                Severity.OK, "durability unknown: this user may not ask for it"
            )
        case Profile.NONE:
            return _none(server)


_STRICT = (
    "what Redis has accepted survives a power cut and kill -9 (appendfsync always)"
)
_STANDARD = (
    "survives a restart of Redis; a power cut or kill -9 of it may lose what it accepted"
    " in the last two seconds (appendfsync everysec; always loses nothing)"
)


def _none(server: ServerView) -> Finding:
    if _evicts_jobs(server):
        policy = server.maxmemory_policy
        return Finding(
            Severity.ERROR,
            f"durability none: maxmemory-policy {policy} deletes waiting jobs when memory"
            " is full",
            NO_EVICTION,
        )
    if server.aof_enabled:
        return Finding(
            Severity.WARNING,
            "durability none: appendfsync no, a power cut loses about the last half minute",
            "CONFIG SET appendfsync everysec (or always)",
        )
    return Finding(
        Severity.WARNING,
        "durability none: there is no append-only file, and a restart of Redis loses all"
        " jobs since its last snapshot",
        "CONFIG SET appendonly yes, and the same in its configuration file",
    )


def _evicts_jobs(server: ServerView) -> bool:
    return bool(server.maxmemory) and server.maxmemory_policy.startswith("allkeys")


def _replicas(server: ServerView) -> list[Finding]:
    if not server.replicas and not server.min_replicas:
        return []
    if server.min_replicas and server.replicas < server.min_replicas:
        what = f"{server.replicas} of {server.min_replicas} replicas are there"
        mend = "mend them, or lower min-replicas-to-write: till then it takes no writes"
        return [Finding(Severity.ERROR, what, mend)]
    what = f"{server.replicas} replica{'' if server.replicas == 1 else 's'}"
    if server.min_replicas == 0:
        what += (
            ": a failover loses what they have not got yet (min-replicas-to-write 0)"
        )
    elif server.min_replicas:
        what += f", {server.min_replicas} must be there for every write"
    return [Finding(Severity.OK, what)]


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


def other_database(settings: Settings, others: Sequence[int]) -> str:
    """Say that the queue lies in another database of the server than ours."""
    numbers = ", ".join(map(str, others))
    return (
        f"nothing is known here of the queue {settings.queue!r}, but database {numbers} of"
        " this server has one of that name: is the number at the end of redis_url right?"
    )


def rights_missing(missing: Sequence[str]) -> Finding:
    """Say what the user may not do that a worker has to."""
    said = ", ".join(missing)
    if set(missing) <= {"BLMOVE", "BLPOP"}:  # all that only a worker needs
        what = f"this user of Redis may do all but run a worker (no {said})"
        return Finding(Severity.WARNING, what, "give workers a user of their own")
    return Finding(
        Severity.ERROR,
        f"this user of Redis may not use {said}",
        "give it these rights (ACL SETUSER): without them jobs stand still",
    )
