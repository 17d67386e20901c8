"""What a producer imports: submit jobs, look at them, wait for them, steer the queue."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from sisyphus.errors import ABSENT, InvalidJob, Problem
from sisyphus.job import Job, parse_job
from sisyphus.lifecycle import JobState
from sisyphus.settings import Settings
from sisyphus.signatures import MEMBER, read_keys, signed
from sisyphus.store.reads import Reads
from sisyphus.store.replies import Activity
from sisyphus.store.store import Store
from sisyphus.store.views import (
    JobUpdate,
    JobView,
    LogLine,
    QueueView,
    Rejected,
    ServerView,
    WorkerView,
)
from sisyphus.store.watching import Watching

Document = Mapping[str, Any] | str | bytes | Path
"""A job: its members, its JSON text, or the file that holds that."""

MOST_ID_BYTES = 200
_ENTRY = re.compile(r"\d+-\d+")


class Client:
    """A door to the queue. Blocking and thread-safe; close it, or use it in ``with``.

    Every method raises ``StoreUnavailable`` when Redis does not answer (the call may or
    may not have been done; all of them may be repeated) and ``StoreRefused`` when it will
    not do what was asked.

    Attributes:
        reads: everything that can be looked at, also what has no method here.
    """

    reads: Reads

    def __init__(
        self,
        redis_url: str | None = None,
        *,
        queue: str | None = None,
        settings: Settings | None = None,
    ) -> None:
        """Connect when first used; without arguments as the settings say."""
        given = {"redis_url": redis_url, "queue": queue}
        if settings is None:
            settings = Settings.load(**given)
        else:
            set_here = {name: value for name, value in given.items() if value}
            settings = settings.model_copy(update=set_here)
        self._settings = settings
        self._store = Store(settings)
        self.reads = Reads(settings)
        self._watching = Watching(self.reads)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self.reads.close()
        self._store.close()

    # Submit

    def submit(
        self,
        job: Document,
        *,
        priority: int | None = None,
        not_before: datetime | None = None,
        delay: float | None = None,
        retries: int | None = None,
    ) -> str:
        """Check a job and put it in the queue; the same job again changes nothing.

        A mapping without ``job_id`` is given one. ``priority`` (0 to 9), ``not_before``,
        ``delay`` (seconds from now) and ``retries`` are written into the document; without
        them text and files are submitted byte for byte.

        Returns:
            The job id.

        Raises:
            InvalidJob: the document is not a job; its message lists all that is wrong.
            WrongState: its job id belongs to another document.
        """
        return self.submit_many(
            [job],
            priority=priority,
            not_before=not_before,
            delay=delay,
            retries=retries,
        )[0]

    def submit_many(
        self,
        jobs: Iterable[Document],
        *,
        priority: int | None = None,
        not_before: datetime | None = None,
        delay: float | None = None,
        retries: int | None = None,
    ) -> list[str]:
        """Submit several jobs, in order; all are checked before the first is submitted."""
        changes = {
            "priority": priority,
            "not_before": self._start(not_before, delay),
            "retries": retries,
        }
        given = {name: value for name, value in changes.items() if value is not None}
        most = self._settings.max_document_bytes
        key = self._key()
        checked = [_checked(document, given, most, key) for document in jobs]
        for job, raw in checked:
            due = job.not_before.timestamp() if job.not_before else 0
            self._store.submit(
                job.job_id, raw, job.priority, int(due * 1000), job.job_title
            )
        return [job.job_id for job, _ in checked]

    # Look

    def job(self, job_id: str) -> JobView:
        """Look at one job.

        Raises:
            JobNotFound: nobody knows it; so it is with a raw document that still waits.
        """
        return self.reads.job(job_id)

    def jobs(
        self, state: JobState | None = None, limit: int = 50, offset: int = 0
    ) -> list[JobView]:
        """List jobs: running, then queued (next first), delayed, ended (newest first)."""
        return self.reads.jobs(state, limit, offset)

    def document(self, job_id: str) -> bytes | None:
        """Give a job's document as it was submitted, if it can be found."""
        return self.reads.document(job_id)

    def attempts(self, job_id: str) -> list[dict[str, Any]]:
        """List how earlier attempts ended, newest last."""
        return self.reads.attempts(job_id)

    def log(self, job_id: str) -> list[LogLine]:
        """Give all that is kept of a job's log."""
        return self._watching.log(job_id)

    def follow_log(self, job_id: str) -> Iterator[LogLine]:
        """Give the lines of a job's log as they come, until the job ends."""
        return self._watching.follow_log(job_id)

    def watch(self, job_id: str) -> Iterator[JobUpdate]:
        """Look at a job whenever something about it changes, until it ends.

        A job that nobody knows yet is waited for. While it runs, its progress is looked
        at once a second.

        Raises:
            JobNotFound: it was removed meanwhile.
        """
        return self._watching.watch(job_id)

    def wait(self, job_id: str, timeout: float | None = None) -> JobView:
        """Wait until a job ends; one that nobody knows yet is waited for, too.

        Raises:
            TimeoutError: it has not ended after ``timeout`` seconds.
            JobNotFound: it was removed meanwhile.
        """
        return self._watching.wait(job_id, timeout)

    # Steer jobs

    def cancel(self, job_id: str) -> str:
        """Call a job off, in any state.

        Returns:
            ``cancelled``, ``unseen`` (cancelled before a worker saw it), ``asked`` (it
            runs and is being stopped), or the state in which it had ended.
        """
        return self._store.cancel(job_id)

    def requeue(self, job_id: str, *, afresh: bool = False) -> None:
        """Run an ended job again; with ``afresh`` from its first task.

        Raises:
            WrongState: it has not ended, or is not known.
        """
        self._store.requeue(job_id, afresh=afresh)

    def remove(self, job_id: str) -> None:
        """Drop an ended job and all that is kept of it.

        Raises:
            WrongState: it has not ended, or is not known.
        """
        self._store.remove(job_id)

    # The queue and its workers

    def queue(self) -> QueueView:
        """Count what lies where."""
        return self.reads.queue()

    def pause_queue(self) -> None:
        """Let no worker take a further job; running jobs go on."""
        self._store.steer("", Activity.PAUSE)

    def resume_queue(self) -> None:
        """Let the workers take jobs again."""
        self._store.steer("", Activity.WORK)

    def workers(self) -> list[WorkerView]:
        """List the live workers, by host and id."""
        return self.reads.workers()

    def pause_worker(self, worker_id: str) -> bool:
        """Let a worker take no further job, also after its restart.

        Returns:
            Whether such a worker is alive; the wish is kept for it if not.
        """
        return self._store.steer(worker_id, Activity.PAUSE)

    def resume_worker(self, worker_id: str) -> bool:
        """Let a worker take jobs again; answers as ``pause_worker``."""
        return self._store.steer(worker_id, Activity.WORK)

    def drain_worker(self, worker_id: str) -> bool:
        """Let a worker end after the job in its hand; false when none is alive."""
        return self._store.steer(worker_id, Activity.DRAIN)

    # Rejected documents

    def rejected(self, limit: int = 50, before: str | None = None) -> list[Rejected]:
        """List rejected documents, newest first, from before an entry on."""
        return self.reads.rejected(limit, before)

    def restore(self, entry: str, mended: Document | None = None) -> bool:
        """Put a rejected document back in the list, mended or as it was.

        Returns:
            Whether there is such an entry.

        Raises:
            InvalidJob: the mended document is not a job.
        """
        found = self.reads.rejected_entry(entry) if _ENTRY.fullmatch(entry) else None
        if found is None:
            return False
        raw = found.raw
        if mended is not None:
            most = self._settings.max_document_bytes
            _, raw = _checked(mended, {}, most, self._key())
        return self._store.restore(entry, raw)

    def drop(self, entry: str) -> bool:
        """Delete a rejected document for good; false when there is no such entry."""
        return self._store.drop_rejected(entry)

    # What is stored for modules, and the server

    def put_data(self, module: str, name: str, document: Mapping[str, Any]) -> None:
        """Store a document for a module under a name, such as a profile of ffmpeg."""
        self._store.put_data(module, name, document)

    def get_data(self, module: str, name: str) -> dict[str, Any] | None:
        """Read a stored document of a module."""
        return self.reads.data(module, name)

    def remove_data(self, module: str, name: str) -> bool:
        """Delete a stored document; false when there was none."""
        return self._store.remove_data(module, name)

    def data_names(self, module: str) -> list[str]:
        """List the names of a module's stored documents."""
        return self.reads.data_names(module)

    def server(self) -> ServerView:
        """Ask the server who it is and how it is set up."""
        return self.reads.server()

    def _key(self) -> bytes | None:
        """Read what documents are signed with: anew each time, for keys are replaced."""
        file = self._settings.signing_key_file
        return read_keys(file)[0] if file else None

    def _start(self, not_before: datetime | None, delay: float | None) -> str | None:
        if not_before is not None and delay is not None:
            raise ValueError("give not_before or delay, not both")
        if delay is not None:
            not_before = self.reads.now() + timedelta(seconds=delay)
        if not_before is None:
            return None
        if not_before.tzinfo is None:
            raise ValueError("not_before must say its time zone")
        return not_before.astimezone(UTC).isoformat()


