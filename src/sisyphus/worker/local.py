"""One job without any server: what it would do, and doing it, in this very process.

For ``sisyphus check`` and ``sisyphus run``. The job is run by the same runner as in a
worker; only that nobody else is there to be told.
"""

from __future__ import annotations

import logging
import shutil
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from sisyphus.errors import (
    InvalidJob,
    InvalidSettings,
    JobError,
    Problem,
    ToolMissing,
    UnknownModule,
)
from sisyphus.job import Job, parse_job
from sisyphus.lifecycle import JobState
from sisyphus.modules.base import Module, Step
from sisyphus.modules.chain import Chain
from sisyphus.modules.control import Control, StopReason
from sisyphus.modules.fields import Files
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
    plan = JobPlan(job, [TaskPlan(spec.module) for spec in job.tasks])
    modules: list[Module | None] = [None] * len(job.tasks)
    for index, spec in enumerate(job.tasks):
        place = f"tasks[{index}]"
        with _problems_into(plan.tasks[index], f"{place}.{spec.module}"):
            modules[index] = registry.build(spec.module, spec.data, place)
    chain = Chain([_files(module) for module in modules])
    tools = Tools.of(settings)
    for index, (task_plan, module) in enumerate(zip(plan.tasks, modules, strict=True)):
        if module is None:
            continue
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
            before=chain.before,
        ) as task:
            _plan_task(task_plan, module, task)
            chain.follow(module, task, fine=not task_plan.problems)
    return plan


def _files(module: Module | None) -> Files:
    return module.files() if module else Files(frozenset(), frozenset())


def _plan_task(plan: TaskPlan, module: Module, task: Task) -> None:
    prefix = task.field("")
    with _problems_into(plan, prefix):
        module.validate(task)
    trial = TaskPlan(plan.module)
    with _problems_into(trial, prefix):
        plan.steps = [_found(step, task) for step in module.plan(task)]
    # What validate has found would only be said twice.
    plan.problems += [p for p in trial.problems if p not in plan.problems]


def _found(step: Step, task: Task) -> Step:
    """Name the program by its path where a shell would not find it, or another one."""
    if not step.argv:
        return step
    name, *words = map(str, step.argv)
    try:
        path = task.find_tool(name)
    except ToolMissing as error:
        task.log(error.message, "warning")
        return step
    return step if shutil.which(name) == path else replace(step, argv=[path, *words])


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
    # A module's own mistake is a finding, too, and must not end the command.
    except (Exception, SystemExit) as error:
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
        # Whoever runs a job by hand gives it himself: nobody has to sign it.
        settings = settings.model_copy(update={"require_signed": False})
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
