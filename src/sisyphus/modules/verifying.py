"""How thoroughly a task's output is checked before it gets its name."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from sisyphus.errors import OutputRefused, ToolFailed, ToolMissing
from sisyphus.media.counts import FRAME_FORMATS, FRAME_SLACK
from sisyphus.media.decode import Decoding, decode_argv
from sisyphus.media.expected import Expected, Mapped, Pair, paired
from sisyphus.media.probe import Count, Film, Probe, Stream, Unreadable
from sisyphus.media.quality import (
    Comparison,
    Metric,
    Pairing,
    Reference,
    Score,
    compare_argv,
    score_of,
)
from sisyphus.media.verify import check_container, check_output
from sisyphus.modules.base import ModuleSettings
from sisyphus.modules.preflight import has_filter
from sisyphus.modules.probing import film_probe
from sisyphus.modules.task import Task

_ADDRESS = re.compile(r" @ 0x[0-9a-f]+")
_SCORES = "scores.txt"
_CROP_SHARE = 0.02


class Verify(StrEnum):
    """How thoroughly an output is checked."""

    QUICK = "quick"
    """Container, streams, lengths and number of frames; decodes nothing."""
    DECODE = "decode"
    """And every frame must decode without an error."""
    QUALITY = "quality"
    """And the picture must be like the source's: VMAF, or SSIM where that is missing."""
    OFF = "off"
    """Only that there is a file, and that it is not empty."""


class VerifiedSettings(ModuleSettings):
    """The settings of a module that makes films."""

    verify: Verify = Field(
        Verify.QUICK, description="How thoroughly the output is checked."
    )
    quality_floor: float | None = Field(
        None,
        ge=0,
        le=100,
        description="What the picture must reach with verify: quality, from 0 to 100.",
    )

    @model_validator(mode="after")
    def _floor_of_something(self) -> Self:
        if self.quality_floor is not None and self.verify is not Verify.QUALITY:
            raise ValueError('quality_floor belongs to "verify": "quality"')
        return self


def verify_film(
    task: Task, part: Path, expected: Expected, settings: VerifiedSettings
) -> None:
    """Check a film that a tool has written, as thoroughly as the settings say.

    Raises:
        OutputRefused: it is damaged, incomplete or not good enough; says the numbers.
    """
    if settings.verify is Verify.OFF:
        return
    probe = _probe(task)
    if probe is None:
        check_container(part, expected.may_be_unfinished)
    else:
        for odd in check_output(part, expected, probe):
            task.log(odd, "warning")
    if settings.verify in (Verify.DECODE, Verify.QUALITY):
        _decode(task, part, probe)
    if settings.verify is Verify.QUALITY:
        _compare(task, part, expected, probe, settings.quality_floor)


def _probe(task: Task) -> Probe | None:
    try:
        return film_probe(task)
    except ToolMissing:
        return None


# Decoding


def _decode(task: Task, part: Path, probe: Probe | None) -> None:
    """Decode the whole film; the first error ends it."""
    film = _readable(part, probe)
    if probe is not None and film is None:
        return
    picture = _picture(film)
    wanted = _decodable(probe, film, picture)
    decoding = Decoding()

    def hear(line: str) -> bool:
        if decoding.hear_error(line):
            said = _ADDRESS.sub("", decoding.errors[0])
            raise OutputRefused(f"the output does not decode: {said}")
        return True

    result = task.tool(
        decode_argv(part),
        on_line=_telling(task, "decoding", wanted, decoding.hear),
        on_stderr_line=hear,
        ok=range(256),
        cwd=task.workdir,
    )
    if decoding.empty:
        return
    if result.exit_code != 0:
        raise OutputRefused(f"the output does not decode: ffmpeg {result.exit_code}")
    made = decoding.frames
    if wanted is not None and made is not None and made < wanted - FRAME_SLACK:
        raise OutputRefused(
            f"only {made} of the output's {wanted} frames can be decoded"
        )
    count = "" if picture is None or made is None else f": {made} frames"
    task.log(f"the output decodes without an error{count}")


def _readable(part: Path, probe: Probe | None) -> Film | None:
    try:
        return probe.film(part) if probe else None
    except Unreadable:  # and yet let pass: a text, or a raw stream
        return None


def _picture(film: Film | None) -> Stream | None:
    pictures = film.of_kind("video") if film else ()
    return next((stream for stream in pictures if not stream.picture), None)


def _decodable(
    probe: Probe | None, film: Film | None, picture: Stream | None
) -> int | None:
    """Count the packets of a picture of which each must give a frame."""
    if probe is None or film is None or picture is None:
        return None
    # A packet may be half a frame, or one that is never shown.
    if picture.interlaced or picture.codec == "vp8":
        return None
    if not film.formats & FRAME_FORMATS:
        return None
    counts = probe.counts(film.path) or {}
    found = counts.get(picture.index)
    return found.from_key if found else None


