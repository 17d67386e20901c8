"""From settings to ffmpeg's arguments, and what the settings mean for the output."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sisyphus.media.probe import Film, Stream
from sisyphus.media.verify import Expected, Mapped
from sisyphus.modules.ffmpeg_options import FLAGS, filters_of, flag_is_set
from sisyphus.modules.ffmpeg_settings import FfmpegSettings, OutputMap, SourceMap
from sisyphus.modules.fields import seconds_of
from sisyphus.modules.options import OptionValue, rendered, words

Resolved = Sequence[Mapping[str, OptionValue]]
"""The options of each output map, stored ones included."""

_KINDS = {
    "v": "video",
    "a": "audio",
    "s": "subtitle",
    "d": "data",
    "t": "attachment",
}

_TRIM = ("ss", "to", "t")
_HARMLESS_INPUT = words(
    "autorotate c codec err_detect fflags hwaccel hwaccel_device"
    " hwaccel_output_format noautorotate re readrate recast_media ss t"
    " thread_queue_size threads to"
)
"""Input options under which the probe sees what ffmpeg sees."""

_CHANGES_LENGTH = words(
    "aframes an apad async bsf copyts dframes dn frames fs shortest sn ss"
    " start_at_zero t timestamp to vframes vn xerror"
)
_CHANGES_FRAMES = words(
    "copyinkf copypriorss f filter force_fps fps_mode fpsmax r tag vf vsync"
)
_KEEPS_LENGTH = words(
    "aformat anull aresample ass bwdif cas channelmap channelsplit colorspace compand"
    " crop cropdetect deband decomb deflicker delogo deshake drawbox drawtext"
    " dynaudnorm eq equalizer format fps gradfun hflip hqdn3d hue hwdownload hwupload"
    " idet kerndeint libplacebo loudnorm lut lut3d minterpolate nlmeans noise null"
    " overlay pad pan pp rotate scale scale_cuda scale_qsv scale_vaapi setdar setfield"
    " setsar subtitles tonemap transpose unsharp vflip volume yadif zscale"
)


def build_argv(
    settings: FfmpegSettings,
    options: Resolved,
    output: Path,
    *,
    overwrite: bool,
    program: str = "ffmpeg",
) -> list[str]:
    """Build the whole command line; the output is its last argument."""
    # The output never gets its final name from ffmpeg, so -y and -n only say what the
    # task would have said; both keep ffmpeg from asking.
    argv = [program, "-nostdin", "-hide_banner", "-nostats", "-stats_period", "0.5"]
    argv.append("-y" if overwrite else "-n")
    for number, source in enumerate(settings.sources):
        # Options reach the next source only; and no source may open anything else.
        argv += ["-protocol_whitelist", "file,pipe"]
        for name, value in settings.input_options.items():
            argv += _option(f"-{name}", name, value)
        if number == 0:
            argv += ["-progress", "pipe:1"]
        argv += ["-i", str(source)]
    for source_map in settings.source_maps:
        argv += ["-map", source_map.argument]
    for output_map, chosen in zip(settings.output_maps, options, strict=True):
        for name, value in chosen.items():
            argv += _option(f"-{name}{output_map.suffix}", name, value)
    return [*argv, str(output)]


def _option(word: str, name: str, value: OptionValue) -> list[str]:
    if name in FLAGS:
        return [word] if flag_is_set(value) else []
    return [word, rendered(value)]


def merged(
    entry: OutputMap, profile: Mapping[str, Any], option_set: Mapping[str, Any]
) -> dict[str, Any]:
    """Put stored and inline options together, key by key.

    Inline options win over a profile and follow its order; an option set wins over
    inline options and follows theirs.
    """
    return {**profile, **(entry.options or {}), **option_set}


def mapped_streams(
    maps: Sequence[SourceMap], films: Sequence[Film | None]
) -> list[Mapped] | None:
    """List what goes into the output, in its order; ``None`` if a source is unknown."""
    chosen: list[Mapped] = []
    for entry in maps:
        film = films[entry.source]
        if film is None:
            return None
        chosen += [Mapped(film, stream) for stream in _selected(entry, film)]
    return chosen


def _selected(entry: SourceMap, film: Film) -> Sequence[Stream]:
    if entry.specifier is None:
        streams = film.streams
    else:
        streams = film.of_kind(_KINDS[entry.specifier])
    if entry.stream is None:
        return streams
    return streams[entry.stream : entry.stream + 1]


def trim_of(settings: FfmpegSettings) -> tuple[float, float | None] | None:
    """Tell where the sources are cut: start and length in seconds.

    ``None`` if the input options cut or stretch in ways that are not understood here.
    """
    try:
        cuts = {
            name: seconds_of(value)
            for name, value in settings.input_options.items()
            if name in _TRIM
        }
    except ValueError:
        return None
    start = cuts.get("ss", 0.0)
    length = cuts.get("t")
    if length is None and "to" in cuts:
        length = max(0.0, cuts["to"] - start)
    return start, length


def expected_output(
    settings: FfmpegSettings, options: Resolved, films: Sequence[Film | None]
) -> Expected:
    """Say what the settings let us expect of the output, and no more than that."""
    names = {name for chosen in options for name in chosen}
    # The output's own -f may be anything, also what the probe takes for something else.
    known_input = set(settings.input_options) <= _HARMLESS_INPUT
    streams = mapped_streams(settings.source_maps, films) if known_input else None
    trim = trim_of(settings)
    if streams is None or trim is None or names & {"an", "vn", "sn", "dn"}:
        return Expected(may_be_unfinished="live" in names)
    keeps_duration = not names & _CHANGES_LENGTH and all(
        name in _KEEPS_LENGTH for chosen in options for name in _filter_names(chosen)
    )
    return Expected(
        streams=streams,
        keeps_duration=keeps_duration,
        start=trim[0],
        length=trim[1],
        keeps_frames=keeps_duration and not names & _CHANGES_FRAMES,
        may_be_unfinished="live" in names,
    )


def _filter_names(options: Mapping[str, OptionValue]) -> list[str]:
    return [
        name
        for option in ("filter", "vf", "af")
        if option in options
        for name, _ in filters_of(rendered(options[option]))
    ]


def expected_length(
    settings: FfmpegSettings, streams: Sequence[Mapped] | None
) -> float | None:
    """Tell how many seconds of film there are to do, as well as is known."""
    trim = trim_of(settings)
    if not streams or trim is None:
        return None
    lengths = [m.stream.duration or m.film.duration for m in streams]
    longest = max((s for s in lengths if s is not None), default=None)
    if longest is None:
        return trim[1]
    rest = max(0.0, longest - trim[0])
    return rest if trim[1] is None else min(rest, trim[1])


def first_video(streams: Sequence[Mapped] | None) -> Mapped | None:
    """Find the first moving picture that goes into the output."""
    return next(
        (m for m in streams or () if m.stream.kind == "video" and not m.stream.picture),
        None,
    )


def trimmed_frames(
    frames: int, whole: float | None, length: float | None
) -> int | None:
    """Scale a source's frames to the part that is encoded."""
    if whole is None or length is None or whole <= 0:
        return None
    return max(1, round(frames * min(1.0, length / whole)))


_DURATION_LINE = re.compile(r"\s*Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?)")


def duration_in(line: str) -> float | None:
    """Read a source's duration from ffmpeg's own report of it."""
    found = _DURATION_LINE.match(line)
    if not found:
        return None
    hours, minutes, seconds = found.groups()
    return 3600 * int(hours) + 60 * int(minutes) + float(seconds)
