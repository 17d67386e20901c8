"""Telling a whole film from a damaged one without decoding it.

A tool's exit status is not enough: a truncated source gives a short film and success.
Every check is skipped when one side of the comparison is not known for sure, because
refusing a good film is as bad as passing a damaged one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sisyphus.errors import OutputRefused
from sisyphus.media.matroska import segment_size
from sisyphus.media.probe import Film, Probe, Stream, Unreadable

READABLE_SUFFIXES = frozenset(
    f".{name}"
    for names in (
        ("mkv", "mka", "mks", "mk3d", "webm", "mp4", "m4v", "m4a", "mov", "3gp", "avi"),
        ("flv", "ts", "m2ts", "mts", "mpg", "mpeg", "vob", "ogg", "ogv", "oga", "opus"),
        ("flac", "mp3", "wav", "ac3", "eac3", "aac"),
    )
    for name in names
)
"""What ffprobe must be able to read; raw streams and texts need not be."""

_CENSUS_FORMATS = frozenset({"matroska", "webm", "mov", "mp4", "flac", "wav", "mp3"})
_FRAME_FORMATS = frozenset({"matroska", "webm", "mov", "mp4"})
_FRAME_SLACK, _FRAME_SHARE = 12, 0.005
_TIME_SLACK, _TIME_SHARE = 1.0, 0.005
_COUNTED_KINDS = ("video", "audio", "subtitle")


@dataclass(frozen=True, slots=True)
class Mapped:
    """One stream of a source that goes into the output."""

    film: Film
    stream: Stream

    @property
    def duration(self) -> float | None:
        """Seconds, when they are known for this stream itself.

        The container's duration is that of its longest stream: it counts only when
        there is no other.
        """
        if not self.film.trusted:
            return None
        whole = self.film.duration
        if self.stream.duration is None:
            return whole if len(self.film.streams) == 1 else None
        # Tags survive a cut; nothing lasts longer than its container.
        return min(self.stream.duration, whole or self.stream.duration)


@dataclass(frozen=True, slots=True)
class Expected:
    """What the output should be like, as far as it is known."""

    streams: Sequence[Mapped] | None = None
    """In order of the output's streams; ``None``: not known."""
    keeps_duration: bool = False
    """Whether the settings leave the length alone, but for ``start`` and ``length``."""
    start: float = 0.0
    length: float | None = None
    keeps_frames: bool = False
    may_be_unfinished: bool = False
    """Whether the container's size may stay open, as in a live stream."""


def check_source(path: Path) -> None:
    """Refuse a source that is shorter than its own header says.

    Raises:
        OutputRefused: it is; nothing whole can be made of it.
    """
    size = segment_size(path)
    if size is not None and size.truncated:
        raise OutputRefused(
            f"the source {path} is cut short: its header declares"
            f" {size.declared_end} bytes, the file has {size.file_size}"
        )


def check_output(part: Path, expected: Expected, probe: Probe) -> list[str]:
    """Check a finished output against what is known of its sources.

    Returns what looks odd, but not wrong.

    Raises:
        OutputRefused: it is damaged or incomplete; says the numbers.
    """
    check_container(part, expected.may_be_unfinished)
    try:
        film = probe.film(part)
    except Unreadable as error:
        if part.suffix.lower() in READABLE_SUFFIXES:
            raise OutputRefused(f"the output cannot be read: {error}") from None
        return [f"the output was not checked: {error}"]
    if expected.streams is None:
        return []
    pairs = _paired(film, expected.streams)
    if pairs is None:
        _check_census(film, expected.streams)
        return []
    odd: list[str] = []
    if expected.keeps_duration:
        odd += _check_durations(film, pairs, expected)
    if expected.keeps_frames and expected.length is None and not expected.start:
        odd += _check_frames(film, pairs, probe)
    return odd


def check_container(part: Path, may_be_unfinished: bool = False) -> None:
    """Check that a Matroska file ends where its header says.

    Raises:
        OutputRefused: it does not.
    """
    size = segment_size(part)
    if size is None:
        return
    if size.truncated:
        raise OutputRefused(
            f"the output is cut short: its header declares {size.declared_end} bytes,"
            f" the file has {size.file_size}"
        )
    if size.unfinished and not may_be_unfinished:
        raise OutputRefused("the output was never finished: its size is left open")


def _paired(
    film: Film, sources: Sequence[Mapped]
) -> list[tuple[Stream, Mapped]] | None:
    """Put the output's streams beside their sources, if they correspond."""
    made = _counted(film)
    given = [
        m for m in sources if m.stream.kind in _COUNTED_KINDS and not m.stream.picture
    ]
    if [s.kind for s in made] != [m.stream.kind for m in given]:
        return None
    return list(zip(made, given, strict=True))


