"""``sisyphus demo``: see it work: a queue, two workers and three films."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.text import Text

from sisyphus.cli import render
from sisyphus.cli.demo_films import (
    FILMS,
    Verdict,
    documents,
    find_samples,
    judge,
    prepare,
)
from sisyphus.cli.failure import INTERRUPTED
from sisyphus.cli.options import settings_of, single
from sisyphus.cli.watching import show_until_ended
from sisyphus.client import Client
from sisyphus.embedded import EmbeddedServer
from sisyphus.errors import SisyphusError
from sisyphus.lifecycle import JobState
from sisyphus.modules.tool import Tools
from sisyphus.store.views import JobView
from sisyphus.store.wire import push_raw

QUEUE = "queue"
WORKERS = 2
STOP_SECONDS = 20.0
LOG_LINES = 15

# Run by Python: a worker that is killed with us, also when we are killed.
_TIED_WORKER = """
import ctypes, os, signal, sys
PR_SET_PDEATHSIG = 1
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
if os.getppid() != int(sys.argv.pop(1)):
    sys.exit("the demo has ended")
from sisyphus.cli.main import run
run()
"""

app = single()


@app.command()
def demo(
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave queue and workers running at the end.")
    ] = False,
    folder: Annotated[
        Path, typer.Option("--folder", "-d", help="Where films and server go.")
    ] = Path("demo"),
    samples: Annotated[
        Path | None, typer.Option(help="Folder with the sample clips and jobs.")
    ] = None,
) -> None:
    """See it work: a queue, two workers and three films.

    Starts a Valkey server and two workers, pushes three jobs as any producer would
    (LPUSH of their JSON), shows how far they are, checks the films, stops everything.
    """
    folder = folder.absolute()
    tools = Tools.of(settings_of())
    clips = find_samples(samples)
    code = 0
    try:
        with _signals_end_it():
            prepare(clips, folder, tools)
            # Nothing is kept of an earlier demo: the server starts empty.
            with EmbeddedServer(folder / "server", appendonly=False) as server:
                _say_step("server", f"Valkey or Redis at {server.url}")
                code = _run(server.url, folder, clips, tools, keep=keep)
    except KeyboardInterrupt:
        render.note("stopped; nothing is left running")
        code = INTERRUPTED
    raise typer.Exit(code)


def _run(url: str, folder: Path, clips: Path, tools: Tools, *, keep: bool) -> int:
    with (
        _workers(url, folder) as worker,
        Client(settings=settings_of(url, QUEUE)) as client,
    ):
        _say_step("workers", f"sisyphus worker -c {WORKERS}, in {folder}")
        jobs = documents(clips)
        for job in jobs:
            push_raw(url, QUEUE, job.raw)
        _say_step("jobs", f"{len(jobs)} pushed: LPUSH {QUEUE} '{{\"job_title\": ...}}'")
        render.say("")
        titles = {job.job_id: job.title for job in jobs}

        def see_worker() -> None:
            if worker.poll() is not None:
                _worker_ended(folder)

        views = show_until_ended(client, list(titles), titles, see_worker)
        render.say("")
        failed = [view for view in views if view.state is not JobState.COMPLETED]
        for view in failed:
            _say_failure(client, view)
        verdicts = [judge(film, folder, tools) for film in FILMS]
        _show(verdicts, folder)
        wrong = any(verdict.wrong for verdict in verdicts)
        if keep:
            _stay(url, worker)
    if failed or wrong:
        render.complain(f"not all is well: see {folder / 'worker.log'}")
        return 1
    render.say("")
    render.say("All is well, and all is stopped.", "green")
    render.note(
        "`sisyphus demo --keep` leaves queue and workers running, to play with."
    )
    return 0


@contextmanager
def _signals_end_it() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the demo as Ctrl-C does: in order."""

    def interrupt(number: int, frame: object) -> NoReturn:
        raise KeyboardInterrupt

    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


@contextmanager
def _workers(url: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the workers, with the folder as the place that relative paths start from."""
    argv = [sys.executable, "-c", _TIED_WORKER, str(os.getpid()), "worker"]
    argv += ["--concurrency", str(WORKERS), "--root", ".", "--on-drain", "release"]
    argv += ["--redis-url", url, "--queue", QUEUE]
    with (folder / "worker.log").open("wb") as log:
        worker = subprocess.Popen(
            argv,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for us: we stop it in order
        )
    try:
        yield worker
    finally:
        _stop(worker)


def _stop(worker: subprocess.Popen[bytes]) -> None:
    worker.terminate()
    try:
        worker.wait(STOP_SECONDS)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        worker.kill()
        worker.wait()


def _worker_ended(folder: Path) -> NoReturn:
    log = folder / "worker.log"
    lines = log.read_text(errors="replace").splitlines()[-3:]
    raise SisyphusError(f"the workers have ended: {' / '.join(lines)} (see {log})")


def _say_step(word: str, what: str) -> None:
    render.say(Text.assemble((f"{word:9}", render.QUIET), render.plain(what)))


def _say_failure(client: Client, view: JobView) -> None:
    message = (view.error or {}).get("message", "")
    render.complain(f"{view.title}: {view.state}: {message}")
    for line in client.log(view.job_id)[-LOG_LINES:]:
        render.note(f"  {line.text}")


def _show(verdicts: Sequence[Verdict], folder: Path) -> None:
    table = render.table("", "FILE", "STREAMS", "LENGTH", "SIZE", right="LENGTH SIZE")
    for verdict in verdicts:
        mark = ("✘", "red") if verdict.wrong else ("✔", "green")
        table.add_row(
            Text(*mark),
            render.plain(_shown(verdict.path)),
            render.plain(
                verdict.wrong or verdict.streams, "red" if verdict.wrong else ""
            ),
            "" if verdict.seconds is None else f"{verdict.seconds:.1f} s",
            render.size(verdict.bytes),
        )
    render.show(table)


def _shown(path: Path) -> str:
    with suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


def _stay(url: str, worker: subprocess.Popen[bytes]) -> None:
    """Leave all running until Ctrl-C, and say what can be tried."""
    render.say("")
    render.say("Queue and workers go on until Ctrl-C. In another terminal:")
    render.say(f"  export SISYPHUS_REDIS_URL={url}")
    render.say("  sisyphus top")
    render.say("  sisyphus jobs list")
    render.say("  sisyphus submit samples/jobs --set-id --wait")
    worker.wait()
