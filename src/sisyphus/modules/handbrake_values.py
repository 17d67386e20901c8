"""Values of HandBrake's options: which there are, and how each becomes one argument.

HandBrakeCLI drops many a wrong value without a word, or makes no film and ends well. So
what it would drop is refused here; encoders and the like, of which newer versions have
more, are left to it in the older dialect.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sisyphus.modules.handbrake_options import (
    FILES,
    FLAGS,
    LANGUAGES,
    LISTS,
    NONE,
    NUMBERS,
    OPTIONAL,
    TEXTS,
    TRACK_LISTS,
    TRUE_IS,
    WORDS_TOO,
)
from sisyphus.modules.options import NOTHING_ALLOWED, Allowed, check_text, words
from sisyphus.problems import did_you_mean

_AUDIO = (
    "none fdk_aac fdk_haac av_aac ac3 eac3 mp3 vorbis flac16 flac24 opus copy copy:aac"
    " copy:ac3 copy:eac3 copy:truehd copy:dts copy:dtshd copy:mp2 copy:mp3 copy:flac"
    " copy:opus"
)
CHOICES: Mapping[str, tuple[str, ...]] = {
    name: tuple(text.split())
    for name, text in {
        "adither": "auto none rectangular triangular triangular_hp lipshitz_ns",
        "aencoder": _AUDIO,
        "chroma-smooth-tune": "none tiny small medium wide verywide",
        "color-matrix": "2020 709 601 ntsc pal",
        "crop-mode": "auto conservative none custom",
        "deblock-tune": "small medium large",
        "encoder": "svt_av1 svt_av1_10bit x264 x264_10bit nvenc_h264 x265 x265_10bit"
        " x265_12bit nvenc_h265 nvenc_h265_10bit nvenc_h265_12bit mpeg2 mpeg4 VP8 VP9"
        " VP9_10bit theora",
        "format": "av_mp4 av_mkv av_webm",
        "lapsharp-tune": "none film grain animation sprite",
        "mixdown": "mono left_only right_only stereo dpl1 dpl2 5point1 6point1 7point1"
        " 5_2_lfe",
        "nlmeans-tune": "none film grain highmotion animation tape sprite",
        "unsharp-tune": "none ultrafine fine medium coarse verycoarse",
    }.items()
}
"""The words that an option takes, where it takes no others."""

DROPPED_CHOICES = ("adither", "color-matrix", "crop-mode")
"""Options of which HandBrake drops a wrong word without a word of its own."""


@dataclass(frozen=True, slots=True)
class Filter:
    """What a filter's value may be, besides true and false."""

    presets: tuple[str, ...]
    settings: frozenset[str]


def _filter(presets: str, settings: str) -> Filter:
    return Filter(tuple(presets.split()), words(settings))


_STRENGTHS = "ultralight light medium strong"
_MORE_STRENGTHS = f"{_STRENGTHS} stronger verystrong"


def _planes(planes: str, settings: str) -> str:
    return " ".join(f"{p}-{s}" for p in planes.split() for s in settings.split())


FILTERS: Mapping[str, Filter] = {
    "comb-detect": _filter(
        "default permissive fast",
        "mode spatial-metric motion-thresh spatial-thresh filter-mode block-thresh"
        " block-width block-height disable",
    ),
    "deinterlace": _filter("default skip-spatial bob qsv", "mode parity"),
    "bwdif": _filter("default bob", "mode parity"),
    "decomb": _filter(
        "default bob eedi2 eedi2bob",
        "mode magnitude-thresh laplacian-thresh variance-thresh dilation-thresh"
        " erosion-thresh noise-thresh search-distance postproc parity",
    ),
    "detelecine": _filter(
        "default",
        "skip-left skip-right skip-top skip-bottom strict-breaks plane parity disable",
    ),
    "hqdn3d": _filter(_STRENGTHS, _planes("y cb cr", "spatial temporal")),
    "nlmeans": _filter(
        _STRENGTHS,
        "threads "
        + _planes(
            "y cb cr", "strength origin-tune patch-size range frame-count prefilter"
        ),
    ),
    "chroma-smooth": _filter(_MORE_STRENGTHS, _planes("cb cr", "strength size")),
    "unsharp": _filter(_MORE_STRENGTHS, _planes("y cb cr", "strength size")),
    "lapsharp": _filter(_MORE_STRENGTHS, _planes("y cb cr", "strength kernel")),
    "deblock": _filter(_MORE_STRENGTHS, "strength thresh blocksize disable"),
    "rotate": _filter("", "angle hflip disable"),
    "pad": _filter("", "width height color x y top bottom left right"),
    "colorspace": _filter(
        "bt2020 bt709 bt601-6-525 bt601-6-625",
        "primaries transfer matrix range tonemap param desat",
    ),
}
_ALIASES = {"denoise": "hqdn3d"}

