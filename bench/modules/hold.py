"""A task whose tool runs until it is stopped."""

from __future__ import annotations

import shutil

from sisyphus.modules.base import Module
from sisyphus.modules.task import Task


class Hold(Module):
    """Runs ``sleep`` under the ordinary guard, for longer than any measurement."""

    def run(self, task: Task) -> None:
        """Start the tool and wait for it."""
        task.tool([shutil.which("sleep") or "/bin/sleep", 600])
