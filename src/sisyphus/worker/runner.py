"""The life of one job in a worker, from the raw document to how it ended. Read this first.

taken -> checked -> task after task, each recorded -> completed
|            |
+------------+--> failed, or tried again later
+--> stopped: cancelled, or handed back
"""

from __future__ import annotations

import json
import logging
import math
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from sisyphus import signatures
from sisyphus.errors import (
    CleanupFailed,
    JobError,
    ModuleBroken,
    NotSigned,
    Stopped,
    TaskStalled,
    TaskTimeout,
)
from sisyphus.job import Job, TaskSpec, parse_job
from sisyphus.modules.base import Module, Patience
from sisyphus.modules.chain import Before, Chain
from sisyphus.modules.control import Control, StopReason
from sisyphus.modules.fields import Files
from sisyphus.modules.registry import Registry
from sisyphus.modules.task import Progress, Surroundings, Task
from sisyphus.modules.tool import Deadline, Tools
from sisyphus.retries import backoff_seconds
from sisyphus.settings import Settings
from sisyphus.store.replies import Settlement, Taken
from sisyphus.store.store import Store
from sisyphus.worker.board import Activity, Board, Doing, boot_ms
from sisyphus.worker.joblog import JobLog
from sisyphus.worker.patience import insist
from sisyphus.worker.resume import (
    believable,
    fingerprint,
    first_task,
    read_checkpoint,
)

logger = logging.getLogger(__name__)
Value = TypeVar("Value")
_MISTAKES = (Exception, SystemExit)  # libraries call sys.exit, too


