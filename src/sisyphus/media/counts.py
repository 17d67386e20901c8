"""Counting frames and packets: what duration and exit status do not show.

A count is compared only where the container says what the stream really holds, and a
header's claim alone is never enough to refuse a film.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sisyphus.errors import OutputRefused
from sisyphus.media.expected import Expected, Mapped, Pair
from sisyphus.media.probe import Film, Probe, Stream

FRAME_FORMATS = frozenset({"matroska", "webm", "mov", "mp4"})
"""Formats that hold each frame as one packet."""
FRAME_SLACK, _FRAME_SHARE = 12, 0.005
_PACKET_SLACK = 2
_FRAMED_CODECS = frozenset(
    {
        *("aac", "ac3", "alac", "dts", "eac3", "flac", "mlp", "mp2", "mp3", "opus"),
        *("truehd", "vorbis", "ass", "dvd_subtitle", "hdmv_pgs_subtitle", "mov_text"),
        *("ssa", "subrip", "webvtt", "av1", "h264", "hevc", "mpeg2video", "mpeg4"),
        *("prores", "theora", "vc1", "vp8", "vp9", "vvc"),
    }
)
"""Codecs whose packets stay what they are in every container; PCM's do not."""
_RHYTHM = re.compile(r"(dup|drop)_frames=(\d{1,15})(?!\d)")


@dataclass
class Rhythm:
    """How many frames ffmpeg has repeated or dropped, by its own report.

    It does so where a container wants a constant rate: what was lost in a hole of the
    source is filled up with repetitions, and the number of frames looks right.
    """

    repeated: int = 0
    dropped: int = 0

    def hear(self, line: str) -> None:
        """Take a line of the report."""
        if found := _RHYTHM.match(line):
            if found[1] == "dup":
                self.repeated = int(found[2])
            else:
                self.dropped = int(found[2])


def check_copies(film: Film, pairs: Sequence[Pair], probe: Probe) -> None:
    """Check that each copied stream has all of its packets.

    Raises:
        OutputRefused: some are missing.
    """
    if not film.formats & FRAME_FORMATS:
        return
    for made, source in pairs:
        if not source.copied or source.stream.codec not in _FRAMED_CODECS:
            continue
        count = _in_output(film, made, probe)
        wanted = _claimed(source, probe) or _in_file(source.film.path, source, probe)
        if count is None or wanted is None or count >= wanted - _PACKET_SLACK:
            continue
        wanted = _in_file(source.film.path, source, probe)
        if wanted is not None and count < wanted - _PACKET_SLACK:
            raise OutputRefused(
                f"{made.kind} stream {made.index} of the output has {count} packets,"
                f" that of {source.film.path.name} has {wanted}"
            )


def check_frames(
    film: Film, pairs: Sequence[Pair], probe: Probe, expected: Expected
) -> list[str]:
    """Compare the first encoded picture stream's frames with its source's.

    Returns what looks odd, but not wrong.

    Raises:
        OutputRefused: frames are missing.
    """
    pictures = [pair for pair in pairs if pair[0].kind == "video"]
    encoded = [pair for pair in pictures if not pair[1].copied]
    if not encoded or pictures[0][1].copied:
        return []
    # ffmpeg reports them for all pictures together.
    changed = expected.dropped - expected.repeated if len(encoded) == 1 else 0
    return _compare_frames(film, *encoded[0], probe, changed)


def check_picture(film: Film, source: Film, probe: Probe) -> list[str]:
    """Check that a picture was copied whole, if there is one, and only one.

    Returns what looks odd, but not wrong.

    Raises:
        OutputRefused: frames are missing.
    """
    made, given = (
        [s for s in one.of_kind("video") if not s.picture] for one in (film, source)
    )
    if len(made) != 1 or len(given) != 1 or not source.formats & FRAME_FORMATS:
        return []
    return _compare_frames(film, made[0], Mapped(source, given[0]), probe)


def _compare_frames(
    film: Film, made: Stream, source: Mapped, probe: Probe, changed: int = 0
) -> list[str]:
    """Compare two pictures; ``changed``: how many frames were dropped on purpose."""
    if not film.formats & FRAME_FORMATS or source.stream.interlaced:
        return []  # interlaced: a packet may be half a frame
    wanted = probe.frames(source.film, source.stream)
    count = _in_output(film, made, probe)
    if wanted is None or count is None:
        return []
    count += changed
    slack = FRAME_SLACK + _FRAME_SHARE * wanted
    if count > wanted + slack:
        return [f"the output has {count} frames, its source {wanted}"]
    if count >= wanted - slack:
        return []
    # A header's claim is rarely enough to refuse a film: count for sure.
    sure = probe.exact_frames(source.film, source.stream)
    sure = sure or _in_file(source.film.path, source, probe)
    name = source.film.path.name
    if sure is not None and count < sure - slack:
        raise OutputRefused(f"the output has {count} frames, {name} has {sure}")
    return [f"the output has {count} frames, the header of {name} says {wanted}"]


def _in_output(film: Film, made: Stream, probe: Probe) -> int | None:
    # What mp4 says of itself is exact; a Matroska tag may come from the source.
    claim = made.claimed_frames if "mp4" in film.formats else None
    return claim or probe.packets(film.path, made)


def _claimed(source: Mapped, probe: Probe) -> int | None:
    if "mp4" in source.film.formats:
        return source.stream.claimed_frames
    return probe.exact_frames(source.film, source.stream)


def _in_file(path: Path, source: Mapped, probe: Probe) -> int | None:
    """Count what can come out: nothing does before the first key frame."""
    counts = probe.counts(path)
    found = counts.get(source.stream.index) if counts is not None else None
    return found.from_key if found else None