def _checked(
    document: Document, changes: Mapping[str, Any], most_bytes: int, key: bytes | None
) -> tuple[Job, bytes]:
    """Read a document, change what is to be changed, sign it, give it with its bytes."""
    raw = _raw(document)
    job = parse_job(raw)
    members = json.loads(raw.decode("utf-8-sig"))
    if changes or not isinstance(members["job_id"], str):
        if members.get(MEMBER) is not None and key is None:
            expected = "would not fit any more: to change the job, set signing_key_file"
            raise InvalidJob.of(Problem(MEMBER, ABSENT, expected))
        # An id that is a number is written as text: no two readers then differ over it.
        raw = _dumped({**members, "job_id": job.job_id, **changes})
        job = parse_job(raw)
    if key is not None:
        raw = signed(raw, key)
    if len(job.job_id.encode()) > MOST_ID_BYTES:
        expected = f"must be at most {MOST_ID_BYTES} bytes long"
        raise InvalidJob.of(Problem("job_id", job.job_id, expected))
    if len(raw) > most_bytes:
        expected = f"must be at most {most_bytes} bytes long"
        raise InvalidJob.of(Problem("document", f"{len(raw)} bytes", expected))
    return job, raw


def _raw(document: Document) -> bytes:
    match document:
        case bytes():
            return document
        case str():
            return _encoded(document)
        case Path():
            return document.read_bytes()
        case _:
            given = document.get("job_id")
            job_id = str(uuid4()) if given is None else given
            return _dumped({**document, "job_id": job_id})


def _dumped(members: Mapping[str, Any]) -> bytes:
    try:
        text = json.dumps(
            members,
            ensure_ascii=False,
            allow_nan=False,
            separators=(",", ":"),
            default=_as_plain,
        )
    except (TypeError, ValueError, RecursionError) as error:
        expected = f"cannot be written as JSON: {error}"
        raise InvalidJob.of(Problem("document", members, expected)) from None
    return _encoded(text)


def _encoded(text: str) -> bytes:
    """Encode JSON; what stands for a byte in the name of a file is escaped in it."""
    return text.encode(errors="backslashreplace")


def _as_plain(value: Any) -> str:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{value!r} is no JSON value")