SIDES = ("top", "bottom", "left", "right")
UNITS = ("seconds", "frames", "pts")
_PLACE = re.compile(r"(?:seconds?|duration|frames?|pts):\d+(?:\.\d+)?")
_PATTERNS: Mapping[str, tuple[re.Pattern[str], str]] = {
    "crop": (re.compile(r"\d+:\d+:\d+:\d+"), "top:bottom:left:right in pixels"),
    "start-at": (_PLACE, "seconds:, frames: or pts: and a number"),
    "stop-at": (_PLACE, "seconds:, frames: or pts: and a number"),
    "pixel-aspect": (re.compile(r"\d+:\d+"), "two numbers as in 16:15"),
    "previews": (re.compile(r"\d+(?::[01])?"), "a number"),
    "chapters": (re.compile(r"\d+(?:-\d+)?"), 'a chapter or some, as in "1-3"'),
}
_MISSPELT = {"nvenv_h265_10bit": "nvenc_h265_10bit"}
"""As it stands in old examples."""

_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}")
_SETTING = re.compile(r"[^\s:=,]+")
_KEY = re.compile(r"[A-Za-z0-9][\w.-]*")


# Checking


def check_value(long: str, value: Any, allowed: Allowed = NOTHING_ALLOWED) -> None:
    """Refuse what HandBrake would misread, drop, or take for a file.

    Raises:
        ValueError: says what would be right.
    """
    if value is None and (long in FLAGS or long in OPTIONAL or long in NONE):
        return
    if isinstance(value, bool):
        if value and not (long in FLAGS or long in OPTIONAL or long in TRUE_IS):
            raise ValueError("needs a value")
    elif long in FLAGS:
        raise ValueError("takes no value: write true or false")
    elif value is None:
        raise ValueError("needs a value")
    elif _ALIASES.get(long, long) in FILTERS:
        _check_filter(FILTERS[_ALIASES.get(long, long)], value)
    elif isinstance(value, Mapping):
        _check_object(long, value, allowed)
    elif isinstance(value, list | tuple):
        _check_list(long, value, allowed)
    else:
        _check_scalar(long, value, allowed)


def _check_object(long: str, value: Mapping[Any, Any], allowed: Allowed) -> None:
    if long == "crop":
        for side, pixels in value.items():
            if side not in SIDES:
                raise ValueError(f"has no {side!r}: known are {', '.join(SIDES)}")
            if isinstance(pixels, bool) or not isinstance(pixels, int) or pixels < 0:
                raise ValueError(f"{side} must be a number of pixels")
    elif long in ("start-at", "stop-at"):
        if len(value) != 1 or next(iter(value)) not in UNITS:
            raise ValueError(f"must have one of {', '.join(UNITS)}, and only one")
        _check_number(next(iter(value.values())), "")
    elif long == "encopts":
        for key, item in value.items():
            if not isinstance(key, str) or not _KEY.fullmatch(key):
                raise ValueError(f"{key!r} is not the name of an encoder's option")
            if isinstance(item, list | Mapping):
                raise ValueError(f"{key} must be a number, a text, true, false or null")
        check_text("encopts", text_of(long, value), allowed)
    else:
        raise ValueError("takes one value, not an object")


def _check_list(long: str, value: Sequence[Any], allowed: Allowed) -> None:
    if long not in LISTS:
        raise ValueError("takes one value, not a list")
    if not value:
        raise ValueError("must not be empty")
    per_track = any(long in names for names in TRACK_LISTS.values())
    for item in value:
        if item is None or isinstance(item, list | tuple | Mapping):
            if item is None and per_track:
                continue
            raise ValueError("must be a list of single values")
        if isinstance(item, str) and '"' in item:
            raise ValueError('must not hold the sign ", which HandBrake drops')
        if not isinstance(item, bool):
            _check_scalar(long, item, allowed)


