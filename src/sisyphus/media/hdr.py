"""What a film says of its colours, and what of that an encoder must be told.

HDR10 has two halves: tags of the stream (PQ curve, BT.2020) and static data (the display
it was graded on, its brightest frame). The encoders keep the first by themselves; the
second they drop without a word unless it is written into their parameters.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, replace
from typing import Any, Self

PQ, HLG = "smpte2084", "arib-std-b67"

_TAGS: Mapping[str, str] = {
    # field -> what people call it
    "primaries": "colour primaries",
    "transfer": "transfer curve",
    "space": "colour matrix",
    "range": "range",
}
_DEPTH = re.compile(r"(9|10|12|14|16)(?:le|be)$")
_CHROMATICITY_SLACK = 0.002
_LUMINANCE_SLACK, _LUMINANCE_SHARE = 0.001, 0.01
"""AV1 keeps these numbers in steps of 1/65536 and 1/256."""


@dataclass(frozen=True, slots=True)
class Mastering:
    """The display a film was graded on."""

    green: tuple[float, float]
    blue: tuple[float, float]
    red: tuple[float, float]
    white: tuple[float, float]
    """CIE 1931 x and y."""
    brightest: float
    darkest: float
    """cd/m²."""

    @property
    def points(self) -> tuple[tuple[str, tuple[float, float]], ...]:
        """The four chromaticities by their letters, in the order encoders want."""
        return (
            ("G", self.green),
            ("B", self.blue),
            ("R", self.red),
            ("WP", self.white),
        )

    def is_like(self, other: Mastering) -> bool:
        """Tell whether both are the same, but for an encoder's rounding."""
        mine, theirs = (
            [number for _, point in one.points for number in point]
            for one in (self, other)
        )
        return (
            all(
                abs(a - b) <= _CHROMATICITY_SLACK
                for a, b in zip(mine, theirs, strict=True)
            )
            and abs(self.brightest - other.brightest)
            <= _LUMINANCE_SLACK + _LUMINANCE_SHARE * self.brightest
            and abs(self.darkest - other.darkest) <= _LUMINANCE_SLACK
        )


@dataclass(frozen=True, slots=True)
class Light:
    """How bright a film gets, in cd/m²."""

    brightest: int
    """Of any one pixel: MaxCLL."""
    average: int
    """Of the brightest frame as a whole: MaxFALL."""


@dataclass(frozen=True, slots=True)
class Color:
    """What one picture stream says of its colours; ``None`` where it says nothing."""

    pix_fmt: str = ""
    primaries: str | None = None
    transfer: str | None = None
    space: str | None = None
    range: str | None = None
    mastering: Mastering | None = None
    light: Light | None = None
    dynamic: frozenset[str] = frozenset()
    """``Dolby Vision``, ``HDR10+`` ...: data for each scene or frame."""

    @property
    def is_hdr(self) -> bool:
        """Whether the numbers mean light on an HDR curve."""
        return self.transfer in (PQ, HLG)

    @property
    def is_rgb(self) -> bool:
        """Whether it has no luma and chroma, and so no matrix."""
        return self.space == "gbr" or holds_rgb(self.pix_fmt)

    @property
    def depth(self) -> int:
        """Bits of a sample."""
        return depth_of(self.pix_fmt)

    @property
    def static(self) -> bool:
        """Whether it has static HDR data."""
        return self.mastering is not None or self.light is not None

    def in_frame(self, row: Mapping[str, Any]) -> Self:
        """Take what a decoded frame says; of side data, what the stream lacks."""
        tags = {key: value for key, value in _tags(row).items() if value}
        return replace(self, **tags).with_side_data(row.get("side_data_list", ()))

    def with_side_data(self, rows: Iterable[Mapping[str, Any]]) -> Self:
        """Add what ffprobe calls side data, of a stream or of a frame."""
        mastering, light, dynamic = self.mastering, self.light, set(self.dynamic)
        for row in rows:
            kind = str(row.get("side_data_type", ""))
            if kind == "Mastering display metadata":
                mastering = mastering or _mastering(row)
            elif kind == "Content light level metadata":
                light = light or _light(row)
            elif "Dolby Vision" in kind or "DOVI" in kind:
                dynamic.add("Dolby Vision")
            elif "SMPTE2094-40" in kind:
                dynamic.add("HDR10+")
            elif kind.startswith("HDR Dynamic Metadata"):
                dynamic.add("HDR Vivid")
        return replace(
            self, mastering=mastering, light=light, dynamic=frozenset(dynamic)
        )


NO_COLOR = Color()
"""Of a stream that is no picture, or says nothing."""


def color_of(row: Mapping[str, Any]) -> Color:
    """Read a stream's row of ffprobe's answer."""
    tags = {**_tags(row), "pix_fmt": str(row.get("pix_fmt", ""))}
    return Color(**tags).with_side_data(row.get("side_data_list", ()))


