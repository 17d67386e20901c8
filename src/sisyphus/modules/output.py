"""Files that appear under their final name whole, checked, or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sisyphus.errors import OutputRefused, TaskFailed, ToolFailed

FREE_BYTES = 64 * 1024 * 1024
"""A file system with less than this counts as full."""

_FULL_BYTES = 64 * 1024
_FULL_WORDS = "disk full"
_NAME_BYTES = 255
FULL = (errno.ENOSPC, errno.EDQUOT)
"""What the system says when there is no room."""
NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV)
"""What it says where a file cannot get a second name."""
QUARANTINE = ".sisyphus-quarantine"
"""The folder of replaced originals, in which jobs write nothing; see quarantine.py."""
MARK = "user.sisyphus.job"
"""The extended attribute that holds the id of the job a file was made by."""


class OutputExists(OutputRefused):
    """The output exists, and the task does not say that it may be replaced."""

    retryable = False


@contextmanager
def publish(
    target: Path,
    *,
    job_id: str,
    token: int,
    overwrite: bool,
    check: Callable[[Path], None] | None,
    confirm: Callable[[], None],
    may_be_empty: bool = False,
) -> Iterator[Path]:
    """Lend a temporary path beside ``target``; after the block, move it there.

    Whatever is raised inside leaves ``target`` as it was and no temporary file behind.
    ``may_be_empty`` is for copies of files that are.

    Raises:
        OutputExists: ``target`` exists and ``overwrite`` is not set.
        OutputRefused: the block left no file, an empty one, or ``check`` refused it.
        TaskFailed: the folder is missing, not writable, or its file system is full.
    """
    replace = overwrite or is_of(target, job_id)
    _check_target(target, replace=replace)
    _remove_parts(target, job_id, token)
    part = target.with_name(_part_name(target.name, job_id, token))
    try:
        yield part
        _check_part(part, target, may_be_empty=may_be_empty)
        if check is not None:
            check(part)
        mark(part, job_id)
        sync(part)
        confirm()
        _move(part, target, replace=replace)
        sync(target.parent)
    except OSError as error:
        if error.errno in FULL:
            raise TaskFailed(full_message(target.parent)) from error
        raise
    except ToolFailed as error:
        if _looks_full(error, target.parent):
            error.message = f"{full_message(target.parent)}; {error.message}"
            error.args = (error.message,)
        raise
    finally:
        with suppress(FileNotFoundError, IsADirectoryError):
            part.unlink()


def may_write(target: Path, job_id: str) -> bool:
    """Tell whether the name is free, or taken by an earlier attempt at this job."""
    return not os.path.lexists(target) or is_of(target, job_id)


def safe_name(job_id: str) -> str:
    """Make a job id fit for file names: at most 40 characters, different ids differ."""
    safe = re.sub(r"[^A-Za-z0-9_.]", "_", job_id)
    if safe == job_id and len(safe) <= 40:
        return safe
    return f"{safe[:31]}_{_digest(job_id)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def _part_name(name: str, job_id: str, token: int | str) -> str:
    # The target's own ending stays, by which tools choose the container.
    start = f".sisyphus-{safe_name(job_id)}-{token}-"
    if len(os.fsencode(start + name)) > _NAME_BYTES:
        return f"{start}{_digest(name)}{Path(name).suffix[:20]}"
    return start + name


def _check_target(target: Path, *, replace: bool) -> None:
    folder = target.parent
    if not folder.is_dir():
        raise TaskFailed(f"the folder {folder} does not exist")
    if QUARANTINE in Path(os.path.realpath(folder)).parts:
        raise TaskFailed(f"{folder} is in a quarantine, in which jobs write nothing")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise TaskFailed(f"the folder {folder} may not be written by this worker")
    if target.is_dir():
        raise OutputExists(f"{target} is a folder")
    if os.path.lexists(target) and not replace:
        raise exists_already(target)
    check_room(folder)


def _looks_full(error: ToolFailed, folder: Path) -> bool:
    """Tell whether a tool failed for lack of room; not every tool says so."""
    if error.message.startswith(_FULL_WORDS):
        return False  # said already, by another output of the same tool
    if any("No space left" in line for line in (error.message, *error.tail)):
        return True
    return shutil.disk_usage(folder).free < _FULL_BYTES


def check_room(folder: Path, wanted: int = 0) -> None:
    """Refuse to start what will not find room for so many bytes.

    Raises:
        TaskFailed: the file system of ``folder`` is, or would be, full.
    """
    if shutil.disk_usage(folder).free < wanted + FREE_BYTES:
        needed = f"; {wanted:,} are needed" if wanted else ""
        raise TaskFailed(full_message(folder) + needed)


def exists_already(target: Path) -> OutputExists:
    """Say that a name is taken, and what can be done about it."""
    return OutputExists(
        f'{target} exists already: say "overwrite": true, or choose another name'
    )


def full_message(folder: Path) -> str:
    """Say that a folder's file system is full, and how much is left."""
    free = shutil.disk_usage(folder).free
    return f"{_FULL_WORDS}: the file system of {folder} has {free:,} bytes free"


