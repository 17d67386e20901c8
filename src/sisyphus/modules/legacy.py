"""Module classes written for the clients of 2021 and 2023, run as modules of today.

Change the one import line of the file, and drop it into a module folder:

- a class constructed with ``data=`` and ``job_title=`` (2021)::

      from sisyphus.modules.legacy import JobModule, JobValidationError ...

- a class constructed with ``task`` (2023)::

      from sisyphus.modules.legacy import TaskModule, ValidationError, RunError ...

``import JobModule as Base`` keeps whatever name the file uses. Programs that a class
starts by itself run without a guard; ``self.tool(argv)`` runs one under it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from pydantic import ConfigDict

from sisyphus.errors import CleanupFailed, InvalidSettings, TaskFailed
from sisyphus.modules.base import Module, ModuleSettings
from sisyphus.modules.task import Task
from sisyphus.modules.tool import ToolResult


class Error(Exception):
    """What a class of 2023 raises; ``message`` says what is wrong."""

    def __init__(self, message: str = "") -> None:
        self.message = message
        super().__init__(message)


class InitializationError(Error):
    """The constructor cannot work with this task."""


class ValidationError(Error):
    """The task's data is wrong."""


class RunError(Error):
    """The task failed."""


class CleanupError(Error):
    """Clearing up failed; the job fails even after a good run."""


class NetworkError(Error):
    """Something could not be reached."""


class JobModuleError(Exception):
    """What a class of 2021 raises."""

    def __init__(self, message: str = "", module: str = "") -> None:
        self.message = message
        self.module = module
        super().__init__(message)


class JobModuleInitError(JobModuleError):
    """The constructor cannot work with this data."""


class JobValidationError(JobModuleError):
    """The data is wrong."""


class JobConfigurationError(JobModuleError):
    """The data asks for something that does not exist."""


class JobRunFailureError(JobModuleError):
    """The task failed."""


_INVALID = (
    InitializationError,
    ValidationError,
    JobModuleInitError,
    JobValidationError,
    JobConfigurationError,
)


class AttributeDict(dict[str, Any]):
    """A dictionary whose members are attributes, too, on every level."""

    def __getattr__(self, name: str) -> Any:
        try:
            return _attributes(self[name])
        except KeyError:
            raise AttributeError(name) from None


def _attributes(value: Any) -> Any:
    if isinstance(value, dict):
        return AttributeDict(value)
    if isinstance(value, list):
        return [_attributes(item) for item in value]
    return value


class _Legacy:
    """What both interfaces share: the task of today behind them."""

    _behind: ClassVar[Task | None] = None

    def tool(self, argv: list[str], **options: Any) -> ToolResult:
        """Run a program under a guard; see ``Task.tool``."""
        assert self._behind is not None
        return self._behind.tool(argv, **options)


class JobModule(_Legacy):
    """The base class of 2021."""

    module_name = ""

    def __init__(self, data: dict[str, Any], job_title: str) -> None:
        self.data = AttributeDict(data)
        self.job_title = job_title

    def validate(self) -> None:
        """Check the data."""

    def run(self) -> None:
        """Do the task."""

    def set_status(self, *values: Any, **named: Any) -> None:
        """Do nothing: the worker itself says what it is doing."""

    def update_progress(self, progress: dict[str, Any], expiry: int = 10) -> None:
        """Say how far the task is."""
        _tell_progress(self._behind, progress, progress.get("percent_complete"))


class Heartbeat:
    """Where a class of 2023 leaves its progress."""

    def __init__(self, task: Task | None) -> None:
        self._task = task

    def set_data(self, data: dict[str, Any]) -> None:
        """Say how far the task is: ``progress`` in percent, ``info`` for people."""
        info = data.get("info")
        facts = info if isinstance(info, dict) else {"info": info} if info else {}
        _tell_progress(self._task, facts, data.get("progress"))


class TaskModule(_Legacy):
    """The base class of 2023."""

    def __init__(self, task: Any) -> None:
        self.heartbeat = Heartbeat(self._behind)
        self.task = AttributeDict(task)
        self.start_time: float | None = None

    def validate(self) -> None:
        """Check the task's data."""

    def run(self) -> None:
        """Do the task."""
        self.set_start_time()

    def cleanup(self) -> None:
        """Clear up."""

    def set_start_time(self) -> None:
        """Remember when the work began."""
        self.start_time = time.monotonic()

    def get_duration(self) -> float:
        """Give the seconds since the work began; 0 if nobody remembered."""
        return 0.0 if self.start_time is None else time.monotonic() - self.start_time


def _tell_progress(task: Task | None, facts: dict[str, Any], percent: Any) -> None:
    known = {"current_frame": "frame", "total_frames": "total"}
    named = {known[key]: value for key, value in facts.items() if key in known}
    hidden = {*known, "percent_complete", "percent", "frame", "total"}
    rest = {key: value for key, value in facts.items() if key not in hidden}
    assert task is not None
    task.progress(None if percent is None else float(percent), **named, **rest)


class AnySettings(ModuleSettings):
    """Settings that the class checks by itself."""

    model_config = ConfigDict(extra="allow", frozen=True)


def is_legacy(found: Any) -> bool:
    """Tell whether this is a class for one of the older interfaces."""
    return isinstance(found, type) and issubclass(found, (JobModule, TaskModule))


def adapt(found: type[JobModule] | type[TaskModule]) -> type[Module]:
    """Make a module of a class that was written for an older interface."""
    base = _AdaptedJobModule if issubclass(found, JobModule) else _AdaptedTaskModule
    facts = {"written": found, "__doc__": found.__doc__, "__module__": found.__module__}
    return type(found.__name__, (base,), facts)


class _AdaptedJobModule(Module):
    """Runs a class of 2021: all of it when the task's turn comes, as it was then."""

    Settings = AnySettings
    written: ClassVar[type[JobModule]]

    def validate(self, task: Task) -> None:
        """Check nothing: the class may ask for files that earlier tasks make."""

    def run(self, task: Task) -> None:
        with _translated():
            behind = type(self.written.__name__, (self.written,), {"_behind": task})
            old = behind(
                data=dict(self.settings.model_extra or {}), job_title=task.job_title
            )
            old.validate()
            old.run()


class _AdaptedTaskModule(Module):
    """Runs a class of 2023: constructed and checked first, then run."""

    Settings = AnySettings
    written: ClassVar[type[TaskModule]]
    _made: TaskModule | None = None

    def validate(self, task: Task) -> None:
        with _translated():
            self._instance(task).validate()

    def run(self, task: Task) -> None:
        with _translated():
            self._instance(task).run()

    def cleanup(self, task: Task) -> None:
        with _translated():
            self._instance(task).cleanup()

    def _instance(self, task: Task) -> TaskModule:
        if self._made is None:
            data = {"module": self.name, "data": dict(self.settings.model_extra or {})}
            behind = type(self.written.__name__, (self.written,), {"_behind": task})
            self._made = behind(AttributeDict(data))
        # The worker may hand each phase a task object of its own.
        type(self._made)._behind = task
        self._made.heartbeat = Heartbeat(task)
        return self._made


@contextmanager
def _translated() -> Iterator[None]:
    """Turn the errors of the older interfaces into those of today."""
    try:
        yield
    except _INVALID as error:
        raise InvalidSettings(error.message) from error
    except CleanupError as error:
        raise CleanupFailed(error.message) from error
    except (Error, JobModuleError) as error:
        raise TaskFailed(error.message) from error
