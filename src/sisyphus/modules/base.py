"""What a module is: the class that its author writes.

A module file has the same four parts in the same order: settings, argv, reading of the
tool's progress, the module.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict

from sisyphus.modules.fields import Files, declared_paths

if TYPE_CHECKING:  # Task's methods take a module's settings: the two name each other
    from sisyphus.modules.identify import Track
    from sisyphus.modules.task import Task


class ModuleSettings(BaseModel):
    """What a task's data must look like; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NoSettings(ModuleSettings):
    """The settings of a module that needs none."""


class Patience(StrEnum):
    """How long a tool may go on while nobody knows whether the job is still ours."""

    STRICT = "strict"
    """Stop before anyone else may start: for what uploads, deletes, writes in place."""
    PATIENT = "patient"
    """Go on through an outage of Redis: for encoders, which write beside the target."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that a task will do: a command, or files it reads, writes, deletes."""

    what: str
    argv: Sequence[str] = ()
    reads: Sequence[Path] = ()
    writes: Sequence[Path] = ()
    deletes: Sequence[Path] = ()


class Module:
    """One kind of task. Subclass it, name its settings, write ``run``.

    ``settings`` holds the task's data, checked. Methods are plain blocking code; they
    end by returning or by raising a ``JobError``.
    """

    Settings: ClassVar[type[ModuleSettings]] = NoSettings
    patience: ClassVar[Patience] = Patience.STRICT
    reports_progress: ClassVar[bool] = False
    """Whether silence for ``stall_timeout`` seconds means that the task hangs."""
    may_allow: ClassVar[frozenset[str]] = frozenset()
    """What is refused in jobs unless the worker's ``allowed_options`` names it; see
    ``Allowed`` in options.py."""

    name: str = ""
    """The name that jobs use; set by the registry."""

    def __init__(self, settings: ModuleSettings) -> None:
        self.settings = settings

    def validate(self, task: Task) -> None:
        """Check what is cheap to check; runs before any task of the job.

        Files that an earlier task of the job makes (``task.made_before``) are not there
        yet. Unless overridden, checks the files that the settings declare.

        Raises:
            InvalidSettings: something in the settings cannot work.
        """
        task.check_files()

    def files(self) -> Files:
        """Name the files that ``run`` will read, write, and delete or move away.

        By these the worker knows what an earlier task of the job will have made, and
        where a job that was interrupted goes on.
        """
        reads, writes = declared_paths(self.settings)
        return Files(frozenset(reads), frozenset(writes))

    def plan(self, task: Task) -> list[Step]:
        """Say what ``run`` will do, from the very code that ``run`` uses."""
        return []

    def foretell(self, task: Task) -> Mapping[Path, Sequence[Track]]:
        """Say which tracks the files will have that ``run`` makes, if that is sure.

        Asked when a later task of the job reads such a file: so that task can be
        checked, and its command shown, before the first one runs. Whatever is raised
        only means that nothing is known.
        """
        return {}

    @classmethod
    def check_stored(cls, document: Mapping[str, Any]) -> None:
        """Check a document that is to be stored by name for tasks of this module.

        Raises:
            InvalidSettings: no task could use it.
        """

    def run(self, task: Task) -> None:
        """Do the task."""
        raise NotImplementedError(f"module {self.name!r} has no run method")

    def cleanup(self, task: Task) -> None:
        """Clear up; runs after ``run``, also when that failed."""
