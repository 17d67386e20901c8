"""Decoding a film from end to end: the command, and what its lines mean."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

_FRAME = re.compile(r"frame=\s*(\d+)")
_OF_THE_NULL_MUXER = ("[null @", "[out#", "Error opening output file")
"""It complains of times that repeat once they are rounded; nothing is written there."""
_NOTHING_TO_DECODE = "does not contain any stream"


def decode_argv(path: Path) -> list[str]:
    """Decode every picture and sound stream of a file, but no covers.

    The frames keep their times: made to fit a constant rate, half of them would be
    reported as repeated.
    """
    return [
        *("ffmpeg", "-nostdin", "-hide_banner", "-nostats", "-v", "repeat+error"),
        *("-progress", "pipe:1", "-stats_period", "0.5"),
        *("-protocol_whitelist", "file,pipe", "-i", str(path)),
        *("-map", "0:V?", "-map", "0:a?"),
        *("-fps_mode", "passthrough", "-f", "null", "-"),
    ]


@dataclass
class Decoding:
    """What is heard from one pass."""

    frames: int | None = None
    """Of the first picture stream."""
    errors: list[str] = field(default_factory=list)
    empty: bool = False
    """There was no stream to decode."""

    def hear(self, line: str) -> int | None:
        """Take a line of the report; give the number of frames, if it says one."""
        found = _FRAME.match(line)
        if not found:
            return None
        self.frames = int(found[1])
        return self.frames

    def hear_error(self, line: str) -> bool:
        """Take a line of what it complains of; tell whether the film is to blame."""
        if _NOTHING_TO_DECODE in line:
            self.empty = True
        elif not line.lstrip().startswith(_OF_THE_NULL_MUXER):
            self.errors.append(line.strip())
        return bool(self.errors)
