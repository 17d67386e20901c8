"""``sisyphus undo``: the originals that a job replaced come back."""

from __future__ import annotations

from typing import Annotated

import typer

from sisyphus.cli import render
from sisyphus.cli.options import AsJson, RootFolders, settings_of, single
from sisyphus.errors import WrongState
from sisyphus.modules.undoing import Undone, undo_job

app = single()


@app.command()
def undo(
    job: Annotated[str, typer.Argument(metavar="JOB", help="The job's id.")],
    root: RootFolders = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Also where another file is in the original's place by now;"
            " it is kept, too.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Put back the originals that a job replaced, and finish or undo what it began.

    All that is needed lies in the quarantine below the roots: no Redis is asked. The new
    file goes back to where it was; if that is gone or taken, the quarantine keeps it.
    """
    complaints: list[str] = []
    roots = settings_of(roots=root).roots
    found = undo_job(roots, job, complaints.append, force=force, dry_run=dry_run)
    if as_json:
        render.emit_json(found)
    else:
        for one in found:
            _show(one)
    for complaint in complaints:
        render.complain(complaint)
    if not found and not complaints:
        where = ", ".join(map(str, roots))
        raise WrongState(
            f"no original of a job {job!r} is kept below {where}:"
            " see `sisyphus quarantine list`, or name other roots with --root"
        )
    if complaints or not all(one.fine for one in found):
        raise typer.Exit(1)


def _show(one: Undone) -> None:
    if one.fine:
        render.say(render.plain(one.said))
    else:
        render.complain(one.said)
