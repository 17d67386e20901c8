"""How much an ffmpeg task has to do: frames where they can be counted, else time."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from sisyphus.media.probe import Probe
from sisyphus.media.progress import EncodingProgress, frames_in
from sisyphus.modules.ffmpeg_argv import Resolved, seconds_in, trim_of
from sisyphus.modules.ffmpeg_filters import filters_of
from sisyphus.modules.ffmpeg_settings import FfmpegSettings
from sisyphus.modules.ffmpeg_streams import Made, names_in
from sisyphus.modules.options import rendered, words

_OTHER_RATE = words("force_fps fps_mode fpsmax r vsync")
_FRAME_FOR_FRAME = words(
    "ass colorspace crop deband deblock deflicker delogo deshake drawbox drawtext eq"
    " format gradfun hflip hqdn3d hue hwdownload hwupload libplacebo lut lut3d nlmeans"
    " noise null overlay pad rotate scale scale_cuda scale_qsv scale_vaapi setdar"
    " setfield setsar subtitles tonemap transpose unsharp vflip vignette zscale"
)
_UNLESS_TOLD = words("bwdif yadif")
"""Filters that may make two frames of one, but not by themselves."""
_CUTS = ("ss", "to", "t")
_DURATION_LINE = re.compile(r"\s*Duration: (\d{1,6}):(\d\d):(\d\d(?:\.\d+)?)")


def progress_of(
    settings: FfmpegSettings,
    options: Resolved,
    made: Sequence[Made] | None,
    probe: Probe | None,
) -> EncodingProgress:
    """Find out how much there is to do, as well as it is known."""
    lengths = [
        one.source.stream.duration or one.source.film.duration for one in made or ()
    ]
    known = [seconds for seconds in lengths if seconds is not None]
    duration = rest_of(settings, options, max(known, default=None))
    picture = next((one for one in made or () if one.is_picture), None)
    if picture is None or probe is None or not _counts(picture):
        return EncodingProgress(duration=duration)
    stream, film = picture.source.stream, picture.source.film
    total = probe.frames(film, stream)
    whole = stream.duration or film.duration
    if total and not _is_whole(settings, options):
        total = frames_in(total, whole, rest_of(settings, options, whole))
    most = _most_frames(options)
    if most is not None:
        total = most if total is None else min(total, most)
    return EncodingProgress(total=total, duration=duration)


def rest_of(
    settings: FfmpegSettings, options: Resolved, whole: float | None
) -> float | None:
    """Tell how many seconds of a film of so many are to be done."""
    trim = trim_of(settings)
    if trim is None:
        return None
    rest = math.inf if whole is None else whole * _rounds(settings)
    try:
        if "sseof" in settings.input_options:
            rest = min(rest, -seconds_in(settings.input_options["sseof"]))
        rest = _cut(rest, *trim)
        for chosen in options:
            rest = _cut(rest, *_output_cut(chosen))
    except ValueError:
        return None
    return rest if math.isfinite(rest) else None


def duration_in(line: str) -> float | None:
    """Read a source's duration from ffmpeg's own report of it."""
    found = _DURATION_LINE.match(line)
    if not found:
        return None
    hours, minutes, seconds = found.groups()
    return 3600 * int(hours) + 60 * int(minutes) + float(seconds)


def _cut(rest: float, start: float, length: float | None) -> float:
    rest = max(0.0, rest - start)
    return rest if length is None else min(rest, length)


def _output_cut(options: Mapping[str, Any]) -> tuple[float, float | None]:
    """Read the cuts among the options of an output: start and length."""
    cuts = {name: seconds_in(options[name]) for name in _CUTS if name in options}
    start = cuts.get("ss", 0.0)
    length = cuts.get("t")
    if length is None and "to" in cuts:
        length = max(0.0, cuts["to"] - start)
    return start, length


def _rounds(settings: FfmpegSettings) -> float:
    """Tell how often the sources are read."""
    loops = settings.input_options.get("stream_loop", 0)
    if not isinstance(loops, int | float):
        return 1
    return math.inf if loops < 0 else loops + 1


def _is_whole(settings: FfmpegSettings, options: Resolved) -> bool:
    names = {*settings.input_options, *names_in(options)}
    return not names & {*_CUTS, "sseof", "stream_loop"}


def _counts(picture: Made) -> bool:
    """Tell whether each frame of the source is one of the output."""
    if picture.codec == "copy":
        return True
    return not _OTHER_RATE & picture.options.keys() and all(
        name in _FRAME_FOR_FRAME or (name in _UNLESS_TOLD and not arguments)
        for name, arguments in filters_of(picture.filters)
    )


def _most_frames(options: Resolved) -> int | None:
    texts = [
        rendered(chosen[name])
        for chosen in options
        for name in ("frames", "vframes")
        if name in chosen
    ]
    counts = [int(text) for text in texts if text.isdecimal()]
    return min(counts, default=None)
