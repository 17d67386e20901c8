"""How much an ffmpeg task has to do, and how far the real ffmpeg is."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from sisyphus.media.expected import Mapped
from sisyphus.media.probe import Film, Printed, Probe, Stream
from sisyphus.media.progress import EncodingProgress
from sisyphus.modules.ffmpeg import Ffmpeg
from sisyphus.modules.ffmpeg_argv import seconds_in
from sisyphus.modules.ffmpeg_progress import progress_of, rest_of
from sisyphus.modules.ffmpeg_settings import FfmpegSettings
from sisyphus.modules.ffmpeg_streams import Made
from sisyphus.testing import run_module

PICTURE = Stream(index=0, kind="video", duration=10.0, claimed_frames=250, fps=25.0)
SOUND = Stream(index=1, kind="audio", duration=12.0)
FILM = Film(Path("/in.mkv"), frozenset({"matroska"}), 12.0, (PICTURE, SOUND))


def settings(**input_options: Any) -> FfmpegSettings:
    return FfmpegSettings.model_validate(
        {
            "sources": ["/in.mkv"],
            "source_maps": [{"source": 0}],
            "output_maps": [],
            "output_file": "/out.mkv",
            "input_options": input_options,
        }
    )


def to_do(
    options: Mapping[str, Any] | None = None, **input_options: Any
) -> EncodingProgress:
    """What there is to do of a picture of ten and sound of twelve seconds."""
    chosen = dict(options or {})
    made = [Made(Mapped(FILM, PICTURE), chosen), Made(Mapped(FILM, SOUND), {})]
    probe = Probe(lambda argv: Printed(1, "", ""))
    return progress_of(settings(**input_options), [chosen], made, probe)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90.0),
        ("90.5s", 90.5),
        (".5", 0.5),
        ("1:30", 90.0),
        ("01:02:03.5", 3723.5),
        ("100:00:00", 360_000.0),
        ("500ms", 0.5),
        ("1500us", 0.0015),
        ("-10", -10.0),
        ("-0:30", -30.0),
        (7, 7.0),
    ],
)
def test_times_are_read_as_ffmpeg_reads_them(text: Any, seconds: float) -> None:
    assert seconds_in(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5m", "1h", "1:2:3:4", "ten", "1:30ms", "N/A"])
def test_what_ffmpeg_does_not_take_for_a_time_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="must be a time"):
        seconds_in(text)


@pytest.mark.parametrize(
    ("input_options", "total", "duration"),
    [
        ({}, 250, 12.0),
        ({"ss": "0:04"}, 150, 8.0),
        ({"ss": "4000ms", "to": "6"}, 50, 2.0),
        ({"t": "1500us"}, 1, 0.0015),
        ({"ss": "4", "t": "2", "to": "9"}, 50, 2.0),
        ({"ss": "20"}, 1, 0.0),
        ({"ss": "6", "to": "2"}, 1, 0.0),
        ({"ss": "11"}, 1, 1.0),
        ({"ss": "-3"}, 250, 12.0),
        ({"sseof": "-5"}, 125, 5.0),
        ({"stream_loop": 1}, 500, 24.0),
        ({"stream_loop": -1, "t": "30"}, 750, 30.0),
        ({"stream_loop": -1}, None, None),
        ({"ss": "soon"}, None, None),
    ],
)
def test_trimmed_sources_have_less_to_do(
    input_options: dict[str, Any], total: int | None, duration: float | None
) -> None:
    progress = to_do(**input_options)

    assert progress.total == total
    assert progress.duration == (None if duration is None else pytest.approx(duration))


@pytest.mark.parametrize(
    ("options", "total"),
    [
        ({"codec": "libx264", "filter": "scale=640:-2,hflip"}, 250),
        ({"codec": "copy"}, 250),
        ({"frames": 40}, 40),
        ({"t": 4}, 100),
        ({"ss": "0:02", "to": "0:04"}, 50),
        ({"filter": "yadif"}, 250),
        # Other frames come out: time is the better measure.
        ({"filter": "yadif=1"}, None),
        ({"filter": "scale=640:-2,fps=5"}, None),
        ({"filter": "somefilter"}, None),
        ({"r": 10}, None),
    ],
)
def test_frames_are_counted_where_each_of_them_comes_out(
    options: dict[str, Any], total: int | None
) -> None:
    assert to_do(options).total == total


def test_the_length_that_ffmpeg_tells_is_cut_as_well() -> None:
    assert rest_of(settings(ss="2"), [{"t": "5"}], 10.0) == 5.0
    assert rest_of(settings(ss="7"), [{"t": "5"}], 10.0) == 3.0
    assert rest_of(settings(t="3"), [], None) == 3.0


# The real tool

SMALL = {"codec": "libx264", "preset": "ultrafast", "s": "160x90", "crf": 40}


def encode(source: Path, output: Path, **changes: Any) -> dict[str, Any]:
    return {
        "sources": [str(source)],
        "source_maps": [{"source": 0, "specifier": "v"}],
        "output_maps": [{"specifier": "v", "stream": 0, "options": SMALL}],
        "output_file": str(output),
        **changes,
    }


@pytest.mark.tool
@pytest.mark.parametrize(
    ("changes", "total"),
    [
        ({}, 132),
        ({"input_options": {"ss": "3"}}, 57),
        ({"input_options": {"ss": "1", "t": "500ms"}}, 12),
        ({"output_maps": [{"stream": 0, "options": {**SMALL, "frames": 30}}]}, 30),
        ({"output_maps": [{"stream": 0, "options": {**SMALL, "r": 5}}]}, None),
        (
            {
                "source_maps": [{"source": 0, "specifier": "a"}],
                "output_maps": [{"stream": 0, "options": {"codec": "ac3"}}],
            },
            None,
        ),
    ],
)
def test_ffmpegs_own_report_leads_up_to_a_hundred(
    changes: dict[str, Any], total: int | None, clip: Path, tmp_path: Path
) -> None:
    run = run_module(Ffmpeg, encode(clip, tmp_path / "out.mkv", **changes))

    percents = [p.percent for p in run.progress if p.percent is not None]
    assert percents == sorted(percents)
    assert (run.progress[-1].percent, run.progress[-1].total) == (100.0, total)
    # What ffmpeg tells last of itself is nearly all, too.
    told = [p for p in run.progress if p.percent is not None and p.speed is not None]
    assert all(p.percent is not None and p.percent > 85 for p in told[-1:])


class Clock:
    """The machine's clock, which a test may move on."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


@pytest.mark.tool
def test_a_stopped_ffmpeg_goes_on_at_its_former_rate(clip: Path) -> None:
    clock = Clock()
    progress = EncodingProgress(total=2000, duration=80.0, clock=clock)
    argv = ["ffmpeg", "-nostdin", "-nostats", "-v", "error", "-progress", "pipe:1"]
    argv += ["-stats_period", "0.1", "-re", "-stream_loop", "-1", "-i", str(clip)]
    argv += ["-an", "-s", "64x36", "-f", "null", "-"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as tool:
        before = fps_after(12, progress, tool)
        os.kill(tool.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, tool.pid, os.WSTOPPED | os.WNOWAIT)
        clock.ahead += 4.0
        os.kill(tool.pid, signal.SIGCONT)
        after = fps_after(3, progress, tool)
        tool.kill()

    assert after > before / 2


def fps_after(
    readings: int, progress: EncodingProgress, tool: subprocess.Popen[str]
) -> float:
    assert tool.stdout is not None
    for line in tool.stdout:
        reading = progress.feed(line.strip())
        readings -= reading is not None
        if reading is not None and readings <= 0:
            return reading.fps or 0.0
    raise AssertionError("ffmpeg has ended")
