"""What the running task is told from outside: stop, pause, go on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Protocol

from sisyphus.errors import Stopped


class StopReason(StrEnum):
    """Why a task is stopped."""

    CANCEL = "cancel"
    """A person does not want the job any more."""
    LOST = "lost"
    """The job belongs to someone else, or that cannot be ruled out: kill at once."""
    DRAIN = "drain"
    """The worker shuts down and hands the job back."""
    TIMEOUT = "timeout"
    """The task or the job took longer than it may."""
    STALLED = "stalled"
    """The task made no progress for too long."""


class Controllable(Protocol):
    """A running tool, as far as ``Control`` knows it."""

    def stop(self) -> None:
        """Ask politely; after the grace, kill."""

    def kill(self) -> None:
        """Kill at once."""

    def pause(self) -> None:
        """Halt every process."""

    def resume(self) -> None:
        """Let every process go on."""


class Control:
    """Orders for one task; given by any thread or signal handler, heard by its tools.

    Owned by the worker process, one per task.
    """

    def __init__(self) -> None:
        # Re-entrant: a signal handler may call ``stop`` while this thread holds it.
        self._lock = threading.RLock()
        self._reason: StopReason | None = None
        self._paused = False
        self._tools: list[Controllable] = []

    @property
    def reason(self) -> StopReason | None:
        """Why the task is to stop; ``None`` while it may go on."""
        return self._reason

    @property
    def stopping(self) -> bool:
        """Whether the task has been asked to stop."""
        return self._reason is not None

    @property
    def paused(self) -> bool:
        """Whether the task's tools are halted."""
        return self._paused

    def stop(self, reason: StopReason) -> None:
        """Stop the task and its tools; the first reason stays the reason.

        ``LOST`` kills at once, even a tool that is already being stopped politely.
        """
        with self._lock:
            self._reason = self._reason or reason
            self._paused = False
            for tool in tuple(self._tools):
                self._stop(tool, reason)

    def pause(self) -> None:
        """Halt the task's tools until ``resume``; no effect on a stopping task."""
        with self._lock:
            if self.stopping or self._paused:
                return
            self._paused = True
            for tool in tuple(self._tools):
                tool.pause()

    def resume(self) -> None:
        """Let paused tools go on."""
        with self._lock:
            if not self._paused:
                return
            self._paused = False
            for tool in tuple(self._tools):
                tool.resume()

    def raise_if_stopping(self) -> None:
        """End the task here if it has been asked to stop.

        Raises:
            Stopped: it has.
        """
        if self._reason is not None:
            raise Stopped(self._reason.value)

    @contextmanager
    def attach(self, tool: Controllable) -> Iterator[None]:
        """Let orders reach this tool for the length of the block.

        A tool that comes after the order is stopped, or paused, at once.
        """
        with self._lock:
            self._tools.append(tool)
            if self._reason is not None:
                self._stop(tool, self._reason)
            elif self._paused:
                tool.pause()
        try:
            yield
        finally:
            with self._lock:
                self._tools.remove(tool)

    @staticmethod
    def _stop(tool: Controllable, reason: StopReason) -> None:
        if reason is StopReason.LOST:
            tool.kill()
        else:
            tool.stop()
