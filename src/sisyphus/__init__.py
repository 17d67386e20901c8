"""A distributed job worker that loses nothing.

::

    from sisyphus import Client

    with Client("redis://localhost") as client:
        job_id = client.submit({"job_title": "A film", "tasks": [{"ffmpeg": {...}}]})
        print(client.wait(job_id).state)

What is named here is loaded when it is first used, so that ``import sisyphus`` costs
nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # the same names as in __all__, for type checkers
    from sisyphus.client import Client
    from sisyphus.errors import (
        ConfigError,
        InvalidJob,
        InvalidSettings,
        JobError,
        JobNotFound,
        OutputRefused,
        SisyphusError,
        StoreError,
        StoreRefused,
        StoreUnavailable,
        TaskFailed,
        ToolFailed,
        ToolMissing,
        WrongState,
    )
    from sisyphus.lifecycle import JobState
    from sisyphus.modules.base import Module, ModuleSettings, Step
    from sisyphus.modules.fields import InputFile, OutputFile, Seconds
    from sisyphus.modules.task import Task
    from sisyphus.settings import Settings

    __version__: str

__all__ = [
    "Client",
    "ConfigError",
    "InputFile",
    "InvalidJob",
    "InvalidSettings",
    "JobError",
    "JobNotFound",
    "JobState",
    "Module",
    "ModuleSettings",
    "OutputFile",
    "OutputRefused",
    "Seconds",
    "Settings",
    "SisyphusError",
    "Step",
    "StoreError",
    "StoreRefused",
    "StoreUnavailable",
    "Task",
    "TaskFailed",
    "ToolFailed",
    "ToolMissing",
    "WrongState",
    "__version__",
]

_HOMES = {
    "Client": "client",
    "InputFile": "modules.fields",
    "JobState": "lifecycle",
    "Module": "modules.base",
    "ModuleSettings": "modules.base",
    "OutputFile": "modules.fields",
    "Seconds": "modules.fields",
    "Settings": "settings",
    "Step": "modules.base",
    "Task": "modules.task",
}
"""The file each name lives in; the names that are not listed live in ``errors``."""


if not TYPE_CHECKING:  # or a type checker would take every name for known

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        if name == "__version__":
            value = import_module("importlib.metadata").version("sisyphus-worker")
        else:
            home = _HOMES.get(name, "errors")
            value = getattr(import_module(f"{__name__}.{home}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
