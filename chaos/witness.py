"""What really happened, from the files that the jobs wrote: outside of Redis."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True)
class Run:
    """One execution of a job, under one token."""

    job_id: str
    token: int
    first_us: int
    last_us: int
    supervisor: int = 0
    tasks: list[int] = field(default_factory=list)
    """Tasks that it began."""
    done: list[int] = field(default_factory=list)
    """Tasks that it ended well."""
    signs: list[int] = field(default_factory=list)
    """When its tools and its code were at work."""


def read_runs(folder: Path) -> dict[str, list[Run]]:
    """Read all executions, by job, in the order of their tokens."""
    found = {}
    for file in folder.iterdir():
        runs = _runs(file.name, file.read_text(errors="replace").splitlines())
        found[file.name] = sorted(runs.values(), key=lambda run: run.token)
    return found


def _runs(job_id: str, lines: list[str]) -> dict[int, Run]:
    runs: dict[int, Run] = {}
    for line in lines:
        words = line.split()
        if len(words) < 4 or words[0] not in ("S", "T", "E"):
            continue  # a process was killed while it wrote
        what, token, moment = words[0], int(words[1]), int(words[2])
        run = runs.setdefault(token, Run(job_id, token, moment, moment))
        run.first_us = min(run.first_us, moment)
        run.last_us = max(run.last_us, moment)
        if what == "S":
            run.supervisor = int(words[3])
            run.tasks.append(int(words[4]))
        elif what == "E":
            run.done.append(int(words[3]))
        else:
            run.signs.append(moment)
    return runs


def is_whole(output: Path) -> bool:
    """Tell whether a file is all of one attempt's output."""
    lines = output.read_text(errors="replace").splitlines()
    if not lines:
        return False
    token, *rest = lines[-1].split()
    count = len(lines) - 1
    return rest == ["whole", str(count)] and lines[:-1] == [
        f"{token} {number}" for number in range(1, count + 1)
    ]
