"""Where replaced originals wait until they expire, and how they are found again.

``<place>/.sisyphus-quarantine/<job>/`` is the shelf of one job: ``<n>.json`` is the record
of a replacement, ``<n>/original/`` holds the original, ``<n>/new/`` the new file on its
way. The place is the topmost folder, within the root, of the original's file system, so
that nothing has to be copied.
"""

from __future__ import annotations

import errno
import fcntl
import math
import os
import random
import re
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sisyphus.errors import TaskFailed
from sisyphus.modules.attributes import fingerprint
from sisyphus.modules.folders import root_of
from sisyphus.modules.journal import Entry, State, Unreadable, write_durably
from sisyphus.modules.output import QUARANTINE, safe_name, sync

NAME = QUARANTINE
DAY_SECONDS = 86_400
_LOCK = "lock"
_TRIES = 100
_PAUSE_SECONDS = 0.1
_LOOKED_AT = 200
_OPEN = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
_MOUNTS = Path("/proc/self/mountinfo")

Complain = Callable[[str], None]


class Busy(TaskFailed):
    """Another process works on the replacements of that job."""


class Shelf:
    """The replacements of one job at one place. Change it only while it is locked."""

    def __init__(self, place: Path, name: str) -> None:
        self.place = place
        self.folder = place / NAME / name

    @contextmanager
    def locked(self, patience: float = 0) -> Iterator[None]:
        """Keep other processes out; makes the folder, and removes it when it is empty.

        Raises:
            Busy: one is in, and still is after ``patience`` seconds.
            TaskFailed: the folder cannot be made.
        """
        held = self._lock(time.monotonic() + patience)
        try:
            yield
        finally:
            try:
                self._remove_if_empty()
            finally:
                os.close(held)

    def _lock(self, give_up: float) -> int:
        while True:
            self._make()
            held = self._try_lock()
            if held is not None:
                return held
            if time.monotonic() >= give_up:
                raise Busy(f"{self.folder} is in use: its job runs just now")
            time.sleep(_PAUSE_SECONDS)

    def _try_lock(self) -> int | None:
        path = self.folder / _LOCK
        for _ in range(_TRIES):
            try:
                held = os.open(path, _OPEN, 0o600)
            except FileNotFoundError:
                self._make()  # whoever was in has just removed the folder
                continue
            try:
                with _where_locks_are_known():
                    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(held), path.stat()):
                    return held
            except BlockingIOError:
                os.close(held)
                return None
            except FileNotFoundError:
                pass
            os.close(held)
        return None

    def _make(self) -> None:
        for folder in (self.folder.parent, self.folder):
            try:
                folder.mkdir(mode=0o700)
                sync(folder.parent)
            except FileExistsError:
                if not is_folder(folder):
                    raise TaskFailed(
                        f"{folder} must be a folder: something else is there"
                    ) from None
            except FileNotFoundError:
                return  # removed just now: the caller comes again
            except PermissionError:
                raise TaskFailed(
                    f"{folder.parent} may not be written by this worker, so no original"
                    f" can be kept there: make {self.place / NAME} for it"
                ) from None

    def _remove_if_empty(self) -> None:
        with suppress(OSError):
            if [entry.name for entry in os.scandir(self.folder)] == [_LOCK]:
                (self.folder / _LOCK).unlink()
                self.folder.rmdir()
                self.folder.parent.rmdir()

    # Entries

    def entries(self, complain: Complain) -> list[Entry]:
        """Read all entries, in order of their numbers; complain of unreadable ones."""
        found = []
        for path in self.folder.glob("[0-9]*.json"):
            try:
                found.append(self._read(path))
            except FileNotFoundError:
                continue
            except (Unreadable, UnicodeDecodeError, OSError) as error:
                complain(f"{path}: {error}")
        return sorted(found, key=lambda entry: entry.number)

    def _read(self, path: Path) -> Entry:
        entry = Entry.of(path.read_text("ascii"), self.place)
        for named in (entry.original, entry.final):
            if self.place not in named.parents or NAME in named.parts:
                raise Unreadable(f"it names {named}, which is not below {self.place}")
        if path.name != f"{entry.number}.json":
            raise Unreadable("it has another entry's name")
        return entry

    def free_number(self) -> int:
        """Give the number of the next entry."""
        taken = [
            int(match[0])
            for item in os.scandir(self.folder)
            if (match := re.match(r"\d+", item.name))
        ]
        return max(taken, default=0) + 1

    def write(self, entry: Entry) -> Entry:
        """Put an entry on the disk."""
        path = self.folder / f"{entry.number}.json"
        write_durably(path, entry.text(self.place))
        return entry

    def kept(self, entry: Entry) -> Path:
        """Say where the original is kept."""
        return self.folder / str(entry.number) / "original" / entry.original.name

    def staged(self, entry: Entry) -> Path:
        """Say where the new file waits to be placed, or is kept once that is undone."""
        return self.folder / str(entry.number) / "new" / entry.final.name

    def make_room(self, path: Path) -> None:
        """Make the folders in which an entry's file lies."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        sync(path.parent.parent)
        sync(self.folder)

    def remove(self, entry: Entry) -> None:
        """Remove an entry and its folders; a file that is still in them stays."""
        folder = self.folder / str(entry.number)
        for empty in (folder / "original", folder / "new", folder):
            with suppress(OSError):
                empty.rmdir()
        with suppress(FileNotFoundError):
            (self.folder / f"{entry.number}.json").unlink()
        sync(self.folder)

    # Expiry

    def kept_file(self, entry: Entry) -> Path | None:
        """Say which file an entry that is over keeps, if any."""
        match entry.state:
            case State.DONE:
                return self.kept(entry)
            case State.UNDONE:
                return self.staged(entry)
            case _:
                return None

    def is_over(self, entry: Entry, now: float) -> bool:
        """Tell whether what an entry keeps may be deleted."""
        finished = self.kept_file(entry) is not None
        return finished and entry.expires is not None and entry.expires <= now

    def expire(self, entry: Entry, now: float, complain: Complain) -> bool:
        """Delete what an entry keeps when its time has come, and forget the entry.

        A file that is not the one that was put there stays, and so does the entry.
        """
        file = self.kept_file(entry)
        if file is None or not self.is_over(entry, now):
            return False
        found = fingerprint(file)
        if found is not None:
            wanted = entry.was if entry.state is State.DONE else entry.new
            if not found.looks_like(wanted):
                complain(f"{file} was changed in the quarantine: it stays")
                return False
            file.unlink()
        self.remove(entry)
        return True


@contextmanager
def _where_locks_are_known() -> Iterator[None]:
    """Do without on file systems that have none."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
            raise


