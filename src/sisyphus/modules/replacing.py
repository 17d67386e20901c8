"""Replacing an original by a verified new file; the original is kept for some days."""

from __future__ import annotations

import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path

from sisyphus.errors import OutputRefused, TaskFailed
from sisyphus.media.expected import Expected, Mapped, counted
from sisyphus.media.probe import Film, Probe, Unreadable
from sisyphus.media.successor import check_successor
from sisyphus.media.verify import READABLE_SUFFIXES, check_source
from sisyphus.modules.attributes import Attributes, Fingerprint, fingerprint
from sisyphus.modules.cleanup_settings import Replacement
from sisyphus.modules.exchange import Exchange, OriginalChanged
from sisyphus.modules.folders import resolved
from sisyphus.modules.journal import Entry, State
from sisyphus.modules.output import is_of
from sisyphus.modules.probing import film_probe
from sisyphus.modules.quarantine import DAY_SECONDS, Shelf, shelf_for, sweep
from sisyphus.modules.task import Task
from sisyphus.modules.transfer import Going
from sisyphus.modules.verifying import Verify, verify_film

_LEAST_SHARE = 0.03
_PATIENCE_SECONDS = 10.0
"""An attempt before, on another machine, may just be ending."""
# What ffprobe makes of texts and pictures.
_NO_FILMS = frozenset({"tty", "image2", "ass", "srt", "webvtt"})


class NotReplaced(OutputRefused):
    """A new file may not take the original's place."""

    retryable = False


@dataclass(frozen=True, slots=True)
class _Pair:
    """An original and its new file, links in their folders resolved."""

    wish: Replacement
    original: Path
    successor: Path
    final: Path


def replace_file(
    task: Task, wish: Replacement, was: Fingerprint | None, going: Going
) -> None:
    """Put a new file in an original's place, if all checks pass.

    ``was`` is the original when the job began. What an earlier attempt has begun is
    finished or taken back first.

    Raises:
        OutputRefused: the new file is not fit for it, or something is in the way.
        TaskFailed: a file is missing, or there is no room.
    """
    original = resolved(wish.original)
    pair = _Pair(
        wish,
        original,
        resolved(wish.successor),
        original.with_name(wish.final.name),
    )
    shelf = shelf_for(task.settings.roots, original, task.job_id)
    if _was_done_before(task, shelf, pair):
        task.log(f"{original} was replaced by an earlier attempt")
        return
    came = _check_files(pair)
    was = _check_unchanged(pair, was)
    _check_size(pair, came, was)
    if wish.verify is not Verify.OFF:
        _check_film(task, pair)
    with shelf.locked(_PATIENCE_SECONDS):
        entry = _begin(task, shelf, pair, came, was)
        with Exchange.of(shelf, entry, task.settings.roots) as exchange:
            _carry_out(task, exchange, going)
            _say(task, exchange)


def sweep_after(task: Task, originals: list[Path]) -> None:
    """Delete some of what has expired where these originals were kept."""

    def complain(text: str) -> None:
        task.log(text, "warning")

    swept = set[Path]()
    for original in originals:
        try:
            shelf = shelf_for(task.settings.roots, original, task.job_id)
            if shelf.folder in swept:
                continue
            swept.add(shelf.folder)
            if count := sweep(shelf.place, shelf, complain):
                task.log(f"{count} expired in {shelf.folder.parent} and deleted")
        except (OSError, TaskFailed) as error:
            complain(f"what has expired could not be deleted: {error}")


# What an earlier attempt has left


def _was_done_before(task: Task, shelf: Shelf, pair: _Pair) -> bool:
    gone = not os.path.lexists(pair.successor)
    if shelf.folder.is_dir():
        with shelf.locked(_PATIENCE_SECONDS):
            entries = shelf.entries(lambda text: task.log(text, "warning"))
            for entry in reversed(entries):
                if (entry.original, entry.successor) == (pair.original, pair.successor):
                    return _recover(task, shelf, entry)
    # The record may be gone: it is deleted with the original.
    return gone and is_of(pair.final, task.job_id)


def _recover(task: Task, shelf: Shelf, entry: Entry) -> bool:
    """Finish it or take it back; tells whether it is done."""
    if entry.state is State.UNDONE:
        return False
    if entry.state is State.UNDOING:
        raise NotReplaced(
            f"{entry.original} was about to be put back: `sisyphus undo"
            f" {task.job_id}` finishes that"
        )
    with Exchange.of(shelf, entry, task.settings.roots) as exchange:
        if not exchange.placed:
            task.log(f"an earlier attempt at {entry.original} is taken back")
            exchange.roll_back()
            return False
        if entry.state is not State.DONE:
            exchange.finish()
    # When both are there once more, the new file was made once more.
    here = entry.original if entry.successor == entry.final else entry.successor
    return not os.path.lexists(here)


# Checks


