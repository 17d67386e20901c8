"""Following jobs until they end: bars on a terminal, a line for each change elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.live import Live

from sisyphus.cli import render
from sisyphus.cli.bars import Bar, bars
from sisyphus.client import Client
from sisyphus.errors import JobNotFound
from sisyphus.lifecycle import JobState
from sisyphus.store.views import JobView, WorkerView

TICK_SECONDS = 0.5
LOOK_AGAIN_TICKS = 10
"""How often all jobs are looked at, should an event have been missed."""


@dataclass(slots=True)
class Followed:
    """A job and, while it runs, its worker."""

    job_id: str
    title: str = ""
    """Shown as long as the job is not seen."""
    view: JobView | None = None
    worker: WorkerView | None = None

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to wait for."""
        return self.view is not None and self.view.ended

    def bar(self) -> Bar:
        """Say how the job stands."""
        view, worker = self.view, self.worker
        if view is None:
            return Bar(
                title=self.title or self.job_id, state="queued", said="not seen yet"
            )
        bar = Bar(title=view.title or view.job_id, state=view.state.value)
        match view.state:
            case JobState.RUNNING:
                if worker is not None:
                    bar.task = worker.task or ""
                    bar.percent = worker.percent
                    bar.said = render.speed(worker.info)
                if view.cancel_asked:
                    bar.said = "stopping"
            case JobState.DELAYED:
                bar.said = f"again {render.ago(view.due_at)}"
            case JobState.QUEUED:
                bar.said = f"waits for {view.needs}" if view.needs else "waiting"
            case _:
                bar.said = f"in {render.took(view.started_at, view.ended_at)}"
                if view.state is JobState.FAILED and view.error:
                    bar.said = str(view.error.get("message", ""))
                elif view.started_at is None:
                    bar.said = ""
        return bar


def follow(
    client: Client, job_ids: Sequence[str], titles: Mapping[str, str]
) -> Iterator[list[Followed]]:
    """Give the jobs as they stand, again and again, until all have ended.

    A job that nobody knows yet (it was pushed and no worker has seen it) is waited for.
    """
    jobs = {name: Followed(name, titles.get(name, "")) for name in job_ids}
    after = client.reads.last_event()
    changed, ticks = set(jobs), 0
    while True:
        for job_id in changed:
            _look(client, jobs[job_id])
        workers = {worker.job_id: worker for worker in client.workers()}
        for job in jobs.values():
            job.worker = workers.get(job.job_id)
        yield list(jobs.values())
        open_ones = {job.job_id for job in jobs.values() if not job.ended}
        if not open_ones:
            return
        after, changed = _await_change(client, after, open_ones)
        ticks += 1
        if ticks % LOOK_AGAIN_TICKS == 0:
            changed = open_ones


def _await_change(
    client: Client, after: str, job_ids: Collection[str]
) -> tuple[str, set[str]]:
    """Read events for a tick, or until one is about these jobs: others may be many."""
    end = time.monotonic() + TICK_SECONDS
    while True:
        events = client.reads.events(after, block=max(0.0, end - time.monotonic()))
        after = events[-1].entry if events else after
        changed = {event.job_id for event in events if event.job_id in job_ids}
        if changed or time.monotonic() >= end:
            return after, changed


def _look(client: Client, job: Followed) -> None:
    try:
        job.view = client.job(job.job_id)
    except JobNotFound:
        job.view = None


def show_until_ended(
    client: Client,
    job_ids: Sequence[str],
    titles: Mapping[str, str] | None = None,
    each_time: Callable[[], None] = lambda: None,
) -> list[JobView]:
    """Follow jobs on the screen; returns how they ended, in order.

    ``each_time`` is called at every look, and may end it by raising.
    """
    last: list[Followed] = []
    looks = follow(client, job_ids, titles or {})
    if render.out.is_terminal:
        with Live(console=render.out, auto_refresh=False) as live:
            for last in looks:
                live.update(bars([job.bar() for job in last]), refresh=True)
                each_time()
    else:
        said: dict[str, str] = {}
        for last in looks:
            _say_changes(last, said)
            each_time()
    return [job.view for job in last if job.view is not None]


def _say_changes(jobs: Sequence[Followed], said: dict[str, str]) -> None:
    for job in jobs:
        bar = job.bar()
        now = f"{bar.state} {bar.task}".strip()
        if said.get(job.job_id) != now and job.view is not None:
            said[job.job_id] = now
            words = f"{now}: {bar.said}" if job.ended and bar.said else now
            render.note(f"{bar.title}: {words}")
