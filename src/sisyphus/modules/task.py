"""What a module's methods get: the task, its worker, and all it may ask of them."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import stat
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

from sisyphus.errors import InvalidSettings, Problem
from sisyphus.limits import Limits
from sisyphus.modules.base import Module, Patience
from sisyphus.modules.chain import Before
from sisyphus.modules.control import Control
from sisyphus.modules.fields import declared_files
from sisyphus.modules.output import exists_already, may_write, publish, safe_name
from sisyphus.modules.roots import Roots
from sisyphus.modules.tool import Deadline, OnLine, ToolResult, Tools, run_tool
from sisyphus.settings import Settings


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the running task is."""

    percent: float | None = None
    frame: int | None = None
    total: int | None = None
    fps: float | None = None
    speed: float | None = None
    eta: float | None = None
    """Seconds."""
    info: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Surroundings:
    """What the worker lends to every task."""

    settings: Settings
    tools: Tools
    control: Control
    on_progress: Callable[[Progress], None]
    on_log: Callable[[str, str], None]
    """Level (``info``, ``warning``, ``error``), one line."""
    confirm: Callable[[], None]
    """Asks the store whether the job is still ours; raises Stopped if not."""
    stored: Callable[[str, str], dict[str, Any] | None]
    """Module, name: a stored profile or option set."""
    deadline: Deadline | None = None


