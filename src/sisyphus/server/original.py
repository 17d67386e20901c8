"""The routes of the original server 1.3, for all that was written for it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import Field

from sisyphus.errors import InvalidJob, JobNotFound, Problem
from sisyphus.job import MAX_ID_BYTES, Job, json_object
from sisyphus.lifecycle import ENDED, JobState
from sisyphus.logs import redacted
from sisyphus.problems import did_you_mean
from sisyphus.server import lending
from sisyphus.server.answers import (
    Answer,
    BadRequest,
    Body,
    Form,
    done,
    not_there,
    read,
)
from sisyphus.server.desks import Desk, Desks
from sisyphus.settings import Settings
from sisyphus.signatures import required_keys
from sisyphus.store.views import WorkerActivity, WorkerSign, WorkerView
from sisyphus.version import VERSION

logger = logging.getLogger(__name__)

MOST_LISTED = 1000
PAGE = 500
_OURS = ("job_id", "added", "signature")
_MEMBERS = [name for name in Job.model_fields if name not in _OURS]
_STATUS = {WorkerActivity.STARTING: "startup", WorkerActivity.BUSY: "in_progress"}

Limit = Annotated[int, Query(ge=0, le=MOST_LISTED)]


class Switch(Form):
    """Turns the queue or a worker off and on."""

    disabled: bool


class Status(Form):
    """A worker's heartbeat."""

    status: str = Field(min_length=1)
    online_at: str
    hostname: str
    version: str
    task: str | None = None
    job_id: str | None = None
    job_title: str | None = None
    progress: float | None = None
    info: dict[str, Any] | None = None


class Report(Form):
    """How a job ended."""

    failed: bool
    info: dict[str, Any] = Field(default_factory=dict)


class Original:
    """Each route parses, asks the store, and shapes what it says."""

    def __init__(self, settings: Settings, desks: Desks) -> None:
        self._settings = settings
        self._desks = desks
        self._keys = required_keys(settings)
        self._began = time.monotonic()

    def routes(self) -> APIRouter:
        """List what is served."""
        router = APIRouter(redirect_slashes=False)
        worker, data = "/workers/{worker_id}", "/data/{module}/{name}"
        served: tuple[tuple[str, str, Callable[..., Any]], ...] = (
            ("GET", "/queue", self.show_queue),
            ("POST", "/queue", self.submit),
            ("PATCH", "/queue", self.switch_queue),
            ("DELETE", "/queue", self.clear_queue),
            ("GET", "/queue/poll", self.poll),
            ("GET", "/jobs/{job_id}", self.show_job),
            ("DELETE", "/jobs/{job_id}", self.cancel_job),
            ("PATCH", "/jobs/{job_id}/completed", self.settle_job),
            ("GET", "/workers", self.list_workers),
            ("GET", worker, self.show_worker),
            ("POST", worker, self.hear_worker),
            ("PATCH", worker, self.switch_worker),
            ("DELETE", worker, self.forget_worker),
            ("GET", data, self.show_data),
            ("POST", data, self.put_data),
            ("DELETE", data, self.remove_data),
            ("GET", "/status/config", self.config),
            ("GET", "/status/health", self.health),
        )
        for method, path, answer in served:
            router.add_api_route(path, answer, methods=[method], response_model=None)
        return router

    # The queue

    def show_queue(self, limit: Limit = MOST_LISTED) -> Answer:
        """List what waits, next first, and count it."""
        with self._desks.one() as desk:
            (raws, whole), view = desk.reads.waiting(limit), desk.client.queue()
        counted = whole and view.queued <= limit
        found = [job for raw in raws if (job := _plain(raw)) is not None]
        return Answer(
            {
                "queue": found,
                "entries": len(found) if counted else view.queued,
                "attributes": {"disabled": view.paused},
            }
        )

    def submit(self, body: Body) -> Answer:
        """Give a job its id and put it into the queue."""
        job = json_object(body)
        wrong = [_not_a_member(name, job[name]) for name in job if name not in _MEMBERS]
        if wrong:
            raise BadRequest(*wrong)
        job_id, added = str(uuid4()), str(datetime.now(UTC))
        with self._desks.one() as desk:
            desk.client.submit({**job, "job_id": job_id, "added": added})
        return Answer({"job_id": job_id, "id": job_id})

    def switch_queue(self, body: Body) -> Answer:
        """Pause the queue, or let it go on."""
        switch = read(Switch, body)
        with self._desks.one() as desk:
            if switch.disabled:
                desk.client.pause_queue()
            else:
                desk.client.resume_queue()
        return Answer({"disabled": switch.disabled})

    def clear_queue(self) -> Response:
        """Cancel all that waits; what runs goes on."""
        with self._desks.one() as desk:
            _cancel_all(desk, JobState.DELAYED, desk.client.queue().delayed)
            _cancel_all(desk, JobState.QUEUED, desk.client.queue().queued)
        return done()

    def poll(self, request: Request) -> Answer:
        """Hand out the next job, under a lease."""
        caller = request.client.host if request.client else "an unknown host"
        with self._desks.one() as desk:
            job = lending.poll(desk, caller, self._keys)
        return not_there() if job is None else Answer(job)

    # Jobs

    def show_job(self, job_id: str) -> Answer:
        """Show the document of a job that waits or runs."""
        with self._desks.one() as desk:
            raw = _document(desk, job_id)
        job = None if raw is None else _plain(raw)
        return not_there() if job is None else Answer(job)

    def cancel_job(self, job_id: str) -> Response:
        """Call a job off, waiting or running."""
        with self._desks.one() as desk:
            known = _document(desk, job_id) is not None
            return done() if known and lending.cancel(desk, job_id) else not_there()

    def settle_job(self, job_id: str, body: Body) -> Response:
        """Say how a job that was polled has ended."""
        told = read(Report, body)
        with self._desks.one() as desk:
            had_it = lending.report(desk, job_id, failed=told.failed, info=told.info)
        return done() if had_it else not_there()

    # Workers

    def list_workers(self) -> Answer:
        """List all workers that are alive, by host name."""
        with self._desks.one() as desk:
            views = desk.client.workers()
            signs = desk.reads.signs([view.worker_id for view in views])
        found = [
            _shown(view.worker_id, sign, _heartbeat(view, sign))
            for view, sign in zip(views, signs, strict=True)
            if sign.heartbeat is not None or not _has_fallen_silent(view)
        ]
        found.sort(key=lambda one: (str(one.get("hostname")), one["worker_id"]))
        return Answer({"workers": found, "count": len(found)})

    def show_worker(self, worker_id: str) -> Answer:
        """Show one worker's heartbeat."""
        with self._desks.one() as desk:
            (sign,) = desk.reads.signs([worker_id])
        if sign.heartbeat is None:
            return not_there()
        return Answer(_shown(worker_id, sign, sign.heartbeat))

    def hear_worker(self, worker_id: str, body: Body) -> Response:
        """Take the heartbeat of a worker that speaks HTTP."""
        told = read(Status, body)
        if worker_id.startswith(lending.MARK) or len(worker_id) > MAX_ID_BYTES:
            expected = f"must not begin with {lending.MARK}, nor be longer than 200"
            raise BadRequest(Problem("worker_id", worker_id, expected))
        heard = lending.Beat(
            worker_id=worker_id,
            host=told.hostname,
            version=told.version,
            busy=told.status == "in_progress",
            job_id=told.job_id or "",
            shown=told.model_dump(exclude_none=True),
        )
        with self._desks.one() as desk:
            lending.beat(desk, heard)
        return done()

    def switch_worker(self, worker_id: str, body: Body) -> Answer:
        """Pause a worker, or let it go on; kept for one that is not alive."""
        switch = read(Switch, body)
        with self._desks.one() as desk:
            if switch.disabled:
                desk.client.pause_worker(worker_id)
            else:
                desk.client.resume_worker(worker_id)
        return Answer({"disabled": switch.disabled})

    def forget_worker(self, worker_id: str) -> Response:
        """Drop a worker that speaks HTTP; its switch stays."""
        with self._desks.one() as desk:
            return done() if lending.forget(desk, worker_id) else not_there()

    # Stored for modules

    def show_data(self, module: str, name: str) -> Answer:
        """Show a stored document."""
        with self._desks.one() as desk:
            found = desk.client.get_data(module, name)
        return not_there() if found is None else Answer(found)

    def put_data(self, module: str, name: str, body: Body) -> Response:
        """Store a document, in place of one that has the name."""
        document = json_object(body)
        with self._desks.one() as desk:
            desk.client.put_data(module, name, {**document, "name": name})
        return done()

    def remove_data(self, module: str, name: str) -> Response:
        """Delete a stored document."""
        with self._desks.one() as desk:
            return done() if desk.client.remove_data(module, name) else not_there()

    # The server

    def config(self) -> Answer:
        """Say who answers."""
        uptime = timedelta(seconds=int(time.monotonic() - self._began))
        backend = {"MONGO_URI": None, "REDIS_URI": redacted(self._settings.redis_url)}
        return Answer({"backend": backend, "version": VERSION, "uptime": str(uptime)})

    async def health(self) -> Answer:
        """Say that the server lives, whatever its threads wait for."""
        return Answer({"status": "online"})


