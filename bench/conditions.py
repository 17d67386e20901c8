"""On what, and how undisturbed, it was measured."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from bench.processes import TICKS, own_cpu
from sisyphus.embedded import find_server

QUIET_PERCENT = 3.0
"""Of the whole machine: with less used by others, a measurement counts as quiet."""


@dataclass(slots=True)
class Conditions:
    """What else the machine did during one part."""

    seconds: float = 0.0
    load_before: float = 0.0
    load_after: float = 0.0
    others_percent: float = 0.0
    """CPU time of processes that are not ours, of all CPUs."""
    stolen_percent: float = 0.0
    """CPU time that the host gave to other machines."""

    @property
    def quiet(self) -> bool:
        """Whether the figures can be trusted."""
        return self.others_percent + self.stolen_percent < QUIET_PERCENT

    def text(self) -> str:
        """Say it in one line."""
        said = "quiet" if self.quiet else "NOT QUIET"
        return (
            f"{said}: other processes {self.others_percent:.1f} % of the machine,"
            f" stolen {self.stolen_percent:.1f} %; load average"
            f" {self.load_before:.2f} before, {self.load_after:.2f} after;"
            f" {self.seconds:.0f} s"
        )


@contextmanager
def watched() -> Iterator[Conditions]:
    """Find out what else the machine does meanwhile; filled in at the end."""
    found = Conditions(load_before=os.getloadavg()[0])
    began, (busy, stolen), own = time.monotonic(), _cpu(), own_cpu()
    try:
        yield found
    finally:
        found.seconds = time.monotonic() - began
        whole = found.seconds * (os.cpu_count() or 1) / 100
        busy_after, stolen_after = _cpu()
        others = busy_after - busy - (own_cpu() - own)
        found.others_percent = max(0.0, others) / whole
        found.stolen_percent = (stolen_after - stolen) / whole
        found.load_after = os.getloadavg()[0]


def _cpu() -> tuple[float, float]:
    """Seconds that all CPUs together have worked, and that were stolen."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _, _, irq, softirq, steal = map(int, fields[:8])
    return (user + nice + system + irq + softirq) / TICKS, steal / TICKS


def machine() -> dict[str, str]:
    """Name the machine and the versions of what is measured."""
    told = {
        "sisyphus": version("sisyphus-worker"),
        "python": platform.python_version(),
        "redis-py": version("redis"),
        "server": _first_line([str(find_server()), "--version"]),
        "cpu": f"{os.cpu_count()} x {_cpu_model()}",
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') >> 20} MB",
        "kernel": platform.release(),
    }
    if ffmpeg := shutil.which("ffmpeg"):
        told["ffmpeg"] = _first_line([ffmpeg, "-version"])
    return told


def _first_line(argv: list[str]) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return " ".join(done.stdout.split("\n", 1)[0].split()[:6])


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("model name", "Model")):
            return line.partition(":")[2].strip()
    return platform.machine()
