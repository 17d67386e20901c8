"""The module ``cleanup``: check, delete, copy and move files when the work is done.

Operations run in the order of the keys in the data, entries in list order; the first
failure ends the task. Nothing outside the roots is touched, no folder that holds
anything is deleted, and a source goes only after its copy has been compared with it.
"""

from __future__ import annotations

import errno
import filecmp
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    TypeAdapter,
    WrapValidator,
    model_validator,
)

from sisyphus.errors import InvalidSettings, Problem, Stopped, TaskFailed
from sisyphus.modules.base import Module, ModuleSettings, Patience, Step
from sisyphus.modules.fields import Files, InputFile, OutputFile
from sisyphus.modules.task import Task

_CHUNK = 4 * 1024 * 1024
_INPUT: TypeAdapter[Path] = TypeAdapter(InputFile)


def _as_path(value: Any, _: Any) -> Path:
    return _INPUT.validate_python(value)


# Not an InputFile, which must be there when the job starts: an earlier operation of this
# very task may make the file, and a missing file is nothing wrong for "delete".
AnyFile = Annotated[
    Path, WrapValidator(_as_path), Field(json_schema_extra={"format": "path"})
]


class Transfer(ModuleSettings):
    """One file to copy or move."""

    source: AnyFile = Field(description="The file.")
    destination: OutputFile = Field(
        description="Its new path, or a folder that receives it under its name."
    )


