"""What tells a file from a changed one, and what it has besides its bytes."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from sisyphus.modules.output import MARK

_NOT_HERE = (errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
_RIGHTS = frozenset({"system.posix_acl_access"})


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What tells a file from another one, and from itself after a change."""

    size: int
    mtime_ns: int
    inode: int
    device: int

    @classmethod
    def of(cls, facts: os.stat_result) -> Self:
        """Take it from what the system says of the file."""
        return cls(facts.st_size, facts.st_mtime_ns, facts.st_ino, facts.st_dev)

    def looks_like(self, other: Fingerprint | None) -> bool:
        """Compare what also holds after the file system was mounted again."""
        if other is None:
            return False
        return (self.size, self.mtime_ns) == (other.size, other.mtime_ns)


def fingerprint(path: Path | str, folder: int | None = None) -> Fingerprint | None:
    """Take a file's fingerprint, links not followed; nothing when it is not there.

    ``folder`` is the opened folder in which ``path`` lies.
    """
    try:
        facts = os.stat(path, dir_fd=folder, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Fingerprint.of(facts)


@dataclass(frozen=True, slots=True)
class Attributes:
    """Times, permissions and owner of a file."""

    atime_ns: int
    mtime_ns: int
    mode: int
    uid: int
    gid: int

    @classmethod
    def of(cls, facts: os.stat_result) -> Self:
        """Take them from what the system says of a file."""
        return cls(
            facts.st_atime_ns,
            facts.st_mtime_ns,
            stat.S_IMODE(facts.st_mode),
            facts.st_uid,
            facts.st_gid,
        )

    def give_to(self, path: Path) -> list[str]:
        """Give them to a file; returns what this file system does not keep.

        That another user's file cannot be made by this worker is no fault: then the
        owner stays the worker, and the bits that lend an owner's rights are left out.
        """
        mode = self.mode if self._give_owner(path) else self.mode & 0o777
        lost: list[str] = []
        with _counted(lost, "permissions"):
            path.chmod(mode)
        with _counted(lost, "times"):
            os.utime(path, ns=(self.atime_ns, self.mtime_ns))
        return lost

    def _give_owner(self, path: Path) -> bool:
        for uid, gid in ((self.uid, self.gid), (-1, self.gid)):
            refused: list[str] = []
            with _counted(refused, "owner"):
                os.chown(path, uid, gid)
            if not refused:
                break
        facts = path.stat()
        return (facts.st_uid, facts.st_gid) == (self.uid, self.gid)


@contextmanager
def _counted(lost: list[str], what: str) -> Iterator[None]:
    """Note what this file system, or this user, cannot do."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NOT_HERE:
            raise
        lost.append(what)


def copy_attributes(source: Path, target: Path) -> list[str]:
    """Make a copy's attributes those of its source; returns what could not be kept."""
    _copy_extended(source, target, only=None)
    return Attributes.of(source.stat()).give_to(target)


def inherit_attributes(source: Path, heir: Path) -> list[str]:
    """Give a file with other contents the times and rights of the one it stands in for.

    Extended attributes are left out, but for the access list: checksums and the like
    would be wrong.
    """
    _copy_extended(source, heir, only=_RIGHTS)
    return Attributes.of(source.stat()).give_to(heir)


def _copy_extended(source: Path, target: Path, only: frozenset[str] | None) -> None:
    if not hasattr(os, "listxattr"):
        return
    with suppress(OSError):
        for name in os.listxattr(source):
            if name != MARK and (only is None or name in only):
                with suppress(OSError):
                    os.setxattr(target, name, os.getxattr(source, name))
