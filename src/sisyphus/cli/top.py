"""``sisyphus top``: queue, workers and events on one live screen."""

from __future__ import annotations

import os
import select
import sys
import termios
import threading
import tty
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from sisyphus.cli import render
from sisyphus.cli.bars import progress_bar
from sisyphus.cli.options import Queue, RedisUrl, connected, single
from sisyphus.client import Client
from sisyphus.errors import JobNotFound, StoreError
from sisyphus.store.views import Event, QueueView, WorkerView

SECONDS = 1.0
EVENTS = 100
TITLES = 40
"""Of so many events the jobs' titles are looked up."""
LISTEN_SECONDS = 2.0
REST_SECONDS = 0.25
"""Between two readings of events: where much happens, not every event gets a frame."""
LEAST_EVENTS = 3
WORKERS_ONCE = 50
RECENT = timedelta(minutes=15)

app = single()


@app.command()
def top(
    once: Annotated[
        bool, typer.Option("--once", help="Print one picture and leave.")
    ] = False,
    redis_url: RedisUrl = None,
    queue: Queue = None,
) -> None:
    """Watch queue, workers and events live. q or Ctrl-C leaves."""
    with connected(redis_url, queue) as client:
        picture = Picture.take(client, _recent(client), {})
        if once or not render.out.is_terminal:
            render.show(draw(picture, rows=10))
            return
        with suppress(KeyboardInterrupt):
            _live(client, picture)


@dataclass(frozen=True, slots=True)
class Picture:
    """What one frame shows."""

    queue: QueueView
    workers: Sequence[WorkerView]
    events: Sequence[Event]
    """Newest first."""
    titles: Mapping[str, str]
    """Of the jobs in the events, by id."""
    now: datetime
    away: str = ""
    """What Redis said when it did not answer."""

    @classmethod
    def take(
        cls, client: Client, events: Sequence[Event], known: Mapping[str, str]
    ) -> Picture:
        """Look at everything; ``known`` are titles of jobs."""
        newest = list(events)
        ids = {event.job_id for event in newest[:TITLES] if event.job_id}
        titles = {name: known.get(name) or _title(client, name) for name in ids}
        return cls(client.queue(), client.workers(), newest, titles, client.reads.now())


def _title(client: Client, job_id: str) -> str:
    try:
        return client.job(job_id).title
    except JobNotFound:
        return ""


def _recent(client: Client) -> list[Event]:
    """Read the last events of the last while, newest first."""
    since = int((client.reads.now() - RECENT).timestamp() * 1000)
    after, events = f"{since}-0", deque[Event](maxlen=EVENTS)
    while found := client.reads.events(after):
        events.extendleft(found)
        after = found[-1].entry
    return list(events)


def _live(client: Client, picture: Picture) -> None:
    events: deque[Event] = deque(picture.events, maxlen=EVENTS)
    heard, says = os.pipe()
    os.set_blocking(says, False)
    after = picture.events[0].entry if picture.events else client.reads.last_event()
    listener = threading.Thread(
        target=_listen, args=(client, after, events, says), daemon=True
    )
    listener.start()
    with (
        _keys() as keyboard,
        Live(console=render.out, screen=True, auto_refresh=False) as live,
    ):
        while True:
            height = render.out.height
            live.update(draw(picture, rows=height, height=height), refresh=True)
            ready, _, _ = select.select([heard, *keyboard], [], [], SECONDS)
            if heard in ready:
                os.read(heard, 4096)
            if keyboard and keyboard[0] in ready and _wants_to_leave(keyboard[0]):
                return
            try:
                picture = Picture.take(client, events, picture.titles)
            except StoreError as error:
                picture = replace(picture, workers=(), away=error.message)


def _listen(client: Client, after: str, events: deque[Event], says: int) -> None:
    """Collect events as they come, and wake the screen."""
    pause = threading.Event()
    while True:
        try:
            found = client.reads.events(after, block=LISTEN_SECONDS)
        except StoreError:
            pause.wait(SECONDS)
            continue
        if found:
            after = found[-1].entry
            events.extendleft(found)
            with suppress(BlockingIOError):
                os.write(says, b"!")
            pause.wait(REST_SECONDS)


@contextmanager
def _keys() -> Iterator[list[int]]:
    """Hear single keys, if there is a keyboard."""
    if not sys.stdin.isatty():
        yield []
        return
    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)
    tty.setcbreak(keyboard)
    try:
        yield [keyboard]
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)


