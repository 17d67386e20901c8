"""The one module of the worker's tests: it does as its data says."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Literal

from sisyphus.errors import TaskFailed
from sisyphus.modules.base import Module, ModuleSettings, Patience
from sisyphus.modules.fields import InputFile, OutputFile
from sisyphus.modules.task import Task

TICKER = """
import os, sys, time
path, token = sys.argv[1:]
while True:
    with open(path, "a") as file:
        file.write(f"{token} {os.getpid()} {time.time():.3f}\\n")
    time.sleep(0.02)
"""


class Scripted(Module):
    """Does one thing."""

    class Settings(ModuleSettings):
        """What to do."""

        do: Literal[
            "nothing",
            "note",
            "fail",
            "break",
            "crash",
            "hang",
            "tick",
            "tick_deaf",
            "wait",
            "write",
            "environment",
        ] = "nothing"
        file: Path = Path("/dev/null")
        """Told to: what happened, one line each."""
        once: bool = False
        """Do it on the first attempt only."""
        progress: bool = False
        source: InputFile | None = None
        output: OutputFile | None = None

    settings: Settings
    patience = Patience.PATIENT

    def run(self, task: Task) -> None:
        settings = self.settings
        first = not settings.file.exists()
        self._note(task)
        if settings.progress:
            task.progress(12.5, frame=1, total=8)
        if settings.once and not first:
            return
        if settings.do not in ("nothing", "note"):
            getattr(self, f"_{settings.do}")(task)

    def _note(self, task: Task) -> None:
        if not self.settings.do.startswith("tick"):
            with self.settings.file.open("a") as file:
                file.write(f"{task.token} {os.getpid()} {self.settings.do}\n")

    def _fail(self, task: Task) -> None:
        raise TaskFailed("it was told to fail")

    def _break(self, task: Task) -> None:
        raise ZeroDivisionError("a mistake of the module's author")

    def _crash(self, task: Task) -> None:
        os.kill(os.getpid(), signal.SIGSEGV)

    def _hang(self, task: Task) -> None:
        """Python code that hears nothing."""
        while True:
            threading.Event().wait(60)

    def _tick(self, task: Task) -> None:
        """A tool that runs until it is stopped, and writes down when it ran."""
        task.tool([sys.executable, "-c", TICKER, self.settings.file, task.token])

    def _tick_deaf(self, task: Task) -> None:
        """Python code that hears nothing, and writes down when it ran."""
        while True:
            with self.settings.file.open("a") as file:
                file.write(f"{task.token} {os.getpid()} {time.time():.3f}\n")
            time.sleep(0.02)

    def _wait(self, task: Task) -> None:
        """A tool that runs until the file is named `go`."""
        go = self.settings.file.with_suffix(".go")
        code = (
            f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.02)"
        )
        task.tool([sys.executable, "-c", code])

    def _write(self, task: Task) -> None:
        assert self.settings.output is not None
        with task.output(self.settings.output, overwrite=True) as part:
            part.write_text(f"{task.token}\n")

    def _environment(self, task: Task) -> None:
        def keep(line: str) -> bool:
            with self.settings.file.open("a") as file:
                file.write(line + "\n")
            return True

        task.tool(["env"], on_line=keep)