def _check_census(film: Film, sources: Sequence[Mapped]) -> None:
    if not film.formats & _CENSUS_FORMATS or any(m.stream.picture for m in sources):
        return
    made = Counter(s.kind for s in film.streams if not s.picture)
    given = Counter(m.stream.kind for m in sources)
    wrong = [
        f"{made[kind]} {kind} streams instead of {given[kind]}"
        for kind in _COUNTED_KINDS
        if made[kind] != given[kind]
    ]
    if wrong:
        raise OutputRefused(f"the output has {', '.join(wrong)}")


def _check_durations(
    film: Film, pairs: Sequence[tuple[Stream, Mapped]], expected: Expected
) -> list[str]:
    """Compare each picture and sound stream, then the whole."""
    if not film.trusted:
        return []
    wanted = [
        (made, source, _trimmed(source.duration, expected))
        for made, source in pairs
        if made.kind in ("video", "audio")
    ]
    for made, source, seconds in wanted:
        if seconds is None or made.duration is None:
            continue
        if _too_short(made.duration, seconds):
            raise OutputRefused(
                f"{made.kind} stream {made.index} of the output is"
                f" {made.duration:.2f} s long, that of {source.film.path.name} is"
                f" {seconds:.2f} s"
            )
    longest = max((s for _, _, s in wanted if s is not None), default=None)
    whole = _whole(pairs, expected)
    longest = max((s for s in (longest, whole) if s is not None), default=None)
    if longest is None or film.duration is None:
        return []
    if _too_short(film.duration, longest):
        raise OutputRefused(
            f"the output is {film.duration:.2f} s long, its sources {longest:.2f} s"
        )
    # A copy starts at the key frame before the cut, and so is longer.
    if not expected.start and _too_short(longest, film.duration):
        return [
            f"the output is {film.duration:.2f} s long, its sources {longest:.2f} s"
        ]
    return []


def _whole(pairs: Sequence[tuple[Stream, Mapped]], expected: Expected) -> float | None:
    """Give the length of sources of which every stream is in the output."""
    used = Counter(source.film.path for _, source in pairs)
    films = {source.film.path: source.film for _, source in pairs}
    lengths = [
        _trimmed(film.duration, expected)
        for path, film in films.items()
        if film.trusted and used[path] == len(_counted(film))
    ]
    return max((s for s in lengths if s is not None), default=None)


def _counted(film: Film) -> list[Stream]:
    return [s for s in film.streams if s.kind in _COUNTED_KINDS and not s.picture]


def _trimmed(duration: float | None, expected: Expected) -> float | None:
    if duration is None:
        return None
    rest = max(0.0, duration - expected.start)
    return rest if expected.length is None else min(rest, expected.length)


def _too_short(found: float, wanted: float) -> bool:
    return found < wanted - _TIME_SLACK - _TIME_SHARE * wanted


def _check_frames(
    film: Film, pairs: Sequence[tuple[Stream, Mapped]], probe: Probe
) -> list[str]:
    """Compare the first picture stream's frames with its source's."""
    found = next((pair for pair in pairs if pair[0].kind == "video"), None)
    return _compare_frames(film, *found, probe) if found else []


def check_picture(film: Film, source: Film, probe: Probe) -> list[str]:
    """Check that a picture was copied whole, if there is one, and only one.

    Returns what looks odd, but not wrong.

    Raises:
        OutputRefused: frames are missing.
    """
    made, given = (
        [s for s in one.of_kind("video") if not s.picture] for one in (film, source)
    )
    if len(made) != 1 or len(given) != 1 or not source.formats & _FRAME_FORMATS:
        return []
    return _compare_frames(film, made[0], Mapped(source, given[0]), probe)


def _compare_frames(
    film: Film, made: Stream, source: Mapped, probe: Probe
) -> list[str]:
    if not film.formats & _FRAME_FORMATS or source.stream.interlaced:
        return []  # interlaced: a packet may be half a frame
    wanted = probe.frames(source.film, source.stream)
    # What mp4 says of itself is exact; a Matroska tag may come from the source.
    count = made.claimed_frames if "mp4" in film.formats else None
    count = count or probe.packets(film.path, made)
    if wanted is None or count is None:
        return []
    slack = _FRAME_SLACK + _FRAME_SHARE * wanted
    if count > wanted + slack:
        return [f"the output has {count} frames, its source {wanted}"]
    if count >= wanted - slack:
        return []
    # A header's claim is rarely enough to refuse a film: count for sure.
    counted = probe.exact_frames(source.film, source.stream)
    counted = counted or probe.packets(source.film.path, source.stream)
    name = source.film.path.name
    if counted is not None and count < counted - slack:
        raise OutputRefused(f"the output has {count} frames, {name} has {counted}")
    return [f"the output has {count} frames, the header of {name} says {wanted}"]
