"""Death at any step: after it nothing on the disk changes any more."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

CHANGES = (
    *("link", "rename", "replace", "unlink", "mkdir", "rmdir", "truncate"),
    *("fsync", "setxattr", "removexattr", "utime", "chmod", "chown"),
)
"""What in ``os`` changes a disk; files are written between two of these."""


class Dead(BaseException):
    """The process is no more."""


@contextmanager
def dying_at(step: int) -> Iterator[list[str]]:
    """Let the block's process die right before its change number ``step``.

    Whatever the block still tries is not done, as nothing is done by the dead. Yields
    the names of the changes that were made.
    """
    done: list[str] = []
    dead = False

    def watched(name: str, call: Any) -> Any:
        def change(*args: Any, **more: Any) -> Any:
            nonlocal dead
            dead = dead or len(done) >= step
            if dead:
                raise Dead(name)
            done.append(name)
            return call(*args, **more)

        return change

    patches = [
        patch.object(os, name, watched(name, getattr(os, name))) for name in CHANGES
    ]
    for one in patches:
        one.start()
    try:
        yield done
    except Dead:
        pass
    finally:
        for one in patches:
            one.stop()


def steps_of(work: Any) -> int:
    """Count the changes that a piece of work makes."""
    with dying_at(1_000_000) as done:
        work()
    return len(done)
