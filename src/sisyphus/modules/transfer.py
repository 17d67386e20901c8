"""Copying and moving one file so that at every moment one whole copy is there."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from sisyphus.errors import OutputRefused, TaskFailed
from sisyphus.modules.attributes import Fingerprint, copy_attributes, fingerprint
from sisyphus.modules.folders import opened
from sisyphus.modules.output import check_room, mark, publish, sync, unmark
from sisyphus.modules.task import Task

_CHUNK = 4 * 1024 * 1024
_FLUSH = 128 * 1024 * 1024

Going = Callable[[float], None]
"""Hears how much is done, from 0 to 1, and raises ``Stopped`` when it must end."""


class SourceChanged(OutputRefused):
    """A file changed while it was worked on."""


def copy_file(task: Task, source: Path, target: Path, going: Going) -> Fingerprint:
    """Copy a file's contents and attributes; only a proven copy gets the name.

    Returns what the source was. A file of that name is replaced in one step.

    Raises:
        OutputRefused: the source changed meanwhile, or the copy is not the same.
        TaskFailed: there is no such file, or no room for another.
    """
    _check_pair(source, target)
    check_room(target.parent, source.stat().st_size)
    with publish(
        target,
        job_id=task.job_id,
        token=task.token,
        overwrite=True,
        check=None,
        confirm=task.confirm,
        may_be_empty=True,
    ) as part:
        found = copy_proven(source, part, going)
        # Now, while the mode is still that of a new file: one may not be writable.
        mark(part, task.job_id)
        if lost := copy_attributes(source, part):
            task.log(f"{target} cannot keep {' and '.join(lost)}", "warning")
    return found


def move_file(task: Task, source: Path, target: Path, going: Going) -> None:
    """Rename a file; across file systems copy it, then delete the source.

    Of a link, what it leads to is moved, and the link is deleted.

    Raises:
        OutputRefused: the source changed meanwhile, or the copy is not the same.
        TaskFailed: there is no such file, or no room for another.
    """
    _check_pair(source, target)
    task.confirm()
    if not source.is_symlink() and _renamed(task, source, target):
        return
    name = fingerprint(source)
    found = copy_file(task, source, target, going)
    task.confirm()
    with opened(task.settings.roots, source.parent) as folder:
        now = Fingerprint.of(os.stat(source.name, dir_fd=folder))
        if now != found or fingerprint(source.name, folder) != name:
            raise SourceChanged(
                f"{source} changed after it was copied to {target}: it stays"
            )
        os.unlink(source.name, dir_fd=folder)
    sync(source.parent)


def _check_pair(source: Path, target: Path) -> None:
    if not stat.S_ISREG(source.stat().st_mode):
        raise TaskFailed(f"{source} is not a regular file")
    if target.exists() and source.samefile(target):
        raise TaskFailed(f"{source} and {target} are the same file")
    if target.exists() and not target.is_file():
        raise TaskFailed(f"{target} is not a regular file")


def _renamed(task: Task, source: Path, target: Path) -> bool:
    """Rename if both lie on one file system."""
    roots = task.settings.roots
    with opened(roots, source.parent) as old, opened(roots, target.parent) as new:
        if os.fstat(old).st_dev != os.fstat(new).st_dev:
            return False
        # A worker may die right after the rename; its next attempt finds the mark.
        before = mark(source, task.job_id)
        sync(source)
        try:
            os.replace(source.name, target.name, src_dir_fd=old, dst_dir_fd=new)
        except OSError as error:
            unmark(source, before)
            if error.errno != errno.EXDEV:  # one file system, mounted twice
                raise
            return False
    sync(target.parent)
    sync(source.parent)
    return True


def copy_proven(source: Path, copy: Path, going: Going) -> Fingerprint:
    """Copy a file's bytes to a new name and read them back; returns what it was.

    Raises:
        OutputRefused: the source changed meanwhile, or the copy is not the same.
        FileExistsError: the name is taken.
    """
    with source.open("rb", buffering=0) as reading:
        found = Fingerprint.of(os.fstat(reading.fileno()))
        with copy.open("xb", buffering=0) as writing:
            digest, count = _write(reading, writing, found, going)
            os.fsync(writing.fileno())
        if Fingerprint.of(os.fstat(reading.fileno())) != found or count != found.size:
            raise SourceChanged(f"{source} changed while it was copied")
    with copy.open("rb", buffering=0) as reading:
        _forget_cached(reading)
        size = os.fstat(reading.fileno()).st_size
        if size != count:
            raise OutputRefused(f"{source} has {count} bytes, its copy has {size}")
        again = hashlib.sha256()
        for place, chunk in _chunks(reading):
            going(0.5 + 0.5 * place / max(size, 1))
            again.update(chunk)
    if again.digest() != digest:
        raise OutputRefused(f"the copy of {source} differs from it: it was damaged")
    return found


def _write(
    reading: BinaryIO, writing: BinaryIO, found: Fingerprint, going: Going
) -> tuple[bytes, int]:
    """Copy; returns the hash of what was read, and how much that was."""
    facts = os.fstat(reading.fileno())
    has_holes = getattr(facts, "st_blocks", facts.st_size) * 512 < facts.st_size
    digest, count, unflushed = hashlib.sha256(), 0, 0
    for place, chunk in _chunks(reading):
        going(0.5 * place / max(found.size, 1))
        digest.update(chunk)
        count = place + len(chunk)
        if has_holes and not bytes(chunk).rstrip(b"\0"):
            writing.seek(count)
            continue
        _write_all(writing, chunk)
        # In portions: so progress is true, and a stop does not wait for the disk.
        unflushed += len(chunk)
        if unflushed >= _FLUSH:
            os.fsync(writing.fileno())
            unflushed = 0
    writing.truncate(count)
    return digest.digest(), count


def _write_all(writing: BinaryIO, chunk: memoryview) -> None:
    while chunk:
        chunk = chunk[writing.write(chunk) :]


def _chunks(reading: BinaryIO) -> Iterator[tuple[int, memoryview]]:
    """Give place and content, piece by piece, in one buffer."""
    place, buffer = 0, memoryview(bytearray(_CHUNK))
    while size := reading.readinto(buffer):  # type: ignore[attr-defined]  # a raw file
        yield place, buffer[:size]
        place += size


def _forget_cached(reading: BinaryIO) -> None:
    """Have the next bytes read from the disk, not from memory, where that can be had."""
    if hasattr(os, "posix_fadvise"):
        with suppress(OSError):
            os.posix_fadvise(reading.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
