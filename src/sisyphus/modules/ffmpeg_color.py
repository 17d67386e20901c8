"""HDR data and colour tags of the sources: what is carried, and what would be lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import replace

from sisyphus.media.hdr import (
    HLG,
    PQ,
    Color,
    depth_of,
    holds_rgb,
    svtav1_params,
    x265_params,
)
from sisyphus.media.probe import Probe
from sisyphus.modules.ffmpeg_argv import Resolved
from sisyphus.modules.ffmpeg_filters import filters_of
from sisyphus.modules.ffmpeg_streams import Made
from sisyphus.modules.options import OptionValue, rendered, words

_CARRIERS: Mapping[str, tuple[str, Callable[[Color], dict[str, str]]]] = {
    "libx265": ("x265-params", x265_params),
    "libsvtav1": ("svtav1-params", svtav1_params),
}
"""Encoder -> the option that holds its parameters, and what they have to say."""

_RECOLORING = words(
    "colorchannelmixer colorize colorkey colormatrix colorspace colorspace_cuda"
    " extractplanes geq grayworld haldclut histogram libplacebo lut lut1d lut3d lutrgb"
    " lutyuv monochrome palettegen paletteuse pseudocolor setparams setrange tonemap"
    " tonemap_opencl tonemap_vaapi v360 waveform zscale"
)
"""Filters by which a job gives the picture other colours, or other tags, on purpose."""
_RECOLORS_BY = ("color", "primaries", "range", "transfer", "matrix", "trc")
"""In the arguments of ``scale`` and its kin."""

_TAG_OPTIONS = {
    "color_primaries": "primaries",
    "color_trc": "transfer",
    "colorspace": "space",
    "color_range": "range",
}
_TAG_PARAMS = {
    "colorprim": "primaries",
    "transfer": "transfer",
    "colormatrix": "space",
    "range": "range",
    "fullrange": "range",
    "input-range": "range",
    "master-display": "mastering",
    "mastering-display": "mastering",
    "max-cll": "light",
    "cll": "light",
    "content-light": "light",
    "color-primaries": "primaries",
    "transfer-characteristics": "transfer",
    "matrix-coefficients": "space",
    "color-range": "range",
}
"""Parameters of x264, x265, SVT-AV1 and aom that say a colour themselves."""
_PARAMS = words("x264-params x264opts x265-params svtav1-params aom-params")


def with_colors(streams: Sequence[Made], probe: Probe) -> list[Made]:
    """Add to each picture what the output must say of its colours."""
    return [_with_color(made, probe) for made in streams]


def _with_color(made: Made, probe: Probe) -> Made:
    if not made.is_picture or _recolors(made):
        return made
    film, stream = made.source.film, made.source.stream
    color = stream.color
    if made.codec != "copy" or color.depth > 8 or color.is_hdr:
        color = probe.color(film, stream)  # decodes a frame
    known = (PQ, HLG, None) if made.codec in _CARRIERS else (PQ,)
    if color.transfer not in known:
        # Without the curve the rest of HDR10 has no meaning, and few encoders know it.
        color = replace(color, mastering=None, light=None)
    if "dolbyvision" in made.options:
        color = replace(color, dynamic=color.dynamic - {"Dolby Vision"})
    source = replace(made.source, color=color, recolored=_set_by_job(made))
    return replace(made, source=source)


def _recolors(made: Made) -> bool:
    """Tell whether its filters change colours on purpose."""
    for name, arguments in filters_of(made.filters):
        if name in _RECOLORING:
            return True
        if name.startswith("scale") and any(key in arguments for key in _RECOLORS_BY):
            return True
        if name == "format" and holds_rgb(arguments.removeprefix("pix_fmts=")):
            return True
    return False


def _set_by_job(made: Made) -> frozenset[str]:
    """List the fields of a colour that the job itself gives a value."""
    found = {_TAG_OPTIONS[name] for name in _TAG_OPTIONS.keys() & made.options.keys()}
    for option in _PARAMS & made.options.keys():
        keys = _keys(made.options[option])
        found |= {_TAG_PARAMS[key] for key in _TAG_PARAMS.keys() & keys}
    if holds_rgb(str(made.options.get("pix_fmt", ""))):
        found |= {"space", "range", "pix_fmt"}
    return frozenset(found)


def _keys(value: OptionValue) -> Set[str]:
    """List the keys of an encoder's parameters."""
    keys: Iterable[str]
    if isinstance(value, dict):
        keys = value
    else:
        keys = (part.partition("=")[0] for part in rendered(value).split(":"))
    return {key.strip().replace("_", "-") for key in keys}


# Carried


def carrying(streams: Sequence[Made], options: Resolved) -> Resolved:
    """Add to the options what x265 and SVT-AV1 must be told; the job's own values win."""
    added = [dict(chosen) for chosen in options]
    for made in streams:
        color = made.source.color
        place = _place(made)
        if color is None or place is None or made.codec is None:
            continue
        option, params = _CARRIERS[made.codec]
        value = made.options.get(option)
        own = _keys(value) if value is not None else set()
        missing = {k: v for k, v in params(color).items() if k not in own}
        if missing:
            added[place][option] = _merged(value, missing)
    return added


def _place(made: Made) -> int | None:
    """Tell which output map is the one to hold an encoder's parameters."""
    if made.codec is None or made.codec not in _CARRIERS:
        return None
    option, _ = _CARRIERS[made.codec]
    return made.places.get(option, made.places.get("codec"))


def _merged(value: OptionValue, missing: Mapping[str, str]) -> OptionValue:
    if isinstance(value, dict):
        return {**value, **missing}
    text = rendered(dict(missing))
    return text if value is None or value == "" else f"{rendered(value)}:{text}"


# Lost


def would_lose(made: Made) -> list[str]:
    """List what an encoding as the settings say would lose of a source's colours."""
    color = made.source.color
    if color is None or made.codec == "copy":
        return []
    found = [f"the {name} data" for name in sorted(color.dynamic)]
    if _place(made) is None:
        if color.mastering and "mastering" not in made.source.recolored:
            found.append("the mastering display data")
        if color.light and "light" not in made.source.recolored:
            found.append("the content light level")
    depth = _depth(made)
    if color.is_hdr and depth is not None and depth < min(10, color.depth):
        found.append(f"{color.depth} bits a sample (would be {depth})")
    return found


def _depth(made: Made) -> int | None:
    """Tell how many bits the job asks for; ``None``: as many as the source has."""
    chosen = made.options.get("pix_fmt")
    if chosen is not None:
        return depth_of(str(chosen).lstrip("+"))
    formats = [
        arguments.removeprefix("pix_fmts=")
        for name, arguments in filters_of(made.filters)
        if name == "format"
    ]
    return depth_of(formats[-1]) if formats and "|" not in formats[-1] else None
