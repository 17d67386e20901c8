"""Jobs for workers that speak HTTP: handed out, kept while they beat, settled.

Such a worker polls without saying who it is, beats every five seconds with the id of the
job that it has, and reports the end. Here that is the way of every job: ``take`` under a
lease, ``renew``, ``complete`` or ``fail``. All that is known lies in the store, so any
server may answer any of these requests.

- A poll opens a session of its own, since a session holds one job at most.
- The first beat that names the job makes that session its worker's: from then on, others
  that beat or report for the job are late, and change nothing.
- A worker that falls silent, or beats without the job, has lost it when the lease ends.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from sisyphus.errors import JobError, StoreError, WrongState
from sisyphus.job import Job, json_object, parse_job
from sisyphus.lifecycle import JobState
from sisyphus.retries import backoff_seconds
from sisyphus.server.desks import Desk
from sisyphus.signatures import check
from sisyphus.store.replies import Held, Lease, Taken, Verdict, WorkerFacts
from sisyphus.store.views import JobView, SessionView

logger = logging.getLogger(__name__)

MARK = "http:"
"""Begins the name of every session here, and the id of a worker that is not known yet."""
MODULES = ("cleanup", "ffmpeg", "handbrake", "mkvextract", "mkvmerge")
"""What the original worker has."""
BEAT_EXPIRES_SECONDS = 30
MOST_REFUSED = 20
"""Documents that are no jobs, in one poll."""


@dataclass(frozen=True, slots=True)
class Beat:
    """What a worker tells of itself."""

    worker_id: str
    host: str
    version: str
    busy: bool
    job_id: str
    """Empty when it names none."""
    shown: dict[str, Any]
    """All that it told, for onlookers."""


# Handing out


def poll(desk: Desk, caller: str, keys: Sequence[bytes]) -> dict[str, Any] | None:
    """Hand out the next job; nothing when there is none or the queue is paused.

    With keys only a job that is signed with one of them: its worker gets the job written
    anew, and cannot check that itself.
    """
    session = f"{MARK}{uuid4()}"
    desk.store.register(session, _facts(session, caller))
    lent = None
    try:
        for _ in range(MOST_REFUSED):
            _, reply = desk.store.take(session)
            if not isinstance(reply, Taken):
                break
            try:
                if keys:
                    check(reply.raw, keys)
                lent = _in_named_form(reply.raw)
            except JobError as error:
                _refuse(desk, reply, error, caller)
                continue
            _log(desk, reply.lease, "info", f"handed out over HTTP to {caller}")
            break
    finally:
        if lent is None:
            with suppress(StoreError):  # else its lease ends
                desk.store.leave(session)
    return lent


def _facts(worker_id: str, host: str, version: str = "") -> WorkerFacts:
    return WorkerFacts(
        worker_id=worker_id,
        host=host,
        machine="",  # what is dead there, nobody else can know
        node="http",
        pid=0,
        version=version,
        modules=MODULES,
        labels=(),
    )


def _in_named_form(raw: bytes) -> dict[str, Any]:
    """Write every task as such workers read it: ``{"module": ..., "data": ...}``."""
    job, document = parse_job(raw), json_object(raw)
    document["job_id"], document["job_title"] = job.job_id, job.job_title
    document["tasks"] = [
        task
        if isinstance(task.get("module"), str)
        else {"module": spec.module, "data": spec.data}
        for task, spec in zip(document["tasks"], job.tasks, strict=True)
    ]
    return dict(document)


def _refuse(desk: Desk, taken: Taken, error: JobError, caller: str) -> None:
    now_ms = time.time_ns() // 1_000_000
    entry = {
        "attempt": taken.attempt,
        "outcome": "failed",
        "host": caller,
        "started_ms": now_ms,
        "ended_ms": now_ms,
        "error": error.facts(),
    }
    _log(desk, taken.lease, "error", f"failed: {error.message}")
    desk.store.settle(desk.store.fail(taken.lease, error.facts(), entry))


# Beating


def beat(desk: Desk, told: Beat) -> None:
    """Show what a worker tells, and prolong its lease.

    Raises:
        WrongState: its id belongs to a worker that does not speak HTTP.
    """
    own = desk.reads.session_of_worker(told.worker_id)
    if own is not None and not is_lent(own):
        raise WrongState(
            f"the worker id {told.worker_id!r} is in use by a worker that does not speak"
            " HTTP: give this one another (HOST_UUID)"
        )
    key = desk.store.keys.heartbeat(told.worker_id)
    text = json.dumps(told.shown | {"worker_id": told.worker_id}, ensure_ascii=False)
    desk.store.show({key: text}, BEAT_EXPIRES_SECONDS)
    job_id = told.job_id
    if (lent := desk.reads.session_of_job(job_id) if job_id else None) is not None:
        own = _claim(desk, told, own, lent)
    if own is None:
        own = SessionView(f"{MARK}{uuid4()}", told.worker_id, "", 0)
        _register(desk, own.name, told)
    if _has_let_go(told, own):
        return
    renewal = desk.store.renew([Held(own.name, own.job_id, own.token)])
    if renewal.orders[0][0] is Verdict.CANCEL:
        _stop(desk, own)


def _claim(
    desk: Desk, told: Beat, own: SessionView | None, lent: SessionView
) -> SessionView | None:
    """Make the session of a job its worker's, if nobody has named himself yet."""
    if not lent.worker_id.startswith(MARK):
        return own
    if own is not None:
        # It has one job at a time: one that it held before is lost.
        desk.store.recover(own.name, "its worker took another job")
    _register(desk, lent.name, told)
    return SessionView(lent.name, told.worker_id, lent.job_id, lent.token)


