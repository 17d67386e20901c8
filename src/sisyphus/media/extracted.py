"""Telling a whole track from a damaged one after it was taken out of its film."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sisyphus.errors import OutputRefused
from sisyphus.media.probe import Film, Probe, Stream, Unreadable
from sisyphus.media.verify import READABLE_SUFFIXES

_SLACK, _SLACK_SHARE, _SHARE = 12, 0.1, 0.005


def streams_of_tracks(film: Film, kinds: Sequence[str]) -> Sequence[Stream] | None:
    """Give the streams that are a Matroska file's tracks, in the order of their ids.

    ``None`` if they are not of these kinds: then ffprobe does not see what mkvmerge
    sees, and nothing can be compared.
    """
    found = [s for s in film.streams if s.kind != "attachment" and not s.picture]
    return found if [s.kind for s in found] == list(kinds) else None


def check_extracted(part: Path, film: Film, stream: Stream, probe: Probe) -> str | None:
    """Check that a file holds one stream of a film and nothing else.

    Returns why it could not be checked, if so.

    Raises:
        OutputRefused: it is another stream, or not all of it.
    """
    try:
        made = probe.film(part)
    except Unreadable as error:
        if part.suffix.lower() in READABLE_SUFFIXES:
            raise OutputRefused(f"the output cannot be read: {error}") from None
        return f"the output was not checked: {error}"
    found = [f"{s.codec} {s.kind}" for s in made.streams]
    if len(found) != 1:
        said = f"{', '.join(found) or 'nothing'}, not one {stream.kind} track"
        raise OutputRefused(f"the output holds {said}")
    (only,) = made.streams
    if only.codec != stream.codec:
        return f"the output was not checked: it looks like {found[0]}"
    # Sound without frames is cut anew, and half a picture may be one packet or none.
    if only.codec.startswith("pcm_") or stream.interlaced:
        return None
    if (count := probe.packets(part, only)) is not None:
        _check_count(count, "frames", film, stream, probe)
    return None


def check_timestamps(part: Path, film: Film, stream: Stream, probe: Probe) -> None:
    """Check that a list has a timestamp for every frame of a stream.

    Raises:
        OutputRefused: some are missing.
    """
    with part.open("rb") as lines:
        count = sum(line[:1].isdigit() for line in lines)
    _check_count(count, "timestamps", film, stream, probe)


def _check_count(
    count: int, what: str, film: Film, stream: Stream, probe: Probe
) -> None:
    wanted = probe.frames(film, stream)
    if wanted is None or not _too_few(count, wanted):
        return
    # A header's claim is not enough to refuse a track: count for sure.
    wanted = probe.exact_frames(film, stream) or probe.packets(film.path, stream)
    if wanted is not None and _too_few(count, wanted):
        raise OutputRefused(f"the output has {count} {what}, its track {wanted} frames")


def _too_few(count: int, wanted: int) -> bool:
    slack = max(1.0, min(_SLACK, _SLACK_SHARE * wanted)) + _SHARE * wanted
    return count < wanted - slack
