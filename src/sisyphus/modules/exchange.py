"""Putting a new file in an original's place, and back, step by step.

Each step is on the disk before the next begins, and the record says how far it went. So
whatever ends a worker, the next attempt at the job, or ``sisyphus undo``, finishes the
replacement or takes it back; the original is always under its name or in the quarantine.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from sisyphus.errors import TaskFailed
from sisyphus.modules.attributes import (
    Fingerprint,
    fingerprint,
    inherit_attributes,
)
from sisyphus.modules.folders import opened
from sisyphus.modules.journal import Entry, State
from sisyphus.modules.output import NO_LINKS, OutputExists, check_room, mark, sync
from sisyphus.modules.quarantine import DAY_SECONDS, Shelf
from sisyphus.modules.transfer import Going, SourceChanged, copy_proven


class OriginalChanged(SourceChanged):
    """An original is not the file any more that the new one was made from."""

    retryable = False


class Exchange:
    """One replacement. Whoever holds one holds the lock of its shelf, too."""

    def __init__(
        self, shelf: Shelf, entry: Entry, roots: tuple[Path, ...], folder: int
    ) -> None:
        self.entry = entry
        self._shelf = shelf
        self._roots = roots
        self._folder = folder
        self.kept = shelf.kept(entry)
        self.staged = shelf.staged(entry)

    @classmethod
    @contextmanager
    def of(cls, shelf: Shelf, entry: Entry, roots: Iterable[Path]) -> Iterator[Self]:
        """Hold the original's folder open, so that its names stay below the roots."""
        roots = tuple(roots)
        with opened(roots, entry.original.parent) as folder:
            yield cls(shelf, entry, roots, folder)

    @property
    def placed(self) -> bool:
        """Whether the new file has the original's place, whatever the record says."""
        entry = self.entry
        if entry.state is not State.ASIDE:
            return entry.state not in (State.INTENT, State.STAGED)
        found = self._now(entry.final)
        return (
            not os.path.lexists(self.staged)
            and found is not None
            and found.looks_like(entry.new)
            and found != fingerprint(self.kept)
        )

    def _now(self, path: Path) -> Fingerprint | None:
        """Look at a file in the original's folder."""
        return fingerprint(path.name, self._folder)

    def _save(self, state: State, **changes: object) -> None:
        self.entry = self._shelf.write(self.entry.to(state, **changes))

    def _sync_folder(self) -> None:
        sync(self.entry.original.parent)

    # Forwards

    def stage(self, going: Going) -> list[str]:
        """Bring the new file into the quarantine, with the original's times and rights.

        Returns what could not be kept of these.
        """
        entry = self.entry
        self._shelf.make_room(self.staged)
        found = self._fetch()
        copied = found is None
        if found is None:
            check_room(self.staged.parent, entry.came.size)
            found = copy_proven(entry.successor, self.staged, going)
        if found != entry.came:
            raise SourceChanged(f"{entry.successor} changed after it was checked")
        mark(self.staged, entry.job_id)
        lost = inherit_attributes(entry.original, self.staged)
        sync(self.staged)
        sync(self.staged.parent)
        sync(entry.successor.parent)
        self._save(State.STAGED, copied=copied, new=fingerprint(self.staged))
        return lost

    def _fetch(self) -> Fingerprint | None:
        """Rename the new file into the quarantine, if that alters no other name of it."""
        path = self.entry.successor
        with opened(self._roots, path.parent) as folder:
            if os.stat(path.name, dir_fd=folder).st_nlink > 1:
                return None
            try:
                os.rename(path.name, self.staged, src_dir_fd=folder)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                return None
        return fingerprint(self.staged)

    def set_aside(self) -> None:
        """Give the original its second name, in the quarantine."""
        original = self.entry.original
        self._shelf.make_room(self.kept)
        try:
            os.link(
                original.name, self.kept, src_dir_fd=self._folder, follow_symlinks=False
            )
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            os.rename(original.name, self.kept, src_dir_fd=self._folder)
        if fingerprint(self.kept) != self.entry.was:
            raise OriginalChanged(f"{original} changed since the job began: it stays")
        sync(self.kept)
        sync(self.kept.parent)
        self._sync_folder()
        self._save(State.ASIDE)

    def place(self) -> None:
        """Give the new file its name; between two names that are equal in one step."""
        entry = self.entry
        if entry.renames:
            self._give_name(self.staged, entry.final)
        else:
            if self._now(entry.original) not in (entry.was, None):
                raise OriginalChanged(f"{entry.original} changed just now: it stays")
            os.replace(self.staged, entry.final.name, dst_dir_fd=self._folder)
        self._sync_folder()
        self._save(State.PLACED)

    def finish(self) -> None:
        """Take away what is left of the names before; may be repeated."""
        entry = self.entry
        if entry.renames and self._same(entry.original, self.kept):
            os.unlink(entry.original.name, dir_fd=self._folder)
            self._sync_folder()
        if entry.copied:
            self._remove_successor()
        expires = time.time() + entry.keep_days * DAY_SECONDS
        self._save(State.DONE, expires=expires)

    def _remove_successor(self) -> None:
        path = self.entry.successor
        with (
            suppress(FileNotFoundError, NotADirectoryError),
            opened(self._roots, path.parent) as folder,
        ):
            found = fingerprint(path.name, folder)
            if found is not None and found.looks_like(self.entry.came):
                os.unlink(path.name, dir_fd=folder)
                sync(path.parent)

    def _give_name(self, file: Path, name: Path, folder: int | None = None) -> None:
        """Move a file to a free name in the original's folder, or in another one.

        Raises:
            OutputExists: it is not free.
        """
        into = self._folder if folder is None else folder
        try:
            os.link(file, name.name, dst_dir_fd=into, follow_symlinks=False)
        except FileExistsError:
            raise OutputExists(f"{name} exists already") from None
        except OSError as error:
            if error.errno not in NO_LINKS or error.errno == errno.EXDEV:
                raise
            if fingerprint(name.name, into) is not None:
                raise OutputExists(f"{name} exists already") from None
            os.rename(file, name.name, dst_dir_fd=into)
        else:
            sync(name.parent)
            file.unlink()

    def _same(self, name: Path, file: Path) -> bool:
        """Tell whether a name in the original's folder is a second one of a file."""
        found = self._now(name)
        return found is not None and found == fingerprint(file)

    # Backwards

    def roll_back(self) -> None:
        """Take back what is not placed yet, as if nothing had been done.

        Raises:
            TaskFailed: another file has the original's name by now.
        """
        entry = self.entry
        if entry.state is not State.INTENT:
            with suppress(OSError):  # on a full disk, too
                self._save(State.INTENT)
        if entry.renames and self._same(entry.final, self.staged):
            os.unlink(entry.final.name, dir_fd=self._folder)
        if os.path.lexists(self.kept):
            if self._now(entry.original) is None:
                self._give_name(self.kept, entry.original)
            elif self._same(entry.original, self.kept):
                self.kept.unlink()
            else:
                raise TaskFailed(
                    f"another file has the name {entry.original} now:"
                    f" the original is kept as {self.kept}"
                )
            self._sync_folder()
        if os.path.lexists(self.staged):
            if os.path.lexists(entry.successor):
                self.staged.unlink()
            else:
                found = fingerprint(self.staged)
                if found is not None and found.size == entry.came.size:
                    # Else somebody has changed it, and its times are true.
                    entry.had.give_to(self.staged)
                with opened(self._roots, entry.successor.parent) as folder:
                    self._give_name(self.staged, entry.successor, folder)
                sync(entry.successor.parent)
        self._shelf.remove(entry)

    def check_undo(self, *, force: bool) -> None:
        """Make sure that undoing loses nothing.

        Raises:
            TaskFailed: the original is not kept any more, its name is taken, or (without
                ``force``) the file in its place is not the one that was put there.
        """
        entry = self.entry
        if entry.state is State.UNDOING or not self.placed:
            return
        kept = fingerprint(self.kept)
        if kept is None:
            raise TaskFailed(f"{entry.original} is not kept any more")
        if not kept.looks_like(entry.was):
            raise TaskFailed(
                f"{self.kept} was changed in the quarantine: look at it yourself"
            )
        if entry.renames and self._now(entry.original) not in (None, kept):
            raise TaskFailed(
                f"another file has the name {entry.original} now: move it away first"
            )
        found = self._now(entry.final)
        if not (found is None or found.looks_like(entry.new) or force):
            raise TaskFailed(
                f"{entry.final} is not the file that was put there any more; --force"
                " undoes it all the same, and "
                + ("leaves that file" if entry.renames else "keeps that file, too")
            )

    def undo(self, *, force: bool) -> str:
        """Put the original back; says what was done. May be repeated.

        Raises:
            TaskFailed: see ``check_undo``.
        """
        entry = self.entry
        if entry.state is State.UNDONE:
            return f"{entry.original} was put back before"
        if not self.placed:
            self.roll_back()
            return f"{entry.original} was never replaced: what was begun is taken back"
        self.check_undo(force=force)
        if entry.state is not State.UNDOING:
            self._save(State.UNDOING, **self._where_to())
        self._save_new_file()
        self._put_back()
        self._sync_folder()
        entry = self.entry
        if entry.returned is not None and entry.returned == entry.successor:
            with suppress(OSError):
                entry.had.give_to(entry.returned)
        expires = time.time() + entry.keep_days * DAY_SECONDS
        self._save(State.UNDONE, expires=expires)
        said = f"{entry.original} is back"
        return f"{said}; the new file is {entry.returned}" if entry.returned else said

    def _where_to(self) -> dict[str, object]:
        """Decide where the file goes that is in the original's place."""
        entry = self.entry
        found = self._now(entry.final)
        if found is None:
            return {"returned": None}
        if not found.looks_like(entry.new):
            # Somebody else's: it stays where it is, or is kept as the new file would.
            returned = None if entry.renames else self.staged
            return {"returned": returned, "new": found}
        if entry.successor == entry.final:
            return {"returned": entry.final}
        with suppress(OSError, TaskFailed):
            with opened(self._roots, entry.successor.parent) as folder:
                there = os.fstat(folder).st_dev
            taken = os.path.lexists(entry.successor)
            if there == os.fstat(self._folder).st_dev and not taken:
                return {"returned": entry.successor}
        return {"returned": self.staged}

    def _save_new_file(self) -> None:
        """Give the file in the original's place a second name elsewhere."""
        entry, returned = self.entry, self.entry.returned
        if returned in (None, entry.final):
            return
        found = self._now(entry.final)
        if (
            found is None
            or found.looks_like(entry.was)
            or not os.path.lexists(self.kept)
        ):
            return  # an interrupted undo has come further than this
        assert returned is not None
        try:
            self._link_final(returned)
        except OSError as error:
            if error.errno != errno.EXDEV:  # one file system, mounted twice
                raise
            self._save(State.UNDOING, returned=self.staged)
            self._link_final(self.staged)

    def _link_final(self, returned: Path) -> None:
        name = self.entry.final.name
        if self._same(self.entry.final, returned):
            return
        if returned == self.staged:
            self._shelf.make_room(returned)
        with opened(self._roots, returned.parent) as into:
            try:
                os.link(
                    name,
                    returned.name,
                    src_dir_fd=self._folder,
                    dst_dir_fd=into,
                    follow_symlinks=False,
                )
            except OSError as error:
                if error.errno not in NO_LINKS or error.errno == errno.EXDEV:
                    raise
                os.rename(name, returned.name, src_dir_fd=self._folder, dst_dir_fd=into)
        sync(returned.parent)

    def _put_back(self) -> None:
        entry, returned = self.entry, self.entry.returned
        if os.path.lexists(self.kept):
            if not entry.renames:
                os.replace(self.kept, entry.original.name, dst_dir_fd=self._folder)
            elif self._same(entry.original, self.kept):
                self.kept.unlink()
            else:
                self._give_name(self.kept, entry.original)
        if returned is None or returned == entry.final or not entry.renames:
            return
        if self._same(entry.final, returned):
            os.unlink(entry.final.name, dir_fd=self._folder)
