"""How far an encoder is, from the lines it prints."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

_WINDOW_SECONDS = 10.0
"""Rates are of the last seconds: the tool's own are averages, wrong after a pause."""

_FRAME = re.compile(r"frame=\s*(\d+)")
_TIME = re.compile(r"out_time_us=\s*(\d+)")
_GUI = re.compile(r"#GUI#(progress|error|warning) ?(.*)")


@dataclass(frozen=True, slots=True)
class Reading:
    """One moment of an encoding."""

    percent: float | None = None
    frame: int | None = None
    total: int | None = None
    fps: float | None = None
    speed: float | None = None
    eta: float | None = None


@dataclass
class EncodingProgress:
    """Reads the blocks of ``ffmpeg -progress``.

    Counts frames against ``total`` when there is a total and the tool prints frames,
    else time against ``duration``. Percent only grows, and ends at 100.
    """

    total: int | None = None
    duration: float | None = None
    clock: Callable[[], float] = time.monotonic
    _frame: int | None = None
    _seconds: float | None = None
    _percent: float | None = None
    _told: tuple[int | None, float | None] | None = None
    _past: deque[tuple[float, float, float]] = field(default_factory=deque)
    """Moments: clock, frame, seconds of film."""

    def feed(self, line: str) -> Reading | None:
        """Take one line; give a reading at the end of each block that brings news.

        A hanging tool may go on printing blocks: that is no progress.
        """
        if found := _FRAME.match(line):
            self._frame = int(found[1])
        elif found := _TIME.match(line):
            # Early blocks hold N/A or negative times: no match, nothing known yet.
            self._seconds = int(found[1]) / 1_000_000
        elif line.startswith("progress=") and self._told != self._done:
            self._told = self._done
            return self._reading()
        return None

    def finished(self) -> Reading:
        """Give the last reading of a run that ended well."""
        frame = self.total if self.total is not None else self._frame
        return Reading(percent=100.0, frame=frame, total=self.total, eta=0.0)

    def _reading(self) -> Reading:
        done, whole = self._measure()
        percent = None
        if done is not None and whole:
            percent = max(self._percent or 0.0, min(100.0, 100 * done / whole))
            self._percent = percent
        fps, speed = self._rates()
        rate = fps if self._counts_frames else speed
        eta = None
        if done is not None and whole and rate:
            eta = max(0.0, whole - done) / rate
        return Reading(percent, self._frame, self.total, fps, speed, eta)

    @property
    def _done(self) -> tuple[int | None, float | None]:
        return self._frame, self._seconds

    @property
    def _counts_frames(self) -> bool:
        return self.total is not None and self._frame is not None

    def _measure(self) -> tuple[float | None, float | None]:
        if self._counts_frames:
            return self._frame, self.total
        return self._seconds, self.duration

    def _rates(self) -> tuple[float | None, float | None]:
        now = self.clock()
        self._past.append((now, float(self._frame or 0), self._seconds or 0.0))
        while len(self._past) > 2 and now - self._past[0][0] > _WINDOW_SECONDS:
            self._past.popleft()
        start, frame, seconds = self._past[0]
        passed = now - start
        if passed <= 0:
            return None, None
        fps = ((self._frame or 0) - frame) / passed if self._frame is not None else None
        speed = ((self._seconds or 0.0) - seconds) / passed
        return fps, speed


@dataclass(frozen=True, slots=True)
class GuiLine:
    """One line of ``mkvmerge --gui-mode``."""

    kind: str
    """``progress``, ``error`` or ``warning``."""
    text: str

    @property
    def percent(self) -> float | None:
        """Percent, if the line says so."""
        number = self.text.rstrip("%")
        if self.kind != "progress" or not number.isdecimal():
            return None
        return min(100.0, float(number))


def gui_line(line: str) -> GuiLine | None:
    """Read a line of ``mkvmerge --gui-mode``; other lines give ``None``."""
    found = _GUI.match(line)
    return GuiLine(found[1], found[2].strip()) if found else None
