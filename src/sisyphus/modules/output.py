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

_NAME_BYTES = 255
_FULL = (errno.ENOSPC, errno.EDQUOT)
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV)
_MARK = "user.sisyphus.job"


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
) -> Iterator[Path]:
    """Lend a temporary path beside ``target``; after the block, move it there.

    Whatever is raised inside leaves ``target`` as it was and no temporary file behind.

    Raises:
        OutputExists: ``target`` exists and ``overwrite`` is not set.
        OutputRefused: the block left no file, an empty one, or ``check`` refused it.
        TaskFailed: the folder is missing, not writable, or its file system is full.
    """
    replace = overwrite or _is_of(target, job_id)
    _check_target(target, replace=replace)
    _remove_parts(target, job_id, token)
    part = target.with_name(_part_name(target.name, job_id, token))
    try:
        yield part
        _check_part(part, target)
        if check is not None:
            check(part)
        _mark(part, job_id)
        _sync(part)
        confirm()
        _move(part, target, replace=replace)
        _sync(target.parent)
    except OSError as error:
        if error.errno in _FULL:
            raise TaskFailed(_full_message(target.parent)) from error
        raise
    except ToolFailed as error:
        if any("No space left on device" in line for line in error.tail):
            error.message = f"{_full_message(target.parent)}; {error.message}"
            error.args = (error.message,)
        raise
    finally:
        with suppress(FileNotFoundError, IsADirectoryError):
            part.unlink()


def may_write(target: Path, job_id: str) -> bool:
    """Tell whether the name is free, or taken by an earlier attempt at this job."""
    return not os.path.lexists(target) or _is_of(target, job_id)


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
    if not os.access(folder, os.W_OK | os.X_OK):
        raise TaskFailed(f"the folder {folder} may not be written by this worker")
    if target.is_dir():
        raise OutputExists(f"{target} is a folder")
    if os.path.lexists(target) and not replace:
        raise _exists(target)
    if shutil.disk_usage(folder).free < FREE_BYTES:
        raise TaskFailed(_full_message(folder))


def _exists(target: Path) -> OutputExists:
    return OutputExists(
        f'{target} exists already: say "overwrite": true, or choose another name'
    )


def _full_message(folder: Path) -> str:
    free = shutil.disk_usage(folder).free
    return f"disk full: the file system of {folder} has {free:,} bytes free"


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


def _check_part(part: Path, target: Path) -> None:
    try:
        facts = part.lstat()
    except FileNotFoundError:
        raise OutputRefused(f"nothing was written for {target}") from None
    if not stat.S_ISREG(facts.st_mode):
        raise OutputRefused(f"what was written for {target} is not a regular file")
    if facts.st_size == 0:
        raise OutputRefused(f"the file written for {target} is empty")


def _sync(path: Path) -> None:
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
        raise _exists(target) from None
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(target):
            raise _exists(target) from None
        part.replace(target)


def _mark(part: Path, job_id: str) -> None:
    """Leave the job's id on the file, where the file system keeps such marks.

    A worker may die between publishing a file and saying so; the next attempt must not
    take its own job's file for somebody else's.
    """
    if hasattr(os, "setxattr"):
        with suppress(OSError):
            os.setxattr(part, _MARK, _mark_of(job_id))


def _is_of(target: Path, job_id: str) -> bool:
    if not hasattr(os, "getxattr"):
        return False
    try:
        found = os.getxattr(target, _MARK, follow_symlinks=False)
    except OSError:
        return False
    return bool(found == _mark_of(job_id))


def _mark_of(job_id: str) -> bytes:
    return job_id.encode("utf-8", "surrogatepass")
