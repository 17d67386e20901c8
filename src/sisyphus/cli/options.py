"""Options that many commands share, and what they open."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from sisyphus.client import Client
from sisyphus.errors import SisyphusError, WrongState
from sisyphus.settings import Settings
from sisyphus.store.views import WorkerView

RedisUrl = Annotated[
    str | None,
    typer.Option(
        "--redis-url",
        "-r",
        metavar="URL",
        help="Redis or Valkey; also SISYPHUS_REDIS_URL.",
        show_default="redis://localhost:6379/0",
    ),
]
Queue = Annotated[
    str | None,
    typer.Option(
        "--queue", "-q", metavar="NAME", help="The list of jobs.", show_default="queue"
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
ModuleFolders = Annotated[
    list[Path] | None,
    typer.Option("--modules", "-m", metavar="DIR", help="Folder with more modules."),
]
RootFolders = Annotated[
    list[Path] | None,
    typer.Option(
        "--root",
        metavar="DIR",
        help="Folder that jobs may read and write below.",
        show_default="the working folder",
    ),
]


def group(text: str) -> typer.Typer:
    """Make the app of a noun with several verbs."""
    return typer.Typer(
        help=text,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def single() -> typer.Typer:
    """Make the app of a command without verbs."""
    return typer.Typer(
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def settings_of(
    redis_url: str | None = None, queue: str | None = None, **more: Any
) -> Settings:
    """Read the settings, with what the command line says on top."""
    given = {name: value for name, value in more.items() if value not in (None, [], ())}
    return Settings.load(redis_url=redis_url, queue=queue, **given)


@contextmanager
def connected(redis_url: str | None, queue: str | None) -> Iterator[Client]:
    """Open a client for the length of the block."""
    with Client(settings=settings_of(redis_url, queue)) as client:
        yield client


def find_worker(client: Client, wanted: str) -> WorkerView:
    """Find the worker with this id, the start of an id, or a host's name.

    Raises:
        WrongState: there is none, or there are several.
    """
    workers = client.workers()
    found = [worker for worker in workers if worker.worker_id == wanted] or [
        worker
        for worker in workers
        if worker.worker_id.startswith(wanted) or worker.host == wanted
    ]
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(worker.worker_id for worker in found)
        raise WrongState(f"{wanted!r} could be any of {ids}: give more of the id")
    raise WrongState(
        f"no worker {wanted!r} is alive: see `sisyphus workers list` for those that are"
    )


# Completion: whatever goes wrong, the shell is only left without suggestions.


def complete_job(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Suggest job ids, with their titles."""
    try:
        with _completing(ctx) as client:
            jobs = client.jobs(None, limit=100)
    except SisyphusError:
        return []
    return [
        (job.job_id, f"{job.state}: {job.title}")
        for job in jobs
        if job.job_id.startswith(incomplete)
    ]


def complete_worker(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Suggest worker ids, with their hosts."""
    try:
        with _completing(ctx) as client:
            workers = client.workers()
    except SisyphusError:
        return []
    return [
        (worker.worker_id, f"{worker.host}, {worker.activity}")
        for worker in workers
        if worker.worker_id.startswith(incomplete)
    ]


def _completing(ctx: typer.Context) -> Any:
    return connected(ctx.params.get("redis_url"), ctx.params.get("queue"))


JobId = Annotated[
    str, typer.Argument(metavar="ID", help="Job id.", autocompletion=complete_job)
]
JobIds = Annotated[
    list[str],
    typer.Argument(metavar="ID...", help="Job ids.", autocompletion=complete_job),
]
WorkerId = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="Worker id, the start of one, or a host name.",
        autocompletion=complete_worker,
    ),
]
