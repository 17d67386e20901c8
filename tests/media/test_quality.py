"""How much a picture is like its source: the graph, and the score."""

from __future__ import annotations

from pathlib import Path

import pytest

from sisyphus.media.hdr import Color
from sisyphus.media.probe import Stream
from sisyphus.media.quality import (
    Comparison,
    Metric,
    Pairing,
    Reference,
    compare_argv,
    score_of,
)

VMAF_FILE = """\
Frame,integer_adm2,integer_motion2,vmaf,
0,0.8,0.0,90.0,
1,0.8,0.6,80.0,
2,0.8,0.6,40.0,
3,0.8,0.6,50.0,
"""
SSIM_FILE = """\
n:1 Y:0.900365 U:0.922015 V:0.968161 All:0.900000 (10.719760)
n:2 Y:0.899473 U:0.920841 V:0.967355 All:1.000000 (inf)
"""


def graph(
    reference: Reference = Reference(),  # noqa: B008 - frozen
    pairing: Pairing = Pairing.NUMBER,
    metric: Metric = Metric.SSIM,
    **made: object,
) -> str:
    stream = Stream(0, "video", fps=25.0, width=160, height=90, **made)  # type: ignore[arg-type]
    pair = Comparison(
        Path("/out.mkv"),
        stream,
        Path("/in.mkv"),
        Stream(2, "video"),
        reference,
        pairing,
    )
    argv = compare_argv(pair, metric, "scores.txt", 2)
    return argv[argv.index("-filter_complex") + 1]


def test_the_source_goes_the_jobs_way() -> None:
    found = graph(Reference(filters="crop=10:10"))

    assert "[1:2]crop=10:10,settb=1/1000,setpts=N*1000,scale=160:90" in found


@pytest.mark.parametrize(
    ("pairing", "output", "source"),
    [
        (Pairing.START, "setpts=PTS-STARTPTS+0.0030/TB", "[1:2]setpts=PTS-STARTPTS,"),
        (Pairing.CLOCK, "setpts=PTS-STARTPTS+0.0030/TB", "[1:2]null,"),
        (Pairing.NEXT, "setpts=PTS-STARTPTS+0.0370/TB", "[1:2]null,"),
    ],
)
def test_frames_are_paired_by_time_where_they_cannot_be_counted(
    pairing: Pairing, output: str, source: str
) -> None:
    found = graph(pairing=pairing)

    assert f"[0:0]{output},format=yuv420p[output]" in found
    assert source in found


def test_ten_bits_are_compared_in_ten_bits() -> None:
    found = graph(color=Color("yuv420p10le"))

    assert found.count("format=yuv420p10le") == 2


def test_another_range_is_no_other_picture() -> None:
    assert "out_range=tv" in graph(color=Color("yuv420p", range="tv"))


def test_vmaf_uses_every_core_given() -> None:
    assert "libvmaf=shortest=1:n_threads=2:" in graph(metric=Metric.VMAF)


def test_a_cut_source_is_cut_here_too() -> None:
    reference = Reference(input_options=("-ss", "5", "-noautorotate"))
    stream = Stream(0, "video", width=160, height=90)
    out, source = Path("/out.mkv"), Path("/in.mkv")
    pair = Comparison(out, stream, source, stream, reference, Pairing.START)

    argv = compare_argv(pair, Metric.SSIM, "scores.txt", 1)

    first, second = argv.index("/out.mkv"), argv.index("/in.mkv")
    assert "-ss" not in argv[:first]
    assert "-noautorotate" in argv[:first]
    assert argv[first:second].count("-ss") == 1


def test_vmaf_is_read_from_its_column() -> None:
    score = score_of(VMAF_FILE, Metric.VMAF, fps=2.0)

    assert score is not None
    assert (score.mean, score.worst, score.frames) == (65.0, 45.0, 4)
    assert str(score) == "VMAF 65.0 over 4 frames, 45.0 in the worst second"


def test_ssim_is_told_in_hundredths() -> None:
    score = score_of(SSIM_FILE, Metric.SSIM, fps=25.0)

    assert score is not None
    assert (score.mean, score.frames) == (95.0, 2)


@pytest.mark.parametrize("text", ["", "nothing", "Frame,vmaf,\n"])
def test_without_frames_there_is_no_score(text: str) -> None:
    assert score_of(text, Metric.SSIM, 25.0) is None
    assert score_of(text, Metric.VMAF, 25.0) is None