def _check_scalar(long: str, value: Any, allowed: Allowed) -> None:
    text = str(value)
    if not text or "\0" in text:
        raise ValueError("must be a text without NUL characters, and not empty")
    if long in _PATTERNS:
        pattern, expected = _PATTERNS[long]
        if not pattern.fullmatch(text):
            raise ValueError(f"must be {expected}")
        return
    # A text may hold the values of several tracks.
    items = text.split(",") if long in LISTS and long not in TEXTS else [text]
    for item in items:
        if long in NUMBERS and item:
            _check_number(item, long)
        if long in LANGUAGES and not _LANGUAGE.fullmatch(item):
            raise ValueError('must be languages such as "eng"')
        if long in DROPPED_CHOICES and item:
            check_choice(long, item)
    if long not in TEXTS and long not in FILES and long != "markers":
        check_text(long, text, allowed)


def check_choice(long: str, value: str) -> str:
    """Give a word back if the option knows it.

    Raises:
        ValueError: it does not; names the nearest, or all.
    """
    known = CHOICES[long]
    value = _MISSPELT.get(value, value)
    if value not in known:
        hint = did_you_mean(value, known)
        raise ValueError(f"is not known to HandBrake as {long.replace('-', '_')}{hint}")
    return value


def _check_number(value: Any, long: str) -> None:
    text = "" if isinstance(value, bool) else str(value)
    also = WORDS_TOO.get(long, frozenset())
    if text in also:
        return
    if not _NUMBER.fullmatch(text):
        raise ValueError(" or ".join(["must be a number", *sorted(also)]))
    if long == "title" and float(text) < 1:
        raise ValueError("must be 1 or more: HandBrake would only look at the titles")


def _check_filter(filter: Filter, value: Any) -> None:
    match value:
        case str():
            if value in filter.presets:
                return
            if "=" not in value:
                hint = did_you_mean(value, filter.presets)
                raise ValueError(f"is not a preset of this filter{hint}")
            pairs: list[tuple[str, Any]] = []
            for part in value.split(":"):
                key, _, setting = part.partition("=")
                pairs.append((key, setting))
            _check_settings(filter, pairs)
        case {"preset": str(name), **rest} | {"presets": str(name), **rest} if not rest:
            _check_filter(filter, name)
        case {"custom": dict(settings), **rest} if not rest:
            _check_settings(filter, settings.items())
        case dict():
            if alone := {"preset", "presets", "custom"} & value.keys():
                raise ValueError(f"{min(alone)} must stand alone")
            _check_settings(filter, value.items())
        case _:
            raise ValueError("must be true, false, a preset's name or an object")


def _check_settings(filter: Filter, settings: Any) -> None:
    pairs = list(settings)
    if not pairs:
        raise ValueError("must have at least one setting")
    for key, setting in pairs:
        name = str(key).replace("_", "-")
        if name not in filter.settings:
            known = {known.replace("-", "_") for known in filter.settings}
            hint = did_you_mean(str(key), known | {"preset", "custom"})
            raise ValueError(f"has no setting {key!r}{hint}")
        if isinstance(setting, list | dict) or not _SETTING.fullmatch(_plain(setting)):
            raise ValueError(f"{key} must be one number or word")


# Rendering


def text_of(long: str, value: Any) -> str:
    """Write a value as HandBrake reads it."""
    if isinstance(value, list | tuple):
        return ",".join(map(_item, value))
    if not isinstance(value, Mapping):
        return _plain(value)
    if long == "crop":
        return ":".join(str(value.get(side, 0)) for side in SIDES)
    if long in ("start-at", "stop-at"):
        ((unit, number),) = value.items()
        return f"{unit}:{number}"
    if long != "encopts":
        for name in ("preset", "presets"):
            if name in value:
                return str(value[name])
        value = value.get("custom", value)
    return ":".join(_pairs(value))


def _pairs(settings: Mapping[str, Any]) -> Iterator[str]:
    for key, value in settings.items():
        name = key.replace("_", "-")
        yield name if value is None else f"{name}={_plain(value)}"


def _item(value: Any) -> str:
    """Write one value of a list; an empty one leaves HandBrake's default."""
    text = "" if value is None else _plain(value)
    return f'"{text}"' if "," in text else text


def _plain(value: Any) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)
