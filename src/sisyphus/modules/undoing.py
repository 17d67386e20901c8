"""Putting back the originals that a job has replaced: from the disk alone, no Redis."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sisyphus.errors import TaskFailed
from sisyphus.modules.exchange import Exchange
from sisyphus.modules.journal import Entry, State
from sisyphus.modules.quarantine import Complain, Shelf, shelves


@dataclass(frozen=True, slots=True)
class Undone:
    """What became of one replacement."""

    original: Path
    fine: bool
    """Whether the original is, or would be, under its name."""
    said: str
    new_file: Path | None = None
    """Where the file went that was in its place."""


def undo_job(
    roots: Iterable[Path],
    job_id: str,
    complain: Complain,
    *,
    force: bool = False,
    dry_run: bool = False,
) -> list[Undone]:
    """Put back all originals of a job, the last one first; may be repeated.

    With ``force`` also where the new file has been changed since; with ``dry_run`` only
    tells what would be done.

    Raises:
        TaskFailed: the job runs just now, or a quarantine may not be read.
    """
    roots = tuple(roots)
    found: list[Undone] = []
    for shelf in shelves(roots, job_id):
        with shelf.locked():
            # One original may have been replaced twice.
            free = set[Path]()
            for entry in reversed(shelf.entries(complain)):
                if entry.job_id != job_id:
                    continue
                try:
                    done = _undo(shelf, entry, roots, force, dry_run, free)
                except (TaskFailed, OSError) as error:
                    said = _words(error)
                    done = Undone(entry.original, False, said)
                found.append(done)
    return found


def _undo(
    shelf: Shelf,
    entry: Entry,
    roots: tuple[Path, ...],
    force: bool,
    dry_run: bool,
    free: set[Path],
) -> Undone:
    with Exchange.of(shelf, entry, roots) as exchange:
        if not dry_run:
            said = exchange.undo(force=force)
            return Undone(entry.original, True, said, exchange.entry.returned)
        if entry.final not in free:
            exchange.check_undo(force=force)
        free.add(entry.original)
    if entry.state is State.UNDONE:
        return Undone(entry.original, True, f"{entry.original} was put back before")
    return Undone(entry.original, True, f"{entry.original} would be put back")


def _words(error: Exception) -> str:
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror or error}"
    return str(error)
