"""What an ffmpeg task's data looks like: the 2021 dialect and the newer one.

The older names (``source_map``, ``output_map``, ``stream_type``, ``profile``) may stand
wherever the newer ones may. They also bring the older habit: the output is overwritten
unless ``overwrite`` says otherwise.
"""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from sisyphus.modules.base import ModuleSettings
from sisyphus.modules.ffmpeg_options import PICTURES, check_format, check_options
from sisyphus.modules.fields import InputFile, OutputFile, shown
from sisyphus.modules.options import Allowed, OptionValue
from sisyphus.modules.verifying import VerifiedSettings

_MOST_SOURCES = 100
_SERIES = re.compile(r"%\d*d")
_PLAYLISTS = {
    ".chk": "webm_chunk",
    ".ffconcat": "concat",
    ".ism": "smoothstreaming",
    ".ismv": "ismv_split",
    ".m3u8": "hls",
    ".mpd": "dash",
    ".sdp": "sdp",
}
"""Endings of names by which ffmpeg chooses a format that writes several files."""


def _letter(value: Any) -> Any:
    """Cut ``Video`` to ``v``."""
    if value is None:
        return None
    if not isinstance(value, str) or value[:1].lower() not in ("v", "a", "s", "d", "t"):
        raise ValueError(
            "must be v (video), a (audio), s (subtitle), d (data) or t (attachment)"
        )
    return value[0].lower()


def _checked_options(
    options: dict[str, OptionValue], info: ValidationInfo
) -> dict[str, OptionValue]:
    check_options(options, allowed=Allowed.in_validation(info))
    return options


_INPUT_TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "ss": ((str,), 'must be text such as "0:01:30" or "90"'),
    "to": ((str,), 'must be text such as "0:01:30" or "90"'),
    "t": ((str,), 'must be text such as "0:01:30" or "90"'),
    "stream_loop": ((int, float), "must be a number"),
    "recast_media": ((bool,), "must be true or false"),
}


def _checked_input_options(
    options: dict[str, OptionValue], info: ValidationInfo
) -> dict[str, OptionValue]:
    for name, (types, expected) in _INPUT_TYPES.items():
        value = options.get(name, types[0]())
        wrong_bool = isinstance(value, bool) and bool not in types
        if wrong_bool or not isinstance(value, types):
            raise ValueError(f"{name} {expected}")
    if check_options(options, is_input=True, allowed=Allowed.in_validation(info)):
        raise ValueError("filters belong to output_maps")
    return options


Specifier = Annotated[
    str | None,
    BeforeValidator(_letter),
    WithJsonSchema(
        {
            "anyOf": [{"type": "string"}, {"type": "null"}],
            "description": "Kind of stream: its first letter counts"
            " (video, audio, subtitle, data, t for attachment).",
        }
    ),
]
_EXAMPLE = {"codec": "libx265", "crf": 19, "x265-params": {"bframes": 8}}
Options = Annotated[
    dict[str, OptionValue],
    AfterValidator(_checked_options),
    Field(
        description="Options by name, without '-'. An object becomes"
        " key=value:key=value, null or true on an option without value sets it.",
        examples=[_EXAMPLE],
    ),
]
InputOptions = Annotated[
    dict[str, OptionValue],
    AfterValidator(_checked_input_options),
    Field(
        description="Options before each source: ss, to and t (text), stream_loop"
        " (number), recast_media (true or false) and others.",
        examples=[{"ss": "0:00:30", "to": "0:01:00"}],
    ),
]


def _renamed(data: Any, names: dict[str, str]) -> Any:
    """Put newer names for older ones."""
    if not isinstance(data, dict):
        return data
    for old, new in names.items():
        if old in data and new in data:
            raise ValueError(f"{old} and {new} mean the same: give one of them")
    return {names.get(key, key): value for key, value in data.items()}


class SourceMap(ModuleSettings):
    """One mapping from a source into the output."""

    source: int = Field(ge=0, strict=True, description="Which source, counted from 0.")
    specifier: Specifier = None
    stream: int | None = Field(
        None,
        ge=0,
        strict=True,
        description="Which stream of that kind (without a specifier: of all), from 0.",
    )
    optional: bool = Field(
        False, strict=True, description="Whether the stream may be missing."
    )

    @model_validator(mode="before")
    @classmethod
    def _older_names(cls, data: Any) -> Any:
        return _renamed(data, {"stream_type": "specifier"})

    @property
    def argument(self) -> str:
        """The value of ``-map``."""
        parts = (self.source, self.specifier, self.stream)
        text = ":".join(str(part) for part in parts if part is not None)
        return text + "?" * self.optional


