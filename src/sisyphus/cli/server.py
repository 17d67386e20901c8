"""``sisyphus server``: serve the queue over HTTP, until told to stop."""

from __future__ import annotations

import importlib
from typing import Annotated, Any

import typer

from sisyphus import logs
from sisyphus.cli.options import Queue, RedisUrl, settings_of, single
from sisyphus.errors import ConfigError

app = single()


@app.command()
def server(
    host: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Listen there; any but this machine's own needs SISYPHUS_SERVER_TOKEN.",
            show_default="127.0.0.1",
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            metavar="PORT",
            help="Listen there; 0 for a free one.",
            show_default="5000",
        ),
    ] = None,
    redis_url: RedisUrl = None,
    queue: Queue = None,
) -> None:
    """Serve the queue over HTTP, until told to stop.

    Keeps nothing of its own: any number may serve one queue, and be stopped at any time.
    """
    settings = settings_of(redis_url, queue, server_host=host, server_port=port)
    logs.configure(settings.log_level, settings.log_json)
    _load().serve(settings)


def _load() -> Any:
    try:
        return importlib.import_module("sisyphus.server.serving")
    except ModuleNotFoundError as error:
        if str(error.name).split(".")[0] not in ("uvicorn", "fastapi", "starlette"):
            raise
        raise ConfigError(
            f"{error.name} is not installed, which the server needs:"
            " pip install 'sisyphus-worker[server]', or in a checkout"
            " uv sync --extra server"
        ) from None
