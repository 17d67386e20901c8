"""Small films made on the spot, and the two ffmpegs that the tests run."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import imageio_ffmpeg
import pytest

Tools = dict[str, Path]

SYSTEM: Tools = {"ffmpeg": Path(shutil.which("ffmpeg") or "ffmpeg")}
WHEEL: Tools = {"ffmpeg": Path(imageio_ffmpeg.get_ffmpeg_exe())}
"""Years newer than most systems', and with VMAF."""

either = pytest.mark.parametrize("tools", [SYSTEM, WHEEL], ids=["system", "wheel"])
"""Runs a test with the system's ffmpeg, and with the wheel's."""


class Films:
    """Makes small films in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def make(self, name: str, *words: str | Path) -> Path:
        """Let the system's ffmpeg write a film."""
        path = self._folder / name
        quiet: Sequence[str | Path] = ("ffmpeg", "-nostdin", "-v", "error", "-y")
        subprocess.run([*quiet, *words, path], check=True)
        return path

    def test(
        self, name: str, *options: str, seconds: int = 2, rate: str = "25"
    ) -> Path:
        """Make a test picture with a tone; ``options`` say how it is encoded."""
        picture = f"testsrc2=s=160x90:r={rate}:d={seconds}"
        sources = (
            "-f",
            "lavfi",
            "-i",
            picture,
            "-f",
            "lavfi",
            "-i",
            f"sine=d={seconds}",
        )
        fast = ("-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac")
        return self.make(name, *sources, *fast, *options)
