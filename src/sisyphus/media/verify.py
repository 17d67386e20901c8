"""Telling a whole film from a damaged one without decoding it.

A tool's exit status is not enough: a truncated source gives a short film and success.
Every check is skipped when one side of the comparison is not known for sure, because
refusing a good film is as bad as passing a damaged one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from sisyphus.errors import OutputRefused
from sisyphus.media.counts import check_copies, check_frames
from sisyphus.media.counts import check_picture as check_picture
from sisyphus.media.expected import COUNTED_KINDS, Pair, counted, paired
from sisyphus.media.expected import Expected as Expected
from sisyphus.media.expected import Mapped as Mapped
from sisyphus.media.hdr import lost
from sisyphus.media.matroska import segment_size
from sisyphus.media.mp4 import missing_bytes
from sisyphus.media.probe import Film, Probe, Unreadable
from sisyphus.media.structure import first_gap

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

_CENSUS_FORMATS = frozenset(
    {"matroska", "webm", "mov", "mp4", "mpegts", "flac", "wav", "mp3"}
)
_TIME_SLACK, _TIME_SHARE = 1.0, 0.005
_TAGGED_CODECS = frozenset({"h264", "hevc", "av1", "vp9"})
"""Those whose own headers say what the colours mean."""


def check_source(path: Path, meanwhile: Callable[[], object] = bool) -> None:
    """Refuse a source that is shorter than its own header says, or has a hole.

    ``meanwhile`` is called now and then, and may raise: a large file takes a while.

    Raises:
        OutputRefused: it is; nothing whole can be made of it.
    """
    check_length(path)
    if (place := first_gap(path, meanwhile)) is not None:
        raise OutputRefused(
            f"the source {path} is damaged at byte {place:,}: what stands there is no"
            " element of a Matroska file, so tools would skip to the next one"
        )


def check_length(path: Path) -> None:
    """Refuse a source that is shorter than its own header says; reads a few bytes.

    Raises:
        OutputRefused: it is.
    """
    size = segment_size(path)
    if size is not None and size.truncated:
        raise OutputRefused(
            f"the source {path} is cut short: its header declares"
            f" {size.declared_end} bytes, the file has {size.file_size}"
        )
    if missing := missing_bytes(path):
        raise OutputRefused(
            f"the source {path} is cut short: {missing:,} bytes of what its header"
            " declares are missing"
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
    _check_attachments(film, expected.streams)
    pairs = paired(film, expected.streams)
    if pairs is None:
        _check_census(film, expected.streams)
        return []
    odd: list[str] = []
    if expected.keeps_duration:
        odd += _check_durations(film, pairs, expected)
    if expected.is_whole:
        check_copies(film, pairs, probe)
        if expected.keeps_frames:
            odd += check_frames(film, pairs, probe, expected)
    return odd + _check_colors(film, pairs, probe, expected)


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


def _check_census(film: Film, sources: Sequence[Mapped]) -> None:
    if not film.formats & _CENSUS_FORMATS or any(m.stream.picture for m in sources):
        return
    made = Counter(s.kind for s in film.streams if not s.picture)
    given = Counter(m.stream.kind for m in sources)
    wrong = [
        f"{made[kind]} {kind} streams instead of {given[kind]}"
        for kind in COUNTED_KINDS
        if made[kind] != given[kind]
    ]
    if wrong:
        raise OutputRefused(f"the output has {', '.join(wrong)}")


def _check_durations(
    film: Film, pairs: Sequence[Pair], expected: Expected
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


def _whole(pairs: Sequence[Pair], expected: Expected) -> float | None:
    """Give the length of sources of which every stream is in the output."""
    used = Counter(source.film.path for _, source in pairs)
    films = {source.film.path: source.film for _, source in pairs}
    lengths = [
        _trimmed(film.duration, expected)
        for path, film in films.items()
        if film.trusted and used[path] == len(counted(film))
    ]
    return max((s for s in lengths if s is not None), default=None)


def _trimmed(duration: float | None, expected: Expected) -> float | None:
    if duration is None:
        return None
    rest = max(0.0, duration - expected.start)
    return rest if expected.length is None else min(rest, expected.length)


def _too_short(found: float, wanted: float) -> bool:
    return found < wanted - _TIME_SLACK - _TIME_SHARE * wanted


def _check_attachments(film: Film, sources: Sequence[Mapped]) -> None:
    """Count fonts and other attachments, where both sides are Matroska."""
    given = [m for m in sources if m.stream.kind == "attachment"]
    both = [film, *(m.film for m in given)]
    if not all("matroska" in one.formats for one in both):
        return
    made = film.of_kind("attachment")
    if len(made) < len(given):
        raise OutputRefused(
            f"the output has {len(made)} attachments instead of {len(given)}"
        )


def _check_colors(
    film: Film, pairs: Sequence[Pair], probe: Probe, expected: Expected
) -> list[str]:
    """Compare what source and output say of their colours."""
    odd: list[str] = []
    for made, source in pairs:
        if source.color is None or made.kind != "video":
            continue
        found = lost(source.color, made.color, source.recolored)
        if found:  # only now, for it decodes a frame
            color = probe.color(film, made)
            found = lost(source.color, color, source.recolored)
        if not found:
            continue
        said = f"video stream {made.index} of the output has lost {', '.join(found)}"
        speaks = made.codec in _TAGGED_CODECS or source.color.is_hdr
        if speaks and not expected.may_lose_color:
            raise OutputRefused(
                f"{said}, which {source.film.path.name} has{expected.color_hint}"
            )
        odd.append(said)
    return odd
