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


def believable(entries: Sequence[Any], modules: Sequence[str]) -> list[dict[str, Any]]:
    """Keep the entries in front that can be of these very tasks: others wrote the rest."""
    good: list[dict[str, Any]] = []
    for number, (entry, module) in enumerate(zip(entries, modules, strict=False), 1):
        if not isinstance(entry, dict) or entry.get("module") != module:
            break
        outputs = entry.get("outputs", [])
        if entry.get("task") is True or entry.get("task") != number:
            break
        if not isinstance(outputs, list) or not all(map(_names_a_file, outputs)):
            break
        good.append(entry)
    return good


def _names_a_file(output: Any) -> bool:
    return isinstance(output, dict) and isinstance(output.get("path"), str)


def first_task(entries: Sequence[dict[str, Any]], tasks: Sequence[Files]) -> int:
    """Find the first task that must run (again).

    That is the first one that has no entry, or that writes files and has none recorded,
    or whose recorded outputs are not there unchanged, unless a later task takes them away
    and no task that is still to run needs them before.
    """
    done = min(len(entries), len(tasks))
    for index in range(done):
        outputs = entries[index].get("outputs", ())
        if tasks[index].writes and not outputs:
            return index
        for output in outputs:
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
