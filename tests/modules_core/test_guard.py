"""Whatever dies or hangs, nothing of a tool is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from processes import (
    LONG,
    Background,
    Family,
    SharedDeadline,
    boot_ms,
    kill,
    python,
    shell,
    state,
    wait_until,
)

from sisyphus.errors import Stopped, ToolFailed
from sisyphus.modules.control import Control, StopReason
from sisyphus.modules.tool import run_tool
from waiting import eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")

ESCAPES = f"setsid sleep {LONG} & (setsid sh -c 'sleep {LONG}1 & wait') & "
"""Two grandchildren in sessions of their own, one of them with a child."""

WORKER = """
import sys
from pathlib import Path
from sisyphus.modules.control import Control
from sisyphus.modules.tool import run_tool
mark, deadline, *argv = sys.argv[1:]
at = (int(deadline), 24) if int(deadline) >= 0 else None
run_tool(argv, control=Control(), env_extra={"TEST_MARK": mark}, deadline=at)
"""


def start_worker(
    family: Family, argv: list[str], deadline: int = -1
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, family.mark, str(deadline), *argv],
        pass_fds=[deadline] if deadline >= 0 else [],
    )


def test_nothing_outlives_a_worker_that_was_killed() -> None:
    family = Family()
    worker = start_worker(family, shell(ESCAPES + f"sleep {LONG}2"))
    for command in (f"sleep {LONG}", f"sleep {LONG}1", f"sleep {LONG}2"):
        family.running(command)

    worker.kill()
    worker.wait()

    assert family.gone_within(1)


def test_nothing_outlives_a_guard_that_was_killed() -> None:
    running = Background(shell(ESCAPES + f"sleep {LONG}2"))
    for command in (f"sleep {LONG}", f"sleep {LONG}1", f"sleep {LONG}2"):
        running.family.running(command)

    kill(running.family.guard())

    error = running.ended()
    assert isinstance(error, ToolFailed)
    assert "guard of sh" in str(error)
    assert not running.family.alive()


def test_a_tool_that_forks_away_is_killed_too_when_it_ends() -> None:
    family = Family()

    result = run_tool(
        shell(ESCAPES + "exit 0"), control=Control(), env_extra=family.environment
    )

    assert result.exit_code == 0
    assert not family.alive()


def test_a_tool_that_hops_from_process_to_process_is_killed() -> None:
    # One process at any time, and an end to it: a test must never be able to flood
    # the machine.
    body = """
print("ready", flush=True)
for _ in range(20_000):
    if os.fork():
        os._exit(0)
    os.setsid()
    time.sleep(0.001)
"""
    family = Family()

    # The first process ends at once, so that the guard has to hunt down the others.
    run_tool(python(body), control=Control(), env_extra=family.environment)

    assert not family.alive()


def test_a_tool_past_its_deadline_is_killed() -> None:
    with SharedDeadline(boot_ms() + 300) as deadline:
        running = Background(shell(ESCAPES + f"sleep {LONG}2"), deadline=deadline.at)

        error = running.ended(5)

    assert isinstance(error, Stopped)
    assert running.control.reason is StopReason.LOST
    assert not running.family.alive()


def test_a_deadline_that_moved_forward_keeps_the_tool_alive(tmp_path: Path) -> None:
    first = boot_ms() + 1000
    go = tmp_path / "go"
    with SharedDeadline(first) as deadline:
        running = Background(
            shell(f"until [ -e {go} ]; do sleep 0.02; done"), deadline=deadline.at
        )
        deadline.move(first + 3_600_000)

        wait_until(first + 200)
        alive = running.family.alive()
        go.touch()

        assert running.ended() is None
        assert alive


def test_a_deadline_that_moved_backward_is_seen() -> None:
    with SharedDeadline(boot_ms() + 3_600_000) as deadline:
        running = Background(shell(f"sleep {LONG}"), deadline=deadline.at)
        running.family.running(f"sleep {LONG}")

        deadline.move(1)

        assert isinstance(running.ended(5), Stopped)


def test_a_deadline_holds_for_a_paused_tool() -> None:
    with SharedDeadline(0) as deadline:
        running = Background(shell(f"sleep {LONG} & wait"), deadline=deadline.at)
        tool = running.family.running(f"sleep {LONG}")
        running.control.pause()
        eventually(lambda: state(tool) == "T")

        deadline.move(1)

        assert isinstance(running.ended(5), Stopped)
        assert not running.family.alive()


def test_the_deadline_ends_the_tool_of_a_worker_that_hangs() -> None:
    family = Family()
    with SharedDeadline(0) as deadline:
        worker = start_worker(family, shell(f"sleep {LONG} & wait"), deadline.fd)
        family.running(f"sleep {LONG}")
        worker.send_signal(signal.SIGSTOP)

        deadline.move(boot_ms() + 100)

        assert family.gone_within(5)
        worker.kill()
        worker.wait()


def test_a_tool_that_ignores_the_polite_stop_is_killed_after_the_grace() -> None:
    body = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
while True:
    signal.pause()
"""
    running = Background(python(body), grace=0.3)
    running.has_said("ready")
    asked = boot_ms()

    running.control.stop(StopReason.CANCEL)

    assert isinstance(running.ended(), Stopped)
    assert boot_ms() - asked >= 300
    assert not running.family.alive()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_polite_stop_lets_the_tool_finish_its_file(number: signal.Signals) -> None:
    body = f"""
signal.pthread_sigmask(signal.SIG_BLOCK, [{int(number)}])
print("ready", flush=True)
signal.sigwait([{int(number)}])
print("trailer written", flush=True)
"""
    running = Background(python(body), stop_signal=number, grace=20.0)
    running.has_said("ready")

    running.control.stop(StopReason.DRAIN)

    assert isinstance(running.ended(), Stopped)
    assert running.lines[-1] == "trailer written"


