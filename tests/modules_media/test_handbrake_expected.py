"""What the settings of a HandBrake task let us expect of its output."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sisyphus.media.probe import Film, Stream
from sisyphus.modules.handbrake_expected import (
    Part,
    audio_count,
    expected_output,
    foretold_audio,
    keeps_frames,
    part_of,
    reference_of,
    total_frames,
)

FILM = Film(
    Path("/in.mkv"),
    frozenset({"matroska"}),
    10.0,
    (Stream(0, "video"), Stream(1, "audio"), Stream(2, "audio")),
)
MADE = Film(
    Path("/out.mkv"),
    frozenset({"matroska"}),
    10.0,
    (Stream(0, "video"), Stream(1, "audio"), Stream(2, "subtitle")),
)


def decided(*audio: str, crop: int = 0) -> dict[str, Any]:
    """What HandBrake's log shows of a job."""
    sides = {f"crop-{side}": crop for side in ("top", "bottom", "left", "right")}
    filters = [{"ID": 7, "Settings": {"mode": 0}}, {"ID": 14, "Settings": sides}]
    return {
        "Audio": {"AudioList": [{"Encoder": name} for name in audio]},
        "Filters": {"FilterList": filters},
    }


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({}, Part()),
        ({"start-at": {"seconds": 2}}, Part(start=2.0)),
        ({"start-at": "duration:2", "stop-at": "pts:90000"}, Part(2.0, 1.0)),
        ({"stop-at": {"frames": 8}}, Part(frames=8)),
        ({"start-at": {"frames": 8}}, None),
        ({"start-at": {"seconds": 2}, "stop-at": {"frames": 8}}, None),
        ({"chapters": "1-2"}, None),
        ({"start-at-preview": 2}, None),
        ({"start-at": False, "chapters": False}, Part()),
    ],
)
def test_the_part_is_known_when_it_is_given_as_time_or_frames(
    options: dict[str, Any], part: Part | None
) -> None:
    assert part_of(options) == part


@pytest.mark.parametrize(
    ("options", "total"),
    [
        ({}, 250),
        ({"stop-at": {"frames": 8}}, 8),
        ({"stop-at": {"frames": 800}}, 250),
        ({"start-at": {"seconds": 4}}, 150),
        ({"start-at": {"seconds": 4}, "stop-at": {"seconds": 2}}, 50),
        ({"start-at": {"seconds": 40}}, 1),
        ({"chapters": 2}, None),
    ],
)
def test_the_frames_of_a_part_are_reckoned(
    options: dict[str, Any], total: int | None
) -> None:
    assert total_frames(options, 250, 10.0) == total


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({}, True),
        ({"vfr": True, "comb-detect": True, "crop": "0:0:0:0"}, True),
        ({"decomb": None, "bwdif": False, "deinterlace": "skip-spatial"}, True),
        ({"decomb": "eedi2bob"}, False),
        ({"bwdif": {"preset": "bob"}}, False),
        ({"deinterlace": {"mode": 7}}, False),
        ({"rate": 25}, False),
        ({"cfr": None}, False),
        ({"cfr": False}, True),
        ({"detelecine": True}, False),
        ({"preset": "Fast 1080p30"}, False),
        ({"stop-at": {"seconds": 2}}, False),
    ],
)
def test_frames_are_kept_unless_something_may_change_them(
    options: dict[str, Any], kept: bool
) -> None:
    assert keeps_frames(options) is kept


@pytest.mark.parametrize(
    ("options", "log", "count"),
    [
        ({}, None, 1),
        ({}, decided("opus", "ac3"), 2),
        ({"audio": (1, 2, 2)}, decided("opus"), 3),
        ({"audio": "1,2"}, None, 2),
        ({"audio": None}, None, 0),
        ({"audio": False}, None, 0),
        ({"audio": ["none"]}, None, 0),
        ({"all-audio": True}, None, None),
        ({"all-audio": True}, decided("opus", "ac3"), 2),
        ({"audio-lang-list": ["eng"]}, None, None),
        ({"audio": [1, 2], "aencoder": ["none", "copy"]}, None, None),
        ({"audio": [1], "audio-fallback": "none"}, None, None),
        ({}, {"Audio": {}}, None),
    ],
)
def test_as_many_audio_tracks_are_expected_as_were_chosen(
    options: dict[str, Any], log: Any, count: int | None
) -> None:
    assert audio_count(options, 2, log) == count


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 1),
        ({"audio": [1, 2], "subtitle": False}, 2),
        ({"subtitle": "none"}, 1),
        ({"subtitle": [1]}, None),
        ({"srt-file": (Path("/a.srt"),)}, None),
        ({"native-language": "eng"}, None),
        ({"first-audio": True}, None),
    ],
)
def test_tracks_are_foretold_where_no_subtitles_can_come_along(
    options: dict[str, Any], count: int | None
) -> None:
    assert foretold_audio(options, 2) == count


def test_subtitles_are_what_handbrake_made_of_them() -> None:
    expected = expected_output({"subtitle": [1, 2]}, FILM, MADE, decided("opus"))

    assert expected.streams is not None
    kinds = [mapped.stream.kind for mapped in expected.streams]
    assert kinds == ["video", "audio", "subtitle"]
    assert expected.keeps_frames


def test_frames_that_handbrake_dropped_are_not_expected() -> None:
    expected = expected_output({}, FILM, MADE, decided("opus"), dropped=2)

    assert not expected.keeps_frames


def test_of_an_unknown_source_the_streams_are_expected_nevertheless() -> None:
    expected = expected_output({}, None, MADE, decided("opus", "ac3"))

    assert expected.streams is not None
    kinds = [mapped.stream.kind for mapped in expected.streams]
    assert kinds == ["video", "audio", "audio", "subtitle"]
    assert not expected.keeps_frames and not expected.keeps_duration


def test_a_picture_is_compared_without_what_handbrake_cropped_off() -> None:
    options = {"start-at": {"seconds": 2}, "stop-at": {"seconds": 3}}

    reference = reference_of(options, decided(crop=4))

    assert reference.filters == "crop=iw-8:ih-8:4:4"
    assert reference.input_options == ("-ss", "2", "-t", "3")
    assert not reference.obstacle


@pytest.mark.parametrize(
    ("options", "log", "obstacle"),
    [
        ({}, None, "borders were cut off"),
        ({"rotate": True}, decided(), "the option rotate changes the pictures"),
        ({"subtitle-burned": 1}, decided(), "subtitle_burned"),
        ({"chapters": 1}, decided(), "which part"),
        ({"rotate": False}, decided(), ""),
    ],
)
def test_what_cannot_be_compared_is_said(
    options: dict[str, Any], log: Any, obstacle: str
) -> None:
    found = reference_of(options, log).obstacle

    assert obstacle in found and bool(obstacle) == bool(found)
