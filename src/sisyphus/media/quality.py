"""How much a picture is like what it was made from: the command, and its score.

Source and output are decoded side by side. Whatever the job does to the pictures (cut,
crop, scale, deinterlace) is done to the source's, too, so what is measured is what the
encoder has done to them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from sisyphus.media.probe import Stream


class Metric(StrEnum):
    """How likeness is measured; both from 0 to 100."""

    VMAF = "VMAF"
    SSIM = "SSIM"
    """Of all three planes, times 100."""

    @property
    def floor(self) -> float:
        """What an output must reach unless the job says otherwise."""
        return {Metric.VMAF: 70.0, Metric.SSIM: 90.0}[self]


@dataclass(frozen=True, slots=True)
class Reference:
    """What the settings make of a source's picture, before it is encoded."""

    input_options: tuple[str, ...] = ()
    """What stands before the source: where it is cut."""
    filters: str = ""
    """What is done to the picture."""
    known: bool = False
    """Whether this is all that is done to it, cropping included."""
    obstacle: str = ""
    """Why the pictures of source and output do not correspond; then nothing can be
    compared."""


AS_IT_IS = Reference()


@dataclass(frozen=True, slots=True)
class Score:
    """How like the pictures are."""

    metric: Metric
    mean: float
    worst: float
    """Of the worst second."""
    frames: int

    def __str__(self) -> str:
        return (
            f"{self.metric} {self.mean:.1f} over {self.frames} frames,"
            f" {self.worst:.1f} in the worst second"
        )


class Pairing(StrEnum):
    """How a frame of the output finds the frame it was made from."""

    NUMBER = "number"
    """One by one: there are as many, and none was repeated or dropped."""
    START = "start"
    """By the time since the first one."""
    CLOCK = "clock"
    """By the time since the file's start: until the first one came, it was repeated."""
    NEXT = "next"
    """As CLOCK, but a repeated frame is shown before its time, not after it."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two pictures to lay side by side."""

    output: Path
    made: Stream
    source: Path
    given: Stream
    reference: Reference
    pairing: Pairing


def compare_argv(pair: Comparison, metric: Metric, log: str, threads: int) -> list[str]:
    """Build the command; each frame's score goes into the file ``log``."""
    reference = pair.reference
    whole = ["-protocol_whitelist", "file,pipe"]
    turned = ["-noautorotate"] if "-noautorotate" in reference.input_options else []
    return [
        *("ffmpeg", "-nostdin", "-hide_banner", "-nostats", "-v", "repeat+error"),
        *("-progress", "pipe:1", "-stats_period", "0.5"),
        *(*whole, *turned, "-i", str(pair.output)),
        *(*whole, *reference.input_options, "-i", str(pair.source)),
        *("-filter_complex", _graph(pair, metric, log, threads)),
        *("-map", "[compared]", "-fps_mode", "passthrough", "-f", "null", "-"),
    ]


def _graph(pair: Comparison, metric: Metric, log: str, threads: int) -> str:
    made, reference = pair.made, pair.reference
    # Both metrics want one pixel format on both sides; none may be made shallower.
    pixels = "yuv420p10le" if made.color.depth > 8 else "yuv420p"
    # A container rounds times. Ahead by a little, each frame of the output finds the
    # frame it was made from, and not the one before.
    ahead = 1 / made.fps - 0.003 if pair.pairing is Pairing.NEXT and made.fps else 0.003
    first, second = f"setpts=PTS-STARTPTS+{ahead:.4f}/TB", "null"
    if pair.pairing is Pairing.NUMBER:
        first = second = "settb=1/1000,setpts=N*1000"
    elif pair.pairing is Pairing.START:
        second = "setpts=PTS-STARTPTS"
    chain = [reference.filters, second, _fitted(pair), f"format={pixels}"]
    compare = {
        Metric.SSIM: f"ssim=shortest=1:stats_file={log}",
        Metric.VMAF: f"libvmaf=shortest=1:n_threads={threads}:log_fmt=csv:log_path={log}",
    }[metric]
    return (
        f"[0:{made.index}]{first},format={pixels}[output];"
        f"[1:{pair.given.index}]{','.join(filter(None, chain))}[source];"
        f"[output][source]{compare}[compared]"
    )


def _fitted(pair: Comparison) -> str:
    """Scale the source to the output's size, and to its range of values."""
    made, given = pair.made, pair.given
    text = f"scale={made.width}:{made.height}:flags=bicubic"
    if made.color.range and made.color.range != given.color.range:
        text += f":out_range={made.color.range}"
    return text


_SSIM_LINE = re.compile(r"n:\d+ .*All:([\d.]+|inf|nan)")


def score_of(text: str, metric: Metric, fps: float | None) -> Score | None:
    """Read the file of scores; ``None`` if there is none in it."""
    if metric is Metric.SSIM:
        found = _SSIM_LINE.findall(text)
        frames = [100 * float(number) for number in found]
    else:
        frames = _vmaf_scores(text)
    if not frames:
        return None
    window = max(1, round(fps or 25.0))
    seconds = [_mean(frames[at : at + window]) for at in range(0, len(frames), window)]
    return Score(metric, _mean(frames), min(seconds), len(frames))


def _vmaf_scores(text: str) -> list[float]:
    lines = text.splitlines()
    try:
        column = lines[0].split(",").index("vmaf")
    except (IndexError, ValueError):
        return []
    rows = (line.split(",") for line in lines[1:])
    return [float(row[column]) for row in rows if len(row) > column and row[column]]


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)
