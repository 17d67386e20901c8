"""Hold a snapshot of Redis against the model: every field of every job and session."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import Any

from store.invariants import Snapshot
from store.model import Job
from store.model_ways import Model

NOT_OURS = {"logged"}
"""Fields of a record that only a script reads."""


def compare(model: Model, seen: Snapshot) -> None:
    """Assert that Redis holds what it must, and nothing else.

    Raises:
        AssertionError: in words, with what is and what must be.
    """
    _compare_jobs(model, seen)
    queue = {priority: model.lists[priority] for priority in range(10)}
    for priority, raws in queue.items():
        name = f"queue:{priority}" if priority else "queue"
        _same(f"list {name}", seen.lists.get(name, [])[::-1], raws)
    _same("staged", seen.lists.get("{queue}:staged", [])[::-1], model.staged)
    aside = {needs: raws[::-1] for needs, raws in seen.aside_lists.items()}
    _same("set aside", aside, model.aside)
    for kind in ("delayed", "backoff", "ended"):
        _same(kind, seen.scores(kind), getattr(model, kind))
    _same("leases", seen.scores("sessions"), _each(model, "lease_end"))
    _same("sessions", _sessions(seen), _expected_sessions(model))
    _same("workers", seen.hash("workers"), model.workers)
    _same("paused workers", seen.members("paused"), model.paused_workers)
    meta = seen.hash("meta")
    _same("last token", int(meta.get("fence", 0)), model.fence)
    _same("queue paused", "paused" in meta, model.queue_paused)
    for name in ("clock_ms", "seen_ms", "step_ms"):
        _same(name, int(meta.get(name, 0)), getattr(model, name))
    rejected = [
        (_priority(row[b"list"]), row[b"reason"].decode(), row[b"raw"])
        for _, row in seen.single.get("rejected", [])
    ]
    _same("rejected", rejected, model.rejected)
    events = [
        (row[b"event"].decode(), row[b"job_id"].decode())
        for _, row in seen.single.get("events", [])
    ]
    _same("events", events, model.events)
    _same("orders", [word.decode() for word in seen.orders], model.orders)


def _compare_jobs(model: Model, seen: Snapshot) -> None:
    _same("known jobs", sorted(seen.records), sorted(model.jobs))
    for job_id, expected in model.jobs.items():
        found = _job(seen, job_id)
        if found != expected:
            wrong = {
                name: (value, asdict(expected)[name])
                for name, value in asdict(found).items()
                if value != asdict(expected)[name]
            }
            raise AssertionError(f"job {job_id} (is, must be): {wrong}")


def _job(seen: Snapshot, job_id: str) -> Job:
    record = dict(seen.records[job_id])
    for name in NOT_OURS:
        record.pop(name, None)
    whole = {f.name for f in fields(Job) if f.type == "int"}
    texts = {f.name for f in fields(Job) if f.type == "str"}
    assert set(record) <= whole | texts, f"job {job_id}: unknown fields in {record}"
    values: dict[str, Any] = {
        name: int(value) if name in whole else value for name, value in record.items()
    }
    found = Job(**values)
    if found.error and (error := json.loads(found.error))["code"] == "crash":
        found.error = f"crash {error['crashes']}"
    found.swallow_sha = " ".join(found.swallow_sha.split())
    found.doc = seen.docs.get(job_id)
    found.tries = [json.loads(x)["outcome"] for x in seen.attempts.get(job_id, [])]
    found.said = [row[b"text"].decode() for _, row in seen.logs.get(job_id, [])]
    return found


def _sessions(seen: Snapshot) -> dict[str, Any]:
    return {
        name: (
            row["worker_id"],
            row["provides"],
            row["machine"],
            row.get("job", ""),
            int(row.get("token", 0)),
            *(word in row for word in ("paused", "idle", "drain")),
        )
        for name, row in seen.sessions.items()
    }


def _expected_sessions(model: Model) -> dict[str, Any]:
    return {
        name: (
            *(s.worker_id, s.provides, s.machine, s.job, s.token),
            *(s.paused, s.idle, s.drain),
        )
        for name, s in model.sessions.items()
    }


def _each(model: Model, name: str) -> dict[str, Any]:
    return {session: getattr(s, name) for session, s in model.sessions.items()}


def _priority(name: bytes) -> int:
    return int(name.partition(b":")[2] or 0)


def _same(what: str, found: object, expected: object) -> None:
    assert found == expected, f"{what}: is {found!r}, must be {expected!r}"