def _remove_parts(target: Path, job_id: str, token: int) -> None:
    """Remove what dead attempts at this job left, never a later attempt's file."""
    for number in _tokens(target, job_id):
        if number <= token:
            part = target.with_name(_part_name(target.name, job_id, number))
            with suppress(OSError):
                part.unlink()


def _tokens(target: Path, job_id: str) -> list[int]:
    start = re.escape(f".sisyphus-{safe_name(job_id)}-")
    pattern = re.compile(rf"{start}(\d+)-")
    with os.scandir(target.parent) as entries:
        found = [(entry.name, pattern.match(entry.name)) for entry in entries]
    return [
        int(match[1])
        for name, match in found
        if match and name == _part_name(target.name, job_id, match[1])
    ]


def _check_part(part: Path, target: Path, *, may_be_empty: bool) -> None:
    try:
        facts = part.lstat()
    except FileNotFoundError:
        raise OutputRefused(f"nothing was written for {target}") from None
    if not stat.S_ISREG(facts.st_mode):
        raise OutputRefused(f"what was written for {target} is not a regular file")
    if facts.st_size == 0 and not may_be_empty:
        raise OutputRefused(f"the file written for {target} is empty")


def sync(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _move(part: Path, target: Path, *, replace: bool) -> None:
    if replace:
        part.replace(target)
        return
    try:
        # Unlike a rename, a link never takes the place of a file that came meanwhile.
        os.link(part, target, follow_symlinks=False)
    except FileExistsError:
        raise exists_already(target) from None
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        if os.path.lexists(target):
            raise exists_already(target) from None
        part.replace(target)


def mark(part: Path, job_id: str) -> bytes | None:
    """Leave the job's id on the file, where the file system keeps such marks.

    A worker may die between publishing a file and saying so; the next attempt must not
    take its own job's file for somebody else's. Returns the mark that was there before.
    """
    before = mark_on(part)
    _set_mark(part, _mark_of(job_id))
    return before


def unmark(path: Path, before: bytes | None) -> None:
    """Put back what ``mark`` found on a file."""
    _set_mark(path, before)


def _set_mark(path: Path, value: bytes | None) -> None:
    if hasattr(os, "setxattr"):
        with suppress(OSError):
            if value is None:
                os.removexattr(path, MARK)
            else:
                os.setxattr(path, MARK, value)


def is_of(target: Path, job_id: str) -> bool:
    """Tell whether a file was put in its place by this very job."""
    return mark_on(target) == _mark_of(job_id)


def mark_on(target: Path) -> bytes | None:
    """Read which job put a file in its place; ``None``: none did, or it is not known."""
    if not hasattr(os, "getxattr"):
        return None
    try:
        return bytes(os.getxattr(target, MARK, follow_symlinks=False))
    except OSError:
        return None


def may_be_marked(target: Path) -> bool:
    """Tell whether some job put a file in its place, as far as that can be known."""
    if not hasattr(os, "getxattr"):
        return os.path.lexists(target)
    try:
        os.getxattr(target, MARK, follow_symlinks=False)
    except OSError as error:
        return error.errno in (errno.EOPNOTSUPP, errno.ENOSYS)
    return True


def _mark_of(job_id: str) -> bytes:
    return job_id.encode("utf-8", "surrogatepass")
