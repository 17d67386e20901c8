"""``sisyphus workers``: list, pause, resume, drain."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from sisyphus.cli import render
from sisyphus.cli.options import (
    AsJson,
    Queue,
    RedisUrl,
    WorkerId,
    connected,
    find_worker,
    group,
)
from sisyphus.store.views import WorkerView

app = group("List, pause, resume and drain workers.")


@app.command("list")
def list_workers(
    as_json: AsJson = False, redis_url: RedisUrl = None, queue: Queue = None
) -> None:
    """List the workers that are alive."""
    with connected(redis_url, queue) as client:
        found = client.workers()
    if as_json:
        render.emit_json(found)
    elif found:
        render.show(table_of(found))
    else:
        render.note("No worker is alive. `sisyphus worker` starts one.")


def table_of(workers: Sequence[WorkerView]) -> Table:
    """Lay out workers, a line each."""
    labelled = any(worker.labels for worker in workers)
    columns = [
        "ACTIVITY",
        "WORKER",
        "HOST",
        "UP",
        "DOING",
        *(["LABELS"] if labelled else []),
    ]
    table = render.table(*columns, flexible="DOING LABELS")
    for worker in workers:
        row = [
            render.activity(worker.activity.value),
            render.plain(worker.worker_id),
            render.plain(worker.host),
            Text(render.took(worker.since, None), style=render.QUIET),
            doing(worker),
        ]
        table.add_row(
            *row, *([render.cut(", ".join(worker.labels))] if labelled else [])
        )
    return table


def doing(worker: WorkerView) -> Text:
    """Say what a worker is at."""
    if worker.job_id is None:
        return Text("")
    percent = "" if worker.percent is None else f"{worker.percent:.0f}%"
    words = [worker.task or "", percent, render.speed(worker.info)]
    said = " ".join(filter(None, words))
    title = worker.job_title or worker.job_id
    paused = ", then pauses" if worker.paused else ""
    return Text.assemble(
        render.plain(f"{said}  ", "cyan"),
        render.plain(f"{title}{paused}"),
        no_wrap=True,
        overflow="ellipsis",
    )


@app.command()
def pause(worker: WorkerId, redis_url: RedisUrl = None, queue: Queue = None) -> None:
    """Let a worker take no further job, also after its restart."""
    with connected(redis_url, queue) as client:
        found = find_worker(client, worker)
        client.pause_worker(found.worker_id)
    after = " after the job in its hand" if found.job_id else ""
    render.say(f"{found.worker_id} pauses{after}")


@app.command()
def resume(worker: WorkerId, redis_url: RedisUrl = None, queue: Queue = None) -> None:
    """Let a worker take jobs again."""
    with connected(redis_url, queue) as client:
        found = find_worker(client, worker)
        client.resume_worker(found.worker_id)
    render.say(f"{found.worker_id} goes on")


@app.command()
def drain(worker: WorkerId, redis_url: RedisUrl = None, queue: Queue = None) -> None:
    """Let a worker finish its job and end."""
    with connected(redis_url, queue) as client:
        found = find_worker(client, worker)
        client.drain_worker(found.worker_id)
    after = "after the job in its hand" if found.job_id else "now"
    render.say(f"{found.worker_id} ends {after}")
