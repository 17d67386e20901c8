"""Running one module without server and worker: for the tests of module authors."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sisyphus.modules.base import Module, Step
from sisyphus.modules.control import Control
from sisyphus.modules.registry import ModuleClass, Registry
from sisyphus.modules.task import Progress, Surroundings, Task
from sisyphus.modules.tool import ToolResult, Tools
from sisyphus.settings import Settings

Stored = Mapping[str, dict[str, Any]]
"""Profiles or option sets by name."""

ANYWHERE = (Path("/"),)


@dataclass
class TaskRun:
    """What a module did; of a failed run, what it did until then.

    Hand one to ``run_module`` to look at it after an error.
    """

    progress: list[Progress] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    tools: list[ToolResult] = field(default_factory=list)

    @property
    def argv(self) -> list[list[str]]:
        """The commands that ran, in order."""
        return [list(tool.argv) for tool in self.tools]


def run_module(
    module: ModuleClass | Path | str,
    data: Mapping[str, Any],
    *,
    roots: Sequence[Path] = ANYWHERE,
    stored: Stored | None = None,
    tools: Mapping[str, Path | str] | None = None,
    settings: Mapping[str, Any] | None = None,
    control: Control | None = None,
    run: TaskRun | None = None,
) -> TaskRun:
    """Validate, run and clean up one task, as a worker does.

    ``module`` is a class, a module file or an installed module's name; ``tools`` puts
    programs in the place of tools, by name; ``settings`` are the worker's, by name.

    Raises:
        JobError: whatever ended the task.
        Stopped: ``control`` said stop.
    """
    done = run or TaskRun()
    worker = _settings(roots, settings)
    built = _build(module, data, worker)
    with _task(built, worker, stored, tools, control, done) as task:
        try:
            built.validate(task)
            try:
                built.run(task)
            finally:
                built.cleanup(task)
        finally:
            done.tools = task.tools_run
    return done


def plan_module(
    module: ModuleClass | Path | str,
    data: Mapping[str, Any],
    *,
    roots: Sequence[Path] = ANYWHERE,
    stored: Stored | None = None,
    tools: Mapping[str, Path | str] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> list[Step]:
    """Give the module's plan for a task; runs nothing.

    Raises:
        JobError: the data is wrong.
    """
    worker = _settings(roots, settings)
    built = _build(module, data, worker)
    with _task(built, worker, stored, tools, None, TaskRun()) as task:
        return built.plan(task)


def fake_tool(folder: Path, name: str, body: str) -> Path:
    """Write a Python program that stands in for a tool.

    ``body`` may use ``os``, ``pathlib``, ``sys`` and ``time``.
    """
    path = folder / name
    imports = "import os, pathlib, sys, time"
    path.write_text(f"#!{sys.executable} -IS\n{imports}\n{body}\n")
    path.chmod(0o755)
    return path


def _build(
    module: ModuleClass | Path | str, data: Mapping[str, Any], settings: Settings
) -> Module:
    if isinstance(module, str):
        registry, name = Registry.load(settings), module
    elif isinstance(module, Path):
        registry, name = Registry({module.stem: module}, settings), module.stem
    else:
        name = module.name or module.__name__.lower()
        registry = Registry({name: module}, settings)
    return registry.build(name, dict(data), "tasks[0]")


def _settings(roots: Sequence[Path], given: Mapping[str, Any] | None) -> Settings:
    # Not Settings(...), which would read this machine's variables and files.
    return Settings.model_construct(roots=tuple(roots), **(given or {}))


def _task(
    module: Module,
    settings: Settings,
    stored: Stored | None,
    tools: Mapping[str, Path | str] | None,
    control: Control | None,
    done: TaskRun,
) -> Task:
    around = Surroundings(
        settings=settings,
        tools=Tools({name: str(path) for name, path in (tools or {}).items()}),
        control=control or Control(),
        on_progress=done.progress.append,
        on_log=lambda level, line: done.log.append(line),
        confirm=lambda: None,
        stored=lambda name, wanted: (stored or {}).get(wanted),
    )
    return Task(
        around, job_id="a-job", job_title="A job", token=1, index=0, module=module
    )
