"""Reading an encoder's progress."""

from __future__ import annotations

import pytest

from sisyphus.media.progress import EncodingProgress, Reading, frames_in, gui_line


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


def test_a_pause_does_not_depress_the_rates() -> None:
    clock = Clock()
    progress = EncodingProgress(total=1000, duration=40.0, clock=clock)
    for n in range(20):
        block(progress, f"frame={10 * n}", f"out_time_us={400_000 * n}")
        clock.now += 0.5

    clock.now += 4.0  # stopped and continued
    reading = block(progress, "frame=200", "out_time_us=8000000")

    assert reading.fps == pytest.approx(20.0)
    assert reading.speed == pytest.approx(0.8)
    assert reading.eta == pytest.approx(40.0)


def test_pauses_one_after_another_do_not_either() -> None:
    clock = Clock()
    progress = EncodingProgress(total=1000, clock=clock)
    for n in range(40):
        clock.now += 600.0 if n in (10, 13, 16) else 0.5
        reading = block(progress, f"frame={10 * n + 1}")

    assert reading.fps == pytest.approx(20.0)


def test_a_tool_that_becomes_slow_is_not_taken_for_paused() -> None:
    clock = Clock()
    progress = EncodingProgress(total=1000, clock=clock)
    for n in range(10):
        clock.now += 0.5
        block(progress, f"frame={10 * n + 1}")
    for n in range(10):
        clock.now += 20.0
        reading = block(progress, f"frame={100 + n}")

    assert reading.fps == pytest.approx(0.05)


def test_reports_without_news_are_work_not_a_pause() -> None:
    clock = Clock()
    progress = EncodingProgress(total=1000, clock=clock)
    block(progress, "frame=1")
    for _ in range(10):  # the encoder looks ahead
        clock.now += 0.5
        assert progress.feed("progress=continue") is None

    clock.now += 0.5
    reading = block(progress, "frame=12")

    assert reading.fps == pytest.approx(2.0)


def test_the_last_block_is_a_block_like_others() -> None:
    progress = EncodingProgress(total=100)
    progress.feed("frame=99")

    reading = progress.feed("progress=end")

    assert reading is not None and reading.percent == 99.0


def test_more_frames_than_expected_are_not_told() -> None:
    reading = block(EncodingProgress(total=100), "frame=103")

    assert (reading.frame, reading.percent) == (100, 100.0)


def test_a_film_without_length_has_no_percent() -> None:
    reading = block(EncodingProgress(duration=0.0), "out_time_us=40000")

    assert reading.percent is None


@pytest.mark.parametrize(
    ("whole", "length", "frames"),
    [(10.0, 5.0, 50), (10.0, 20.0, 200), (10.0, 0.0, 1), (None, 5.0, None)],
)
def test_frames_of_a_part_are_reckoned_from_its_length(
    whole: float | None, length: float, frames: int | None
) -> None:
    assert frames_in(100, whole, length) == frames


def test_mkvmerge_lines_are_told_apart() -> None:
    progress = gui_line("#GUI#progress 33%")
    warning = gui_line("#GUI#warning 'a.mkv': A track is missing.")

    assert progress is not None and progress.percent == 33.0
    assert warning is not None and warning.kind == "warning"
    assert warning.text == "'a.mkv': A track is missing."
    assert warning.percent is None
    assert gui_line("Multiplexing took 0 seconds.") is None
