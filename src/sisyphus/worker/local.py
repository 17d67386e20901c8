"""One job without any server: what it would do, and doing it, in this very process.

For ``sisyphus check`` and ``sisyphus run``. The job is run by the same runner as in a
worker; only that nobody else is there to be told.
"""

from __future__ import annotations

import logging
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sisyphus.errors import (
    InvalidJob,
    InvalidSettings,
    JobError,
    Problem,
    UnknownModule,
)
from sisyphus.job import Job, parse_job
from sisyphus.lifecycle import JobState
from sisyphus.modules.base import Module, Step
from sisyphus.modules.control import Control, StopReason
from sisyphus.modules.registry import Registry
from sisyphus.modules.task import Surroundings, Task
from sisyphus.modules.tool import Tools
from sisyphus.settings import Settings
from sisyphus.store.replies import Lease, Taken
from sisyphus.store.store import Store
from sisyphus.worker.board import Activity, Board, Doing, boot_ms
from sisyphus.worker.runner import Runner

WATCH_SECONDS = 0.2
TOKEN = 1

Stored = Callable[[str, str], dict[str, Any] | None]
"""Module, name: a stored profile or option set."""
OnLine = Callable[[str, str, str], None]
"""Task, level, text: a line of the job's log."""


# What a job would do


@dataclass(slots=True)
class TaskPlan:
    """What one task would do, and all that is wrong with it."""

    module: str
    steps: Sequence[Step] = ()
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass(slots=True)
class JobPlan:
    """What a job would do, and all that is wrong with it."""

    job: Job | None
    tasks: list[TaskPlan] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    """Of the document itself."""

    @property
    def all_problems(self) -> list[Problem]:
        """Everything that is wrong, of the document and of its tasks."""
        return [*self.problems, *(p for task in self.tasks for p in task.problems)]


def plan_job(
    raw: bytes | str, settings: Settings, registry: Registry, stored: Stored
) -> JobPlan:
    """Check a job as a worker would, and ask its modules what they would do.

    Goes on after a problem: all of them are found at once.
    """
    try:
        job = parse_job(raw)
    except InvalidJob as error:
        return JobPlan(None, problems=list(error.problems))
    plan, made = JobPlan(job), set[Path]()
    tools = Tools.of(settings)
    for index, spec in enumerate(job.tasks):
        task_plan = TaskPlan(spec.module)
        plan.tasks.append(task_plan)
        prefix = f"tasks[{index}].{spec.module}"
        with _problems_into(task_plan, prefix):
            module = registry.build(spec.module, spec.data, f"tasks[{index}]")
            around = Surroundings(
                settings=settings,
                tools=tools,
                control=Control(),
                on_progress=lambda progress: None,
                on_log=_warnings_into(task_plan),
                confirm=lambda: None,
                stored=stored,
            )
            with Task(
                around,
                job_id=job.job_id,
                job_title=job.job_title,
                token=TOKEN,
                index=index,
                module=module,
                made_before=frozenset(made),
            ) as task:
                _plan_task(task_plan, module, task, prefix)
            made |= module.files().writes
    return plan


def _plan_task(plan: TaskPlan, module: Module, task: Task, prefix: str) -> None:
    with _problems_into(plan, prefix):
        module.validate(task)
    trial = TaskPlan(plan.module)
    with _problems_into(trial, prefix):
        plan.steps = list(module.plan(task))
    # What validate has found would only be said twice.
    plan.problems += [p for p in trial.problems if p not in plan.problems]


def _warnings_into(plan: TaskPlan) -> Callable[[str, str], None]:
    def take(level: str, text: str) -> None:
        if level != "info" and text not in plan.warnings:
            plan.warnings.append(text)

    return take


