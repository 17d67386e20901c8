"""The module of the chaos jobs: does as it is told, and writes down what it did.

Everything goes to a file of the job, outside of Redis: one line for each start (S), each
sign of life (T) and each end (E), with the attempt's token and the machine's clock.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Literal

from sisyphus.errors import TaskFailed
from sisyphus.modules.base import Module, ModuleSettings
from sisyphus.modules.fields import OutputFile
from sisyphus.modules.task import Task

Word = str | int | float | Path
TICKER = Path(__file__).resolve().parent.parent / "ticker.py"


class Chaotic(Module):
    """Works for a while; strict, as what deletes or uploads has to be."""

    class Settings(ModuleSettings):
        """What to do."""

        witness: Path
        seconds: float = 0.1
        way: Literal["tool", "grandchild", "code", "fail", "poison"] = "tool"
        output: OutputFile | None = None

    settings: Settings

    def run(self, task: Task) -> None:
        """Do it."""
        self._note("S", task, f"{os.getppid()} {task.index} {self.name}")
        match self.settings.way:
            case "poison":
                os.kill(os.getpid(), signal.SIGKILL)
            case "fail":
                raise TaskFailed("it was told to fail")
            case "code":
                self._tick(task)
        if self.settings.output is None:
            if self.settings.way != "code":
                self._tool(task, "-")
        else:
            with task.output(self.settings.output, overwrite=True) as part:
                self._tool(task, str(part))
        self._note("E", task, str(task.index))

    def _tool(self, task: Task, output: str) -> None:
        settings = self.settings
        grandchild = "1" if settings.way == "grandchild" else "0"
        words: list[Word] = [
            TICKER,
            settings.witness,
            task.token,
            settings.seconds,
            output,
        ]
        task.tool([sys.executable, "-I", "-S", *words, grandchild])

    def _tick(self, task: Task) -> None:
        """Code that never asks whether it should stop."""
        ends = _now_us() + self.settings.seconds * 1e6
        while _now_us() < ends:
            self._note("T", task, str(os.getpid()))
            time.sleep(0.02)

    def _note(self, what: str, task: Task, more: str) -> None:
        line = f"{what} {task.token} {_now_us()} {more}\n".encode()
        mode = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        witness = os.open(self.settings.witness, mode, 0o644)
        os.write(witness, line)
        os.close(witness)


def _now_us() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000
