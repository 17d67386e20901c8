"""``sisyphus jobs``: list, show, log, watch, cancel, retry, remove."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.text import Text

from sisyphus.cli import render
from sisyphus.cli.options import (
    AsJson,
    JobId,
    JobIds,
    Queue,
    RedisUrl,
    connected,
    group,
)
from sisyphus.cli.submit import wait_for
from sisyphus.client import Client
from sisyphus.errors import StoreError
from sisyphus.lifecycle import JobState
from sisyphus.store.views import JobView, LogLine, WorkerView

MOST_LISTED = 10_000

app = group("List, watch, cancel and repeat jobs; read their logs.")


@app.command("list")
def list_jobs(
    state: Annotated[
        JobState | None, typer.Option("--state", "-s", help="Only jobs in this state.")
    ] = None,
    limit: Annotated[
        int,
        typer.Option(
            "--limit", "-n", min=1, max=MOST_LISTED, metavar="N", help="How many."
        ),
    ] = 30,
    offset: Annotated[
        int, typer.Option(min=0, metavar="N", help="How many to leave out.")
    ] = 0,
    as_json: AsJson = False,
    redis_url: RedisUrl = None,
    queue: Queue = None,
) -> None:
    """List jobs: running ones, then waiting ones, then ended ones, newest first."""
    with connected(redis_url, queue) as client:
        views = client.jobs(state, limit, offset)
        workers = {worker.job_id: worker for worker in client.workers()}
    if as_json:
        render.emit_json(views)
        return
    if not views:
        wanted = f"No {state} jobs." if state else "No jobs yet."
        render.note(f"{wanted} `sisyphus submit FILE` makes one.")
        return
    table = render.table(
        "STATE", "JOB", "TITLE", "WHEN", "REMARK", flexible="TITLE REMARK"
    )
    for view in views:
        table.add_row(
            render.state(view.state, asked=view.cancel_asked),
            render.plain(view.job_id or "(no job)"),
            render.cut(view.title),
            Text(_when(view), style=render.QUIET),
            _remark(view, workers.get(view.job_id)),
        )
    render.show(table)
    if len(views) == limit:
        render.note(f"More may follow: --offset {offset + limit}, or --limit.")


def _when(view: JobView) -> str:
    match view.state:
        case JobState.RUNNING:
            return f"for {render.took(view.started_at, None)}"
        case JobState.DELAYED:
            return render.ago(view.due_at)
        case JobState.QUEUED:
            return render.ago(view.submitted_at)
        case _:
            return render.ago(view.ended_at)


def _remark(view: JobView, worker: WorkerView | None) -> Text:
    if view.state is JobState.RUNNING and worker is not None:
        percent = "" if worker.percent is None else f" {worker.percent:.0f}%"
        return render.cut(f"{worker.task or ''}{percent} on {worker.host}")
    if view.needs:
        return render.cut(f"waits for {view.needs}", "yellow")
    if view.state in (JobState.FAILED, JobState.DELAYED) and view.error:
        return render.cut(view.error.get("message", ""), "red")
    if view.ended and view.started_at:
        return render.cut(f"took {render.took(view.started_at, view.ended_at)}")
    return render.cut(f"priority {view.priority}" if view.priority else "")


@app.command()
def show(
    job_id: JobId,
    as_json: AsJson = False,
    document: Annotated[
        bool, typer.Option("--document", help="Print the job document itself.")
    ] = False,
    redis_url: RedisUrl = None,
    queue: Queue = None,
) -> None:
    """Show all that is known of a job."""
    with connected(redis_url, queue) as client:
        if document:
            raw = client.document(job_id)
            if raw is None:
                raise StoreError(f"the document of {job_id!r} is not to be found")
            typer.echo(raw)
            return
        view = client.job(job_id)
        attempts = client.attempts(job_id)
        worker = next((w for w in client.workers() if w.job_id == job_id), None)
    if as_json:
        render.emit_json({**_as_members(view), "attempts_before": attempts})
        return
    render.show(render.facts(_facts(view, worker)))
    if view.error and view.state is not JobState.COMPLETED:
        _show_error(view.error)
    done = (view.result or {}).get("tasks") or view.checkpoint
    if done:
        render.say("")
        render.show(_tasks(done))
    if len(attempts) > 0 and (len(attempts) > 1 or view.state is not JobState.FAILED):
        render.say("")
        render.show(_attempts(attempts))
    render.say("")
    render.note(f"Its log: sisyphus jobs log {shlex.quote(job_id)}")


def _as_members(view: JobView) -> dict[str, Any]:
    return {name: getattr(view, name) for name in type(view).__dataclass_fields__}


def _facts(view: JobView, worker: WorkerView | None) -> Iterable[tuple[str, Any]]:
    yield "state", render.state(view.state, asked=view.cancel_asked)
    yield "title", render.plain(view.title, "bold")
    yield "job", view.job_id
    if worker is not None:
        percent = "" if worker.percent is None else f"{worker.percent:.0f}%"
        words = [worker.task or "preparing", percent]
        yield "task", ", ".join(filter(None, [*words, render.speed(worker.info)]))
    yield "priority", str(view.priority) if view.priority else None
    yield "waits for", view.needs
    yield "due", _moment(view.due_at)
    yield "submitted", _moment(view.submitted_at)
    yield "started", _moment(view.started_at)
    yield "ended", _moment(view.ended_at)
    if view.ended and view.started_at:
        yield "took", render.took(view.started_at, view.ended_at)
    yield "worker", f"{view.worker_id} on {worker.host}" if worker else view.worker_id
    told = [render.count(view.attempts, "attempt")]
    told += [render.count(view.failures, "failure")] if view.failures else []
    told += [render.count(view.crashes, "crash", "crashes")] if view.crashes else []
    told += [f"came {view.duplicates} times more"] if view.duplicates else []
    yield "tried", ", ".join(told) if view.attempts else None


def _moment(value: datetime | None) -> str | None:
    return f"{render.moment(value)} ({render.ago(value)})" if value else None


def _show_error(error: dict[str, Any]) -> None:
    render.say("")
    place = (
        f"task {error['task']} {error.get('module', '')}: " if "task" in error else ""
    )
    render.say(render.plain(f"{place}{error.get('message', '')}", "red"))
    if argv := error.get("argv"):
        render.say(render.plain(f"$ {shlex.join(map(str, argv))}", render.QUIET))
    lines = list(error.get("tail", ()))[-10:]
    lines += str(error.get("traceback", "")).splitlines()
    for line in lines:
        render.say(render.plain(f"  {line}", render.QUIET))


def _tasks(done: Iterable[dict[str, Any]]) -> Any:
    table = render.table("TASK", "TOOK", "OUTPUT", "SIZE", right="TOOK SIZE")
    for entry in done:
        outputs = entry.get("outputs") or [{}]
        for number, output in enumerate(outputs):
            first = number == 0
            table.add_row(
                f"{entry.get('task')} {entry.get('module')}" if first else "",
                render.span(entry.get("seconds")) if first else "",
                render.plain(output.get("path", "")),
                render.size(output.get("size")),
            )
    return table


def _attempts(attempts: Iterable[dict[str, Any]]) -> Any:
    table = render.table("ATTEMPT", "OUTCOME", "ENDED", "WHY", flexible="WHY")
    for entry in attempts:
        why = entry.get("cause") or (entry.get("error") or {}).get("message", "")
        ended = entry.get("ended_ms")
        table.add_row(
            str(entry.get("attempt", "")),
            render.plain(
                entry.get("outcome", ""),
                render.STATES.get(entry.get("outcome", ""), ""),
            ),
            render.ago(datetime.fromtimestamp(ended / 1000, UTC)) if ended else "",
            render.cut(why),
        )
    return table


@app.command()
def log(
    job_id: JobId,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the job ends.")
    ] = False,
    as_json: AsJson = False,
    redis_url: RedisUrl = None,
    queue: Queue = None,
) -> None:
    """Print a job's log: what ran, and what the tools said."""
    with connected(redis_url, queue) as client:
        if not follow:
            view = client.job(job_id)
        lines = client.follow_log(job_id) if follow else iter(client.log(job_id))
        said, task = 0, ""
        for line in lines:
            said += 1
            if as_json:
                render.emit_line(line)
            else:
                task = _say_line(line, task)
        if not said and not as_json:
            why = (
                "it has not begun" if follow or not view.attempts else "it said nothing"
            )
            render.note(f"The log is empty: {why}.")


