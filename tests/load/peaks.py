"""The most memory that a process had."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# What the kernel tells of a process that has ended counts the memory of the one that
# started it, too: so it is asked at the end of the command itself.
COMMAND = """
import atexit, pathlib, sys
def tell():
    status = pathlib.Path("/proc/self/status").read_text()
    sys.stderr.write("VmHWM:" + status.partition("VmHWM:")[2].split()[0])
atexit.register(tell)
from sisyphus.cli.main import run
run()
"""


def peak_mb(pid: int) -> float:
    """Of a process that lives."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def run_command(*words: str, url: str) -> tuple[bytes, float, int]:
    """Run `sisyphus`; what it printed, the most memory it had in MB, its exit code."""
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *words, "--redis-url", url],
        capture_output=True,
        check=False,
    )
    told, _, peak = done.stderr.rpartition(b"VmHWM:")
    return done.stdout + told, int(peak) / 1024, done.returncode
