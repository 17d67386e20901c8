"""``sisyphus run``: one job, here and now, without any server."""

from __future__ import annotations

import shlex
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.live import Live
from rich.text import Text

from sisyphus.cli import render
from sisyphus.cli.bars import Bar, bars
from sisyphus.cli.check import stored_in_redis
from sisyphus.cli.documents import read_documents
from sisyphus.cli.failure import INTERRUPTED, exit_code
from sisyphus.cli.options import (
    ModuleFolders,
    RedisUrl,
    RootFolders,
    settings_of,
    single,
)
from sisyphus.errors import ConfigError
from sisyphus.job import parse_job
from sisyphus.lifecycle import JobState
from sisyphus.modules.registry import Registry
from sisyphus.worker.board import Activity
from sisyphus.worker.local import Ended, LocalRun

app = single()


@app.command()
def run(
    job: Annotated[
        str, typer.Argument(metavar="JOB", help="A JSON or YAML file, or - (stdin).")
    ],
    root: RootFolders = None,
    modules: ModuleFolders = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Leave out the job's log.")
    ] = False,
    redis_url: RedisUrl = None,
) -> None:
    """Run one job here and now, without any server, exactly as a worker would.

    For trying out jobs and modules. It is neither repeated nor kept. Redis is asked only
    for option sets and profiles that the job names.
    """
    documents = list(read_documents([job]))
    if len(documents) != 1:
        raise ConfigError(
            f"{job} holds {render.count(len(documents), 'job')}: run takes one"
        )
    raw = documents[0].raw
    title = parse_job(raw).job_title
    settings = settings_of(redis_url, roots=root, module_folders=modules)
    screen = _Screen(title, quiet)
    with stored_in_redis(settings) as stored:
        registry = Registry.load(settings)
        local = LocalRun(settings, registry, stored, screen.line, screen.activity)
        with _stopping(local) as interrupted:
            with screen:
                ended = local.run(raw)
                screen.end(ended)
            _say_error(ended)
    _say_outputs(ended)
    if interrupted.is_set() and ended.state is JobState.CANCELLED:
        raise typer.Exit(INTERRUPTED)
    raise typer.Exit(exit_code(ended.state))


@contextmanager
def _stopping(local: LocalRun) -> Iterator[threading.Event]:
    """Let Ctrl-C and SIGTERM stop the job in order."""
    interrupted = threading.Event()

    def stop(number: int, frame: object) -> None:
        interrupted.set()
        local.stop()

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield interrupted
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


class _Screen:
    """Log lines above, one bar below."""

    def __init__(self, title: str, quiet: bool) -> None:
        self._bar = Bar(title, "running", task="preparing")
        self._quiet = quiet
        self._task = ""
        self._live = Live(
            console=render.out,
            get_renderable=lambda: bars([self._bar]),
            refresh_per_second=8,
        )

    def __enter__(self) -> None:
        if render.out.is_terminal:
            self._live.start()

    def __exit__(self, *exc: object) -> None:
        if self._live.is_started:
            self._live.stop()

    def line(self, task: str, level: str, text: str) -> None:
        """Print a line of the job's log."""
        if self._quiet:
            return
        if task and task != self._task:
            self._task = task
            render.say(render.plain(f"── {task}", render.QUIET))
        style = render.LEVELS.get(level, "" if text.startswith("$ ") else render.QUIET)
        render.say(render.plain(text, style))

    def activity(self, now: Activity) -> None:
        """Move the bar."""
        percent = None if now.percent != now.percent else now.percent
        self._bar.percent = percent
        self._bar.task = f"{now.task} {now.module}" if now.module else "preparing"
        info = {"fps": now.fps, "eta_seconds": now.eta}
        known = {name: value for name, value in info.items() if value == value}
        self._bar.said = render.speed(known)

    def end(self, ended: Ended) -> None:
        """Say how it ended, in the bar's place."""
        self._bar.state, self._bar.task = ended.state.value, ""
        self._bar.said = ""
        if not self._live.is_started:
            render.say(render.plain(f"{self._bar.title}: {ended.state}"))


def _say_error(ended: Ended) -> None:
    error = ended.error or {}
    if message := error.get("message"):
        place = f"task {error['task']} {error['module']}: " if "task" in error else ""
        trace = str(error.get("traceback", "")).splitlines()
        render.complain(f"{place}{message}", *trace)


def _say_outputs(ended: Ended) -> None:
    outputs = [
        output
        for entry in (ended.result or {}).get("tasks", ())
        for output in entry.get("outputs", ())
        if Path(output["path"]).exists()  # a later task may have taken it away
    ]
    for output in outputs:
        path = shlex.quote(output["path"])
        size = render.size(output.get("size"))
        render.say(Text.assemble(render.plain(path), f"  {size}"))
