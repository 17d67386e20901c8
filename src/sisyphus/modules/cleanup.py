"""The module ``cleanup``: check, delete, copy, move and replace files at the end.

Operations run in the order of the keys in the data, entries in list order; the first
failure ends the task. Nothing outside the roots is touched, no folder that holds
anything is deleted, and a source goes only after its copy has been compared with it.
An interrupted task is run again as a whole: what is done already is recognised.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from sisyphus.errors import InvalidSettings, Problem, TaskFailed
from sisyphus.modules.attributes import Fingerprint, fingerprint
from sisyphus.modules.base import Module, ModuleSettings, Patience, Step
from sisyphus.modules.cleanup_settings import CleanupSettings, Operation
from sisyphus.modules.fields import Files
from sisyphus.modules.folders import opened, resolved
from sisyphus.modules.output import FULL, full_message, is_of, may_be_marked
from sisyphus.modules.quarantine import NAME, is_folder, place_for
from sisyphus.modules.replacing import replace_file, sweep_after
from sisyphus.modules.task import Task
from sisyphus.modules.transfer import Going, copy_file, move_file


class Cleanup(Module):
    """Checks, deletes, copies, moves and replaces files."""

    Settings: ClassVar[type[ModuleSettings]] = CleanupSettings
    patience: ClassVar[Patience] = Patience.STRICT
    settings: CleanupSettings

    def __init__(self, settings: ModuleSettings) -> None:
        super().__init__(settings)
        self._operations = list(self.settings.operations())
        self._takers: dict[Path, list[int]] = {}
        """Numbers of the operations that take a file away; there may be thousands."""
        for number, operation in enumerate(self._operations):
            if operation.takes_away:
                self._takers.setdefault(operation.path, []).append(number)
        self._originals: dict[Path, Fingerprint | None] = {}
        """What is to be replaced, as it was when the job began."""

    def validate(self, task: Task) -> None:
        """Check that every path is below the roots; what exists is seen when it runs."""
        problems: list[Problem] = []
        for operation in self._operations:
            try:
                _check_places(task, operation)
            except InvalidSettings as error:
                problems += error.problems
        if problems:
            raise InvalidSettings.of(*problems)
        for operation in self._operations:
            if operation.wish is not None:
                original = operation.wish.original
                with suppress(OSError):
                    self._originals.setdefault(original, fingerprint(original))

    def files(self) -> Files:
        """Name what is copied, moved, replaced and deleted.

        What an interrupted attempt has moved to its place need not be made again.
        """
        steps = self._steps(0)
        reads = {path for step in steps for path in step.reads}
        for number, operation in enumerate(self._operations):
            if self._done_before(number, may_be_marked) or _is_between(operation):
                reads.discard(operation.path)
        return Files(
            reads=frozenset(reads),
            writes=frozenset(path for step in steps for path in step.writes),
            deletes=frozenset(path for step in steps for path in step.deletes),
        )

    def plan(self, task: Task) -> list[Step]:
        """Show what is checked, written and deleted."""
        return self._steps(task.settings.quarantine_days)

    def _steps(self, days: float) -> list[Step]:
        return [operation.step(days) for operation in self._operations]

    def run(self, task: Task) -> None:
        """Do everything in order, up to the first failure."""
        for number, operation in enumerate(self._operations):
            # Replacements have a record of their own.
            if operation.wish is None and self._done_before(
                number, lambda path: is_of(path, task.job_id)
            ):
                done = f"{operation.verb} {operation.path}"
                task.log(f"{done}: done by an earlier attempt")
            else:
                self._do(task, number)
            task.progress(100 * (number + 1) / len(self._operations))
        originals = [op.wish.original for op in self._operations if op.wish is not None]
        sweep_after(task, originals)

    def _do(self, task: Task, number: int) -> None:
        operation = self._operations[number]

        def going(share: float) -> None:
            task.control.raise_if_stopping()
            task.progress(100 * (number + share) / len(self._operations))

        # Links may have changed since validate.
        _check_places(task, operation)
        try:
            self._carry_out(task, operation, going)
        except OSError as error:
            if error.errno in FULL:
                folder = (operation.target or operation.path).parent
                raise TaskFailed(full_message(folder)) from error
            reason = error.strerror or str(error)
            message = f"{operation.verb} {operation.path}: {reason}"
            raise TaskFailed(message) from error

    def _carry_out(self, task: Task, operation: Operation, going: Going) -> None:
        path, target = operation.path, operation.target
        if operation.wish is not None:
            was = self._originals.get(operation.wish.original)
            replace_file(task, operation.wish, was, going)
        elif operation.verb == "verify_exists":
            if not path.exists():
                raise TaskFailed(f"{path} does not exist")
        elif target is None:
            _delete(task, path, folders=operation.verb == "delete")
        elif operation.verb == "move":
            move_file(task, path, target, going)
            task.log(f"moved {path} to {target}")
        else:
            copy_file(task, path, target, going)
            task.log(f"copied {path} to {target}")

    def _done_before(self, number: int, made: Callable[[Path], bool]) -> bool:
        """Tell whether an earlier attempt has done an operation already.

        Its file is gone, one of the operations from here on takes it away, and where it
        or its copy should be lies a file that the job has ``made``.
        """
        operation = self._operations[number]
        if os.path.lexists(operation.path):
            return False
        takers = self._takers.get(operation.path, [])
        if not takers or takers[-1] < number:
            return False
        if operation.verb == "verify_exists":
            later = (
                self._operations[taker].target for taker in takers if taker > number
            )
            return any(target and made(target) for target in later)
        return bool(operation.target and made(operation.target))


def _is_between(operation: Operation) -> bool:
    """Tell whether a replacement was interrupted when neither file had a name."""
    if operation.wish is None:
        return False
    names = (operation.path, operation.wish.original)
    return not any(map(os.path.lexists, names))


def _check_places(task: Task, operation: Operation) -> None:
    """Check where all names of an operation lie."""
    path, wish, field = operation.path, operation.wish, operation.field
    if wish is not None:
        _check_name(task, path, f"{field}.with")
        _check_name(task, wish.original, f"{field}.original")
        _check_name(task, wish.final, f"{field}.original")
        _check_quarantine(task, wish.original, f"{field}.original")
        return
    if operation.takes_away:
        _check_name(task, path, field)
    if operation.verb in ("verify_exists", "copy", "move"):
        task.check_path(path, field)
    if operation.target is not None:
        _check_name(task, operation.target, field)


def _check_name(task: Task, path: Path, field: str) -> None:
    """Check where a name lies, not where it leads: the link itself is what changes."""
    real = resolved(path)
    if NAME in real.parts:
        _refuse(
            task, path, field, "is in a quarantine: `sisyphus undo` puts files back"
        )
    beside = real
    if real.is_symlink():
        # The roots would follow it; a name beside it lies in the same folder.
        beside = real.with_name(f"{real.name}.")
    task.check_path(beside, field)
    if str(real) in map(os.path.realpath, task.settings.roots):
        _refuse(task, path, field, "is a root of this worker itself")


def _check_quarantine(task: Task, original: Path, field: str) -> None:
    """Refuse early, not after hours of encoding, if nothing could be kept."""
    if not original.parent.is_dir():
        _refuse(task, original, field, "is in a folder that does not exist")
    place = place_for(task.settings.roots, original)
    folder = place / NAME if os.path.lexists(place / NAME) else place
    if not (is_folder(folder) and os.access(folder, os.W_OK | os.X_OK)):
        expected = (
            f"could not be kept: {folder} must be a folder that this worker may write"
        )
        _refuse(task, original, field, expected)


def _refuse(task: Task, path: Path, field: str, expected: str) -> None:
    raise InvalidSettings.of(Problem(task.field(field), str(path), expected))


def _delete(task: Task, path: Path, *, folders: bool) -> None:
    task.confirm()
    try:
        with opened(task.settings.roots, path.parent) as folder:
            facts = os.stat(path.name, dir_fd=folder, follow_symlinks=False)
            if not stat.S_ISDIR(facts.st_mode):
                os.unlink(path.name, dir_fd=folder)
            elif folders:
                os.rmdir(path.name, dir_fd=folder)
            else:
                raise TaskFailed(f"{path} is a folder: delete_files deletes only files")
    except FileNotFoundError:
        task.log(f"{path} was not there")
    else:
        task.log(f"deleted {path}")
