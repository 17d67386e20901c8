"""A module whose tool says what it is told to, as fast as it can."""

from __future__ import annotations

import sys

from sisyphus.modules.base import Module, ModuleSettings
from sisyphus.modules.task import Task

LINES = """
import os, sys, time
for n in range(100_000):
    print(f"a line of an encoder that warns of every frame, number {n}")
    if n % 1000 == 0:
        print(f"percent={n / 1000}")
print("percent=99.5", flush=True)
while not os.path.exists(sys.argv[2]):
    time.sleep(0.02)
print("the last line")
sys.exit(int(sys.argv[1]))
"""
ONE_LINE = """
import sys
for n in range(100):
    sys.stdout.write("x" * 1_000_000)
print()
print("the last line")
sys.exit(int(sys.argv[1]))
"""
GARBAGE = """
import os, random, sys
noise = random.Random(1).randbytes(1_000_000)
for n in range(20):
    os.write(1, noise)
os.write(1, b"\\nthe last line\\n")
sys.exit(int(sys.argv[1]))
"""
LITTLE = "print(1)"
PROGRAMS = {"little": LITTLE, "lines": LINES, "one_line": ONE_LINE, "garbage": GARBAGE}


class Talk(Module):
    """Runs a tool that floods its output."""

    class Settings(ModuleSettings):
        """What it says, and how it ends."""

        say: str = "lines"
        exit_code: int = 0
        go: str = "/dev/null"
        """Waited for before the last line."""

    settings: Settings
    reports_progress = True

    def run(self, task: Task) -> None:
        def percent(line: str) -> bool:
            if not line.startswith("percent="):
                return False
            task.progress(float(line.partition("=")[2]))
            return True

        program = PROGRAMS[self.settings.say]
        told = (self.settings.exit_code, self.settings.go)
        task.tool([sys.executable, "-c", program, *told], on_line=percent)
