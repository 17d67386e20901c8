"""A strict module that takes a moment."""

from __future__ import annotations

from pathlib import Path

from sisyphus.modules.base import Module, ModuleSettings
from sisyphus.modules.task import Task


class Strict(Module):
    """Writes down that it has run."""

    class Settings(ModuleSettings):
        """Where."""

        file: Path

    settings: Settings

    def run(self, task: Task) -> None:
        task.tool(["sleep", "0.5"])
        with self.settings.file.open("a") as file:
            file.write(f"{task.token}\n")
