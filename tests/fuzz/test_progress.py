"""Whatever a tool prints, in whatever pieces: progress is a number, and it grows."""

from __future__ import annotations

import json
import math
import tracemalloc
from collections.abc import Callable, Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fuzz.many import JSON, mutated, tried
from sisyphus.media.counts import Rhythm
from sisyphus.media.handbrake import (
    MOST_CHARACTERS,
    Blocks,
    HandbrakeLog,
    HandbrakeProgress,
    left_out,
)
from sisyphus.media.progress import EncodingProgress, Reading, gui_line
from sisyphus.modules.ffmpeg_progress import duration_in
from sisyphus.modules.tool import LINE_CHARACTERS, Lines

DIGITS = st.one_of(
    st.integers(-1, 999).map(str),
    st.sampled_from(
        ["9" * 20, "9" * 400, "9" * 4090, "N/A", "-1", "1.5", "٣", "²", ""]
    ),
)
FFMPEG_LINES = st.one_of(
    st.tuples(
        st.sampled_from(
            ["frame", "out_time_us", "fps", "drop_frames", "dup_frames", "speed", "x"]
        ),
        st.sampled_from(["=", "= ", "=-"]),
        DIGITS,
    ).map("".join),
    st.sampled_from(["progress=continue", "progress=end", "progress="]),
    DIGITS.map("  Duration: {}:00:00.5".format),
    st.text(max_size=12),
)
GUI_LINES = st.one_of(
    DIGITS.map("#GUI#progress {}%".format),
    st.text(max_size=9).map("#GUI#error {}".format),
    st.text(max_size=9).map("#GUI#{}".format),
)


@st.composite
def handbrake_blocks(draw: st.DrawFn) -> str:
    numbers = st.one_of(st.floats(), st.integers(0, 5), JSON)
    working = draw(
        st.one_of(
            st.fixed_dictionaries(
                {}, optional=dict.fromkeys(("PassCount", "Pass", "Progress"), numbers)
            ),
            JSON,
        )
    )
    done = draw(st.one_of(st.fixed_dictionaries({"Error": JSON}), JSON))
    state = draw(st.sampled_from(["WORKING", "WORKDONE", "SCANNING"]) | JSON)
    block = {"State": state, "Working": working, "WorkDone": done}
    label = draw(st.sampled_from(["Progress", "Progress", "json job", "Version"]))
    return f"{label}: " + json.dumps(block, indent=1)


STREAMS = {
    "ffmpeg": st.lists(FFMPEG_LINES, max_size=20),
    "mkvmerge": st.lists(GUI_LINES, max_size=9),
    "handbrake": st.lists(handbrake_blocks(), max_size=4),
}
ANY_STREAM = st.one_of(*STREAMS.values()).map("\n".join).map(str.encode)
OUTPUT = st.one_of(ANY_STREAM, mutated(ANY_STREAM), st.binary(max_size=60))
TOTALS = st.one_of(st.none(), st.sampled_from([0, 1, 1000, 2**62]))
DURATIONS = st.one_of(st.none(), st.sampled_from([0.0, 0.5, 3600.0, 1e300]))


def sane(readings: Iterable[Reading | None]) -> None:
    last = 0.0
    for reading in readings:
        if reading is None:
            continue
        for number in (reading.fps, reading.speed, reading.eta):
            assert number is None or not math.isnan(number)
        if reading.percent is not None:
            assert last <= reading.percent <= 100
            last = reading.percent
        if reading.frame is not None and reading.total is not None:
            assert 0 <= reading.frame <= reading.total


def clock(steps: list[float]) -> Callable[[], float]:
    moments = [0.0]

    def now() -> float:
        moments[0] += steps[len(moments) % len(steps)]
        moments.append(0)
        return moments[0]

    return now


