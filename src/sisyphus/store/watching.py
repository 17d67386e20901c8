"""Waiting for what becomes of a job: carried by events, with a look now and then."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from sisyphus.errors import JobNotFound
from sisyphus.lifecycle import JobState
from sisyphus.store.reads import Reads
from sisyphus.store.views import JobUpdate, JobView, LogLine

LOOK_SECONDS = 5.0
"""A job that is waited for is looked at so often, should an event have been missed."""
PROGRESS_SECONDS = 1.0
LOG_LINES = 1000


class Watching:
    """Follows jobs through ``Reads``; keeps nothing itself.

    A job that nobody knows yet is waited for: a raw document that was just pushed is
    known only once a worker has taken it.
    """

    def __init__(self, reads: Reads) -> None:
        self._reads = reads

    def wait(self, job_id: str, timeout: float | None = None) -> JobView:
        """Wait until a job ends.

        Raises:
            TimeoutError: it has not ended after ``timeout`` seconds.
            JobNotFound: it was removed meanwhile.
        """
        give_up = None if timeout is None else time.monotonic() + timeout
        for view in self._looks(job_id, LOOK_SECONDS, give_up):
            if view and view.ended:
                return view
        raise TimeoutError(f"job {job_id!r} has not ended after {timeout:g} s")

    def watch(self, job_id: str) -> Iterator[JobUpdate]:
        """Look whenever something about a job changes, until it ends.

        Raises:
            JobNotFound: it was removed meanwhile.
        """
        last: JobUpdate | None = None
        for view in self._looks(job_id, PROGRESS_SECONDS):
            if view is None:
                continue
            update = JobUpdate(view, self._progress(view))
            if update != last:
                yield update
            if view.ended:
                return
            last = update

    def log(self, job_id: str) -> list[LogLine]:
        """Read all that is kept of a job's log."""
        lines: list[LogLine] = []
        while True:
            after = lines[-1].entry if lines else "0"
            more = self._reads.log(job_id, after, LOG_LINES)
            lines += more
            if len(more) < LOG_LINES:
                return lines

    def follow_log(self, job_id: str) -> Iterator[LogLine]:
        """Give the lines of a job's log as they come, until it ends or is removed."""
        after, known = "0", False
        while True:
            view = self._look(job_id)
            over = view.ended if view else known
            known = known or view is not None
            block = 0 if over else PROGRESS_SECONDS
            lines = self._reads.log(job_id, after, LOG_LINES, block)
            yield from lines
            if lines:
                after = lines[-1].entry
            elif over:
                return

    def _looks(
        self, job_id: str, seconds: float, give_up: float | None = None
    ) -> Iterator[JobView | None]:
        """Look at once, after each event about the job, and every ``seconds`` of a run.

        Nothing is given for a job that nobody knows yet. Ends at the time ``give_up``.
        """
        after, known = self._reads.last_event(), False
        while True:
            view = self._look(job_id)
            if known and view is None:
                raise JobNotFound(job_id)
            yield view
            pause = seconds if view and view.state is JobState.RUNNING else LOOK_SECONDS
            if give_up is not None:
                pause = min(pause, give_up - time.monotonic())
                if pause <= 0:
                    return
            after, heard = self._await_event(job_id, after, pause)
            known = known or view is not None or heard

    def _await_event(self, job_id: str, after: str, seconds: float) -> tuple[str, bool]:
        """Read events until one is about the job; tells how far it read, and if so."""
        end = time.monotonic() + seconds
        while True:
            events = self._reads.events(after, max(0.0, end - time.monotonic()))
            if events:
                after = events[-1].entry
            if any(event.job_id == job_id for event in events):
                return after, True
            if time.monotonic() >= end:
                return after, False

    def _look(self, job_id: str) -> JobView | None:
        try:
            return self._reads.job(job_id)
        except JobNotFound:
            return None

    def _progress(self, view: JobView) -> dict[str, Any] | None:
        if view.state is not JobState.RUNNING or view.worker_id is None:
            return None
        beat = self._reads.progress(view.worker_id)
        return beat if beat and beat.get("job_id") == view.job_id else None