def _say_line(line: LogLine, task: str) -> str:
    if line.task and line.task != task:
        render.say(render.plain(f"── {line.task}", render.QUIET))
    time = f"{line.at.astimezone():%H:%M:%S}"
    style = render.LEVELS.get(line.level, "bold" if line.text.startswith("$ ") else "")
    said = render.plain(line.text, style)
    render.say(Text.assemble((time, render.QUIET), "  ", said))
    return line.task or task


@app.command()
def watch(
    job_ids: JobIds,
    as_json: AsJson = False,
    redis_url: RedisUrl = None,
    queue: Queue = None,
) -> None:
    """Show jobs until they end; the exit code is that of the worst."""
    with connected(redis_url, queue) as client:
        raise typer.Exit(wait_for(client, list(job_ids), as_json=as_json))


@app.command()
def cancel(job_ids: JobIds, redis_url: RedisUrl = None, queue: Queue = None) -> None:
    """Call jobs off, waiting or running."""
    said = {
        "cancelled": "cancelled",
        "unseen": "cancelled (no worker has seen it yet)",
        "asked": "stopping: its worker ends it now",
    }

    def call(client: Client, job_id: str) -> str:
        answer = client.cancel(job_id)
        return said.get(answer, f"too late, it is {answer} already")

    _each(redis_url, queue, job_ids, call)


@app.command()
def retry(
    job_ids: JobIds,
    afresh: Annotated[
        bool,
        typer.Option("--afresh", help="From the first task, not the first open one."),
    ] = False,
    redis_url: RedisUrl = None,
    queue: Queue = None,
) -> None:
    """Run ended jobs again."""

    def call(client: Client, job_id: str) -> str:
        client.requeue(job_id, afresh=afresh)
        return "queued again"

    _each(redis_url, queue, job_ids, call)


@app.command()
def remove(job_ids: JobIds, redis_url: RedisUrl = None, queue: Queue = None) -> None:
    """Drop ended jobs, their logs and documents."""

    def call(client: Client, job_id: str) -> str:
        client.remove(job_id)
        return "removed"

    _each(redis_url, queue, job_ids, call)


def _each(
    redis_url: str | None,
    queue: str | None,
    job_ids: list[str],
    call: Callable[[Client, str], str],
) -> None:
    """Do the same to each job; one that cannot be done does not spare the others."""
    code = 0
    with connected(redis_url, queue) as client:
        for job_id in job_ids:
            try:
                render.say(render.plain(f"{job_id}: {call(client, job_id)}"))
            except StoreError as error:
                if error.exit_status not in (1, 3) or len(job_ids) == 1:
                    raise
                render.complain(error.message)
                code = error.exit_status
    raise typer.Exit(code)
