"""Running mkvmerge and mkvextract: any file name is safe, warnings do not fail."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from sisyphus.errors import LimitReached, ToolFailed
from sisyphus.media.progress import gui_line
from sisyphus.modules.task import Task

_WARNINGS = 1
"""The exit status for complete files and something to say about them."""


def run_mkvtoolnix(task: Task, argv: Sequence[str]) -> list[str]:
    """Run a command that has ``--gui-mode``; gives the warnings, which are logged.

    Raises:
        ToolFailed: it said so; with what it said.
        LimitReached: it wanted more than the worker's limits allow.
    """
    name, *arguments = argv
    # In a file, where no name is taken for an option or for another such file.
    file = task.workdir / "options.json"
    words = [sayable(task, word) for word in arguments]
    file.write_text(json.dumps(words), encoding="utf-8")
    warnings: list[str] = []
    errors: list[str] = []
    try:
        result = task.tool(
            [name, f"@{file}"],
            on_line=_hearing(task, warnings, errors),
            ok=(0, _WARNINGS),
            cwd=task.workdir,
        )
    except LimitReached:
        raise
    except ToolFailed as error:
        reason = "; ".join(errors) or error.message
        raise ToolFailed(
            f"{name}: {reason}",
            argv=list(argv),
            exit_code=error.exit_code,
            tail=[*error.tail, *errors],
        ) from None
    if result.exit_code == _WARNINGS:
        task.log(f"{name} is done, with {len(warnings)} warnings", "warning")
    return warnings


def sayable(task: Task, word: str) -> str:
    """Put a link into a path that is not UTF-8, which these programs cannot open."""
    try:
        word.encode("utf-8")
    except UnicodeEncodeError:
        if os.path.isabs(word):  # noqa: PTH117 - it may be no path at all
            return str(link_to(task, Path(word)))
        return os.fsencode(word).decode("utf-8", "replace")
    return word


def link_to(task: Task, path: Path, name: str = "") -> Path:
    """Give a path another name, in the task's own folder, with the same ending."""
    name = name or "link-" + hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    suffix = os.fsencode(path.suffix).decode("utf-8", "ignore")
    link = task.workdir / f"{name}{suffix}"
    with suppress(FileExistsError):  # the task asks again what it has asked before
        link.symlink_to(path)
    return link


def _hearing(
    task: Task, warnings: list[str], errors: list[str]
) -> Callable[[str], bool]:
    def take(text: str) -> bool:
        line = gui_line(text)
        if line is None:
            return False
        if line.kind == "progress":
            task.progress(line.percent)
            return True
        (errors if line.kind == "error" else warnings).append(line.text)
        task.log(line.text, line.kind)
        return True

    return take
