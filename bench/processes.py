"""What the kernel tells of processes: CPU time, memory, wake-ups, descendants."""

from __future__ import annotations

import os
import re
import resource
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Memory:
    """What one process holds, in MB (2**20 bytes)."""

    pss: float
    """Its private pages and its share of those it has in common with others."""
    private: float
    rss: float


def children(pid: int) -> list[int]:
    """List a process's children, whichever of its threads started them."""
    found: list[int] = []
    with suppress(OSError):
        for thread in (_PROC / str(pid) / "task").iterdir():
            with suppress(OSError):
                found += map(int, (thread / "children").read_text().split())
    return found


def descendants(pid: int) -> list[int]:
    """List a process's children, their children and so on."""
    return [each for child in children(pid) for each in (child, *descendants(child))]


def cpu_seconds(pids: Iterable[int]) -> float:
    """Add up the CPU time of these processes, to the nanosecond."""
    # The kernel's number for the CPU clock of another process; see clock_getcpuclockid(3).
    return sum(time.clock_gettime_ns((~pid << 3) | 2) for pid in pids) / 1e9


def cpu_with_children(pids: Iterable[int]) -> float:
    """Add up the CPU time of these processes and of their children that have ended."""
    total = 0
    for pid in pids:
        with suppress(OSError):
            fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
            total += sum(map(int, fields[11:15]))
    return total / TICKS


def own_cpu() -> float:
    """CPU time of this process and of all that it has started, alive or ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, _CHILDREN)]
    here = sum(usage.ru_utime + usage.ru_stime for usage in used)
    return here + cpu_with_children(descendants(os.getpid()))


_CHILDREN = resource.RUSAGE_CHILDREN


def wake_ups(pid: int) -> int:
    """How often any thread of a process has waited for something and was woken."""
    total = 0
    for thread in (_PROC / str(pid) / "task").iterdir():
        with suppress(OSError):
            text = (thread / "status").read_text()
            found = re.search(r"^voluntary_ctxt_switches:\s*(\d+)", text, re.MULTILINE)
            total += int(found[1]) if found else 0
    return total


def memory(pid: int) -> Memory:
    """Read what a process holds in memory."""
    text = (_PROC / str(pid) / "smaps_rollup").read_text()
    held = dict(re.findall(r"^(\w+):\s+(\d+) kB", text, re.MULTILINE))
    private = int(held["Private_Clean"]) + int(held["Private_Dirty"])
    return Memory(int(held["Pss"]) / 1024, private / 1024, int(held["Rss"]) / 1024)


def peak_mb(pid: int) -> float:
    """Read the most memory that a process has had at once."""
    status = (_PROC / str(pid) / "status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