def test_a_job_that_is_lost_is_killed_without_grace() -> None:
    body = (
        "signal.signal(15, signal.SIG_IGN); print('ready', flush=True); time.sleep(300)"
    )
    running = Background(python(body), grace=60.0)
    running.has_said("ready")

    running.control.stop(StopReason.CANCEL)
    running.control.stop(StopReason.LOST)

    assert isinstance(running.ended(5), Stopped)
    assert running.control.reason is StopReason.CANCEL


def test_a_paused_tool_can_be_stopped() -> None:
    running = Background(shell(ESCAPES + f"sleep {LONG}2"))
    pids = [running.family.running(f"sleep {LONG}{end}") for end in ("2", "1", "")]
    running.control.pause()
    eventually(lambda: all(state(pid) == "T" for pid in pids))

    running.control.stop(StopReason.CANCEL)

    assert isinstance(running.ended(5), Stopped)
    assert not running.family.alive()


def test_a_paused_tool_goes_on_where_it_was(tmp_path: Path) -> None:
    go = tmp_path / "go"
    running = Background(shell(f"until [ -e {go} ]; do :; done; exit 0"))
    tool = running.family.running("/bin/sh")
    running.control.pause()
    eventually(lambda: state(tool) == "T")
    go.touch()

    running.control.resume()

    assert running.ended() is None


def test_a_guard_does_not_obey_signals_meant_for_others() -> None:
    running = Background(shell(f"sleep {LONG}"))
    running.family.running(f"sleep {LONG}")
    guard = running.family.guard()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(guard, number)
    running.control.stop(StopReason.CANCEL)

    assert isinstance(running.ended(), Stopped)


def test_an_error_while_reading_lines_ends_the_tool() -> None:
    def fail(line: str) -> None:
        raise ZeroDivisionError(line)

    running = Background(shell(f"echo hello; {ESCAPES} sleep {LONG}"), on_line=fail)

    assert isinstance(running.ended(5), ZeroDivisionError)
    assert not running.family.alive()


def test_the_tool_gets_a_clean_start() -> None:
    lines: list[str] = []
    body = "grep -E '^Sig(Blk|Ign)' /proc/self/status; ls -l /proc/self/fd; cat"

    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    try:
        run_tool(shell(body), control=Control(), on_line=lines.append)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])

    blocked, ignored, *files = lines
    assert int(blocked.split()[1], 16) == 0
    of_the_c_library = 1 << 31 | 1 << 32  # make ignores 32 and 33 for its children
    assert int(ignored.split()[1], 16) & ~of_the_c_library == 0
    names = {line.split()[-3] for line in files if "->" in line}
    assert names <= {"0", "1", "2", "3"}  # the last one is the listing itself
    assert any("/dev/null" in line for line in files)


@pytest.mark.parametrize("wrapper", ["setsid -w", "sh -c '\"$@\"; exit' sh"])
def test_a_tool_below_a_wrapper_gets_its_grace(wrapper: str, tmp_path: Path) -> None:
    """Whether the wrapper moved it to another session, or ends before it."""
    ended = tmp_path / "ended"
    body = (
        "import os, signal, sys, time\n"
        "def end(*_):\n"
        "    time.sleep(0.3)\n"
        f"    open({str(ended)!r}, 'w').close()\n"
        "    sys.exit()\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "print('ready', flush=True)\n"
        "signal.pause()"
    )
    (tmp_path / "tool.py").write_text(body)
    running = Background(shell(f"exec {wrapper} {sys.executable} {tmp_path}/tool.py"))
    running.has_said("ready")

    running.control.stop(StopReason.CANCEL)

    assert isinstance(running.ended(), Stopped)
    assert ended.exists()
    assert not running.family.alive()