@example(b"out_time_us=" + b"9" * 400 + b"\nprogress=continue", 5, 5.0, [1.0])
@example(b"frame=" + b"9" * 400 + b"\nprogress=continue", 5, 5.0, [1.0])
@example(b"Duration: " + b"9" * 400 + b":00:00.5", 5, 5.0, [1.0])
@example(b'Progress: {\n"State": "WORKING",\n"Working": null\n}', 5, 5.0, [1.0])
@example(b'Progress: {\n"State": "WORKDONE",\n"WorkDone": null\n}', 5, 5.0, [1.0])
@example(
    b'Progress: {\n"State": "WORKING",\n"Working": {"PassCount": Infinity}\n}',
    5,
    5.0,
    [1.0],
)
@example(
    b'Progress: {\n"State": "WORKING",\n"Working": {"Progress": NaN}\n}', 5, 5.0, [1.0]
)
@example(b'Progress: {\n"a":' + b"[\n" * 5_000 + b"\n}", 5, 5.0, [1.0])
@tried(200)
@given(
    OUTPUT,
    TOTALS,
    DURATIONS,
    st.lists(st.sampled_from([0.0, 0.001, 0.5, 60.0]), min_size=1, max_size=4),
)
def test_whatever_is_printed_progress_stays_a_number_that_grows(
    output: bytes, total: int | None, duration: float | None, steps: list[float]
) -> None:
    lines: list[str] = []
    cutter = Lines(lines.append)
    cutter.feed(output)
    cutter.feed(b"")
    encoding = EncodingProgress(total, duration, clock(steps))
    handbrake = HandbrakeProgress(total or None, duration, clock(steps))
    rhythm, log = Rhythm(), HandbrakeLog()
    of_ffmpeg, of_handbrake = [], []
    for line in lines:
        of_ffmpeg.append(encoding.feed(line))
        of_handbrake.append(handbrake.feed(line))
        rhythm.hear(line)
        log.feed(line)
        left_out(line)
        seconds = duration_in(line)
        assert seconds is None or 0 <= seconds < math.inf
        gui = gui_line(line)
        percent = gui.percent if gui else None
        assert percent is None or 0 <= percent <= 100

    sane([*of_ffmpeg, encoding.finished()])
    sane([*of_handbrake, handbrake.finished()])
    assert handbrake.error is None or isinstance(handbrake.error, int)
    assert log.job is None or isinstance(log.job, dict)


@tried(200)
@given(OUTPUT, st.lists(st.integers(0, 40), max_size=8))
def test_lines_are_the_same_however_the_stream_is_cut(
    output: bytes, cuts: list[int]
) -> None:
    whole: list[str] = []
    pieces: list[str] = []
    for found, ends in ((whole, [len(output)]), (pieces, [*cuts, len(output)])):
        cutter, place = Lines(found.append), 0
        for length in ends:
            if piece := output[place : place + length]:
                cutter.feed(piece)
            place += length
        cutter.feed(b"")

    assert pieces == whole
    assert all(0 < len(line) <= LINE_CHARACTERS for line in whole)


def peak_of(work: Callable[[], None]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_line_without_end_takes_no_memory_without_end() -> None:
    cutter = Lines(lambda line: None)

    def print_much() -> None:
        for _ in range(1000):
            cutter.feed(b"x" * 65_536)

    assert peak_of(print_much) < 1_000_000


def test_a_block_without_end_takes_no_memory_without_end() -> None:
    blocks = Blocks()

    def print_much() -> None:
        blocks.feed("Progress: {")
        for number in range(MOST_CHARACTERS // 20):
            blocks.feed(f'"x": {number},')

    assert peak_of(print_much) < 4 * MOST_CHARACTERS
    assert not blocks.inside
    assert blocks.feed("Progress: {") is None
    assert blocks.feed("}") == ("Progress", {})


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_a_share_that_is_no_number_does_not_end_the_progress(share: float) -> None:
    progress = HandbrakeProgress(total=100)
    block = 'Progress: {{\n"State": "WORKING",\n"Working": {{"Progress": {}}}\n}}'
    told = [
        progress.feed(line)
        for text in (block.format("NaN"), block.format(share))
        for line in text.split("\n")
    ]

    assert [one.percent for one in told if one][-1] == 100 * share
