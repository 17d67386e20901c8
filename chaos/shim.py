"""The shim: a small library that gives a process another clock and a slower disk.

Built with the C compiler at hand; without one those faults are left out.
"""

from __future__ import annotations

import mmap
import shutil
import struct
import subprocess
from pathlib import Path

_SOURCE = Path(__file__).with_name("shim.c")
_CLOCK, _FLUSH = 0, 8


def build(folder: Path) -> Path | None:
    """Compile the shim into a folder; nothing when there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return None
    library = folder / "shim.so"
    words = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(_SOURCE)]
    made = subprocess.run([*words, "-ldl"], capture_output=True, check=False)
    return library if made.returncode == 0 else None


class Control:
    """What one process' shim is told, through shared memory."""

    def __init__(self, folder: Path, name: str) -> None:
        self._path = folder / f"{name}.control"
        self.flushed = folder / f"{name}.flushed"
        self.flushed.mkdir()
        self._path.write_bytes(bytes(16))
        with self._path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 16)

    def variables(self, library: Path) -> dict[str, str]:
        """Name the variables that load the shim."""
        return {
            "LD_PRELOAD": str(library),
            "CHAOS_CONTROL": str(self._path),
            "CHAOS_FLUSHED": str(self.flushed),
        }

    def set_clock(self, seconds: float) -> None:
        """Let the wall clock be so far off."""
        struct.pack_into("<q", self._memory, _CLOCK, int(seconds * 1e6))

    def delay_flushes(self, seconds: float) -> None:
        """Let every flush to disk take so much longer."""
        struct.pack_into("<q", self._memory, _FLUSH, int(seconds * 1e3))

    def flushed_size(self, file: Path) -> int:
        """How many bytes of a file would survive a power cut."""
        note = self.flushed / file.name
        return int(note.read_text()) if note.exists() else 0