class Task:
    """One task of a running job, as its module sees it.

    Made by the worker, closed by the worker after ``cleanup``. All methods block, and
    belong to the thread that runs the module.
    """

    def __init__(
        self,
        around: Surroundings,
        *,
        job_id: str,
        job_title: str,
        token: int,
        index: int,
        module: Module,
        before: Before | None = None,
    ) -> None:
        self._around = around
        self._module = module
        self._workdir: Path | None = None
        self._last = Progress()
        self.job_id = job_id
        self.job_title = job_title
        self.token = token
        self.index = index
        self.before = before or Before()
        """What earlier tasks of the job have still to do; nothing once this one runs."""
        self.settings = around.settings
        self.control = around.control
        self.tools_run: list[ToolResult] = []
        """Every tool that has run, also those that failed, with what it took."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def module(self) -> str:
        """The name of the module."""
        return self._module.name

    @property
    def made_before(self) -> frozenset[Path]:
        """Files that earlier tasks make, and that are not there yet."""
        return self.before.made

    @property
    def stopping(self) -> bool:
        """Whether the task has been asked to stop; long loops should look and end."""
        return self.control.stopping

    @property
    def workdir(self) -> Path:
        """A private empty folder for temporary files; removed after the task."""
        if self._workdir is None:
            name = f"sisyphus-{safe_name(self.job_id)}-{self.token}-"
            made = tempfile.mkdtemp(prefix=name, dir=self.settings.workdir)
            self._workdir = Path(made)
        return self._workdir

    def close(self) -> None:
        """Remove the task's folder; the worker calls this after ``cleanup``."""
        if self._workdir is not None:
            shutil.rmtree(self._workdir, ignore_errors=True)
            self._workdir = None

    # Telling

    def progress(
        self,
        percent: float | None = None,
        *,
        frame: int | None = None,
        total: int | None = None,
        fps: float | None = None,
        speed: float | None = None,
        eta: float | None = None,
        **info: Any,
    ) -> None:
        """Say how far the task is; ``percent`` is kept in 0..100 and never falls.

        Without ``percent`` the last one stays.
        """
        before = self._last.percent
        if percent is not None:
            percent = max(min(float(percent), 100.0), before or 0.0)
        self._last = Progress(
            before if percent is None else percent, frame, total, fps, speed, eta, info
        )
        self._around.on_progress(self._last)

    def log(self, text: str, level: str = "info") -> None:
        """Write into the job's log, one entry a line."""
        for line in text.splitlines():
            self._around.on_log(level, line)

    # Tools

    def find_tool(self, name: str) -> str:
        """Give the absolute path of a tool.

        Raises:
            ToolMissing: it is not installed; says what to install.
        """
        return self._around.tools.find(name)

    def tool(
        self,
        argv: Sequence[str | int | float | os.PathLike[str]],
        *,
        on_line: OnLine | None = None,
        on_stderr_line: OnLine | None = None,
        ok: Sequence[int] = (0,),
        stop_signal: signal.Signals = signal.SIGTERM,
        grace: float | None = None,
        patience: Patience | None = None,
        cwd: Path | None = None,
    ) -> ToolResult:
        """Run a program and wait until it and all its descendants are gone.

        ``argv[0]`` is a tool's name or an absolute path. What it prints goes into the
        job's log, but for lines for which ``on_line`` (stdout) or ``on_stderr_line``
        returned true. ``grace`` (seconds) and ``patience`` default to the worker's and
        the module's.

        Raises:
            ToolFailed: its exit status is not in ``ok``.
            LimitReached: it wanted more than the worker's limits allow.
            ToolMissing: it is not installed.
            Stopped: the task has been asked to stop; the tool is gone.
        """
        self.control.raise_if_stopping()
        words = [os.fspath(w) if isinstance(w, os.PathLike) else str(w) for w in argv]
        words[0] = self.find_tool(words[0])
        limits = Limits.of(self.settings).found(self.find_tool)
        self.log("$ " + shlex.join([*limits.wrapper, *words]))
        return run_tool(
            words,
            control=self.control,
            grace=self.settings.grace if grace is None else grace,
            on_line=self._logging(on_line),
            on_stderr_line=self._logging(on_stderr_line),
            on_result=self.tools_run.append,
            cwd=cwd,
            # So that what a killed tool leaves in the system's folder goes with ours.
            env_extra={"TMPDIR": str(self.workdir)},
            deadline=self._deadline(patience),
            stop_signal=stop_signal,
            ok=ok,
            limits=limits,
        )

    def _deadline(self, patience: Patience | None) -> tuple[int, int] | None:
        deadline = self._around.deadline
        if deadline is None:
            return None
        return deadline.fd, deadline.offset(patience or self._module.patience)

    def _logging(self, on_line: OnLine | None) -> OnLine:
        def take(line: str) -> bool:
            if on_line is not None and on_line(line):
                return True
            self._around.on_log("info", line)
            return False

        return take

    # Files

    def field(self, name: str) -> str:
        """Name a field of this task's settings as problems do."""
        place = f"tasks[{self.index}].{self.module}"
        return f"{place}.{name}" if name else place

    def check_path(self, path: Path, name: str = "") -> None:
        """Refuse a path outside the worker's roots and the task's ``workdir``.

        Raises:
            InvalidSettings: it leads out of them.
        """
        inside = (self._workdir,) if self._workdir else ()
        if not (inside and Roots(inside).allows(path)):
            Roots(self.settings.roots).check(path, self.field(name))

    def input(self, path: Path, field: str = "") -> None:
        """Check a file right before it is read; ``field`` is the setting's name.

        Raises:
            InvalidSettings: it is missing, no regular file, unreadable, or outside the
                roots.
        """
        self.check_path(path, field)
        try:
            mode = path.stat().st_mode
        except OSError as error:
            self._refuse(field, path, f"cannot be read: {error.strerror}")
        if not stat.S_ISREG(mode):
            self._refuse(field, path, "must be a regular file")
        if not os.access(path, os.R_OK):
            self._refuse(field, path, "may not be read by this worker")

    def output(
        self,
        path: Path,
        *,
        overwrite: bool = False,
        check: Callable[[Path], None] | None = None,
    ) -> AbstractContextManager[Path]:
        """Publish a file whole or not at all: the block writes the path it is given.

        That path lies beside ``path`` and ends like it. After the block the file must
        exist and not be empty, ``check`` may refuse it by raising, and the job must
        still be ours; only then it gets its name.

        Raises:
            OutputRefused: ``path`` exists (without ``overwrite``), or nothing is in the
                file.
            InvalidSettings: ``path`` is outside the roots.
            TaskFailed: the folder is missing, not writable or full.
        """
        self.check_path(path)
        return publish(
            path,
            job_id=self.job_id,
            token=self.token,
            overwrite=overwrite,
            check=check,
            confirm=self.confirm,
        )

    def may_write(self, path: Path, *, overwrite: bool = False) -> bool:
        """Tell whether ``output`` would take ``path`` as it is now.

        True for a new name, with ``overwrite``, and for a file that an earlier attempt
        at this very job has published.
        """
        return overwrite or may_write(path, self.job_id)

    def check_free(self, path: Path, *, overwrite: bool = False) -> None:
        """Refuse a name that ``output`` would refuse, before any work is done.

        Raises:
            OutputRefused: it is taken, and no earlier task takes that file away.
        """
        later = self.before.gone | self.before.made
        if path not in later and not self.may_write(path, overwrite=overwrite):
            raise exists_already(path)

    def check_inputs(self) -> None:
        """Check every declared input; those that earlier tasks make only for the roots.

        Raises:
            InvalidSettings: lists all that is wrong.
        """
        self._check_declared("read")

    def check_outputs(self) -> None:
        """Check that every declared output lies in a writable folder below the roots.

        Raises:
            InvalidSettings: lists all that is wrong.
        """
        self._check_declared("write")

    def check_files(self) -> None:
        """Check every declared input and output, as the two above do.

        Raises:
            InvalidSettings: lists all that is wrong.
        """
        self._check_declared("read", "write")

    def _check_declared(self, *uses: str) -> None:
        problems: list[Problem] = []
        for file in declared_files(self._module.settings):
            if file.use not in uses:
                continue
            try:
                if file.use == "write":
                    self._check_folder(file.path, file.field)
                elif file.path in self.made_before:
                    self.check_path(file.path, file.field)
                elif file.path in self.before.gone:
                    expected = "is deleted or moved away by an earlier task"
                    self._refuse(file.field, file.path, expected)
                else:
                    self.input(file.path, file.field)
            except InvalidSettings as error:
                problems += error.problems
        if problems:
            raise InvalidSettings.of(*problems)

    def _check_folder(self, path: Path, name: str) -> None:
        self.check_path(path, name)
        if path.is_dir():
            self._refuse(name, path, "must be a file, is a folder")
        if not path.parent.is_dir():
            self._refuse(name, path, "is in a folder that does not exist")
        if not os.access(path.parent, os.W_OK | os.X_OK):
            self._refuse(name, path, "is in a folder that this worker may not write")

    def _refuse(self, name: str, value: Any, expected: str) -> NoReturn:
        shown = str(value) if isinstance(value, Path) else value
        raise InvalidSettings.of(Problem(self.field(name), shown, expected))

    # Asking the store

    def stored(self, name: str, field: str = "") -> dict[str, Any]:
        """Fetch a profile or option set of this module that people stored by name.

        Raises:
            InvalidSettings: no such name is stored.
        """
        found = self._around.stored(self.module, name)
        if found is None:
            self._refuse(field, name, f"is not stored for the module {self.module}")
        return found

    def confirm(self) -> None:
        """Make sure that the job is still ours, right before what cannot be undone.

        Raises:
            Stopped: it is not, or the task has been asked to stop.
        """
        self.control.raise_if_stopping()
        self._around.confirm()
