"""Real processes for the tests of tools: starting, finding and looking at them."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

from sisyphus.modules.control import Control
from sisyphus.modules.tool import ToolResult, run_tool
from waiting import eventually

LONG = "300"
"""Seconds that no test waits."""


def python(body: str) -> list[str]:
    """Give the command of a tool written in Python."""
    return [sys.executable, "-I", "-S", "-c", f"import os, signal, sys, time\n{body}"]


def shell(body: str) -> list[str]:
    """Give the command of a tool written in shell."""
    return ["/bin/sh", "-c", body]


class Family:
    """All processes that carry a mark in their environment, the guard included."""

    def __init__(self) -> None:
        self.mark = uuid.uuid4().hex
        self.environment = {"TEST_MARK": self.mark}

    def alive(self) -> list[int]:
        wanted = f"TEST_MARK={self.mark}".encode()
        return [pid for pid in _processes() if wanted in _read(pid, "environ")]

    def gone_within(self, seconds: float) -> bool:
        return eventually(lambda: not self.alive(), seconds)

    def guard(self) -> int:
        """Give the pid of the guard, once it is there."""

        def found() -> list[int]:
            return [p for p in self.alive() if b"guard.main" in _read(p, "cmdline")]

        return eventually(found)[0]

    def running(self, text: str) -> int:
        """Give the pid of the process whose command starts like this, once it runs."""

        def found() -> list[int]:
            return [
                pid
                for pid in self.alive()
                if _read(pid, "cmdline").replace(b"\0", b" ").startswith(text.encode())
            ]

        return eventually(found)[0]


def _processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


def state(pid: int) -> str:
    """Give the kernel's letter for what a process does: T is stopped."""
    facts = _read(pid, "stat").rpartition(b")")[2].split()
    return facts[0].decode() if facts else "gone"


class Background:
    """A tool that runs in a thread while the test does something to it."""

    def __init__(
        self, argv: list[str], control: Control | None = None, **more: Any
    ) -> None:
        self.control = control or Control()
        self.lines: list[str] = []
        self.family = Family()
        self.result: ToolResult | None = None
        self.error: BaseException | None = None
        options: dict[str, Any] = {"on_line": self.lines.append, "grace": 5.0, **more}
        self._thread = threading.Thread(target=self._run, args=(argv, options))
        self._thread.start()

    def _run(self, argv: list[str], options: dict[str, Any]) -> None:
        extra = self.family.environment
        try:
            self.result = run_tool(
                argv, control=self.control, env_extra=extra, **options
            )
        except BaseException as error:
            self.error = error

    def has_said(self, line: str) -> None:
        eventually(lambda: line in self.lines)

    def ended(self, seconds: float = 20) -> BaseException | None:
        """Wait for the end; give the error, if it was one."""
        self._thread.join(seconds)
        assert not self._thread.is_alive(), "the tool still runs"
        return self.error


def boot_ms() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


class SharedDeadline:
    """Eight bytes of shared memory at an odd place, as a supervisor would keep them."""

    def __init__(self, moment_ms: int) -> None:
        self.fd = os.memfd_create("deadline")
        os.ftruncate(self.fd, 4096)
        self.at = (self.fd, 24)
        self.move(moment_ms)

    def move(self, moment_ms: int) -> None:
        os.pwrite(self.fd, moment_ms.to_bytes(8, "little"), 24)

    def __enter__(self) -> SharedDeadline:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)


def wait_until(moment_ms: int) -> None:
    eventually(lambda: boot_ms() > moment_ms)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