def _telling(
    task: Task, what: str, total: int | None, hear: Callable[[str], int | None]
) -> Callable[[str], bool]:
    """Pass on how many frames are checked: whoever is silent for long counts as hung."""

    def take(line: str) -> bool:
        frame = hear(line)
        if frame is not None:
            task.progress(frame=frame, total=total, checking=what)
        return True

    return take


# Comparing


def _compare(
    task: Task,
    part: Path,
    expected: Expected,
    probe: Probe | None,
    floor: float | None,
) -> None:
    """Measure how like the source the picture is."""
    if probe is None:
        raise ToolMissing('"verify": "quality" needs ffprobe: install ffmpeg')
    film = probe.film(part)
    pair = _pair(film, expected)
    if pair is None:
        task.log("no picture was encoded: there is nothing to compare")
        return
    made, source = pair
    counts = [
        (probe.counts(path) or {}).get(stream.index, Count()).from_key
        for path, stream in ((part, made), (source.film.path, source.stream))
    ]
    scores = []
    for pairing in _pairings(expected, *counts):
        comparison = Comparison(
            output=part,
            made=made,
            source=source.film.path,
            given=source.stream,
            reference=expected.reference,
            pairing=pairing,
        )
        scores.append(_score(task, comparison, counts[0]))
        needed = scores[0].metric.floor if floor is None else floor
        if scores[-1].mean >= needed:
            break
    score = max(scores, key=lambda one: one.mean)
    task.log(f"the picture is like its source: {score} (floor {needed:g})")
    if score.mean < needed:
        raise OutputRefused(
            f"the picture is not like its source: {score}; the floor is {needed:g}"
        )
    if score.worst < needed / 2:
        raise OutputRefused(
            f"a part of the picture is not like its source: {score}; no second may be"
            f" below {needed / 2:g}, half of the floor"
        )


def _pairings(expected: Expected, made: int, given: int) -> Sequence[Pairing]:
    """List the ways in which frames may correspond, the likeliest first."""
    untouched = not expected.repeated and not expected.dropped
    if expected.keeps_frames and expected.is_whole and untouched and made == given:
        return (Pairing.NUMBER,)
    if untouched:
        return (Pairing.START,)
    return Pairing.CLOCK, Pairing.START, Pairing.NEXT


def _pair(film: Film, expected: Expected) -> Pair | None:
    """Find the first encoded picture and its source.

    Raises:
        OutputRefused: they cannot be compared.
    """
    pairs = None if expected.streams is None else paired(film, expected.streams)
    obstacle = expected.reference.obstacle
    if pairs is None and not obstacle:
        obstacle = "it is not known what it was made from"
    pictures = [p for p in pairs or () if p[0].kind == "video" and not p[1].copied]
    if pairs is not None and not pictures:
        return None
    obstacle = obstacle or _other_shape(*pictures[0], expected.reference)
    if obstacle:
        raise OutputRefused(
            f"the output cannot be compared with its source: {obstacle}; use"
            ' "verify": "decode"'
        )
    return pictures[0]


def _other_shape(made: Stream, source: Mapped, reference: Reference) -> str:
    """Tell a cropped picture by its shape, where the settings are not known."""
    shapes = made.aspect, source.stream.aspect
    if reference.known or shapes[0] is None or shapes[1] is None:
        return ""
    one = shapes[0] / shapes[1]
    turned = shapes[0] * shapes[1]  # by a mark in the file, as phones leave it
    if min(abs(one - 1), abs(turned - 1)) <= _CROP_SHARE:
        return ""
    return f"it is {shapes[0]:.2f}:1, its source {shapes[1]:.2f}:1"


def _score(task: Task, pair: Comparison, frames: int) -> Score:
    metrics = [Metric.SSIM]
    if has_filter(task, "libvmaf"):
        metrics.insert(0, Metric.VMAF)
    for metric in metrics:
        try:
            score = _measured(task, pair, metric, frames)
        except ToolFailed as error:
            if metric is metrics[-1]:
                raise
            task.log(f"{metric} cannot be measured: {error.message}", "warning")
        else:
            return score
    raise AssertionError("the last metric either answers or raises")


def _measured(task: Task, pair: Comparison, metric: Metric, frames: int) -> Score:
    log = task.workdir / _SCORES
    log.unlink(missing_ok=True)
    threads = os.cpu_count() or 1
    task.tool(
        compare_argv(pair, metric, log.name, threads),
        on_line=_telling(task, "comparing", frames, Decoding().hear),
        cwd=task.workdir,
    )
    text = log.read_text(errors="replace") if log.exists() else ""
    score = score_of(text, metric, pair.made.fps)
    if score is None:
        raise OutputRefused("the output and its source have no picture in common")
    return score
