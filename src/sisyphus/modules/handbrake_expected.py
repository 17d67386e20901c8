"""What the settings of a HandBrake task mean for its output, and no more than that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sisyphus.media.expected import Expected, Mapped
from sisyphus.media.hdr import Color
from sisyphus.media.probe import Film, Stream
from sisyphus.media.progress import frames_in
from sisyphus.media.quality import Reference
from sisyphus.modules.handbrake_values import FILTERS, SIDES, text_of
from sisyphus.modules.options import words

Options = Mapping[str, Any]
"""All options by their long names; see ``HandbrakeSettings.options``."""
Decided = Mapping[str, Any] | None
"""The job as HandBrake's log shows it; ``None``: there was no log."""

_RATES = words("cfr detelecine pfr preset rate")
"""Options after which the output may have other frames than the source."""
_DOUBLING = words("bwdif decomb deinterlace")
"""Filters of which some settings make two frames of one."""
_PARTS = words("chapters start-at start-at-preview stop-at")
_PTS_PER_SECOND = 90_000
_CHANGES_PICTURE = (
    frozenset(FILTERS) - {"comb-detect"}
    | words("denoise grayscale preset srt-burn ssa-burn subtitle-burned")
    | words("native-language")
)
_TEXTS = words(
    "all-subtitles first-subtitle native-language preset srt-file ssa-file subtitle"
    " subtitle-lang-list"
)
_CHOOSES_AUDIO = words("all-audio audio-lang-list first-audio native-dub preset")


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of the source is encoded."""

    start: float = 0.0
    """Seconds."""
    length: float | None = None
    """Seconds; ``None``: up to the end."""
    frames: int | None = None
    """The length in frames, when it is given so."""

    def seconds_of(self, whole: float | None) -> float | None:
        """Tell how long the part of a film is."""
        if whole is None or self.frames is not None:
            return None
        rest = max(0.0, whole - self.start)
        return rest if self.length is None else min(rest, self.length)


WHOLE = Part()


def part_of(options: Options) -> Part | None:
    """Tell which part of the source is encoded; ``None``: only HandBrake knows."""
    given = {name: options[name] for name in _PARTS if options.get(name)}
    if given.keys() & {"chapters", "start-at-preview"}:
        return None
    start_unit, start = _place(given.get("start-at"))
    stop_unit, stop = _place(given.get("stop-at"))
    if start_unit == "frames" or (start_unit and stop_unit and start_unit != stop_unit):
        return None
    if stop_unit == "frames":
        return Part(frames=int(stop))
    return Part(start=start, length=stop if stop_unit else None)


def _place(value: Any) -> tuple[str, float]:
    """Read ``start-at`` or ``stop-at``: the unit, and seconds or frames."""
    if not value:
        return "", 0.0
    unit, _, number = text_of("start-at", value).partition(":")
    if unit.startswith("frame"):
        return "frames", float(number)
    return "time", float(number) / (_PTS_PER_SECOND if unit == "pts" else 1)


def _given(options: Options) -> set[str]:
    return {name for name, value in options.items() if value is not False}


def keeps_frames(options: Options) -> bool:
    """Tell whether every frame of the source becomes one frame of the output."""
    given = _given(options)
    doubled = any(_may_double(name, options[name]) for name in given & _DOUBLING)
    return part_of(options) == WHOLE and not given & _RATES and not doubled


def _may_double(name: str, value: Any) -> bool:
    text = "" if value is None or value is True else text_of(name, value)
    return "bob" in text or "=" in text


def total_frames(
    options: Options, frames: int | None, whole: float | None
) -> int | None:
    """Tell how many of a source's frames will be encoded, as well as is known."""
    part = part_of(options)
    if part is None or frames is None:
        return None
    if part.frames is not None:
        return min(frames, part.frames)
    return frames if part == WHOLE else frames_in(frames, whole, part.seconds_of(whole))


def picture_of(film: Film | None) -> Stream | None:
    """Give the picture that HandBrake takes, if it is clear which one that is."""
    pictures = [s for s in film.of_kind("video") if not s.picture] if film else []
    return pictures[0] if len(pictures) == 1 else None