def place_for(roots: Iterable[Path], path: Path) -> Path:
    """Find the topmost folder within its root on the file system of a file.

    Raises:
        TaskFailed: it is below no root.
    """
    folder = Path(os.path.realpath(path.parent))
    root = root_of(roots, folder)
    if root is None:
        raise TaskFailed(f"{path} is outside the allowed roots")
    mount, top = _mount(folder), folder
    while top != root and _mount(top.parent) == mount:
        top = top.parent
    return top


def _mount(folder: Path) -> tuple[int, str]:
    """Tell a mounted file system from others, also from itself mounted elsewhere."""
    held = os.open(folder, getattr(os, "O_PATH", os.O_RDONLY) | os.O_CLOEXEC)
    try:
        device, number = os.fstat(held).st_dev, ""
        with suppress(OSError):
            text = Path(f"/proc/self/fdinfo/{held}").read_text()
            if found := re.search(r"^mnt_id:\s*(\d+)$", text, re.MULTILINE):
                number = found[1]
        return device, number
    finally:
        os.close(held)


def shelf_for(roots: Iterable[Path], original: Path, job_id: str) -> Shelf:
    """Give the shelf on which a job keeps an original."""
    return Shelf(place_for(roots, original), safe_name(job_id))


def shelves(roots: Iterable[Path], job_id: str | None = None) -> Iterator[Shelf]:
    """Find the shelves of one job, or of all, at the roots and all mounts below them.

    Raises:
        TaskFailed: a quarantine may not be read.
    """
    for place in places(roots):
        if not is_folder(place / NAME):
            continue
        try:
            with os.scandir(place / NAME) as items:
                names = sorted(
                    item.name for item in items if item.is_dir(follow_symlinks=False)
                )
        except PermissionError:
            raise TaskFailed(
                f"{place / NAME} may not be read: do this as the worker's user"
            ) from None
        wanted = None if job_id is None else safe_name(job_id)
        yield from (Shelf(place, name) for name in names if wanted in (None, name))


def places(roots: Iterable[Path]) -> list[Path]:
    """List the folders that may hold a quarantine."""
    tops = [Path(os.path.realpath(root)) for root in roots]
    below = [
        mount for mount in _mount_points() if any(top in mount.parents for top in tops)
    ]
    return list(dict.fromkeys([*tops, *below]))


def _mount_points() -> list[Path]:
    try:
        lines = _MOUNTS.read_bytes().splitlines()
    except OSError:
        return []
    escaped = re.compile(rb"\\([0-7]{3})")
    return [
        Path(
            os.fsdecode(
                escaped.sub(lambda m: bytes([int(m[1], 8)]), line.split(b" ")[4])
            )
        )
        for line in lines
    ]


def is_folder(path: Path) -> bool:
    """Tell whether it is a folder, not a link to one."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def sweep(place: Path, first: Shelf, complain: Complain) -> int:
    """Delete what has expired at one place; returns how many entries.

    Looks at ``first`` and at some others, taken at random: a task must not become slow
    by what thousands of tasks before it have left.
    """
    names = (
        [item.name for item in os.scandir(place / NAME)]
        if is_folder(place / NAME)
        else []
    )
    random.shuffle(names)
    others = (Shelf(place, name) for name in names if name != first.folder.name)
    looked_at = removed = 0
    for shelf in (first, *others):
        entries = shelf.entries(complain) if shelf.folder.is_dir() else []
        looked_at += 1 + len(entries)
        if any(shelf.is_over(entry, time.time()) for entry in entries):
            removed += len(expire_all(shelf, complain))
        if looked_at >= _LOOKED_AT:
            break
    return removed


def expire_all(
    shelf: Shelf, complain: Complain, *, at_once: bool = False
) -> list[Entry]:
    """Delete what has expired on one shelf, or all that is over; returns the entries.

    A shelf in use is left alone.
    """
    now = math.inf if at_once else time.time()
    try:
        with shelf.locked():
            return [
                entry
                for entry in shelf.entries(complain)
                if shelf.expire(entry, now, complain)
            ]
    except Busy:
        return []
