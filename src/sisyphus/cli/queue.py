"""``sisyphus queue``: look at it, pause it, mend what it rejected."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from sisyphus.cli import render
from sisyphus.cli.documents import as_text
from sisyphus.cli.options import AsJson, Queue, RedisUrl, connected, group, settings_of
from sisyphus.client import Client
from sisyphus.errors import ConfigError, WrongState
from sisyphus.logs import redacted
from sisyphus.store.health import other_database
from sisyphus.store.views import QueueView, Rejected

app = group("Look at the queue, pause it, mend what it rejected.")
rejected = group("What lay in the queue and was no job.")
app.add_typer(rejected, name="rejected")

Entry = Annotated[
    str, typer.Argument(metavar="ENTRY", help="As `queue rejected list` shows it.")
]


@app.command()
def show(
    as_json: AsJson = False, redis_url: RedisUrl = None, queue: Queue = None
) -> None:
    """Count what lies where."""
    settings = settings_of(redis_url, queue)
    with Client(settings=settings) as client:
        view, others = client.queue(), client.reads.elsewhere()
    if others:
        render.warn(other_database(settings, others))
    if as_json:
        render.emit_json(view)
        return
    at = render.plain(redacted(settings.redis_url), render.QUIET)
    render.show(render.facts([*facts(view), ("redis", at)]))


def facts(view: QueueView) -> list[tuple[str, Any]]:
    """Say what lies where."""
    ahead = [
        f"{n} with priority {p}" for p, n in sorted(view.waiting.items()) if p and n
    ]
    waiting = Text(str(view.queued))
    if ahead:
        waiting.append(f"  ({', '.join(ahead)})", style=render.QUIET)
    rows: list[tuple[str, Any]] = [
        ("queue", Text.assemble((view.name, "bold"), "  ", _mood(view))),
        ("waiting", waiting),
    ]
    for needs, number in sorted(view.aside.items()):
        said = f"  {number} for a worker with {needs}"
        rows.append(("", render.plain(said, "yellow")))
    rejected_style = "yellow" if view.rejected else ""
    return [
        *rows,
        ("delayed", str(view.delayed)),
        ("running", Text(str(view.running), style="cyan" if view.running else "")),
        ("ended", str(view.ended)),
        ("rejected", Text(str(view.rejected), style=rejected_style)),
        ("workers", Text(str(view.workers), style="" if view.workers else "yellow")),
    ]


def _mood(view: QueueView) -> Text:
    if view.paused:
        return Text("paused: no worker takes a job", style="yellow")
    if not view.workers and view.queued:
        return Text("nobody works here", style="yellow")
    return Text("")


@app.command()
def pause(redis_url: RedisUrl = None, queue: Queue = None) -> None:
    """Let no worker take a further job; running jobs go on."""
    with connected(redis_url, queue) as client:
        client.pause_queue()
        name = client.queue().name
    render.say(f"{name} is paused; `sisyphus queue resume` lets it go on")


@app.command()
def resume(redis_url: RedisUrl = None, queue: Queue = None) -> None:
    """Let the workers take jobs again."""
    with connected(redis_url, queue) as client:
        client.resume_queue()
        name = client.queue().name
    render.say(f"{name} goes on")


@rejected.command("list")
def list_rejected(
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, metavar="N", help="How many.")
    ] = 30,
    before: Annotated[
        str | None, typer.Option(metavar="ENTRY", help="Only older ones.")
    ] = None,
    as_json: AsJson = False,
    redis_url: RedisUrl = None,
    queue: Queue = None,
) -> None:
    """List rejected documents, newest first."""
    with connected(redis_url, queue) as client:
        found = client.rejected(limit, before)
    if as_json:
        render.emit_json(found)
        return
    if not found:
        render.note("Nothing was rejected.")
        return
    table = render.table("ENTRY", "WHEN", "WHY", "BEGINS", flexible="WHY BEGINS")
    for one in found:
        table.add_row(
            one.entry,
            Text(render.ago(one.at), style=render.QUIET),
            render.plain(one.reason),
            render.plain(
                one.raw[:60].decode("utf-8", "backslashreplace"), render.QUIET
            ),
        )
    render.show(table)
    render.note(
        "`sisyphus queue rejected restore ENTRY --file MENDED` puts one back, mended."
    )


@rejected.command("show")
def show_rejected(
    entry: Entry,
    as_json: AsJson = False,
    redis_url: RedisUrl = None,
    queue: Queue = None,
) -> None:
    """Print a rejected document; its reason goes to standard error."""
    with connected(redis_url, queue) as client:
        found = _find(client, entry)
    if as_json:
        render.emit_json(found)
        return
    render.note(f"{render.moment(found.at)}, list {found.list}: {found.reason}")
    if render.out.is_terminal:
        for line in as_text(found.raw).splitlines():
            render.say(render.plain(line))
    else:
        typer.echo(found.raw)


@rejected.command()
def restore(
    entry: Entry,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="The mended document.")
    ] = None,
    redis_url: RedisUrl = None,
    queue: Queue = None,
) -> None:
    """Put a rejected document back into the queue, mended or as it was."""
    try:
        mended = file.read_bytes() if file else None
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from None
    with connected(redis_url, queue) as client:
        if not client.restore(entry, mended):
            raise _missing(entry)
    render.say(f"{entry}: back in the queue{', mended' if mended else ''}")


@rejected.command()
def drop(entry: Entry, redis_url: RedisUrl = None, queue: Queue = None) -> None:
    """Delete a rejected document for good."""
    with connected(redis_url, queue) as client:
        if not client.drop(entry):
            raise _missing(entry)
    render.say(f"{entry}: dropped")


def _find(client: Client, entry: str) -> Rejected:
    well_formed = re.fullmatch(r"\d+-\d+", entry)
    found = client.reads.rejected_entry(entry) if well_formed else None
    if found is None:
        raise _missing(entry)
    return found


def _missing(entry: str) -> WrongState:
    return WrongState(
        f"no rejected document {entry!r}: see `sisyphus queue rejected list`"
    )