def expected_output(
    options: Options,
    film: Film | None,
    made: Film,
    decided: Decided,
    *,
    color: Color | None = None,
    dropped: int = 0,
) -> Expected:
    """Say what may be expected of the output.

    ``film`` is the source, if it is known, ``made`` the output; ``dropped`` frames have
    been left out for a reason. ``color`` is what the source's picture says of its
    colours.
    """
    reference = reference_of(options, decided)
    picture, sound = picture_of(film), film.of_kind("audio") if film else ()
    if film is not None and picture is None:
        return Expected(reference=reference)
    source = film or Film(made.path, frozenset(), None, ())
    count = audio_count(options, len(sound) if film else None, decided)
    if count is None:
        count = len(made.of_kind("audio"))
    # Which track it was made from matters only where their lengths differ.
    alike = len({s.duration and round(s.duration) for s in sound}) <= 1
    one = sound[0] if sound and alike else Stream(index=-1, kind="audio")
    # How many subtitles come out is HandBrake's decision: some become part of the
    # picture, others do not fit into the container.
    texts = [replace(s, duration=None) for s in made.of_kind("subtitle")]
    part = part_of(options) if film else None
    return Expected(
        streams=[
            Mapped(source, picture or Stream(index=-1, kind="video"), color=color),
            *(Mapped(source, stream) for stream in [*[one] * count, *texts]),
        ],
        keeps_duration=part is not None and part.frames is None,
        start=part.start if part else 0.0,
        length=part.length if part else None,
        keeps_frames=film is not None and keeps_frames(options) and not dropped,
        may_lose_color=True,
        reference=reference if film else Reference(obstacle="its source is not known"),
    )


def audio_count(
    options: Options, in_source: int | None, decided: Decided = None
) -> int | None:
    """Tell how many audio tracks must come out; ``None``: only HandBrake knows."""
    encoders = text_of("aencoder", options.get("aencoder") or "").split(",")
    # Both mean that HandBrake may leave tracks out.
    if "none" in encoders or options.get("audio-fallback") == "none":
        return None
    if "audio" in options:
        chosen = options["audio"]
        text = text_of("audio", chosen) if chosen else "none"
        return 0 if text == "none" else len(text.split(","))
    if decided is not None:
        try:
            return len(decided["Audio"]["AudioList"])
        except (KeyError, TypeError):
            return None
    if _given(options) & _CHOOSES_AUDIO or in_source is None:
        return None
    return min(1, in_source)


def foretold_audio(options: Options, in_source: int | None) -> int | None:
    """Tell how many audio tracks will follow the picture, if nothing else does."""
    if any(
        options.get(name) not in (False, "none") for name in _TEXTS & options.keys()
    ):
        return None
    return audio_count(options, in_source)


# Comparing


def obstacle_of(options: Options) -> str:
    """Say why output and source cannot be compared; nothing if they can."""
    part = part_of(options)
    if part is None or part.frames is not None:
        return "only HandBrake knows which part of it was taken"
    changing = sorted(_given(options) & (_CHANGES_PICTURE | _RATES))
    if changing:
        return f"the option {changing[0].replace('-', '_')} changes the pictures"
    return ""


def reference_of(options: Options, decided: Decided) -> Reference:
    """Say what HandBrake does to the picture before it is encoded."""
    obstacle = obstacle_of(options)
    if obstacle:
        return Reference(obstacle=obstacle)
    crop = _crop(decided)
    if crop is None:
        return Reference(obstacle="it is not known which borders were cut off")
    top, bottom, left, right = crop
    part = part_of(options) or WHOLE
    cut = ["-ss", f"{part.start:g}"] if part.start else []
    cut += [] if part.length is None else ["-t", f"{part.length:g}"]
    filters = f"crop=iw-{left + right}:ih-{top + bottom}:{left}:{top}"
    return Reference(
        input_options=tuple(cut), filters=filters if any(crop) else "", known=True
    )


def _crop(decided: Decided) -> tuple[int, int, int, int] | None:
    """Read what HandBrake cuts off: top, bottom, left, right."""
    try:
        for entry in (decided or {})["Filters"]["FilterList"]:
            settings = entry.get("Settings", {})
            if "crop-top" in settings:
                top, bottom, left, right = (
                    int(settings[f"crop-{side}"]) for side in SIDES
                )
                return top, bottom, left, right
    except (KeyError, TypeError, ValueError):
        pass
    return None