class OutputMap(ModuleSettings):
    """The options of one stream of the output."""

    stream: int = Field(
        ge=0,
        strict=True,
        description="Which stream of that kind of the output (without a specifier: of"
        " all), from 0.",
    )
    specifier: Specifier = None
    options: Options | None = Field(None, description="Options of this stream.")
    profile: str | None = Field(
        None,
        min_length=1,
        description="Name of stored options; inline options win over them.",
    )
    option_set: str | None = Field(
        None,
        min_length=1,
        description="Name of stored options; they win over inline options.",
    )

    @model_validator(mode="before")
    @classmethod
    def _older_names(cls, data: Any) -> Any:
        return _renamed(data, {"stream_type": "specifier"})

    @property
    def suffix(self) -> str:
        """What follows each option's name."""
        return (
            f":{self.specifier}:{self.stream}" if self.specifier else f":{self.stream}"
        )


class ColorLoss(StrEnum):
    """What happens when HDR data or colour tags of a source would not come through."""

    REFUSE = "refuse"
    """The task fails: before the work, where that can be known, else after it."""
    ALLOW = "allow"
    """What can be carried is carried; the rest is a warning in the log."""


class FfmpegSettings(VerifiedSettings):
    """Encode or copy streams of one or more sources into one output."""

    sources: tuple[InputFile, ...] = Field(
        min_length=1, max_length=_MOST_SOURCES, description="Files to read, in order."
    )
    source_maps: tuple[SourceMap, ...] = Field(
        min_length=1, description="Which streams go into the output, in this order."
    )
    output_maps: tuple[OutputMap, ...] = Field(
        description="Options for streams of the output."
    )
    output_file: OutputFile
    overwrite: bool = Field(
        False,
        strict=True,
        description="Whether the output may take the place of an existing file.",
    )
    input_options: InputOptions = Field(default_factory=dict)
    color_loss: ColorLoss = Field(
        ColorLoss.REFUSE,
        description="Whether HDR data and colour tags of a source may be lost.",
    )

    @property
    def may_lose_color(self) -> bool:
        """Whether lost colour data is only worth a warning."""
        return self.color_loss is ColorLoss.ALLOW

    @model_validator(mode="before")
    @classmethod
    def _dialect(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        names = {"source_map": "source_maps", "output_map": "output_maps"}
        renamed = _renamed(data, names)
        older = _is_older(data)
        if older:
            renamed.setdefault("overwrite", True)
        sources = renamed.get("sources")
        # Each is compared with each, so too many are left to be refused as such.
        few = isinstance(sources, list) and len(sources) <= _MOST_SOURCES
        if not older and few:
            twice = [source for source in sources if sources.count(source) > 1]
            if twice:
                raise ValueError(f"sources names {shown(twice[0])} twice")
        maps = renamed.get("output_maps")
        for number, entry in enumerate(maps if isinstance(maps, list) else ()):
            if not older and isinstance(entry, dict) and not _has_options(entry):
                raise ValueError(
                    f"output_maps[{number}] needs options or an option_set"
                )
        return renamed

    @field_validator("source_maps")
    @classmethod
    def _known_sources(cls, maps: tuple[SourceMap, ...], info: Any) -> Any:
        count = len(info.data.get("sources", ())) or None
        for number, entry in enumerate(maps):
            if count is not None and entry.source >= count:
                raise ValueError(
                    f"entry {number} names source {entry.source}, but there are only"
                    f" {count}, counted from 0"
                )
        return maps

    @field_validator("output_file")
    @classmethod
    def _one_file(cls, path: Path, info: ValidationInfo) -> Path:
        suffix = path.suffix.lower()
        maps = info.data.get("output_maps", ())
        formats = {entry.options.get("f") for entry in maps if entry.options}
        is_picture = suffix in PICTURES or "image2" in formats
        if is_picture and _SERIES.search(str(path)):
            raise ValueError("must name one file: this is the pattern of a series")
        if suffix in _PLAYLISTS:
            what = f"must name one file: {suffix} is a list that names or makes"
            check_format(_PLAYLISTS[suffix], what, Allowed.in_validation(info))
        return path

    @model_validator(mode="after")
    def _not_its_own_source(self) -> Self:
        if self.output_file in self.sources:
            raise ValueError("output_file is also a source")
        return self


def _has_options(entry: dict[str, Any]) -> bool:
    return any(entry.get(key) is not None for key in ("options", "option_set"))


def _is_older(data: dict[str, Any]) -> bool:
    """Tell whether any name of the 2021 dialect is used."""
    if "source_map" in data or "output_map" in data:
        return True
    entries = [
        entry
        for key in ("source_maps", "output_maps")
        if isinstance(data.get(key), list)
        for entry in data[key]
        if isinstance(entry, dict)
    ]
    return any("stream_type" in entry or "profile" in entry for entry in entries)
