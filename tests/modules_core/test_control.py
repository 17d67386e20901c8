"""Orders reach the tools of a task, whenever they come."""

from __future__ import annotations

import signal
import threading

import pytest

from sisyphus.errors import Stopped
from sisyphus.modules.control import Control, StopReason


class Recorder:
    """Stands in for a running tool and writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def stop(self) -> None:
        self.told.append("stop")

    def kill(self) -> None:
        self.told.append("kill")

    def pause(self) -> None:
        self.told.append("pause")

    def resume(self) -> None:
        self.told.append("resume")


def test_the_first_reason_stays_the_reason() -> None:
    control = Control()

    control.stop(StopReason.TIMEOUT)
    control.stop(StopReason.CANCEL)

    assert control.reason is StopReason.TIMEOUT


def test_a_stopping_task_ends_where_it_looks() -> None:
    control = Control()
    control.raise_if_stopping()

    control.stop(StopReason.DRAIN)

    assert control.stopping
    with pytest.raises(Stopped, match="drain"):
        control.raise_if_stopping()


def test_a_lost_job_is_killed_not_asked() -> None:
    control, tool = Control(), Recorder()

    with control.attach(tool):
        control.stop(StopReason.LOST)

    assert tool.told == ["kill"]


def test_a_tool_that_comes_after_the_order_is_stopped_at_once() -> None:
    control, tool = Control(), Recorder()
    control.stop(StopReason.CANCEL)

    with control.attach(tool):
        assert tool.told == ["stop"]


def test_a_tool_that_comes_while_paused_is_paused() -> None:
    control, tool = Control(), Recorder()
    control.pause()

    with control.attach(tool):
        control.resume()

    assert tool.told == ["pause", "resume"]


def test_pausing_twice_tells_the_tool_once() -> None:
    control, tool = Control(), Recorder()

    with control.attach(tool):
        control.pause()
        control.pause()
        control.resume()
        control.resume()

    assert tool.told == ["pause", "resume"]
    assert not control.paused


def test_a_stopping_task_cannot_be_paused() -> None:
    control, tool = Control(), Recorder()

    with control.attach(tool):
        control.stop(StopReason.CANCEL)
        control.pause()

    assert tool.told == ["stop"]
    assert not control.paused


def test_a_tool_that_has_ended_is_told_nothing() -> None:
    control, tool = Control(), Recorder()
    with control.attach(tool):
        pass

    control.stop(StopReason.CANCEL)

    assert tool.told == []


def test_an_order_may_come_from_a_signal_handler_at_any_time() -> None:
    assert threading.current_thread() is threading.main_thread()
    control, tool = Control(), Recorder()
    before = signal.signal(signal.SIGUSR1, lambda *_: control.stop(StopReason.CANCEL))

    class Interrupted(Recorder):
        def pause(self) -> None:
            signal.raise_signal(signal.SIGUSR1)

    try:
        with control.attach(tool), control.attach(Interrupted()):
            control.pause()  # holds the lock while the signal comes
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert control.reason is StopReason.CANCEL
    assert tool.told == ["pause", "stop"]
