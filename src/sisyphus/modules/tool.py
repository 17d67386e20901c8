"""Running a tool so that nothing of it is left behind, and finding it."""

from __future__ import annotations

import importlib
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from sisyphus.errors import TaskFailed, ToolFailed, ToolMissing
from sisyphus.limits import Limits, clear_group
from sisyphus.modules.base import Patience
from sisyphus.modules.control import Control, StopReason
from sisyphus.modules.environment import tool_environment
from sisyphus.modules.leftovers import MARK, kill_leftovers
from sisyphus.modules.tool_failure import failure_of
from sisyphus.settings import Settings

OnLine = Callable[[str], bool | None]
"""Gets one line; returns true if nobody else needs to see it."""

TAIL_LINES = 40
LINE_CHARACTERS = 4096
"""Longer lines are cut."""

_LINE_BYTES = 4 * LINE_CHARACTERS
_CHUNK = 64 * 1024
_DRAIN_SECONDS = 1.0
# Imported, not run as a script, because Python keeps only imports compiled. The folder
# comes last on the path, so that nothing in it hides a library of the same name.
_GUARD = (
    "import sys; sys.path.append(sys.argv[1]); import guard; guard.main(sys.argv[2:])",
    str(Path(__file__).parent),
)
_PACKAGES = {
    "ffmpeg": "ffmpeg (or: pip install 'sisyphus-worker[media]')",
    "ffprobe": "ffmpeg",
    "mkvmerge": "mkvtoolnix",
    "mkvextract": "mkvtoolnix",
    "mkvpropedit": "mkvtoolnix",
    "HandBrakeCLI": "handbrake-cli",
}


NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Deadline:
    """Until when a tool may go on, in memory that the supervisor writes.

    ``fd`` is a file or memfd that the worker process can read; at each offset lie eight
    little-endian bytes: a moment of CLOCK_BOOTTIME in ms, 0 for "no deadline". The
    supervisor moves it forward while it knows that the job is still ours.
    """

    fd: int
    strict: int
    patient: int

    def offset(self, patience: Patience) -> int:
        """Tell where this patience's deadline lies."""
        return self.patient if patience is Patience.PATIENT else self.strict


@dataclass(frozen=True, slots=True)
class ToolResult:
    """How a tool ended, and what it took.

    ``exit_code`` is negative for a signal. ``tail`` holds the last lines that nobody
    consumed. ``cpu_seconds`` is of the whole tree, ``peak_bytes`` of its largest
    process.
    """

    argv: tuple[str, ...]
    exit_code: int
    tail: tuple[str, ...]
    cpu_seconds: float
    peak_bytes: int
    wall_seconds: float


def run_tool(
    argv: Sequence[str],
    *,
    control: Control,
    grace: float = 10.0,
    on_line: OnLine | None = None,
    on_stderr_line: OnLine | None = None,
    on_result: Callable[[ToolResult], None] | None = None,
    cwd: Path | None = None,
    env_extra: Mapping[str, str] | None = None,
    deadline: tuple[int, int] | None = None,
    stop_signal: signal.Signals = signal.SIGTERM,
    ok: Sequence[int] = (0,),
    limits: Limits = NO_LIMITS,
) -> ToolResult:
    r"""Run a program under a guard until it and all its descendants are gone.

    ``argv[0]`` is an absolute path. Lines end at ``\n`` or ``\r``; empty ones are left
    out, long ones cut. The callbacks run in the calling thread; ``on_result`` also gets
    the result of a tool that failed or was stopped. ``deadline`` is a file descriptor
    and an offset (see ``Deadline``).

    Raises:
        ToolFailed: the exit status is not in ``ok``, or the guard was killed.
        LimitReached: the tool failed because it wanted more than ``limits`` allow.
        ToolMissing: ``argv[0]``, or the wrapper, cannot be run.
        Stopped: ``control`` said stop, or the deadline passed; all processes are gone.
    """
    control.raise_if_stopping()
    words = list(argv)
    if any("\0" in word for word in words):
        raise TaskFailed(f"an argument of {_name(words)} holds a NUL character")
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    orders = (deadline or (-1, 0), grace, stop_signal)
    environment = tool_environment(env_extra)
    command = [*limits.wrapper, *words]
    started = _started(command, orders, cwd, environment, limits)
    with started as run, control.attach(run):
        run.pump(_keeping(tail, on_line), _keeping(tail, on_stderr_line))
    if run.report is not None:
        result = _result(words, tail, run.report)
        if on_result is not None:
            on_result(result)
        if run.report["reason"] == "deadline":
            control.stop(StopReason.LOST)
    control.raise_if_stopping()
    if run.report is None:
        raise ToolFailed(
            f"the guard of {_name(words)} was killed, and {_name(words)} with it",
            argv=words,
            exit_code=None,
            tail=list(tail),
        )
    if run.report["errno"]:
        reason = os.strerror(run.report["errno"])
        raise ToolMissing(f"{command[0]} cannot be run: {reason}")
    if result.exit_code not in ok:
        short = run.report["out_of_memory"]
        raise failure_of(words, result.exit_code, result.tail, limits, short)
    return result