@contextmanager
def _problems_into(plan: TaskPlan, prefix: str) -> Iterator[None]:
    """Keep what is raised inside as problems of a task."""
    try:
        yield
    except (InvalidSettings, UnknownModule) as error:
        plan.problems += error.problems
    except JobError as error:
        plan.problems.append(Problem(prefix, plan.module, error.message))
    except Exception as error:  # a module's own mistake is a finding, too
        where = traceback.extract_tb(error.__traceback__)[-1]
        said = (
            f"raised {type(error).__name__}: {error} ({where.filename}:{where.lineno})"
        )
        plan.problems.append(Problem(prefix, plan.module, said))


# Doing it


@dataclass(frozen=True, slots=True)
class Ended:
    """How a job that ran here ended."""

    state: JobState
    error: dict[str, Any] | None
    result: dict[str, Any] | None


class LocalRun:
    """Runs one job in this process. ``stop`` may be called by a signal handler."""

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        stored: Stored,
        on_line: OnLine,
        on_activity: Callable[[Activity], None],
    ) -> None:
        self._board = Board.create()
        self._store = _Nobody(settings, stored, on_line)
        self._on_activity = on_activity
        self._over = threading.Event()
        self._runner = Runner(
            self._store, registry, settings, self._board, None, {"host": "here"}
        )

    def run(self, raw: bytes) -> Ended:
        """Run the job to its end."""
        lease = Lease("local", _id_of(raw), TOKEN)
        watching = threading.Thread(target=self._watch, name="watch", daemon=True)
        watching.start()
        quiet = logging.getLogger("sisyphus.worker.runner")
        before = quiet.level
        quiet.setLevel(logging.CRITICAL)  # the caller says how it ended
        try:
            settlement = self._runner.run(Taken(lease, raw, 1, 0, 0, ""))
        finally:
            quiet.setLevel(before)
            self._over.set()
            watching.join()
            self._board.close()
        state = _STATES.get(settlement.script.name, JobState.FAILED)
        return Ended(state, self._store.error, self._store.result)

    def stop(self, number: int = signal.SIGINT, frame: object = None) -> None:
        """Stop the job; the second time its tools are killed at once."""
        control = self._runner.control
        control.stop(StopReason.LOST if control.stopping else StopReason.CANCEL)

    def _watch(self) -> None:
        """Do what a supervisor does: look at the clocks, tell what goes on."""
        while not self._over.wait(WATCH_SECONDS):
            now = self._board.read()
            if now is None or now.doing is not Doing.BUSY:
                continue
            moment = boot_ms()
            if 0 < now.deadline_ms < moment:
                self._runner.control.stop(StopReason.TIMEOUT)
            elif now.stall_ms and now.moved_ms + now.stall_ms < moment:
                self._runner.control.stop(StopReason.STALLED)
            self._on_activity(now)


_STATES = {
    "complete": JobState.COMPLETED,
    "stop": JobState.CANCELLED,
    "release": JobState.CANCELLED,
}


def _id_of(raw: bytes) -> str:
    try:
        return parse_job(raw).job_id
    except InvalidJob:
        return "job"


class _Nobody(Store):
    """Stands where the store is: remembers how the job ended, connects to nothing."""

    def __init__(self, settings: Settings, stored: Stored, on_line: OnLine) -> None:
        super().__init__(settings)
        self._stored = stored
        self._on_line = on_line
        self.error: dict[str, Any] | None = None
        self.result: dict[str, Any] | None = None

    def complete(self, lease: Lease, result: Any) -> Any:
        self.result = result
        return super().complete(lease, result)

    def retry(self, lease: Lease, error: Any, entry: Any, delay: float) -> Any:
        return self.fail(lease, error, entry)

    def fail(self, lease: Lease, error: Any, entry: Any) -> Any:
        self.error = error
        return super().fail(lease, error, entry)

    def checkpoint(self, lease: Lease, checkpoint: str) -> None:
        """Nobody would go on with the job."""

    def confirm(self, lease: Lease) -> None:
        """Nobody else can have the job."""

    def log(self, lease: Lease, lines: Sequence[tuple[int, str, str, str]]) -> bool:
        for _, task, level, text in lines:
            self._on_line(task, level, text)
        return True

    def get_data(self, module: str, name: str) -> dict[str, Any] | None:
        return self._stored(module, name)
