"""Where a job goes on that was handed out before: pure decisions about its checkpoint."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sisyphus.modules.fields import Files


def fingerprint(path: Path) -> dict[str, Any] | None:
    """What tells a file from a changed one; nothing when it is not there."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return {"path": str(path), "size": facts.st_size, "mtime_ns": facts.st_mtime_ns}


def read_checkpoint(text: str) -> list[dict[str, Any]]:
    """Read the entries of the finished tasks, in order; none when it is unreadable."""
    try:
        entries = json.loads(text) if text else []
    except ValueError:
        return []
    return entries if isinstance(entries, list) else []


def first_task(entries: Sequence[dict[str, Any]], tasks: Sequence[Files]) -> int:
    """Find the first task that must run (again).

    That is the first one that has no entry, or whose recorded outputs are not there
    unchanged, unless a later task takes them away and no task that is still to run needs
    them before.
    """
    done = min(len(entries), len(tasks))
    for index in range(done):
        for output in entries[index].get("outputs", ()):
            path = Path(output["path"])
            found = fingerprint(path)
            if found == output:
                continue
            if found is not None or _needed(path, index, done, tasks):
                return index
    return done


def _needed(path: Path, made_by: int, done: int, tasks: Sequence[Files]) -> bool:
    """Tell whether a missing file is missed: it was not a later task that took it."""
    if any(path in tasks[later].deletes for later in range(made_by + 1, done)):
        return False
    for later in range(done, len(tasks)):
        if path in tasks[later].reads:
            return True
        if path in tasks[later].deletes:
            return False
    return True
