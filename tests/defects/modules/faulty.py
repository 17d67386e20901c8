"""A module whose author made mistakes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Literal

from sisyphus.modules.base import Module, ModuleSettings
from sisyphus.modules.task import Task


class Faulty(Module):
    """Fails in ways in which no module should."""

    class Settings(ModuleSettings):
        """Which mistake."""

        mistake: Literal["index", "file", "exit", "key", "bytes"]

    settings: Settings

    def run(self, task: Task) -> None:
        nothing: dict[str, list[Any]] = {"streams": []}
        match self.settings.mistake:
            case "index":
                print(nothing["streams"][0])  # noqa: T201
            case "file":
                Path("/no/such/file").read_text()
            case "exit":
                sys.exit(3)
            case "key":
                print(nothing["format"])  # noqa: T201
            case "bytes":
                b"\xff".decode()
