"""What HandBrakeCLI prints: JSON blocks between other lines, and its log."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sisyphus.media.progress import Pace, Reading

MOST_CHARACTERS = 1_000_000
"""Of a block; what has more is none, and is not kept in memory."""
_PER_LINE = 50
_LARGEST = 1e15
_LABEL = re.compile(r"(?:\[[\d:]+\] )?([A-Za-z][A-Za-z ]*):(?: (\{))?")


class Blocks:
    """Finds the blocks in a stream of lines: ``Label: {`` up to ``}``.

    The opening brace may also stand on the next line. Other lines are nobody's.
    """

    def __init__(self) -> None:
        self._label = ""
        self._lines: list[str] = []
        self._size = 0
        self.inside = False
        """Whether the last line belongs to a block."""

    def feed(self, line: str) -> tuple[str, Mapping[str, Any]] | None:
        """Take one line; give label and content when it ends a block."""
        found = _LABEL.fullmatch(line)
        if found:
            self._label, self._lines = found[1], []
        opens = line == "{" or bool(found and found[2])
        if self._label and opens and not self._lines:
            self._lines, self._size = ["{"], 0
        elif self._lines:
            self._lines.append(line)
            self._size += len(line) + _PER_LINE
            if self._size > MOST_CHARACTERS:
                self._label, self._lines = "", []
        elif not found:
            self._label = ""
        self.inside = bool(self._lines)
        if not self._lines or line != "}":
            return None
        label, text = self._label, "\n".join(self._lines)
        self._label, self._lines = "", []
        try:
            content = json.loads(text)
        except (
            ValueError,
            RecursionError,
        ):  # torn by another line: the next block will do
            return None
        return label, content


@dataclass
class HandbrakeProgress:
    """Reads the blocks on standard output of ``HandBrakeCLI --json``.

    HandBrake tells a share of the pass; the frame is reckoned from ``total``, if that is
    known. Percent only grows over all passes.
    """

    total: int | None = None
    duration: float | None = None
    """Seconds of film, for the speed."""
    clock: Callable[[], float] = time.monotonic
    error: int | None = None
    """What HandBrake said at its end; 0 is good, ``None``: nothing yet."""
    _share: float | None = None

    def __post_init__(self) -> None:
        self._blocks = Blocks()
        self._pace = Pace(self.clock)

    @property
    def inside(self) -> bool:
        """Whether the last line belongs to a block."""
        return self._blocks.inside

    def feed(self, line: str) -> Reading | None:
        """Take one line; give a reading at the end of each block that brings news."""
        block = self._blocks.feed(line)
        if block is None or block[0] != "Progress":
            return None
        state = block[1].get("State")
        if state == "WORKDONE":
            self.error = int(_number(_members(block[1], "WorkDone"), "Error", 0))
        # Scanning has a progress of its own, which says nothing of the work.
        if state != "WORKING":
            return None
        return self._reading(_members(block[1], "Working"))

    def finished(self) -> Reading:
        """Give the last reading of a run that ended well."""
        return Reading(percent=100.0, frame=self.total, total=self.total, eta=0.0)

    def _reading(self, facts: Mapping[str, Any]) -> Reading | None:
        passes = max(1, int(_number(facts, "PassCount", 1)))
        before = max(0, int(_number(facts, "Pass", 1)) - 1)
        share = (before + _number(facts, "Progress", 0.0)) / passes
        share = max(self._share or 0.0, min(1.0, share))
        rate = self._pace.note(share)
        if share == self._share:
            return None
        self._share = share
        # Each pass goes through the whole film.
        films = None if rate is None else rate * passes
        return Reading(
            percent=100 * share,
            frame=None if self.total is None else int(share * self.total),
            total=self.total,
            fps=films * self.total if films and self.total else None,
            speed=films * self.duration if films and self.duration else None,
            eta=(1 - share) / rate if rate else None,
        )


def _members(block: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = block.get(name)
    return found if isinstance(found, dict) else {}


def _number(facts: Mapping[str, Any], name: str, otherwise: float) -> float:
    """Read a number; JSON may hold some that are none, or larger than any here."""
    value = facts.get(name)
    if isinstance(value, int | float) and abs(value) < _LARGEST:
        return value
    return otherwise


_STAMP = re.compile(r"\[[\d:]+\] ")
_GOT = re.compile(r"sync: got (\d+) frames")
_DROPPED = re.compile(r"sync: video .*dropped (\d+) frames")
_REASON = re.compile(
    r"ERROR: |Invalid |Incompatible options|unknown option|missing parameter"
    r"|No title found|Encode failed|Failed to initialize job|chapters: Invalid"
    r"|Preset import failed|Error",
)
_MOST_REASONS = 4
_LEFT_OUT: Sequence[tuple[str, re.Pattern[str]]] = [
    ("audio", re.compile(r"Warning: Could not find audio track (\d+), skipped")),
    ("subtitle", re.compile(r"Warning: Could not find subtitle track (\d+), skipped")),
    # Of an empty place in a list it says the same without a name.
    ("aencoder", re.compile(r"Invalid codec (.+), using default for container")),
    ("arate", re.compile(r"Invalid sample rate (.+), using input rate")),
    ("audio-lang-list", re.compile(r"Warning: Invalid audio language \((.*)\)")),
    ("subtitle-lang-list", re.compile(r"Warning: Invalid subtitle language \((.*)\)")),
    (
        "subtitle-burned",
        re.compile(r"Warning: Skipping subtitle track (\d+), can't have more than one"),
    ),
]


def left_out(line: str) -> tuple[str, str] | None:
    """Tell what HandBrake goes on without: the option's long name, and its value."""
    for option, pattern in _LEFT_OUT:
        if found := pattern.match(line):
            return option, found[1]
    return None


@dataclass
class HandbrakeLog:
    """Reads HandBrake's log, on standard error."""

    job: Mapping[str, Any] | None = None
    """What HandBrake made of the options: the job that it starts."""
    frames: int | None = None
    """How many frames of the source were decoded, those dropped later included."""
    dropped: int = 0
    """Frames with the time of another one, which HandBrake leaves out."""
    reasons: list[str] = field(default_factory=list)
    """Lines that say why nothing came out."""

    def __post_init__(self) -> None:
        self._blocks = Blocks()

    def feed(self, line: str) -> None:
        """Take one line."""
        block = self._blocks.feed(line)
        if block is not None and block[0] == "json job":
            self.job = block[1]
        if self._blocks.inside:
            return
        text = _STAMP.sub("", line, count=1)
        if text.startswith("sync: expecting"):  # a further pass begins
            self.dropped = 0
        elif found := _GOT.match(text):
            self.frames = int(found[1]) + self.dropped
        elif found := _DROPPED.match(text):
            self.dropped += int(found[1])
        elif _REASON.match(text) and text not in self.reasons:
            self.reasons = [*self.reasons, text][:_MOST_REASONS]
