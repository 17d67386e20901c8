"""``sisyphus quarantine``: the replaced originals that are kept, and for how long."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from sisyphus.cli import render
from sisyphus.cli.options import AsJson, RootFolders, group, settings_of
from sisyphus.errors import WrongState
from sisyphus.modules.journal import Entry, State
from sisyphus.modules.quarantine import Shelf, expire_all, shelves

app = group("List the originals that jobs replaced, and delete what has expired.")

_SHOWN = {State.DONE: "kept", State.UNDONE: "undone"}


@dataclass(frozen=True, slots=True)
class Row:
    """One replaced original as ``--json`` shows it."""

    job_id: str
    job_title: str
    original: Path
    final: Path
    state: str
    """``kept``, ``undone``, or ``unfinished``: undo or the job itself ends that."""
    file: Path | None
    """What the quarantine keeps."""
    size: int | None
    began: datetime
    expires: datetime | None


@app.command("list")
def list_kept(root: RootFolders = None, as_json: AsJson = False) -> None:
    """List what the quarantines below the roots keep."""
    roots = settings_of(roots=root).roots
    found = [_row(shelf, entry) for shelf, entry in _entries(roots)]
    rows = sorted(found, key=lambda row: row.began)
    if as_json:
        render.emit_json(rows)
        return
    if not rows:
        render.note(f"Nothing is kept below {', '.join(map(str, roots))}.")
        return
    table = render.table(
        "JOB", "STATE", "SIZE", "EXPIRES", "ORIGINAL", flexible="ORIGINAL", right="SIZE"
    )
    for row in rows:
        table.add_row(
            render.plain(row.job_id),
            row.state,
            render.size(row.size),
            render.ago(row.expires),
            render.cut(row.original),
        )
    render.show(table)


@app.command()
def purge(
    jobs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[JOB]...", help="Jobs whose files go now, expired or not."
        ),
    ] = None,
    root: RootFolders = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be deleted.")
    ] = False,
) -> None:
    """Delete what has expired, or all that is kept of some jobs; that cannot be undone.

    Workers delete what has expired by themselves, whenever they replace something.
    """
    roots = settings_of(roots=root).roots
    wanted = [*shelves(roots)]
    if jobs:
        wanted = [shelf for job in jobs for shelf in shelves(roots, job)]
        if not wanted:
            raise WrongState(f"nothing is kept of {', '.join(jobs)}")
    count = total = 0
    for shelf in wanted:
        now = math.inf if jobs else time.time()
        sizes = {e.number: _size(shelf, e) or 0 for e in shelf.entries(_complain)}
        if dry_run:
            gone = [e for e in shelf.entries(_ignore) if shelf.is_over(e, now)]
        else:
            gone = expire_all(shelf, _complain, at_once=bool(jobs))
        for entry in gone:
            count, total = count + 1, total + sizes.get(entry.number, 0)
            render.say(render.plain(f"{entry.original}, job {entry.job_id}"))
    would = "would be " if dry_run else ""
    said = f"{render.count(count, 'entry', 'entries')}, {render.size(total)}"
    render.note(f"{said} {would}deleted.")


def _entries(roots: tuple[Path, ...]) -> Iterator[tuple[Shelf, Entry]]:
    for shelf in shelves(roots):
        for entry in shelf.entries(_complain):
            yield shelf, entry


def _row(shelf: Shelf, entry: Entry) -> Row:
    file = shelf.kept_file(entry) or shelf.kept(entry)
    size = _size(shelf, entry)
    return Row(
        job_id=entry.job_id,
        job_title=entry.job_title,
        original=entry.original,
        final=entry.final,
        state=_SHOWN.get(entry.state, "unfinished"),
        file=None if size is None else file,
        size=size,
        began=_moment(entry.began),
        expires=None if entry.expires is None else _moment(entry.expires),
    )


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _size(shelf: Shelf, entry: Entry) -> int | None:
    try:
        return (shelf.kept_file(entry) or shelf.kept(entry)).lstat().st_size
    except OSError:
        return None


def _complain(text: str) -> None:
    render.warn(text)


def _ignore(text: str) -> None:
    """Once is enough."""
