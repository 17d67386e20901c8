"""Reading what HandBrakeCLI prints; the lines are those of version 1.6.1."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest

from sisyphus.media.handbrake import HandbrakeLog, HandbrakeProgress, left_out
from sisyphus.media.progress import Reading

NOISE = (
    "libdvdread: Encrypted DVD support unavailable.************************",
    "**  No css library available. See             **",
    "************************************************",
    "libdvdread: Can't open file VIDEO_TS.IFO.",
)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def block(state: str, **facts: Any) -> list[str]:
    """One block as HandBrake prints it."""
    name = {"WORKDONE": "WorkDone"}.get(state, state.capitalize())
    content = {"State": state, name: {**facts, "SequenceID": 1}}
    return f"Progress: {json.dumps(content, indent=4)}".splitlines()


def working(share: float, of: int = 1, passes: int = 1) -> list[str]:
    return block("WORKING", Pass=of, PassCount=passes, Progress=share, Rate=1.1e-07)


def read(progress: HandbrakeProgress, lines: Iterable[str]) -> list[Reading]:
    found = [progress.feed(line) for line in lines]
    return [reading for reading in found if reading is not None]


def test_a_share_is_told_in_percent_and_frames() -> None:
    (reading,) = read(HandbrakeProgress(total=500), working(0.95000000000000001))

    assert (reading.percent, reading.frame, reading.total) == (95.0, 475, 500)


def test_a_share_in_exponent_form_is_the_number_it_is() -> None:
    text = [line.replace("0.5", "9.9999997e-05") for line in working(0.5)]

    (reading,) = read(HandbrakeProgress(total=50_000), text)

    assert reading.percent == pytest.approx(0.01, rel=1e-3)
    assert reading.frame == 4


def test_without_a_total_there_is_percent_alone() -> None:
    (reading,) = read(HandbrakeProgress(), working(0.5))

    assert (reading.percent, reading.frame, reading.total) == (50.0, None, None)


def test_scanning_and_other_blocks_are_no_progress() -> None:
    lines = [
        *("Version: {", '    "Name": "HandBrake"', "}"),
        *NOISE,
        *block("SCANNING", Preview=7, Progress=0.75),
        *block("MUXING", Progress=0.75),
    ]

    assert read(HandbrakeProgress(total=500), lines) == []


def test_lines_of_blocks_are_told_from_noise() -> None:
    progress = HandbrakeProgress()
    lines = [*NOISE[:2], *working(0.5), *NOISE[2:], *block("WORKDONE", Error=0)]

    outside = []
    for line in lines:
        progress.feed(line)
        if not progress.inside:
            outside.append(line)

    assert outside == list(NOISE)


def test_of_several_passes_each_has_its_part() -> None:
    lines = [*working(0.5, 1, 2), *working(1.0, 1, 2), *working(0.5, 2, 2)]

    readings = read(HandbrakeProgress(total=500), lines)

    assert [reading.percent for reading in readings] == [25.0, 50.0, 75.0]
    assert readings[-1].frame == 375


def test_percent_never_falls_nor_exceeds_a_hundred() -> None:
    lines = [line for share in (0.2, 0.6, 0.4, 1.2) for line in working(share)]

    percents = [r.percent for r in read(HandbrakeProgress(total=10), lines)]

    assert percents == [20.0, 60.0, 100.0]


def test_the_same_again_is_no_progress() -> None:
    progress = HandbrakeProgress()

    assert len(read(progress, [*working(0.5), *working(0.5)])) == 1


def test_a_torn_block_is_left_out() -> None:
    progress = HandbrakeProgress()
    torn = working(0.5)[:4]

    (reading,) = read(progress, [*torn, *NOISE, *working(0.75)])

    assert reading.percent == 75.0


def test_the_end_says_how_it_went() -> None:
    progress = HandbrakeProgress(total=9)
    said = [progress.error]

    read(progress, block("WORKDONE", Error=3))

    assert [*said, progress.error] == [None, 3]
    assert progress.finished() == Reading(percent=100.0, frame=9, total=9, eta=0.0)


def test_reports_that_waited_in_a_buffer_give_a_steady_rate() -> None:
    clock = Clock()
    progress = HandbrakeProgress(total=1000, duration=50.0, clock=clock)
    readings: list[Reading] = []

    for bundle in range(4):  # HandBrake's output comes in pieces of 4 KiB
        clock.now += 3.0
        for part in range(15):
            readings += read(progress, working((15 * bundle + part + 1) / 150))

    # Each bundle is 0.1 of the film in three seconds.
    assert readings[-1].fps == pytest.approx(1000 * 0.1 / 3)
    assert readings[-1].speed == pytest.approx(50 * 0.1 / 3)
    assert readings[-1].eta == pytest.approx(0.6 / (0.1 / 3))


def test_a_rate_is_that_of_one_pass_and_the_rest_that_of_all() -> None:
    clock = Clock()
    progress = HandbrakeProgress(total=100, clock=clock)

    read(progress, working(0.0, 1, 2))
    clock.now += 1.0
    (reading,) = read(progress, working(0.2, 1, 2))

    assert reading.fps == pytest.approx(20.0)
    assert reading.eta == pytest.approx(9.0)


# The log

JOB = """[21:12:20] json job:
{
    "Audio": {
        "AudioList": [
            {
                "Track": 0
            }
        ]
    },
    "Source": {
        "Range": {
            "End": 1
        }
    }
}
[21:12:20] Starting Task: Encoding Pass
"""


def heard(text: str) -> HandbrakeLog:
    log = HandbrakeLog()
    for line in text.splitlines():
        log.feed(line)
    return log


def test_the_log_shows_what_was_made_of_the_options() -> None:
    log = heard(JOB)

    assert log.job is not None
    assert log.job["Audio"]["AudioList"] == [{"Track": 0}]


def test_frames_that_were_left_out_on_purpose_were_read() -> None:
    log = heard(
        "[21:15:51] sync: expecting 995 video frames\n"
        "[21:15:51] sync: video time went backwards 40 ms, dropped 1 frames. PTS 25\n"
        "[21:15:51] sync: video time went backwards 80 ms, dropped 2 frames. PTS 50\n"
        "[21:15:52] sync: got 133 frames, 995 expected\n"
    )

    assert (log.frames, log.dropped) == (136, 3)


def test_the_last_of_several_passes_counts() -> None:
    one = (
        "[21:15:51] sync: expecting 20 video frames\n"
        "[21:15:51] sync: video time went backwards 40 ms, dropped 1 frames. PTS 25\n"
        "[21:15:52] sync: got 19 frames, 20 expected\n"
    )

    assert heard(one + one).frames == 20


def test_reasons_are_kept_once_and_without_what_is_no_reason() -> None:
    log = heard(
        "udfread ERROR: ECMA 167 Volume Recognition failed\n"
        "[21:12:18] x265 [info]: Invalid is only a word here\n"
        "ERROR: Invalid video encoder (foo)\n"
        "Failed to initialize job\n"
        "Failed to initialize job\n"
        "HandBrake has exited.\n"
    )

    assert log.reasons == [
        "ERROR: Invalid video encoder (foo)",
        "Failed to initialize job",
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Warning: Could not find audio track 5, skipped", ("audio", "5")),
        ("Warning: Could not find subtitle track 2, skipped", ("subtitle", "2")),
        ("Invalid codec bogus, using default for container.", ("aencoder", "bogus")),
        ("Invalid codec , using default for container.", None),
        ("Warning: Could not read data for preview 3, skipped", None),
    ],
)
def test_what_is_left_out_is_told_from_other_warnings(
    line: str, expected: tuple[str, str] | None
) -> None:
    assert left_out(line) == expected