def depth_of(pix_fmt: str) -> int:
    """Tell how many bits a sample has, from the name of a pixel format."""
    found = _DEPTH.search(pix_fmt.removeprefix("gray"))
    return int(found[1]) if found else 8


def holds_rgb(pix_fmt: str) -> bool:
    """Tell whether a pixel format holds red, green and blue."""
    return pix_fmt.startswith(
        ("rgb", "bgr", "gbr", "argb", "abgr", "0rgb", "0bgr", "x2")
    )


# What encoders must be told


def x265_params(color: Color) -> dict[str, str]:
    """Write HDR data as libx265 wants it: integers, in steps of 0.00002 and 0.0001."""
    tags = {
        "colorprim": color.primaries,
        "transfer": color.transfer,
        "colormatrix": color.space,
    }
    found = {key: value for key, value in tags.items() if value and color.is_hdr}
    if color.static:
        found |= {"hdr10": "1", "repeat-headers": "1"}
    if color.mastering:
        points = _points(color.mastering, lambda number: str(round(number * 50_000)))
        bright, dark = (
            round(number * 10_000)
            for number in (color.mastering.brightest, color.mastering.darkest)
        )
        found["master-display"] = f"{points}L({bright},{dark})"
    if color.light:
        found["max-cll"] = f"{color.light.brightest},{color.light.average}"
    return found


def svtav1_params(color: Color) -> dict[str, str]:
    """Write static HDR data as SVT-AV1 wants it: chromaticities and cd/m²."""
    found: dict[str, str] = {}
    if color.mastering:
        points = _points(color.mastering, lambda number: f"{number:.5g}")
        light = f"L({color.mastering.brightest:.8g},{color.mastering.darkest:.4g})"
        found["mastering-display"] = points + light
    if color.light:
        found["content-light"] = f"{color.light.brightest},{color.light.average}"
    return found


def _points(mastering: Mastering, shown: Callable[[float], str]) -> str:
    return "".join(
        f"{letter}({shown(x)},{shown(y)})" for letter, (x, y) in mastering.points
    )


# What an output has lost


def lost(source: Color, output: Color, changed: Set[str] = frozenset()) -> list[str]:
    """List what the source says of its colours and the output does not.

    ``changed`` names fields of ``Color`` that the job changes on purpose.
    """
    found = []
    rgb = source.is_rgb or output.is_rgb
    for field, name in _TAGS.items():
        wanted, made = getattr(source, field), getattr(output, field)
        if wanted is None or field in changed or (rgb and field in ("space", "range")):
            continue
        # A picture may be converted to another range, but must not be mistaken for one.
        if wanted == made or (field == "range" and (made or wanted == "tv")):
            continue
        found.append(f"the {name} {wanted} (is now {made or 'not said'})")
    shallow = output.pix_fmt and output.depth < min(10, source.depth)
    if source.is_hdr and shallow and "pix_fmt" not in changed:
        found.append(f"{source.depth} bits a sample (are now {output.depth})")
    return found + _static_lost(source, output, changed) + _dynamic_lost(source, output)


def _static_lost(source: Color, output: Color, changed: Set[str]) -> list[str]:
    found = []
    if source.mastering and "mastering" not in changed:
        kept = output.mastering and source.mastering.is_like(output.mastering)
        if not kept:
            found.append("the mastering display data")
    if source.light and "light" not in changed and source.light != output.light:
        found.append("the content light level")
    return found


def _dynamic_lost(source: Color, output: Color) -> list[str]:
    return [f"the {name} data" for name in sorted(source.dynamic - output.dynamic)]


# Reading ffprobe's rows


def _tags(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "pix_fmt": _said(row.get("pix_fmt")),
        "primaries": _said(row.get("color_primaries")),
        "transfer": _said(row.get("color_transfer")),
        "space": _said(row.get("color_space")),
        "range": _said(row.get("color_range")),
    }


def _said(value: Any) -> str | None:
    text = str(value or "unknown")
    return None if text in ("unknown", "unspecified", "reserved", "N/A") else text


def _mastering(row: Mapping[str, Any]) -> Mastering | None:
    try:
        found = {
            name: (_ratio(row[f"{key}_x"]), _ratio(row[f"{key}_y"]))
            for name, key in (
                ("green", "green"),
                ("blue", "blue"),
                ("red", "red"),
                ("white", "white_point"),
            )
        }
        bright, dark = _ratio(row["max_luminance"]), _ratio(row["min_luminance"])
    except (KeyError, ValueError, ArithmeticError):  # only one half is there
        return None
    return Mastering(**found, brightest=bright, darkest=dark) if bright > 0 else None


def _light(row: Mapping[str, Any]) -> Light | None:
    try:
        found = Light(int(row["max_content"]), int(row["max_average"]))
    except (KeyError, ValueError, TypeError, OverflowError):
        return None
    return found if found.brightest or found.average else None


def _ratio(value: Any) -> float:
    above, _, below = str(value).partition("/")
    found = float(above) / float(below or 1)
    if not math.isfinite(found):
        raise ValueError(f"{value} is no number")
    return found
