"""Counting packets and frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from sisyphus.errors import OutputRefused
from sisyphus.media.counts import Rhythm, check_copies, check_frames
from sisyphus.media.expected import Expected, Mapped, Pair
from sisyphus.media.probe import Count, Film, Printed, Probe, Stream

VIDEO = Stream(0, "video", "h264", duration=60.0, fps=25.0)
AUDIO = Stream(1, "audio", "aac", duration=60.0)
SOURCE = Film(Path("/in.mkv"), frozenset({"matroska"}), 60.0, (VIDEO, AUDIO))
OUTPUT = Film(Path("/out.mkv"), frozenset({"matroska"}), 60.0, (VIDEO, AUDIO))


class Counted(Probe):
    """A probe that knows its counts: film, then stream."""

    def __init__(self, counts: Mapping[Path, tuple[int, int]]) -> None:
        super().__init__(lambda argv: Printed(1, "", ""))
        self.known = counts
        self.asked: list[Path] = []

    def counts(self, path: Path) -> Mapping[int, Count] | None:
        self.asked.append(path)
        return {n: Count(count, count) for n, count in enumerate(self.known[path])}


def probe(given: tuple[int, int], made: tuple[int, int]) -> Counted:
    return Counted({SOURCE.path: given, OUTPUT.path: made})


def pairs(source: Film = SOURCE, *, copied: bool = True) -> list[Pair]:
    return [
        (made, Mapped(source, given, copied=copied))
        for made, given in zip(OUTPUT.streams, source.streams, strict=True)
    ]


def test_a_copy_with_every_packet_passes() -> None:
    check_copies(OUTPUT, pairs(), probe((1500, 2800), (1500, 2800)))
    check_copies(OUTPUT, pairs(), probe((1500, 2800), (1501, 2799)))


def test_missing_packets_are_refused_stream_by_stream() -> None:
    said = r"audio stream 1 of the output has 2700 packets, that of in\.mkv has 2800"

    with pytest.raises(OutputRefused, match=said):
        check_copies(OUTPUT, pairs(), probe((1500, 2800), (1500, 2700)))


def test_only_copies_have_as_many_packets() -> None:
    check_copies(OUTPUT, pairs(copied=False), probe((1500, 2800), (1500, 300)))


@pytest.mark.parametrize("codec", ["pcm_s16le", "adpcm_ms", "rawvideo", "bin_data"])
def test_codecs_without_frames_of_their_own_are_not_counted(codec: str) -> None:
    streams = VIDEO, replace(AUDIO, codec=codec)

    source = replace(SOURCE, streams=streams)
    check_copies(OUTPUT, pairs(source), probe((1500, 2800), (1500, 20)))


def test_containers_that_pack_otherwise_are_not_counted() -> None:
    avi = replace(OUTPUT, formats=frozenset({"avi"}))

    check_copies(avi, pairs(), probe((1500, 2800), (1500, 20)))


def test_a_claim_of_the_header_is_counted_before_it_refuses() -> None:
    streams = VIDEO, replace(AUDIO, claimed_frames=9999)
    source = replace(SOURCE, formats=frozenset({"mp4"}), streams=streams)
    films = probe((1500, 2800), (1500, 2800))

    check_copies(OUTPUT, pairs(source), films)

    assert SOURCE.path in films.asked


def test_a_claim_that_is_met_costs_no_reading() -> None:
    streams = tuple(replace(s, claimed_frames=1500) for s in SOURCE.streams)
    source = replace(SOURCE, formats=frozenset({"mp4"}), streams=streams)
    films = probe((1500, 1500), (1500, 1500))

    check_copies(OUTPUT, pairs(source), films)

    assert SOURCE.path not in films.asked


def check(expected: Expected, given: int, made: int) -> list[str]:
    films = probe((given, 0), (made, 0))
    return check_frames(OUTPUT, pairs(copied=False), films, expected)


def test_repeated_frames_do_not_stand_for_lost_ones() -> None:
    with pytest.raises(OutputRefused, match=r"has 1300 frames, in\.mkv has 1500"):
        check(Expected(repeated=200), 1500, 1500)


def test_frames_that_were_dropped_on_purpose_are_not_lost() -> None:
    assert check(Expected(dropped=300), 1500, 1200) == []


def test_ffmpeg_says_what_it_repeats_and_drops() -> None:
    rhythm = Rhythm()
    for line in ("frame=9", "dup_frames=2", "drop_frames=0", "dup_frames=3"):
        rhythm.hear(line)

    assert (rhythm.repeated, rhythm.dropped) == (3, 0)


def test_what_comes_before_the_first_key_frame_cannot_come_out() -> None:
    count = Count()
    for flags in ("___", "___", "K__", "___", "KD_", "_D_"):
        count.add(flags)

    assert (count.packets, count.from_key) == (4, 2)