def _check_files(pair: _Pair) -> Fingerprint:
    facts = [_regular(path) for path in (pair.original, pair.successor)]
    if os.path.samestat(*facts):
        raise NotReplaced(f"{pair.original} and {pair.successor} are the same file")
    taken = pair.final not in (pair.original, pair.successor)
    if taken and os.path.lexists(pair.final):
        raise NotReplaced(
            f"{pair.final} exists already, and is not the file to be replaced"
        )
    return Fingerprint.of(facts[1])


def _regular(path: Path) -> os.stat_result:
    try:
        facts = path.lstat()
    except FileNotFoundError:
        raise TaskFailed(f"{path} does not exist") from None
    if stat.S_ISLNK(facts.st_mode):
        raise NotReplaced(f"{path} is a symbolic link: name the file it leads to")
    if not stat.S_ISREG(facts.st_mode):
        raise NotReplaced(f"{path} is not a regular file")
    return facts


def _check_unchanged(pair: _Pair, was: Fingerprint | None) -> Fingerprint:
    now = fingerprint(pair.original)
    if now is None or was not in (None, now):
        raise OriginalChanged(
            f"{pair.original} changed since the job began, so the new file was not made"
            " from what is there now: run the job afresh"
        )
    return now


def _check_size(pair: _Pair, came: Fingerprint, was: Fingerprint) -> None:
    if came.size == 0:
        raise NotReplaced(f"{pair.successor} is empty")
    if pair.wish.any_size or _LEAST_SHARE * was.size <= came.size <= was.size:
        return
    share = f"{100 * came.size / was.size:.1f} %" if was.size else "more"
    raise NotReplaced(
        f"{pair.successor} has {came.size:,} bytes, {share} of the {was.size:,} of"
        f" {pair.original}: from {_LEAST_SHARE:.0%} to 100 % is usual."
        ' If it is meant, say "any_size": true'
    )


def _check_film(task: Task, pair: _Pair) -> None:
    """Compare what is in both, when they are films."""
    names = (pair.original, pair.successor)
    if not any(path.suffix.lower() in READABLE_SUFFIXES for path in names):
        return
    probe = film_probe(task)
    original = _film_in(pair.original, probe)
    check_source(pair.successor, task.control.raise_if_stopping)
    if original is None:
        said = f"{pair.original} is no film that can be read, and was not compared"
        task.log(said, "warning")
        verify_film(task, pair.successor, Expected(), pair.wish)
        return
    new = _film_in(pair.successor, probe)
    if new is None:
        raise NotReplaced(f"{pair.successor} is no film that can be read")
    for odd in check_successor(new, original):
        task.log(odd, "warning")
    verify_film(task, pair.successor, _expected(new, original), pair.wish)


def _film_in(path: Path, probe: Probe) -> Film | None:
    try:
        film = probe.film(path)
    except Unreadable:
        return None
    shown = [s for s in film.streams if s.kind in ("video", "audio") and not s.picture]
    return film if shown and not film.formats & _NO_FILMS else None


def _expected(new: Film, original: Film) -> Expected:
    """Expect stream for stream the same, unless some were left out on purpose."""
    kinds = [[stream.kind for stream in counted(film)] for film in (new, original)]
    if kinds[0] != kinds[1]:
        return Expected()
    streams = tuple(Mapped(original, stream) for stream in original.streams)
    return Expected(streams=streams, keeps_duration=True)


# The exchange


def _begin(
    task: Task, shelf: Shelf, pair: _Pair, came: Fingerprint, was: Fingerprint
) -> Entry:
    days = pair.wish.keep_days
    return shelf.write(
        Entry(
            number=shelf.free_number(),
            state=State.INTENT,
            job_id=task.job_id,
            job_title=task.job_title,
            original=pair.original,
            successor=pair.successor,
            final=pair.final,
            was=was,
            came=came,
            had=Attributes.of(pair.successor.lstat()),
            keep_days=task.settings.quarantine_days if days is None else days,
            began=time.time(),
        )
    )


def _carry_out(task: Task, exchange: Exchange, going: Going) -> None:
    entry = exchange.entry
    try:
        if lost := exchange.stage(going):
            task.log(f"{entry.final} cannot keep {' and '.join(lost)}", "warning")
        task.confirm()
        exchange.set_aside()
        exchange.place()
    except BaseException:
        if not exchange.placed:
            _take_back(task, exchange)
        raise
    exchange.finish()


def _take_back(task: Task, exchange: Exchange) -> None:
    try:
        exchange.roll_back()
    except (OSError, TaskFailed) as error:
        # What made it fail is told by its own error.
        task.log(
            f"taking it back failed as well ({error}): `sisyphus undo {task.job_id}`"
            " tries again",
            "error",
        )


def _say(task: Task, exchange: Exchange) -> None:
    entry = exchange.entry
    task.log(f"{entry.successor} is now {entry.final}")
    if not entry.keep_days:
        task.log(f"{entry.original} is deleted: it is kept for no day")
        return
    until = time.strftime(
        "%Y-%m-%d", time.gmtime(time.time() + entry.keep_days * DAY_SECONDS)
    )
    task.log(f"the original is kept until {until} as {exchange.kept}")
    if (names := exchange.kept.stat().st_nlink) > 1:
        task.log(f"it has {names - 1} further names, which are left as they are")