class Runner:
    """Carries one job after another through its tasks. Owned by the worker process."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        settings: Settings,
        board: Board,
        deadline: Deadline | None,
        worker: dict[str, str],
    ) -> None:
        self._store = store
        self._registry = registry
        self._settings = settings
        self._board = board
        self._deadline = deadline
        self._worker = worker
        self._tools = Tools.of(settings)
        self._keys = signatures.required_keys(settings)
        self._log = JobLog(store, settings.log_lines)
        self.control = Control()
        """Orders for the job at hand; a new one for each job."""

    def work_in(self, folder: Path | None) -> None:
        """Let tasks have their temporary files in a folder; nothing: wherever they may."""
        if folder is not None:
            self._settings = self._settings.model_copy(update={"workdir": folder})

    def run(self, taken: Taken) -> Settlement:
        """Do one job and say how it ended."""
        attempt = Attempt(taken)
        self.control = Control()
        self._log.begin(taken.lease)
        try:
            if self._keys:
                signatures.check(taken.raw, self._keys)
            job = attempt.job = parse_job(taken.raw)
            for index in range(self._check(attempt, job), len(job.tasks)):
                self._run_task(attempt, job, index)
                if index + 1 < len(job.tasks):
                    self._checkpoint(attempt)
            self.control.raise_if_stopping()
            settlement = self._store.complete(
                taken.lease, {"tasks": attempt.checkpoint, **attempt.took()}
            )
            logger.debug("completed %s", taken.lease.job_id)
        except Stopped as stopped:
            settlement = self._stopped(attempt, stopped)
        except JobError as error:
            settlement = self._failed(attempt, error)
        except _MISTAKES as error:  # a module's own must not end the worker
            trace = traceback.format_exc()
            broken = ModuleBroken(f"{type(error).__name__}: {error}", trace)
            settlement = self._failed(attempt, broken)
        for task in attempt.tasks:
            task.close()
        if self._log.waits:
            self._board.write(Activity(doing=Doing.SETTLING))
            self._log.flush()
        return settlement

    # Checked: everything that is still to do, before the first task starts

    def _check(self, attempt: Attempt, job: Job) -> int:
        """Check the job; gives the number of the task to start at."""
        modules = attempt.modules = [
            self._registry.build(spec.module, spec.data, f"tasks[{index}]")
            for index, spec in enumerate(job.tasks)
        ]
        attempt.files = [module.files() for module in modules]
        self._show(attempt, job, 0)
        start = self._start_at(attempt, job)
        chain = Chain(attempt.files)
        for index, module in enumerate(modules):
            task = self._task(attempt, job, index, module, chain.before)
            attempt.tasks.append(task)
            if index >= start:  # what is done may have taken its sources away
                attempt.index = index
                module.validate(task)
                chain.follow(module, task)
        return start

    def _start_at(self, attempt: Attempt, job: Job) -> int:
        if not attempt.checkpoint or not job.resume:
            attempt.checkpoint = []
            return 0
        if self._keys:
            attempt.checkpoint = []
            said = "starts at the first task: nobody has signed what was done before"
            self._log.add("", "info", said)
            return 0
        names = [spec.module for spec in job.tasks]
        attempt.checkpoint = believable(attempt.checkpoint, names)
        start = first_task(attempt.checkpoint, attempt.files)
        attempt.checkpoint = attempt.checkpoint[:start]
        if start:
            said = f"tasks 1 to {start} were done before and are not run again"
            self._log.add("", "info", said)
        return start

    # Tasks run in order; each finished one is recorded

    def _run_task(self, attempt: Attempt, job: Job, index: int) -> None:
        self.control.raise_if_stopping()
        spec, module, task = (
            job.tasks[index],
            attempt.modules[index],
            attempt.tasks[index],
        )
        attempt.index, began = index, time.monotonic()
        if index > 0:
            self._show(attempt, job, index)
            # What an earlier task should have made must be there now.
            task.before = Before()
            module.validate(task)
        try:
            module.run(task)
        except BaseException:
            self._clean_up(module, task, after_failure=True)
            raise
        self._clean_up(module, task, after_failure=False)
        task.close()
        tools = task.tools_run
        entry: dict[str, Any] = {"task": index + 1, "module": spec.module}
        entry["seconds"] = round(time.monotonic() - began, 3)
        found = map(fingerprint, sorted(attempt.files[index].writes))
        if outputs := [facts for facts in found if facts is not None]:
            entry["outputs"] = outputs
        if tools:
            entry["tools"] = [
                {
                    "argv": list(result.argv),
                    "exit_code": result.exit_code,
                    "cpu_seconds": round(result.cpu_seconds, 3),
                    "peak_bytes": result.peak_bytes,
                    "wall_seconds": round(result.wall_seconds, 3),
                }
                for result in tools
            ]
        attempt.checkpoint.append(entry)

    def _clean_up(self, module: Module, task: Task, *, after_failure: bool) -> None:
        try:
            module.cleanup(task)
        except _MISTAKES as error:
            if not after_failure:
                raise CleanupFailed(f"{type(error).__name__}: {error}") from error
            task.log(f"cleanup failed as well: {error}", "warning")

    def _checkpoint(self, attempt: Attempt) -> None:
        text = attempt.checkpoint_text()
        lease = attempt.taken.lease
        self._insist(lambda: self._store.checkpoint(lease, text))

    def _insist(self, call: Callable[[], Value]) -> Value:
        """Repeat a call until Redis answers; give up when the job is to stop."""
        return insist(call, self.control.raise_if_stopping)

    # How it ended

    def _stopped(self, attempt: Attempt, stopped: Stopped) -> Settlement:
        reason = self.control.reason or _heard_from_the_store(stopped)
        lease = attempt.taken.lease
        match reason:
            case StopReason.TIMEOUT:
                return self._failed(attempt, TaskTimeout(attempt.limit_said))
            case StopReason.STALLED:
                said = f"no progress for {attempt.stall:g} s"
                return self._failed(attempt, TaskStalled(said))
            case StopReason.CANCEL:
                logger.info("stopped %s: cancelled", lease.job_id)
                return self._store.stop(lease, self._entry(attempt, "cancelled"))
            case _:
                # What was stopped is always told, even when the job seems lost: the
                # store may still count it as ours.
                logger.info("released %s: %s", lease.job_id, reason)
                entry = self._entry(attempt, "released", cause=reason.value)
                return self._store.release(lease, entry)

    def _failed(self, attempt: Attempt, error: JobError) -> Settlement:
        job, taken = attempt.job, attempt.taken
        facts = error.facts()
        if job is not None and attempt.index is not None:
            facts["task"] = attempt.index + 1
            facts["module"] = job.tasks[attempt.index].module
        entry = self._entry(attempt, "failed", error=facts)
        place = f"{facts['task']} {facts['module']}" if "task" in facts else ""
        self._log.add(place, "error", f"failed: {error.message}")
        retries = job.retries if job else 0
        if error.retryable and taken.failures < retries:
            delay = backoff_seconds(taken.failures)
            logger.warning(
                "retry %s in %.0f s: %s", taken.lease.job_id, delay, error.message
            )
            return self._store.retry(taken.lease, facts, entry, delay)
        logger.error("failed %s: %s", taken.lease.job_id, error.message)
        return self._store.fail(taken.lease, facts, entry)

    def _entry(self, attempt: Attempt, outcome: str, **more: Any) -> dict[str, Any]:
        number = attempt.taken.attempt
        took = attempt.took()
        return {"attempt": number, "outcome": outcome, **self._worker, **took, **more}

    # What the world sees meanwhile

    def _task(
        self,
        attempt: Attempt,
        job: Job,
        index: int,
        module: Module,
        before: Before,
    ) -> Task:
        lease = attempt.taken.lease
        place = f"{index + 1} {module.name}"
        around = Surroundings(
            settings=self._settings,
            tools=self._tools,
            control=self.control,
            on_progress=lambda progress: self._progress(attempt, progress),
            on_log=lambda level, text: self._log.add(place, level, text),
            confirm=lambda: self._insist(lambda: self._store.confirm(lease)),
            stored=self._stored,
            deadline=self._deadline,
        )
        return Task(
            around,
            job_id=lease.job_id,
            job_title=job.job_title,
            token=lease.token,
            index=index,
            module=module,
            before=before,
        )

    def _stored(self, module: str, name: str) -> dict[str, Any] | None:
        if self._keys:
            raise NotSigned(
                f"{module}: {name!r} is stored in Redis, where nobody has signed it: this"
                " worker takes what stands in the document itself"
            )
        return self._insist(lambda: self._store.get_data(module, name))

    def _show(self, attempt: Attempt, job: Job, index: int) -> None:
        module = attempt.modules[index]
        patient = module.patience is Patience.PATIENT
        self._await_renewal(patient=patient)
        now, lease, spec = boot_ms(), attempt.taken.lease, job.tasks[index]
        attempt.shown = Activity(
            doing=Doing.BUSY,
            patient=patient,
            token=lease.token,
            job_id=lease.job_id,
            job_title=job.job_title,
            module=spec.module,
            task=index + 1,
            tasks=len(job.tasks),
            started_ms=attempt.began_ms,
            deadline_ms=attempt.deadline_ms(now, job, spec),
            stall_ms=attempt.stall_ms(module, spec, self._settings),
            moved_ms=now,
        )
        self._board.write(attempt.shown)

    def _await_renewal(self, *, patient: bool) -> None:
        """Begin no task that would have to stop at once, after a patient one."""
        never = threading.Event()
        while self._board.may_go_on_until(patient=patient) < boot_ms():
            self.control.raise_if_stopping()
            never.wait(0.1)

    def _progress(self, attempt: Attempt, progress: Progress) -> None:
        shown = attempt.shown
        before = (shown.percent, shown.frame)
        shown.percent = _number(progress.percent)
        shown.frame = -1 if progress.frame is None else progress.frame
        shown.total = -1 if progress.total is None else progress.total
        shown.fps, shown.speed = _number(progress.fps), _number(progress.speed)
        shown.eta = _number(progress.eta)
        if (shown.percent, shown.frame) != before:
            shown.moved_ms = boot_ms()
        self._board.write(shown)


class Attempt:
    """What is known of the attempt at hand."""

    def __init__(self, taken: Taken) -> None:
        self.taken = taken
        self.job: Job | None = None
        self.index: int | None = None
        self.modules: list[Module] = []
        self.tasks: list[Task] = []
        self.files: list[Files] = []
        self.checkpoint = read_checkpoint(taken.checkpoint)
        self.shown = Activity()
        self.limit_said = ""
        self.stall = 0.0
        self.began_ms = boot_ms()
        self._started_ms = time.time_ns() // 1_000_000

    def took(self) -> dict[str, int]:
        """When it began and ended, ms since 1970."""
        return {"started_ms": self._started_ms, "ended_ms": time.time_ns() // 1_000_000}

    def checkpoint_text(self) -> str:
        """The finished tasks, as the store keeps them."""
        return json.dumps(self.checkpoint, separators=(",", ":"))

    def deadline_ms(self, now: int, job: Job, spec: TaskSpec) -> int:
        """When the task must be over; 0 for never."""
        limits = []
        if spec.timeout is not None:
            said = f"the task took longer than its timeout of {spec.timeout:g} s"
            limits.append((now + int(spec.timeout * 1000), said))
        if job.timeout is not None:
            said = f"the job took longer than its timeout of {job.timeout:g} s"
            limits.append((self.began_ms + int(job.timeout * 1000), said))
        if not limits:
            return 0
        deadline, self.limit_said = min(limits)
        return deadline

    def stall_ms(self, module: Module, spec: TaskSpec, settings: Settings) -> int:
        """How long the task may be without progress; 0 for as long as it likes."""
        self.stall = 0.0
        if spec.stall_timeout is not None:
            self.stall = spec.stall_timeout
        elif module.reports_progress:
            self.stall = settings.stall_timeout
        return int(self.stall * 1000)


def _heard_from_the_store(stopped: Stopped) -> StopReason:
    return StopReason.CANCEL if str(stopped) == "cancel" else StopReason.LOST


def _number(value: float | None) -> float:
    return math.nan if value is None else value
