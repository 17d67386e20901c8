"""A tool that warns of everything, as fast as it can."""

from __future__ import annotations

import sys

from sisyphus.modules.base import Module, ModuleSettings
from sisyphus.modules.task import Task

PROGRAM = """
import sys
for n in range(int(sys.argv[1])):
    print(f"[matroska] a warning such as encoders give for every frame, number {n}")
"""


class Flood(Module):
    """Prints so many lines."""

    class Settings(ModuleSettings):
        """How many."""

        lines: int

    settings: Settings

    def run(self, task: Task) -> None:
        """Run the tool."""
        task.tool([sys.executable, "-c", PROGRAM, self.settings.lines])
