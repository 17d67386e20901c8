"""From settings to ffmpeg's arguments, and what the settings mean for the output."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sisyphus.media.expected import Mapped
from sisyphus.media.probe import Film, Stream
from sisyphus.modules.ffmpeg_options import ALWAYS_ON, FLAGS, PICTURES, flag_is_set
from sisyphus.modules.ffmpeg_settings import FfmpegSettings, OutputMap, SourceMap
from sisyphus.modules.options import OptionValue, rendered

Resolved = Sequence[Mapping[str, OptionValue]]
"""The options of each output map, stored ones included."""

KINDS = {
    "v": "video",
    "a": "audio",
    "s": "subtitle",
    "d": "data",
    "t": "attachment",
}

_TRIM = ("ss", "to", "t")
_CLOCK = re.compile(
    r"(?P<sign>-?)(?:(?P<hours>\d+):)?(?P<minutes>\d+):(?P<seconds>\d+(?:\.\d*)?)s?"
)
_SECONDS = re.compile(r"(?P<sign>-?)(?P<seconds>\d+(?:\.\d*)?|\.\d+)(?P<unit>[mu]?s)?")
_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}


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
            argv += option(f"-{name}", name, value)
        if number == 0:
            argv += ["-progress", "pipe:1"]
        if "%" in str(source) and source.suffix.lower() in PICTURES:
            # Such a name is no pattern: ffmpeg would read other pictures.
            argv += ["-pattern_type", "none"]
        argv += ["-i", str(source)]
    for source_map in settings.source_maps:
        argv += ["-map", source_map.argument]
    for output_map, chosen in zip(settings.output_maps, options, strict=True):
        for name, value in chosen.items():
            argv += option(f"-{name}{output_map.suffix}", name, value)
    return [*argv, str(output)]


def option(word: str, name: str, value: OptionValue) -> list[str]:
    """Write one option; ``word`` is its name as the command line wants it."""
    if name in ALWAYS_ON:
        return [] if flag_is_set(value) else [f"-no{word[1:]}"]
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
        streams = film.of_kind(KINDS[entry.specifier])
    if entry.stream is None:
        return streams
    return streams[entry.stream : entry.stream + 1]


def seconds_in(value: Any) -> float:
    """Read a length of time as ffmpeg does: ``90``, ``1:30``, ``-0:01.5``, ``500ms``.

    Raises:
        ValueError: it is none.
    """
    found = _CLOCK.fullmatch(str(value)) or _SECONDS.fullmatch(str(value))
    if not found:
        raise ValueError('must be a time such as "90", "0:01:30.5" or "500ms"')
    parts = found.groupdict()
    seconds = float(parts["seconds"])
    seconds += 60 * int(parts.get("minutes") or 0)
    seconds += 3600 * int(parts.get("hours") or 0)
    seconds *= _UNITS[parts.get("unit") or "s"]
    return -seconds if parts["sign"] else seconds


def trim_of(settings: FfmpegSettings) -> tuple[float, float | None] | None:
    """Tell where the sources are cut: start and length in seconds.

    ``None`` if the input options cut or stretch in ways that are not understood here.
    """
    try:
        cuts = {
            name: seconds_in(value)
            for name, value in settings.input_options.items()
            if name in _TRIM
        }
    except ValueError:
        return None
    start = max(0.0, cuts.get("ss", 0.0))
    length = cuts.get("t")
    if length is None and "to" in cuts:
        length = max(0.0, cuts["to"] - start)
    return start, length
