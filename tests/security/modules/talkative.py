"""A module that tells all it knows, for the tests of secrets."""

from __future__ import annotations

import ctypes
import json
import os
import resource
from pathlib import Path
from typing import Literal

from sisyphus.errors import TaskFailed
from sisyphus.modules.base import Module, ModuleSettings
from sisyphus.modules.task import Task


class Talkative(Module):
    """Tells what it finds around it."""

    class Settings(ModuleSettings):
        """How."""

        do: Literal["tell", "break", "fail", "hold"] = "tell"
        file: Path = Path("/dev/null")

    settings: Settings

    def run(self, task: Task) -> None:
        known = f"{dict(os.environ)} {task.settings!r} {task.settings} {vars(task)}"
        match self.settings.do:
            case "tell":
                task.log(known)
                task.tool(["env"])
                pr_get_dumpable = 3
                told = {
                    "dumpable": ctypes.CDLL(None).prctl(pr_get_dumpable, 0, 0, 0, 0),
                    "core": resource.getrlimit(resource.RLIMIT_CORE)[0],
                }
                self.settings.file.write_text(json.dumps(told))
            case "break":
                raise RuntimeError(known)
            case "fail":
                raise TaskFailed(known)
            case "hold":
                script = 'while [ ! -e "$0" ]; do sleep 0.05; done'
                task.tool(["sh", "-c", script, self.settings.file])
