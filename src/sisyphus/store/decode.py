"""How replies of Redis are read into views."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, ClassVar, Self

from sisyphus.lifecycle import JobState
from sisyphus.store.health import profile_of
from sisyphus.store.views import JobView, ServerView, WorkerActivity, WorkerView

Record = Mapping[str, str]
"""A Redis hash as text; what is no UTF-8 in it is replaced, for it is only shown."""

MOST_ID_BYTES = 200
MOST_TITLE_CHARACTERS = 500
"""The take script keeps no more of a title, and takes no longer id."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """Both clocks at one moment, milliseconds."""

    FLEET_FIELDS: ClassVar[tuple[str, ...]] = ("clock_ms", "seen_ms", "step_ms")
    """Of the meta hash."""

    server_ms: int
    fleet_ms: int

    @classmethod
    def of(cls, time_reply: list[bytes], fleet: list[bytes | None]) -> Self:
        """Read TIME, and the fleet clock as the next script would advance it."""
        server_ms = int(time_reply[0]) * 1000 + int(time_reply[1]) // 1000
        clock_ms, seen_ms, step_ms = (
            None if value is None else float(value) for value in fleet
        )
        passed = server_ms - (server_ms if seen_ms is None else seen_ms)
        step = 2000 if step_ms is None else step_ms
        advanced = (clock_ms or 0) + max(0, min(passed, step))
        return cls(server_ms, int(advanced))

    def at(self, fleet_ms: float) -> float:
        """Turn a time of the fleet clock into the server's."""
        return fleet_ms - self.fleet_ms + self.server_ms


def decoded(value: bytes) -> str:
    """Read bytes as text, come what may."""
    return value.decode("utf-8", "replace")


def as_record(pairs: list[bytes]) -> Record:
    """Read what HGETALL answers."""
    texts = [decoded(value) for value in pairs]
    return dict(zip(texts[::2], texts[1::2], strict=True))


def job_view(job_id: str, record: Record, due_ms: float | None = None) -> JobView:
    """Read a job's record, which has a state."""
    state = JobState(record["state"])
    return JobView(
        job_id=job_id,
        state=state,
        title=record.get("title", ""),
        priority=int(record.get("priority", 0)),
        attempts=int(record.get("attempts", 0)),
        failures=int(record.get("failures", 0)),
        crashes=int(record.get("crashes", 0)),
        duplicates=int(record.get("duplicates", 0)),
        submitted_at=moment(record.get("submitted_ms")),
        started_at=moment(record.get("started_ms")),
        ended_at=moment(record.get("ended_ms")),
        worker_id=record.get("worker_id"),
        cancel_asked=state is JobState.RUNNING and "cancel" in record,
        error=_object(record.get("error")),
        result=_object(record.get("result")),
        checkpoint=_objects(record.get("checkpoint")),
        needs=record.get("needs") if state is JobState.QUEUED else None,
        due_at=moment(due_ms) if state is JobState.DELAYED else None,
    )


def unseen_view(document: dict[str, Any], priority: int) -> JobView:
    """Show a document that no worker has seen yet; ``{}`` for what is none."""
    return JobView(
        job_id=id_in(document),
        state=JobState.QUEUED,
        title=as_text(document.get("job_title")) or "",
        priority=priority,
    )


def beginning_of(document: dict[str, Any]) -> dict[str, Any]:
    """Keep what a list shows of a document; ``{}`` for what no worker would take."""
    job_id, title = id_in(document), as_text(document.get("job_title")) or ""
    if not 0 < len(job_id.encode(errors="replace")) <= MOST_ID_BYTES:
        return {}
    return {"job_id": job_id, "job_title": title[:MOST_TITLE_CHARACTERS]}


def document_in(raw: bytes) -> dict[str, Any]:
    """Read what lies in a list, as far as it can be read; ``{}`` for what is no job."""
    try:
        document = json.loads(raw.decode("utf-8-sig", "replace"))
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) and id_in(document) else {}


def id_in(document: Mapping[str, Any]) -> str:
    """Find the job id as the take script reads it; empty when there is none."""
    return as_text(document.get("job_id")) or ""