def _not_a_member(name: str, value: Any) -> Problem:
    if name in _OURS:
        return Problem(name, value, "is given by the server: leave it out")
    hint = did_you_mean(name, _MEMBERS)
    return Problem(name, value, f"is not a known key{hint}")


def _plain(raw: bytes) -> dict[str, Any] | None:
    """Read a document; nothing when it is none that a worker would take."""
    try:
        return dict(json_object(raw))
    except InvalidJob:
        return None


def _document(desk: Desk, job_id: str) -> bytes | None:
    """Find the document of a job that has not ended."""
    try:
        if desk.client.job(job_id).state in ENDED:
            return None
    except JobNotFound:
        pass  # it may be a raw document that waits
    return desk.client.document(job_id)


def _cancel_all(desk: Desk, state: JobState, count: int) -> None:
    """Cancel from the back: what is taken meanwhile moves the rest to the front only."""
    for offset in range(count // PAGE * PAGE, -1, -PAGE):
        for view in desk.client.jobs(state, PAGE, offset):
            if view.job_id:
                desk.store.cancel(view.job_id, spare_running=True)


def _has_fallen_silent(view: WorkerView) -> bool:
    """Tell if a worker that speaks HTTP has named itself once, and beats no more."""
    return view.session.startswith(lending.MARK) and view.session != view.worker_id


def _heartbeat(view: WorkerView, sign: WorkerSign) -> dict[str, Any]:
    """Give a worker's heartbeat, or what it would be."""
    if sign.heartbeat is not None:
        return sign.heartbeat
    job = {"job_id": view.job_id, "job_title": view.job_title} if view.job_id else {}
    return {
        "status": _STATUS.get(view.activity, "idle"),
        "hostname": view.host,
        "version": view.version,
        "online_at": str(view.since),
        **job,
    }


def _shown(worker_id: str, sign: WorkerSign, beat: dict[str, Any]) -> dict[str, Any]:
    return {
        **beat,
        "worker_id": worker_id,
        "attributes": {"disabled": sign.paused},
    }
