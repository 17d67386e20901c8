"""Reading an encoder's progress."""

from __future__ import annotations

import pytest

from sisyphus.media.progress import EncodingProgress, Reading, gui_line


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def block(progress: EncodingProgress, *lines: str) -> Reading:
    for line in lines:
        assert progress.feed(line) is None
    reading = progress.feed("progress=continue")
    assert reading is not None
    return reading


def test_frames_count_against_the_total() -> None:
    progress = EncodingProgress(total=200, duration=8.0)

    reading = block(progress, "frame=50", "fps=10.0", "out_time_us=7000000")

    assert (reading.frame, reading.total, reading.percent) == (50, 200, 25.0)


def test_time_counts_when_no_frames_are_printed() -> None:
    progress = EncodingProgress(total=200, duration=8.0)

    reading = block(progress, "out_time_us=2000000")

    assert (reading.frame, reading.percent) == (None, 25.0)


@pytest.mark.parametrize("value", ["N/A", "-82000", "-9223372036854775808"])
def test_a_time_that_is_not_known_yet_is_no_progress(value: str) -> None:
    progress = EncodingProgress(duration=8.0)

    reading = block(progress, f"out_time_us={value}", "speed=N/A", "fps=0.00")

    assert reading.percent is None


def test_percent_never_falls_and_ends_at_a_hundred() -> None:
    progress = EncodingProgress(total=100)

    percents = [block(progress, f"frame={n}").percent for n in (10, 40, 30, 180)]

    assert percents == [10.0, 40.0, 40.0, 100.0]
    assert progress.finished().percent == 100.0
    assert progress.finished().frame == 100


def test_the_same_again_is_no_progress() -> None:
    progress = EncodingProgress(total=100)
    block(progress, "frame=10", "out_time_us=400000")

    lines = ["frame=10", "out_time_us=400000", "progress=continue"]
    assert [progress.feed(line) for line in lines] == [None, None, None]
    assert block(progress, "frame=11").frame == 11


def test_without_a_total_the_percentage_is_unknown_but_frames_are_told() -> None:
    reading = block(EncodingProgress(), "frame=  12")

    assert (reading.percent, reading.frame, reading.eta) == (None, 12, None)


def test_rates_are_of_the_last_seconds_not_of_the_whole_run() -> None:
    clock = Clock()
    progress = EncodingProgress(total=1000, duration=40.0, clock=clock)
    block(progress, "frame=0", "out_time_us=0")
    clock.now += 100  # paused
    block(progress, "frame=100", "out_time_us=4000000")

    clock.now += 5
    reading = block(progress, "frame=200", "out_time_us=8000000")
    clock.now += 5
    reading = block(progress, "frame=300", "out_time_us=12000000")

    assert reading.fps == pytest.approx(20.0)
    assert reading.speed == pytest.approx(0.8)
    assert reading.eta == pytest.approx(35.0)


def test_mkvmerge_lines_are_told_apart() -> None:
    progress = gui_line("#GUI#progress 33%")
    warning = gui_line("#GUI#warning 'a.mkv': A track is missing.")

    assert progress is not None and progress.percent == 33.0
    assert warning is not None and warning.kind == "warning"
    assert warning.text == "'a.mkv': A track is missing."
    assert warning.percent is None
    assert gui_line("Multiplexing took 0 seconds.") is None
