"""``sisyphus submit``: check job documents and put them into the queue."""

from __future__ import annotations

import shlex
from datetime import datetime
from typing import Annotated

import typer

from sisyphus.cli import render
from sisyphus.cli.documents import Document, read_documents
from sisyphus.cli.failure import INTERRUPTED, exit_code
from sisyphus.cli.options import AsJson, Queue, RedisUrl, connected, single
from sisyphus.cli.watching import show_until_ended
from sisyphus.client import Client
from sisyphus.errors import InvalidJob, Problem
from sisyphus.job import parse_job
from sisyphus.lifecycle import JobState

MOST_LOOKED_AT = 50

app = single()


@app.command()
def submit(
    jobs: Annotated[
        list[str],
        typer.Argument(
            metavar="JOB...", help="JSON or YAML files, folders of them, or - (stdin)."
        ),
    ],
    wait: Annotated[
        bool, typer.Option("--wait", "-w", help="Wait until they end.")
    ] = False,
    priority: Annotated[
        int | None,
        typer.Option(
            min=0, max=9, metavar="N", help="9 is taken first.", show_default="0"
        ),
    ] = None,
    delay: Annotated[
        float | None,
        typer.Option(min=0, metavar="SECONDS", help="Not to be taken before."),
    ] = None,
    retries: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="N", help="New attempts after a failure.", show_default="0"
        ),
    ] = None,
    set_id: Annotated[
        bool, typer.Option("--set-id", help="Give every job a new id.")
    ] = False,
    as_json: AsJson = False,
    redis_url: RedisUrl = None,
    queue: Queue = None,
) -> None:
    """Put jobs into the queue and print their ids.

    All documents are checked before the first is submitted. A job without an id gets
    one. With --wait the exit code is that of the worst job.
    """
    documents = list(read_documents(jobs, set_id=set_id))
    _check(documents)
    with connected(redis_url, queue) as client:
        before = client.reads.now()
        ids = client.submit_many(
            [document.raw for document in documents],
            priority=priority,
            delay=delay,
            retries=retries,
        )
        if not wait:
            if as_json:
                render.emit_json(ids)
            else:
                for job_id in ids:
                    render.say(render.plain(job_id))
            _say_known(client, ids, before)
            return
        raise typer.Exit(wait_for(client, ids, as_json=as_json))


def _check(documents: list[Document]) -> None:
    """Say of several documents which ones are wrong."""
    problems: list[Problem] = []
    for document in documents:
        try:
            parse_job(document.raw)
        except InvalidJob as error:
            for found in error.problems:
                place = f"{document.place}: {found.field}"
                problems.append(Problem(place, found.value, found.expected))
    if problems:
        raise InvalidJob.of(*problems)


def _say_known(client: Client, ids: list[str], before: datetime) -> None:
    """Tell a person whose job was submitted before that it will not run again."""
    for job_id in ids[:MOST_LOOKED_AT]:
        view = client.job(job_id)
        new = view.submitted_at is not None and view.submitted_at >= before
        if view.ended and not new:
            render.note(
                f"{job_id} was submitted before and is {view.state}: nothing to do"
                " (`sisyphus jobs retry` runs it again, --set-id makes a new job)"
            )


def wait_for(client: Client, ids: list[str], *, as_json: bool) -> int:
    """Show jobs until they end; returns the exit code of the worst."""
    try:
        views = show_until_ended(client, ids)
    except KeyboardInterrupt:
        render.note("they go on without you: `sisyphus jobs watch ID` looks again")
        return INTERRUPTED
    if as_json:
        render.emit_json(views)
    for view in views:
        if view.state is JobState.FAILED:
            why = (view.error or {}).get("message", "")
            render.complain(f"{view.title or view.job_id}: {why}")
            render.note(f"  more: sisyphus jobs log {shlex.quote(view.job_id)}")
    codes = {exit_code(view.state) for view in views}
    return 1 if 1 in codes else max(codes, default=0)
