"""Which streams an ffmpeg task makes, and which options reach each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from sisyphus.media.expected import Mapped
from sisyphus.media.probe import Film
from sisyphus.modules.ffmpeg_argv import KINDS, Resolved, mapped_streams
from sisyphus.modules.ffmpeg_filters import filters_of
from sisyphus.modules.ffmpeg_settings import FfmpegSettings, OutputMap
from sisyphus.modules.options import OptionValue, rendered, words

CODEC_OPTIONS = words("codec c vcodec acodec scodec")
_SAME = {"c": "codec"}
_OF_A_KIND = {
    # They reach all streams of their kind, whatever stands behind their names.
    "vcodec": ("codec", "video"),
    "acodec": ("codec", "audio"),
    "scodec": ("codec", "subtitle"),
    "vf": ("filter", "video"),
    "af": ("filter", "audio"),
    "vbsf": ("bsf", "video"),
    "absf": ("bsf", "audio"),
}
REROUTING = words(
    "an attach dn filter_complex filter_complex_script lavfi map map_channel sn vn"
)
"""Options by which other streams come out than ``source_maps`` say."""
_CUTS = words("aframes bsf dframes frames fs shortest ss t to vframes")


@dataclass(frozen=True, slots=True)
class Made:
    """One stream of the output."""

    source: Mapped
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    """What ffmpeg goes by: of several values the last."""
    places: Mapping[str, int] = field(default_factory=dict)
    """From which output map each of them comes; options of a whole kind are not here."""

    @property
    def codec(self) -> str | None:
        """The encoder, or ``copy``; ``None``: what ffmpeg chooses."""
        value = self.options.get("codec")
        return None if value is None else str(value)

    @property
    def is_picture(self) -> bool:
        """Whether it is a moving picture."""
        stream = self.source.stream
        return stream.kind == "video" and not stream.picture

    @property
    def filters(self) -> str:
        """What is done to it before it is encoded."""
        value = self.options.get("filter")
        return "" if value is None else rendered(value)

    @property
    def filter_names(self) -> frozenset[str]:
        """The names of those filters."""
        return frozenset(name for name, _ in filters_of(self.filters))


def streams_of(
    settings: FfmpegSettings, options: Resolved, films: Sequence[Film | None]
) -> list[Made] | None:
    """List the streams of the output in their order; ``None`` if a source is unknown."""
    sources = mapped_streams(settings.source_maps, films)
    names = names_in(options)
    if sources is None or names & REROUTING:
        return None
    made = []
    for index, source in enumerate(sources):
        kind = source.stream.kind
        nth = sum(before.stream.kind == kind for before in sources[:index])
        made.append(_made(source, index, nth, settings.output_maps, options))
    cut = bool(names & _CUTS)
    return [_marked(one, cut=cut) for one in made]


def names_in(options: Resolved) -> set[str]:
    """List the names of all options of the output."""
    return {name for chosen in options for name in chosen}


def _made(
    source: Mapped, index: int, nth: int, maps: Sequence[OutputMap], options: Resolved
) -> Made:
    found: dict[str, OptionValue] = {}
    places: dict[str, int] = {}
    for place, (entry, chosen) in enumerate(zip(maps, options, strict=True)):
        if entry.specifier is None:
            reached = entry.stream == index
        else:
            kind = KINDS[entry.specifier]
            reached = kind == source.stream.kind and entry.stream == nth
        for name, value in chosen.items():
            if name in _OF_A_KIND:
                known, kind = _OF_A_KIND[name]
                if kind == source.stream.kind:
                    found[known] = value
                    places.pop(known, None)
            elif reached:
                known = _SAME.get(name, name)
                found[known] = value
                places[known] = place
    return Made(source, found, places)


def _marked(made: Made, *, cut: bool) -> Made:
    copied = made.codec == "copy" or made.source.stream.kind == "attachment"
    kept = copied and not cut and "bsf" not in made.options
    return replace(made, source=replace(made.source, copied=kept))