def _wants_to_leave(keyboard: int) -> bool:
    typed = os.read(keyboard, 64)
    return typed in (b"", b"\x1b") or b"q" in typed or b"Q" in typed


# The picture


def draw(picture: Picture, rows: int, height: int | None = None) -> RenderableType:
    """Lay out one frame; ``height`` is that of the screen, if it is to be filled."""
    most = max(1, rows - 8 - LEAST_EVENTS) if height else WORKERS_ONCE
    workers, lines = _workers(picture, most)
    used = 7 + lines + bool(picture.away)
    room = max(LEAST_EVENTS, rows - used) if height else rows
    parts: list[RenderableType] = [_headline(picture), _counts(picture.queue), ""]
    if picture.away:
        away = picture.away.rstrip(".")
        parts.append(render.cut(f"{away}; trying again", "red"))
    else:
        parts.append(workers)
    parts += ["", _events(picture, room)]
    return Group(*parts)


def _headline(picture: Picture) -> Table:
    line = Table.grid(expand=True)
    line.add_column(no_wrap=True)
    line.add_column(justify="right", no_wrap=True)
    name = Text.assemble(("sisyphus", "bold"), "  ", render.plain(picture.queue.name))
    if picture.queue.paused:
        name.append("  paused", style="yellow")
    clock = f"{picture.now.astimezone():%H:%M:%S}   q leaves"
    line.add_row(name, Text(clock, style=render.QUIET))
    return line


def _counts(queue: QueueView) -> Text:
    words: list[tuple[str, str]] = []
    for number, word, style in (
        (queue.queued, "waiting", ""),
        (queue.running, "running", "cyan"),
        (queue.delayed, "delayed", "yellow"),
        (queue.ended, "ended", "green"),
        (queue.rejected, "rejected", "red"),
    ):
        words += [(str(number), style if number else render.QUIET)]
        words += [(f" {word}   ", render.QUIET)]
    return Text.assemble(*words)


def _workers(picture: Picture, most: int) -> tuple[RenderableType, int]:
    """Lay out the workers, those at work first; tells how many lines that takes."""
    if not picture.workers:
        hint = "no worker is alive: `sisyphus worker` starts one"
        waits = picture.queue.queued > 0
        return Text(hint, style="yellow" if waits else render.QUIET), 1
    shown = list(picture.workers)
    if len(shown) > most:
        shown = sorted(shown, key=lambda worker: worker.job_id is None)[:most]
    table = Table.grid(padding=(0, 2, 0, 0), expand=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=2)
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=10)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right", min_width=4)
    table.add_column(no_wrap=True, min_width=18)
    for worker in shown:
        busy = worker.job_id is not None
        percent = worker.percent
        table.add_row(
            render.plain(worker.host),
            render.activity(worker.activity.value),
            render.plain(worker.job_title or worker.job_id or ""),
            render.plain(worker.task or "", "cyan"),
            progress_bar(percent) if busy else "",
            "" if percent is None else f"{percent:.0f}%",
            render.plain(render.speed(worker.info), render.QUIET),
        )
    if not (others := len(picture.workers) - len(shown)):
        return table, len(shown)
    said = f"and {others} more workers: sisyphus workers list"
    return Group(table, Text(said, style=render.QUIET)), len(shown) + 1


def _events(picture: Picture, room: int) -> RenderableType:
    if not picture.events:
        return Text("nothing has happened lately", style=render.QUIET)
    hosts = {worker.worker_id: worker.host for worker in picture.workers}
    table = Table.grid(padding=(0, 2, 0, 0), expand=True)
    table.add_column(no_wrap=True, min_width=8)
    table.add_column(no_wrap=True, min_width=9)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=2)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for event in picture.events[:room]:
        title = picture.titles.get(event.job_id) or event.job_id
        table.add_row(
            Text(f"{event.at.astimezone():%H:%M:%S}", style=render.QUIET),
            Text(
                event.event.replace("_", " "), style=render.STATES.get(event.event, "")
            ),
            render.plain(title),
            render.plain(_remark(event, hosts), render.QUIET),
        )
    return table


def _remark(event: Event, hosts: Mapping[str, str]) -> str:
    """Say the facts of an event; a worker by its host."""
    facts = dict(event.facts)
    worker = facts.pop("worker_id", "")
    words = [f"on {hosts.get(worker) or worker[:8]}"] if worker else []
    return ", ".join(words + [f"{k}: {v}" for k, v in facts.items() if v])
