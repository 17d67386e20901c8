"""How far an encoder is, from the lines it prints."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

# No more digits than a number of a tool has: what has more is garbage.
_FRAME = re.compile(r"frame=\s*(\d{1,15})(?!\d)")
_TIME = re.compile(r"out_time_us=\s*(\d{1,18})(?!\d)")
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


class Pace:
    """How fast a number grows, over the last seconds of work.

    A tool's own rates are averages since its start, wrong for long after a pause. Here a
    pause is not counted at all: it is a gap between two reports that is much longer
    than those before it.
    """

    WINDOW = 10.0
    """Seconds of work that the rate is of."""
    _TOGETHER = 0.05
    """Reports this close have waited in a buffer: only the last says where the tool is."""
    _LONGER, _LATER = 1.5, 2.0
    """By which factor, and by how many seconds, a gap must exceed the others."""
    _GROWTH = 4.0
    """How much longer the usual gap may have become: then it is no pause, but slow."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._worked = 0.0
        self._heard: float | None = None
        self._gaps: deque[float] = deque(maxlen=8)
        self._past: deque[tuple[float, float]] = deque()
        """Moments: seconds worked, the number then."""

    def note(self, amount: float) -> float | None:
        """Hear a report, also one that brings no news; give the growth per second."""
        now = self._clock()
        gap = 0.0 if self._heard is None else now - self._heard
        if self._past and gap < self._TOGETHER:
            self._past[-1] = (self._past[-1][0], amount)
        else:
            self._heard = now
            self._worked += self._work_in(gap) if self._past else 0.0
            self._past.append((self._worked, amount))
        while len(self._past) > 2 and self._worked - self._past[0][0] > self.WINDOW:
            self._past.popleft()
        since, first = self._past[0]
        passed = self._worked - since
        return (amount - first) / passed if passed > 0 else None

    def _work_in(self, gap: float) -> float:
        """Tell how much of the time since the last report was work."""
        usual = max(self._gaps, default=gap)
        self._gaps.append(min(gap, max(self._GROWTH * usual, self._LATER)))
        paused = gap > max(self._LONGER * usual, usual + self._LATER)
        return usual if paused else gap


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

    def __post_init__(self) -> None:
        self._frames_pace = Pace(self.clock)
        self._time_pace = Pace(self.clock)

    def feed(self, line: str) -> Reading | None:
        """Take one line; give a reading at the end of each block that brings news.

        A hanging tool may go on printing blocks: that is no progress.
        """
        if found := _FRAME.match(line):
            self._frame = int(found[1])
        elif found := _TIME.match(line):
            # Early blocks hold N/A or negative times: no match, nothing known yet.
            self._seconds = int(found[1]) / 1_000_000
        elif line.startswith("progress="):
            return self._reading()
        return None

    def finished(self) -> Reading:
        """Give the last reading of a run that ended well."""
        frame = self.total if self.total is not None else self._frame
        return Reading(percent=100.0, frame=frame, total=self.total, eta=0.0)

    def _reading(self) -> Reading | None:
        fps = self._frames_pace.note(self._frame or 0)
        speed = self._time_pace.note(self._seconds or 0.0)
        if self._told == (self._frame, self._seconds):
            return None
        self._told = (self._frame, self._seconds)
        done, whole = self._measure()
        percent = None
        if done is not None and whole:
            percent = max(self._percent or 0.0, min(100.0, 100 * done / whole))
            self._percent = percent
        rate = fps if self._counts_frames else speed
        eta = None
        if done is not None and whole and rate:
            eta = max(0.0, whole - done) / rate
        frame = self._frame
        if frame is None:
            fps = None
        elif self.total is not None:
            frame = min(frame, self.total)
        return Reading(percent, frame, self.total, fps, speed, eta)

    @property
    def _counts_frames(self) -> bool:
        return self.total is not None and self._frame is not None

    def _measure(self) -> tuple[float | None, float | None]:
        if self._counts_frames:
            return self._frame, self.total
        return self._seconds, self.duration


def frames_in(frames: int, whole: float | None, length: float | None) -> int | None:
    """Scale the frames of a whole film to a part of it; lengths are in seconds."""
    if whole is None or length is None or whole <= 0:
        return None
    return max(1, round(frames * length / whole))


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