class CleanupSettings(ModuleSettings):
    """What to do, in the order of the keys."""

    verify_exists: tuple[AnyFile, ...] = Field(
        (), description="Files that must be there."
    )
    delete_files: tuple[AnyFile, ...] = Field(
        (), description="Files to delete; missing ones are fine, folders are not."
    )
    copy_files: tuple[Transfer, ...] = Field((), description="The same as copy.")
    delete: tuple[AnyFile, ...] = Field(
        (), description="Files and empty folders to delete; missing ones are fine."
    )
    # "copy" is a method of every pydantic model.
    copies: tuple[Transfer, ...] = Field(
        (), alias="copy", description="Files to copy, with times and permissions."
    )
    move: tuple[Transfer, ...] = Field((), description="Files to move.")

    _order: tuple[str, ...] = PrivateAttr(())

    @model_validator(mode="wrap")
    @classmethod
    def _keep_order(cls, data: Any, build: ModelWrapValidatorHandler[Self]) -> Self:
        if isinstance(data, dict) and not data:
            raise ValueError("needs at least one operation")
        made = build(data)
        if isinstance(data, dict):
            made._order = tuple(data)
        return made

    def operations(self) -> Iterator[Operation]:
        """List what is to be done, in order."""
        for key in self._order:
            entries = getattr(self, "copies" if key == "copy" else key)
            for number, entry in enumerate(entries):
                field = f"{key}[{number}]"
                if isinstance(entry, Transfer):
                    verb = "move" if key == "move" else "copy"
                    yield Operation(verb, field, entry.source, entry.destination)
                else:
                    yield Operation(key, field, entry)


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing to do with one file."""

    verb: str
    """``verify_exists``, ``delete_files``, ``delete``, ``copy`` or ``move``."""
    field: str
    path: Path
    destination: Path | None = None

    @property
    def target(self) -> Path:
        """Where a copied or moved file ends up."""
        given = self.destination or self.path
        return given / self.path.name if given.is_dir() else given


class Cleanup(Module):
    """Checks, deletes, copies and moves files."""

    Settings: ClassVar[type[ModuleSettings]] = CleanupSettings
    patience: ClassVar[Patience] = Patience.STRICT
    settings: CleanupSettings

    def validate(self, task: Task) -> None:
        """Check that every path is below the roots; what exists is seen when it runs."""
        problems: list[Problem] = []
        for operation in self.settings.operations():
            try:
                _check_roots(task, operation)
            except InvalidSettings as error:
                problems += error.problems
        if problems:
            raise InvalidSettings.of(*problems)

    def files(self) -> Files:
        """Name what is copied, moved and deleted."""
        steps = list(map(_step, self.settings.operations()))
        return Files(
            reads=frozenset(path for step in steps for path in step.reads),
            writes=frozenset(path for step in steps for path in step.writes),
            deletes=frozenset(path for step in steps for path in step.deletes),
        )

    def plan(self, task: Task) -> list[Step]:
        """Show what is checked, written and deleted."""
        return [_step(operation) for operation in self.settings.operations()]

    def run(self, task: Task) -> None:
        """Do everything in order, up to the first failure."""
        operations = list(self.settings.operations())
        for number, operation in enumerate(operations):
            # Links may have changed since validate.
            _check_roots(task, operation)
            try:
                _do(task, operation)
            except OSError as error:
                reason = error.strerror or str(error)
                message = f"{operation.verb} {operation.path}: {reason}"
                raise TaskFailed(message) from error
            task.progress(100 * (number + 1) / len(operations))


def _step(operation: Operation) -> Step:
    path = operation.path
    match operation.verb:
        case "verify_exists":
            return Step(f"check that {path} exists", reads=(path,))
        case "copy":
            target = operation.target
            return Step(f"copy {path} to {target}", reads=(path,), writes=(target,))
        case "move":
            return Step(
                f"move {path} to {operation.target}",
                reads=(path,),
                writes=(operation.target,),
                deletes=(path,),
            )
        case _:
            return Step(f"delete {path}", deletes=(path,))


def _check_roots(task: Task, operation: Operation) -> None:
    path = operation.path
    if operation.verb in ("delete", "delete_files"):
        _check_name(task, path, operation.field)
        return
    task.check_path(path, operation.field)
    if operation.verb == "move":
        _check_name(task, path, operation.field)
    if operation.destination is not None:
        _check_name(task, operation.target, operation.field)


def _check_name(task: Task, path: Path, field: str) -> None:
    """Check where a name lies, not where it leads: the link itself is what changes."""
    folder = os.path.realpath(path.parent)
    real = Path(folder, path.name)
    if real.is_symlink():
        # The roots would follow it; a name beside it lies in the same folder.
        real = real.with_name(f"{real.name}.")
    task.check_path(real, field)


def _do(task: Task, operation: Operation) -> None:
    path = operation.path
    match operation.verb:
        case "verify_exists":
            if not path.exists():
                raise TaskFailed(f"{path} does not exist")
        case "delete_files":
            _delete(task, path, folders=False)
        case "delete":
            _delete(task, path, folders=True)
        case "copy":
            _check_pair(path, operation.target)
            _copy(task, path, operation.target, compare=False)
            task.log(f"copied {path} to {operation.target}")
        case _:
            _move(task, path, operation.target)


def _delete(task: Task, path: Path, *, folders: bool) -> None:
    task.confirm()
    try:
        if not stat.S_ISDIR(path.lstat().st_mode):
            path.unlink()
        elif folders:
            path.rmdir()
        else:
            raise TaskFailed(f"{path} is a folder: delete_files deletes only files")
    except FileNotFoundError:
        task.log(f"{path} was not there")
    else:
        task.log(f"deleted {path}")


def _check_pair(source: Path, target: Path) -> None:
    if not stat.S_ISREG(source.stat().st_mode):
        raise TaskFailed(f"{source} is not a regular file")
    if target.exists() and source.samefile(target):
        raise TaskFailed(f"{source} and {target} are the same file")
    if target.exists() and not target.is_file():
        raise TaskFailed(f"{target} is not a regular file")


def _move(task: Task, source: Path, target: Path) -> None:
    _check_pair(source, target)
    task.confirm()
    if source.is_symlink() or not _renamed(source, target):
        _copy(task, source, target, compare=True)
        task.confirm()
        source.unlink()
    task.log(f"moved {source} to {target}")


def _renamed(source: Path, target: Path) -> bool:
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return False
    return True


def _copy(task: Task, source: Path, target: Path, *, compare: bool) -> None:
    """Copy contents, times and permissions; publish only a whole copy."""
    size = source.stat().st_size

    def check(part: Path) -> None:
        found = part.stat().st_size
        if found != size or source.stat().st_size != size:
            raise TaskFailed(f"{source} has {size} bytes, its copy has {found}")
        # Bytes, not the cached answer of an earlier comparison.
        filecmp.clear_cache()
        if compare and not filecmp.cmp(source, part, shallow=False):
            raise TaskFailed(f"the copy of {source} differs from it")

    if size == 0:
        # An output that came out empty is refused, but a copy of nothing is whole.
        task.confirm()
        shutil.copy2(source, target)
        return
    with task.output(target, overwrite=True, check=check) as part:
        with source.open("rb") as reading, part.open("xb") as writing:
            while chunk := reading.read(_CHUNK):
                if task.stopping:
                    raise Stopped
                writing.write(chunk)
        shutil.copystat(source, part)
