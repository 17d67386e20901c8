"""``sisyphus worker``: take jobs and run them, until told to stop."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Literal

import typer

from sisyphus import logs
from sisyphus.cli.options import (
    ModuleFolders,
    Queue,
    RedisUrl,
    RootFolders,
    settings_of,
    single,
)
from sisyphus.signatures import required_keys
from sisyphus.worker.supervisor import Supervisor

logger = logging.getLogger(__name__)

app = single()


@app.command()
def worker(
    concurrency: Annotated[
        int | None,
        typer.Option(
            "--concurrency",
            "-c",
            min=1,
            max=256,
            metavar="N",
            help="Jobs at a time: one process each.",
            show_default="1",
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Shown to people; the worker's id comes from it.",
            show_default="host name",
        ),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(metavar="LABEL", help="What jobs may require, such as gpu."),
    ] = None,
    root: RootFolders = None,
    modules: ModuleFolders = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODULE", help="A module that jobs may name.", show_default="all"
        ),
    ] = None,
    on_drain: Annotated[
        Literal["finish", "release"] | None,
        typer.Option(
            help="At SIGTERM: finish running jobs, or hand them back.",
            show_default="finish",
        ),
    ] = None,
    drain_timeout: Annotated[
        float | None,
        typer.Option(
            min=0, metavar="SECONDS", help="How long finishing may take at SIGTERM."
        ),
    ] = None,
    max_jobs: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Jobs after which a process is replaced."
        ),
    ] = None,
    require_signed: Annotated[
        bool,
        typer.Option("--require-signed", help="Run only jobs signed with our key."),
    ] = False,
    redis_url: RedisUrl = None,
    queue: Queue = None,
) -> None:
    """Take jobs and run them, until told to stop.

    SIGTERM or Ctrl-C: finish running jobs, then leave. Twice: hand them back, at once
    to be taken by others. Three times: kill.
    """
    settings = settings_of(
        redis_url,
        queue,
        concurrency=concurrency,
        hostname=name,
        labels=tuple(label or ()),
        roots=_absolute(root),
        module_folders=_absolute(modules),
        modules=tuple(allow or ()),
        on_drain=on_drain,
        drain_timeout=drain_timeout,
        max_jobs=max_jobs,
        require_signed=require_signed or None,
    )
    logs.configure(settings.log_level, settings.log_json)
    if logs.has_password(redis_url or ""):
        logger.warning(
            "everybody on this machine can read the password on the command line: set"
            " redis_password_file instead"
        )
    required_keys(settings)  # refused here, not by each process that is started
    raise typer.Exit(Supervisor(settings).run())


def _absolute(folders: list[Path] | None) -> tuple[Path, ...]:
    return tuple(folder.absolute() for folder in folders or ())
