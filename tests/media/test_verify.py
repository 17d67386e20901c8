"""Whole films pass, damaged ones do not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from sisyphus.errors import OutputRefused
from sisyphus.media.probe import Count, Film, Printed, Probe, Stream, Unreadable
from sisyphus.media.verify import Expected, Mapped, check_output

VIDEO = Stream(0, "video", "h264", duration=60.0, claimed_frames=1500, fps=25.0)
AUDIO = Stream(1, "audio", "aac", duration=60.0)
SOURCE = Film(Path("/source.mp4"), frozenset({"mov", "mp4"}), 60.0, (VIDEO, AUDIO))


class Probed(Probe):
    """A probe that knows its answers."""

    def __init__(self, output: Film | None, packets: dict[Path, int]) -> None:
        super().__init__(lambda argv: Printed(1, "", ""))
        self.output, self.known = output, packets

    def film(self, path: Path) -> Film:
        if self.output is None:
            raise Unreadable("Invalid data")
        return self.output

    def counts(self, path: Path) -> Mapping[int, Count] | None:
        count = self.known.get(path)
        return {n: Count(count, count) for n in range(4)} if count else None


def expected(*streams: Stream, source: Film = SOURCE) -> Expected:
    mapped = [Mapped(source, stream) for stream in streams or source.streams]
    return Expected(mapped, keeps_duration=True, keeps_frames=True)


def output(path: Path, *streams: Stream, duration: float = 60.0) -> Film:
    return Film(path, frozenset({"matroska", "webm"}), duration, streams)


@pytest.fixture
def part(tmp_path: Path) -> Path:
    path = tmp_path / "part.mkv"
    path.write_bytes(b"not really Matroska")
    return path


def check(part: Path, wanted: Expected, film: Film | None, **counts: int) -> list[str]:
    packets = {part: counts.get("out", 1500), SOURCE.path: counts.get("source", 1500)}
    return check_output(part, wanted, Probed(film, packets))


def test_a_whole_film_passes(part: Path) -> None:
    assert check(part, expected(), output(part, VIDEO, AUDIO)) == []


def test_a_film_that_cannot_be_read_is_refused(part: Path) -> None:
    with pytest.raises(OutputRefused, match="cannot be read"):
        check(part, expected(), None)


def test_what_nobody_can_probe_is_not_refused(part: Path) -> None:
    raw = part.rename(part.with_suffix(".yuv"))

    assert "not checked" in check(raw, expected(), None)[0]


def test_a_missing_stream_is_refused(part: Path) -> None:
    with pytest.raises(OutputRefused, match="0 audio streams instead of 1"):
        check(part, expected(), output(part, VIDEO))


def test_covers_and_data_streams_do_not_count(part: Path) -> None:
    cover = Stream(2, "video", "mjpeg", picture=True)
    chapters = Stream(3, "data", "bin_data")

    assert check(part, expected(), output(part, VIDEO, AUDIO, cover, chapters)) == []


def test_a_short_film_is_refused_with_the_numbers(part: Path) -> None:
    short = replace(VIDEO, duration=36.0)

    with pytest.raises(OutputRefused, match=r"36\.00 s .* 60\.00 s"):
        check(part, expected(), output(part, short, AUDIO))


def test_a_short_film_is_refused_by_its_whole_length_too(part: Path) -> None:
    streams = [replace(stream, duration=None) for stream in SOURCE.streams]
    source = replace(SOURCE, streams=tuple(streams))

    with pytest.raises(OutputRefused, match=r"36\.00 s long, its sources 60\.00 s"):
        check(part, expected(source=source), output(part, *streams, duration=36.0))


def test_a_stream_of_unknown_length_may_be_shorter_than_its_container(
    part: Path,
) -> None:
    video = replace(VIDEO, duration=None, claimed_frames=900)
    source = replace(SOURCE, streams=(video, AUDIO))
    wanted = expected(video, source=source)

    film = output(part, video, duration=36.0)
    assert check(part, wanted, film, out=900, source=900) == []


def test_an_estimated_length_refuses_nothing(part: Path) -> None:
    source = replace(SOURCE, formats=frozenset({"mpegts"}))

    film = output(part, replace(VIDEO, duration=36.0), AUDIO)
    assert check(part, expected(source=source), film) == []


def test_a_trimmed_film_is_measured_against_what_is_left(part: Path) -> None:
    streams = [replace(stream, duration=10.0) for stream in SOURCE.streams]
    film = output(part, *streams, duration=10.0)

    trimmed = replace(expected(), start=20.0, length=10.0)
    assert check(part, trimmed, film, out=250) == []
    with pytest.raises(OutputRefused):
        check(part, replace(trimmed, length=20.0), film, out=250)


def test_lost_frames_are_refused_even_when_the_length_is_right(part: Path) -> None:
    with pytest.raises(OutputRefused, match=r"1300 frames, source\.mp4 has 1500"):
        check(part, expected(), output(part, VIDEO, AUDIO), out=1300)


def test_a_wrong_frame_count_in_the_header_refuses_nothing(part: Path) -> None:
    film = output(part, VIDEO, AUDIO)

    odd = check(part, expected(), film, out=1300, source=1300)
    assert odd == ["the output has 1300 frames, the header of source.mp4 says 1500"]


def test_interlaced_pictures_are_not_counted(part: Path) -> None:
    video = replace(VIDEO, interlaced=True)
    source = replace(SOURCE, streams=(video, AUDIO))

    assert (
        check(part, expected(source=source), output(part, VIDEO, AUDIO), out=750) == []
    )


def test_frames_may_change_when_the_settings_change_them(part: Path) -> None:
    wanted = replace(expected(), keeps_frames=False)

    assert check(part, wanted, output(part, VIDEO, AUDIO), out=750) == []


def test_a_source_that_lost_frames_is_caught_by_what_its_writer_counted(
    part: Path,
) -> None:
    source = replace(SOURCE, formats=frozenset({"matroska"}), writer="libebml v1.4.4")
    film = output(part, VIDEO, AUDIO)

    with pytest.raises(OutputRefused, match=r"1300 frames, source\.mp4 has 1500"):
        check(part, expected(source=source), film, out=1300, source=1300)
