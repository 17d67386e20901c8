"""What an ffmpeg task looks at before it works: tool, sources, losses, space."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sisyphus.errors import InvalidSettings, Problem, ToolMissing
from sisyphus.media.expected import Expected, Mapped
from sisyphus.media.hdr import PQ
from sisyphus.modules.ffmpeg_argv import Resolved, option, trim_of
from sisyphus.modules.ffmpeg_color import would_lose
from sisyphus.modules.ffmpeg_settings import FfmpegSettings
from sisyphus.modules.ffmpeg_streams import CODEC_OPTIONS, Made
from sisyphus.modules.preflight import (
    check_container,
    check_encoder,
    check_opens,
    least_copied,
)
from sisyphus.modules.task import Task
from sisyphus.modules.verifying import Verify

_ENCODED_SHARE = 20
"""An encoded film takes at least this part (one in so many) of its source."""
_FORMAT_OPTIONS = frozenset({"f", "format"})
_HDR_SIGNS = (PQ, "DOVI configuration")
"""What ffmpeg's own report of a source says of HDR10 and Dolby Vision."""


def check_tool(task: Task, settings: FfmpegSettings, options: Resolved) -> None:
    """Check that there is an ffmpeg, and that it has what the settings name.

    Raises:
        ToolMissing: there is none.
        InvalidSettings: it lacks an encoder, or knows no such container.
    """
    task.find_tool("ffmpeg")
    for number, chosen in enumerate(options):
        for name in CODEC_OPTIONS & chosen.keys():
            field = f"output_maps[{number}].options.{name}"
            check_encoder(task, str(chosen[name]), field)
    if not any(_FORMAT_OPTIONS & chosen.keys() for chosen in options):
        check_container(task, settings.output_file, "output_file")


def check_readable(
    task: Task, settings: FfmpegSettings, unknown: Sequence[int], *, probed: bool
) -> None:
    """Let ffmpeg open the sources of which nothing is known; ``unknown`` are numbers.

    Raises:
        InvalidSettings: it cannot.
        ToolMissing: a source is HDR, and without ffprobe its data cannot be carried.
    """
    before = [
        word
        for name, value in settings.input_options.items()
        for word in option(f"-{name}", name, value)
    ]
    for number in unknown:
        source = settings.sources[number]
        said = check_opens(task, source, f"sources[{number}]", before)
        hdr = any(sign in line for sign in _HDR_SIGNS for line in said)
        if hdr and not probed and not settings.may_lose_color:
            raise ToolMissing(
                f"{source.name} is an HDR film; without ffprobe its data is not known:"
                ' install ffmpeg, or say "color_loss": "allow"'
            )


def check_losses(
    task: Task, settings: FfmpegSettings, streams: Sequence[Made] | None, *, warn: bool
) -> None:
    """Refuse an encoding that is bound to lose HDR data of its source.

    Where the settings allow that, it is only said, with ``warn``.

    Raises:
        InvalidSettings: it is, and the settings do not allow it; says what.
    """
    for made in streams or ():
        lost = would_lose(made)
        if not lost:
            continue
        name = made.source.film.path.name
        if settings.may_lose_color:
            if warn:
                task.log(f"{', '.join(lost)} of {name} may be lost", "warning")
            continue
        place = made.places.get("codec")
        field = "output_maps" if place is None else f"output_maps[{place}].options"
        expected = (
            f"would lose {', '.join(lost)} of {name}: libx265 and libsvtav1 keep what"
            ' is static, in 10 bits; or say "color_loss": "allow"'
        )
        problem = Problem(task.field(field), made.codec or "no codec", expected)
        raise InvalidSettings.of(problem)


def check_comparable(task: Task, settings: FfmpegSettings, expected: Expected) -> None:
    """Refuse ``verify: quality`` where pictures cannot be compared.

    Raises:
        InvalidSettings: they cannot; says why.
    """
    obstacle = expected.reference.obstacle
    if settings.verify is Verify.QUALITY and obstacle:
        said = f"cannot compare the output with its source: {obstacle}"
        problem = Problem(task.field("verify"), settings.verify.value, said)
        raise InvalidSettings.of(problem)


# Space


def needed_bytes(settings: FfmpegSettings, streams: Sequence[Made] | None) -> int:
    """Tell how many bytes the output will take at least.

    A copied stream takes what its source says of it, or most of the file if all of it
    is copied. An encoded picture takes a twentieth of its file.
    """
    trim = trim_of(settings)
    if streams is None or trim is None:
        return 0
    total = 0.0
    for path in dict.fromkeys(made.source.film.path for made in streams):
        mine = [made for made in streams if made.source.film.path == path]
        total += _needed_of(path, mine) * _share(mine[0].source, trim)
    return int(total)


def _needed_of(path: Path, streams: Sequence[Made]) -> int:
    film, size = streams[0].source.film, path.stat().st_size
    if all(made.codec == "copy" for made in streams):
        mapped = {made.source.stream.index for made in streams}
        if mapped == {stream.index for stream in film.streams}:
            return least_copied(path)
    copied = sum(m.source.stream.size or 0 for m in streams if m.codec == "copy")
    encodes = any(m.is_picture and m.codec != "copy" for m in streams)
    return min(size, copied) + (size // _ENCODED_SHARE if encodes else 0)


def _share(source: Mapped, trim: tuple[float, float | None]) -> float:
    """Tell how much of a source is used, from 0 to 1."""
    start, length = trim
    whole = source.film.duration
    if not whole:
        return 1.0 if trim == (0.0, None) else 0.0
    rest = max(0.0, whole - start)
    return min(1.0, (rest if length is None else min(rest, length)) / whole)