def _register(desk: Desk, session: str, told: Beat) -> None:
    desk.store.register(session, _facts(told.worker_id, told.host, told.version))


def _has_let_go(told: Beat, own: SessionView) -> bool:
    """Tell if a worker beats without the job that it should have."""
    if not own.job_id:
        return False
    return told.job_id != own.job_id if told.job_id else not told.busy


# Ending


def report(desk: Desk, job_id: str, *, failed: bool, info: dict[str, Any]) -> bool:
    """Settle a job as its worker says.

    Returns:
        Whether the job was in its hand. A repeated report is answered as the first.

    Raises:
        JobNotFound: nobody knows it.
    """
    view, session = desk.reads.job(job_id), desk.reads.session_of_job(job_id)
    if session is None or not is_lent(session):
        ended = JobState.FAILED if failed else JobState.COMPLETED
        return view.state is ended and (view.worker_id or "").startswith(MARK)
    worker_id = str(info.get("worker_id") or session.worker_id)
    claimed = not session.worker_id.startswith(MARK)
    if claimed and worker_id != session.worker_id:
        logger.warning("the report of %s on %s comes too late", worker_id, job_id)
        return False
    lease = _lease(session)
    entry = _entry(view, "failed" if failed else "completed", worker_id)
    entry["host"] = str(info.get("worker") or "")
    if failed:
        settlement = _failure(desk, view, lease, entry, info)
    else:
        times = {name: entry[name] for name in ("started_ms", "ended_ms")}
        settlement = desk.store.complete(lease, {"tasks": [], "info": info, **times})
    accepted = desk.store.settle(settlement)
    if not claimed:
        desk.store.leave(session.name)
    return accepted


def _failure(
    desk: Desk,
    view: JobView,
    lease: Lease,
    entry: dict[str, Any],
    info: dict[str, Any],
) -> Any:
    message = str(info.get("message") or "its worker says no more")
    error = {"code": "run_error", "message": message}
    if info.get("module"):
        error["module"] = str(info["module"])
    entry["error"] = error
    _log(desk, lease, "error", f"failed: {message}")
    # Refused before its first task: then it would be refused again.
    again = "completed" in info and view.failures < _retries(desk, view.job_id)
    if again:
        delay = backoff_seconds(view.failures)
        return desk.store.retry(lease, error, entry, delay)
    return desk.store.fail(lease, error, entry)


def _retries(desk: Desk, job_id: str) -> int:
    raw = desk.reads.document(job_id)
    job: Job | None = parse_job(raw) if raw is not None else None
    return job.retries if job else 0


def cancel(desk: Desk, job_id: str) -> bool:
    """Call a job off; false when it has ended already.

    One that is lent ends here and now: its worker cannot be told.
    """
    session = desk.reads.session_of_job(job_id)
    answer = desk.store.cancel(job_id)
    if answer == "asked" and session is not None and is_lent(session):
        _stop(desk, session)
    return answer in ("cancelled", "unseen", "asked")


def forget(desk: Desk, worker_id: str) -> bool:
    """Drop a worker; a job in its hand goes to the front of the queue, uncharged.

    Raises:
        WrongState: it is alive and does not speak HTTP.
    """
    session = desk.reads.session_of_worker(worker_id)
    if session is not None and not is_lent(session):
        raise WrongState(
            f"the worker {worker_id!r} is alive: `sisyphus workers drain` ends it"
        )
    (sign,) = desk.reads.signs([worker_id])
    desk.store.show({desk.store.keys.heartbeat(worker_id): None})
    if session is not None:
        desk.store.leave(session.name)
    return session is not None or sign.heartbeat is not None


def _stop(desk: Desk, session: SessionView) -> None:
    view = desk.reads.job(session.job_id)
    entry = _entry(view, "cancelled", session.worker_id)
    desk.store.settle(desk.store.stop(_lease(session), entry))


# What it is made of


def is_lent(session: SessionView) -> bool:
    """Tell if a session is of a worker that speaks HTTP."""
    return session.name.startswith(MARK)


def _lease(session: SessionView) -> Lease:
    return Lease(session.name, session.job_id, session.token)


def _entry(view: JobView, outcome: str, worker_id: str) -> dict[str, Any]:
    now_ms = time.time_ns() // 1_000_000
    began = view.started_at
    return {
        "attempt": view.attempts,
        "outcome": outcome,
        "worker_id": worker_id,
        "started_ms": int(began.timestamp() * 1000) if began else now_ms,
        "ended_ms": now_ms,
    }


def _log(desk: Desk, lease: Lease, level: str, text: str) -> None:
    with suppress(StoreError):  # only for people
        desk.store.log(lease, [(time.time_ns() // 1_000_000, "", level, text)])
