"""A task that does nothing: what is left is the cost of the queue itself."""

from __future__ import annotations

from sisyphus.modules.base import Module
from sisyphus.modules.task import Task


class Noop(Module):
    """Does nothing."""

    def run(self, task: Task) -> None:
        """Return at once."""