def _keeping(tail: deque[str], on_line: OnLine | None) -> OnLine:
    def take(line: str) -> None:
        if on_line is None or not on_line(line):
            tail.append(line)

    return take


def _name(argv: Sequence[str]) -> str:
    return Path(argv[0]).name


def _result(
    argv: Sequence[str], tail: Sequence[str], report: Mapping[str, Any]
) -> ToolResult:
    return ToolResult(
        tuple(argv),
        report["exit"],
        tuple(tail),
        report["cpu"],
        report["peak"],
        report["wall"],
    )


@contextmanager
def _started(
    argv: list[str],
    orders: tuple[tuple[int, int], float, int],
    cwd: Path | None,
    environment: Mapping[str, str],
    limits: Limits,
) -> Iterator[_Run]:
    """Start guard and tool; when the block ends, however it ends, both are gone."""
    (deadline_fd, offset), grace, stop_signal = orders
    life, life_writer = os.pipe()
    report, report_writer = os.pipe()
    mark = uuid.uuid4().hex
    numbers = (life, report_writer, deadline_fd, offset, int(grace * 1000), stop_signal)
    try:
        guard = subprocess.Popen(
            [
                sys.executable,
                "-I",
                "-S",
                "-c",
                *_GUARD,
                *map(str, map(int, numbers)),
                limits.for_guard(mark),
                *argv,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd=cwd,
            env={**environment, MARK: mark},
            pass_fds=[fd for fd in (life, report_writer, deadline_fd) if fd >= 0],
            start_new_session=True,
        )
    except OSError as error:
        os.close(life_writer)
        os.close(report)
        message = f"{_name(argv)} cannot be started: {error}"
        raise ToolFailed(message, argv=argv, exit_code=None, tail=[]) from error
    finally:
        os.close(life)
        os.close(report_writer)
    run = _Run(guard, life_writer, report, mark)
    try:
        yield run
    finally:
        run.close()


class _Run:
    """One tool under its guard, as the worker process sees them."""

    def __init__(
        self, guard: subprocess.Popen[bytes], life: int, report: int, mark: str
    ) -> None:
        self.report: dict[str, Any] | None = None
        self._guard = guard
        self._life = life
        self._report = report
        self._mark = mark
        self._said = b""

    def stop(self) -> None:
        self._order(b"T")

    def kill(self) -> None:
        self._order(b"K")

    def pause(self) -> None:
        self._order(b"P")

    def resume(self) -> None:
        self._order(b"C")

    def _order(self, order: bytes) -> None:
        with suppress(BrokenPipeError):  # the guard has just ended
            os.write(self._life, order)

    def pump(self, on_line: OnLine, on_stderr_line: OnLine) -> None:
        """Pass on all that the tool prints, until its guard has reported."""
        assert self._guard.stdout is not None and self._guard.stderr is not None
        streams = {
            self._guard.stdout.fileno(): Lines(on_line),
            self._guard.stderr.fileno(): Lines(on_stderr_line),
        }
        reported = False
        with selectors.DefaultSelector() as ready:
            for fd in (*streams, self._report):
                ready.register(fd, selectors.EVENT_READ)
            while ready.get_map():
                # After the report nobody is left who could write, unless a process
                # could not be reached: then its pipe must not keep us.
                events = ready.select(_DRAIN_SECONDS if reported else None)
                if reported and not events:
                    break
                for key, _ in events:
                    data = os.read(key.fd, _CHUNK)
                    if not data:
                        ready.unregister(key.fd)
                    if key.fd != self._report:
                        streams[key.fd].feed(data)
                    elif not self._hear(data):
                        reported = True

    def _hear(self, data: bytes) -> bool:
        """Take the guard's report; tell whether more may come."""
        self._said += data
        if data:
            return True
        if self._said.endswith(b"\n"):
            self.report = json.loads(self._said)
        else:
            kill_leftovers(self._mark, self._guard.pid)
            clear_group(self._mark)
        return False

    def close(self) -> None:
        """End the tool if it still runs, and wait until everything is gone."""
        os.close(self._life)
        try:
            if self.report is None and self._guard.returncode is None:
                self.pump(_ignore, _ignore)
        finally:
            self._guard.wait()
            for stream in (self._guard.stdout, self._guard.stderr):
                if stream is not None:
                    stream.close()
            os.close(self._report)


def _ignore(line: str) -> bool:
    return True


class Lines:
    """Cuts a stream of bytes into lines of text."""

    def __init__(self, on_line: OnLine) -> None:
        self._on_line = on_line
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Pass on the lines that ``data`` completes; no data means the end."""
        first, *others = data.replace(b"\r", b"\n").split(b"\n")
        lines = [self._rest + first, *others]
        self._rest = lines.pop()[:_LINE_BYTES] if data else b""
        for line in filter(None, lines):
            text = line[:_LINE_BYTES].decode("utf-8", "replace")
            self._on_line(text[:LINE_CHARACTERS])


class Tools:
    """Finds tools: setting, then PATH, then (ffmpeg only) a wheel.

    ``paths`` are the settings: name of the tool to path or other name.
    """

    def __init__(self, paths: Mapping[str, str] | None = None) -> None:
        self._paths = dict(paths or {})
        self._found: dict[str, str] = {}

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Take the paths from the worker's settings."""
        names = ("ffmpeg", "ffprobe", "mkvmerge", "mkvextract")
        given = {name: getattr(settings, name) for name in names}
        given["HandBrakeCLI"] = settings.handbrake
        return cls({name: path for name, path in given.items() if path})

    def find(self, name: str) -> str:
        """Give the absolute path of a tool.

        Raises:
            ToolMissing: it is not installed; says what to install.
        """
        if name not in self._found:
            self._found[name] = self._look(name)
        return self._found[name]

    def _look(self, name: str) -> str:
        given = self._paths.get(name)
        found = shutil.which(given or name, path=tool_environment().get("PATH"))
        if found:
            return str(Path(found).absolute())
        if given:
            raise ToolMissing(f"{name} is set to {given}, which is no program")
        if name == "ffmpeg" and (wheel := _ffmpeg_of_the_wheel()):
            return wheel
        package = _PACKAGES.get(Path(name).name)
        hint = f": install {package}" if package else ""
        raise ToolMissing(f"{name} is not installed{hint}")


def _ffmpeg_of_the_wheel() -> str | None:
    try:
        wheel = importlib.import_module("imageio_ffmpeg")
        return str(wheel.get_ffmpeg_exe())
    except (ImportError, RuntimeError):  # not installed; has no ffmpeg for this machine
        return None
