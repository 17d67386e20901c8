"""A task that writes down when it started."""

from __future__ import annotations

import time
from pathlib import Path
from typing import ClassVar

from sisyphus.modules.base import Module, ModuleSettings
from sisyphus.modules.task import Task


class StampSettings(ModuleSettings):
    """Where to write."""

    file: Path


class Stamp(Module):
    """Adds a line to a file: the job's id and the monotonic clock, ns."""

    Settings: ClassVar[type[ModuleSettings]] = StampSettings
    settings: StampSettings

    def run(self, task: Task) -> None:
        """Look at the clock first, then write."""
        started = time.monotonic_ns()
        with self.settings.file.open("a") as file:
            file.write(f"{task.job_id} {started}\n")
