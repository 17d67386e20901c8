"""How far a tool is, passed on to its task."""

from __future__ import annotations

from sisyphus.media.progress import Reading
from sisyphus.modules.task import Task


def tell(task: Task, reading: Reading) -> None:
    """Say how far the task's tool is."""
    task.progress(
        reading.percent,
        frame=reading.frame,
        total=reading.total,
        fps=reading.fps,
        speed=reading.speed,
        eta=reading.eta,
    )