def as_text(value: Any) -> str | None:
    """Take text, or a whole number for its digits."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, str | int) else None


def worker_view(
    session: str,
    facts: Record,
    *,
    lease_ends_in: float,
    queue_paused: bool,
    job_title: str | None,
    heartbeat: dict[str, Any] | None,
) -> WorkerView:
    """Put together a session's record and its worker's last heartbeat."""
    job_id, beat = facts.get("job"), heartbeat or {}
    paused = queue_paused or "paused" in facts
    now = beat if job_id and beat.get("job_id") == job_id else {}
    percent, info = now.get("progress"), now.get("info")
    return WorkerView(
        worker_id=facts.get("worker_id", ""),
        host=facts.get("host", ""),
        pid=int(facts.get("pid", 0)),
        version=facts.get("version", ""),
        session=session,
        modules=_names(facts.get("modules")),
        labels=_names(facts.get("labels")),
        activity=_activity(facts, paused, beat.get("status") == "idle"),
        paused=paused,
        job_id=job_id,
        job_title=job_title if job_id else None,
        task=now.get("task"),
        percent=float(percent) if isinstance(percent, int | float) else None,
        info=info if isinstance(info, dict) else {},
        since=moment(facts.get("since_ms")),
        lease_ends_in=lease_ends_in,
    )


def server_view(
    info: str,
    config: Mapping[str, str],
    *,
    round_trip_ms: float,
    clock_offset_ms: float,
) -> ServerView:
    """Read what INFO answers, and what is known of its configuration."""
    lines = (line.partition(":") for line in info.splitlines())
    facts = {name: value.strip() for name, colon, value in lines if colon}
    valkey = facts.get("valkey_version")
    rests = config.get("no-appendfsync-on-rewrite")
    min_replicas = config.get("min-replicas-to-write")
    view = ServerView(
        product="valkey" if valkey else "redis",
        version=valkey or facts.get("redis_version", ""),
        role=facts.get("role", ""),
        aof_enabled=facts.get("aof_enabled") == "1",
        appendfsync=config.get("appendfsync"),
        maxmemory=int(facts.get("maxmemory", 0)),
        maxmemory_policy=facts.get("maxmemory_policy", ""),
        used_memory=int(facts.get("used_memory", 0)),
        uptime=float(facts.get("uptime_in_seconds", 0)),
        round_trip_ms=round_trip_ms,
        clock_offset_ms=clock_offset_ms,
        rests_on_rewrite=None if rests is None else rests == "yes",
        min_replicas=None if min_replicas is None else int(min_replicas),
        replicas=int(facts.get("connected_slaves", 0)),
        databases=tuple(int(x[2:]) for x in facts if re.fullmatch(r"db\d+", x)),
    )
    return replace(view, profile=profile_of(view))


def _activity(facts: Record, paused: bool, beats_idle: bool) -> WorkerActivity:
    if "drain" in facts:
        return WorkerActivity.DRAINING
    if "job" in facts:
        return WorkerActivity.BUSY
    if paused:
        return WorkerActivity.PAUSED
    found_nothing = "idle" in facts or beats_idle
    return WorkerActivity.IDLE if found_nothing else WorkerActivity.STARTING


_REASONS = {
    "too_large": "it is larger than the worker's max_document_bytes",
    "not_json": "it is not JSON",
    "not_an_object": "it is JSON, but not an object",
    "no_usable_job_id": "it has no job_id that can be used (text of 1 to 200 bytes)",
    "conflict": "its job_id belongs to another document",
}


def reason_said(word: str) -> str:
    """Turn the take script's word for a rejection into a sentence."""
    if word.startswith("script: "):
        return f"the take script could not read it: {word.removeprefix('script: ')}"
    return _REASONS.get(word, word)


def moment(ms: float | str | None) -> datetime | None:
    """Read a time in milliseconds since 1970."""
    return None if ms is None else datetime.fromtimestamp(float(ms) / 1000, UTC)


def entry_time(entry: str) -> datetime:
    """Read the time in a stream entry's id."""
    return datetime.fromtimestamp(int(entry.split("-")[0]) / 1000, UTC)


def loads_object(text: str | bytes | None) -> dict[str, Any] | None:
    """Read a JSON object; anything else counts as nothing."""
    return _object(text)


def _object(text: str | bytes | None) -> dict[str, Any] | None:
    value = _value(text)
    return value if isinstance(value, dict) else None


def _objects(text: str | None) -> list[dict[str, Any]]:
    value = _value(text)
    return value if isinstance(value, list) else []


def _value(text: str | bytes | None) -> Any:
    try:
        return json.loads(text) if text else None
    except ValueError:
        return None


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()
