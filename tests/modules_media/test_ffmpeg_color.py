"""HDR data and colour tags come through the ffmpeg module, or the task fails."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from films import SYSTEM, Films, Tools, either
from hdr_films import HLG, dolby_vision_film, hdr10plus_film, hdr_film
from sisyphus.errors import InvalidSettings, OutputRefused, ToolMissing
from sisyphus.modules.ffmpeg import Ffmpeg
from sisyphus.testing import TaskRun, fake_tool, plan_module, run_module

pytestmark = pytest.mark.tool

X265 = {
    "codec": "libx265",
    "preset": "ultrafast",
    "x265-params": {"log-level": "error"},
}
SVT = {"codec": "libsvtav1", "preset": 12}
X264 = {"codec": "libx264", "preset": "ultrafast"}


def encode(
    source: Path, output: Path, options: dict[str, Any], **changes: Any
) -> dict[str, Any]:
    return {
        "sources": [str(source)],
        "source_maps": [{"source": 0, "specifier": "v"}],
        "output_maps": [{"specifier": "v", "stream": 0, "options": options}],
        "output_file": str(output),
        **changes,
    }


def first_frame(path: Path) -> dict[str, Any]:
    entries = ["-read_intervals", "%+#1", "-show_frames", "-of", "json"]
    answer = subprocess.run(
        ["ffprobe", "-v", "error", *entries, str(path)], check=True, capture_output=True
    )
    frame: dict[str, Any] = json.loads(answer.stdout)["frames"][0]
    return frame


def side_data(path: Path) -> dict[str, dict[str, Any]]:
    rows = first_frame(path).get("side_data_list", ())
    return {row["side_data_type"]: row for row in rows}


def argv(source: Path, options: dict[str, Any], **changes: Any) -> list[str]:
    data = encode(source, source.with_name("out.mkv"), options, **changes)
    return list(plan_module(Ffmpeg, data)[0].argv)


@pytest.fixture
def hdr(tmp_path: Path) -> Path:
    return hdr_film(tmp_path / "hdr.mkv")


@either
@pytest.mark.parametrize("options", [X265, SVT], ids=["x265", "svtav1"])
@pytest.mark.parametrize("name", ["out.mkv", "out.mp4"])
def test_hdr10_comes_through(
    hdr: Path, tmp_path: Path, tools: Tools, options: dict[str, Any], name: str
) -> None:
    output = tmp_path / name

    run_module(Ffmpeg, encode(hdr, output, options), tools=tools)

    frame, data = first_frame(output), side_data(output)
    assert frame["pix_fmt"] == "yuv420p10le"
    assert frame["color_transfer"] == "smpte2084"
    assert (frame["color_primaries"], frame["color_space"]) == ("bt2020", "bt2020nc")
    light = data["Content light level metadata"]
    assert (light["max_content"], light["max_average"]) == (1000, 400)
    above, below = data["Mastering display metadata"]["red_x"].split("/")
    assert int(above) / int(below) == pytest.approx(0.708, abs=0.0001)


def test_the_plan_shows_what_is_added(hdr: Path) -> None:
    params = argv(hdr, X265)[-2]

    assert params == (
        "log-level=error:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc"
        ":hdr10=1:repeat-headers=1"
        ":master-display=G(8500,39850)B(6550,2300)R(35400,14600)WP(15635,16450)"
        "L(10000000,1):max-cll=1000,400"
    )
    assert argv(hdr, SVT)[-3:-1] == [
        "-svtav1-params:v:0",
        "mastering-display=G(0.17,0.797)B(0.131,0.046)R(0.708,0.292)"
        "WP(0.3127,0.329)L(1000,0.0001):content-light=1000,400",
    ]


@pytest.mark.parametrize(
    "own", [{"max-cll": "500,100", "bframes": 3}, "max-cll=500,100"]
)
def test_the_jobs_own_values_win(hdr: Path, own: Any) -> None:
    params = argv(hdr, {**X265, "x265-params": own})[-2]

    assert params.startswith("max-cll=500,100:")
    assert params.count("max-cll") == 1
    assert "master-display=" in params


def test_values_of_the_job_are_no_loss(hdr: Path, tmp_path: Path) -> None:
    own = {**X265, "x265-params": {"log-level": "error", "max-cll": "500,100"}}

    run_module(Ffmpeg, encode(hdr, tmp_path / "out.mkv", own))

    assert side_data(tmp_path / "out.mkv")["Content light level metadata"][
        "max_content"
    ] == (500)


def test_the_encoder_of_another_output_map_counts(hdr: Path) -> None:
    maps = [
        {"specifier": "v", "stream": 0, "options": {"preset": "ultrafast"}},
        {"stream": 0, "options": {"c": "libx265"}},
    ]

    command = argv(hdr, {}, output_maps=maps)

    assert "-x265-params:0" in command


def test_a_film_without_hdr_gets_nothing_added(clip: Path) -> None:
    assert "-svtav1-params:v:0" not in argv(clip, SVT)
    assert argv(clip, {"codec": "libx265"})[-3:-1] == ["-codec:v:0", "libx265"]


def test_a_source_that_is_not_there_yet_is_planned_without(tmp_path: Path) -> None:
    assert argv(tmp_path / "later.mkv", SVT)[-3:-1] == ["-preset:v:0", "12"]


@pytest.mark.parametrize(
    ("options", "lost"),
    [
        (X264, "the mastering display data, the content light level"),
        ({"codec": "libaom-av1"}, "the mastering display data"),
        ({"preset": "fast"}, "the mastering display data"),
        ({**X265, "pix_fmt": "yuv420p"}, r"10 bits a sample \(would be 8\)"),
        ({**SVT, "filter": "scale=80:-2,format=yuv420p"}, "10 bits a sample"),
    ],
    ids=["x264", "aom", "default", "pix_fmt", "format"],
)
def test_what_would_be_lost_is_said_before_the_work(
    hdr: Path, tmp_path: Path, options: dict[str, Any], lost: str
) -> None:
    run = TaskRun()

    with pytest.raises(InvalidSettings, match=f"would lose {lost}.*color_loss"):
        run_module(Ffmpeg, encode(hdr, tmp_path / "out.mkv", options), run=run)

    assert not any("-map" in command for command in run.argv)


def test_a_loss_may_be_allowed(hdr: Path, tmp_path: Path) -> None:
    data = encode(hdr, tmp_path / "out.mkv", X264, color_loss="allow")

    run = run_module(Ffmpeg, data)

    assert (tmp_path / "out.mkv").exists()
    said = "has lost the mastering display data, the content light level"
    assert any(said in line for line in run.log)


def test_a_loss_that_shows_only_afterwards_is_refused(
    hdr: Path, tmp_path: Path
) -> None:
    plain = hdr_film(tmp_path / "plain.mkv", static=False)
    ffmpeg = fake_tool(
        tmp_path,
        "ffmpeg",
        f"""
words = [{str(plain)!r} if word == {str(hdr)!r} else word for word in sys.argv]
os.execv({str(SYSTEM["ffmpeg"])!r}, words)
""",
    )
    data = encode(hdr, tmp_path / "out.mkv", {"codec": "copy"})

    with pytest.raises(OutputRefused, match=r"lost the mastering.*which hdr\.mkv has"):
        run_module(Ffmpeg, data, tools={"ffmpeg": ffmpeg})

    assert not (tmp_path / "out.mkv").exists()


@either
@pytest.mark.parametrize(
    "graph",
    [
        "zscale=t=linear:npl=100,format=gbrpf32le,zscale=p=bt709,tonemap=hable,"
        "zscale=t=bt709:m=bt709:r=tv,format=yuv420p",
        "setparams=color_trc=bt709:color_primaries=bt709:colorspace=bt709,format=yuv420p",
    ],
    ids=["tonemap", "setparams"],
)
def test_a_job_may_change_the_colours_on_purpose(
    hdr: Path, tmp_path: Path, tools: Tools, graph: str
) -> None:
    options = {**X264, "filter": graph}

    run_module(Ffmpeg, encode(hdr, tmp_path / "out.mkv", options), tools=tools)

    assert first_frame(tmp_path / "out.mkv")["color_transfer"] == "bt709"


def test_ordinary_filters_change_no_colours(hdr: Path, tmp_path: Path) -> None:
    options = {**X265, "filter": "crop=140:80,scale=80:-2,hqdn3d"}

    run_module(Ffmpeg, encode(hdr, tmp_path / "out.mkv", options))

    assert "Mastering display metadata" in side_data(tmp_path / "out.mkv")


@either
def test_a_copy_keeps_hdr10(hdr: Path, tmp_path: Path, tools: Tools) -> None:
    for name in ("out.mkv", "out.mp4", "out.ts"):
        run_module(Ffmpeg, encode(hdr, tmp_path / name, {"codec": "copy"}), tools=tools)


@either
@pytest.mark.parametrize("options", [X265, SVT, X264], ids=["x265", "svtav1", "x264"])
def test_hlg_needs_tags_only(
    tmp_path: Path, tools: Tools, options: dict[str, Any]
) -> None:
    source = hdr_film(tmp_path / "hlg.mkv", static=False, tags=HLG)

    run_module(Ffmpeg, encode(source, tmp_path / "out.mkv", options), tools=tools)

    assert first_frame(tmp_path / "out.mkv")["color_transfer"] == "arib-std-b67"


@pytest.mark.parametrize(
    ("make", "name", "lost"),
    [
        (hdr10plus_film, "plus.mkv", r"HDR10\+"),
        (dolby_vision_film, "vision.mp4", "Dolby Vision"),
    ],
    ids=["HDR10+", "Dolby Vision"],
)
def test_data_for_each_scene_is_not_lost_unsaid(
    tmp_path: Path, make: Callable[[Path], Path], name: str, lost: str
) -> None:
    source, output = make(tmp_path / name), tmp_path / "out.mkv"

    with pytest.raises(InvalidSettings, match=f"would lose the {lost} data"):
        run_module(Ffmpeg, encode(source, output, X265))

    run_module(Ffmpeg, encode(source, output, X265, color_loss="allow"))
    assert "Mastering display metadata" in side_data(output)


@either
def test_a_copy_keeps_data_for_each_scene(tmp_path: Path, tools: Tools) -> None:
    for source in (
        hdr10plus_film(tmp_path / "plus.mkv"),
        dolby_vision_film(tmp_path / "vision.mp4"),
    ):
        output = tmp_path / f"of-{source.stem}.mkv"
        run_module(Ffmpeg, encode(source, output, {"codec": "copy"}), tools=tools)


@either
def test_without_ffprobe_an_hdr_film_is_refused(
    hdr: Path, tmp_path: Path, tools: Tools
) -> None:
    tools = {**tools, "ffprobe": tmp_path / "missing"}
    output = tmp_path / "out.mkv"

    with pytest.raises(ToolMissing, match=r"hdr\.mkv is an HDR film"):
        run_module(Ffmpeg, encode(hdr, output, X265), tools=tools)

    run_module(Ffmpeg, encode(hdr, output, X265, color_loss="allow"), tools=tools)


TAGGED = ["-color_primaries", "smpte170m", "-color_trc", "smpte170m"]


@either
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("out.mkv", X264),
        ("out.mp4", X265),
        ("out.mkv", SVT),
        ("out.webm", {"codec": "libvpx-vp9", "deadline": "realtime", "cpu-used": 8}),
        ("out.mp4", {"codec": "mpeg4"}),
        ("out.avi", {"codec": "mpeg4"}),
        ("out.ts", {"codec": "mpeg2video"}),
    ],
    ids=lambda value: value if isinstance(value, str) else value["codec"],
)
def test_tags_of_an_ordinary_film_raise_no_false_alarm(
    tmp_path: Path, tools: Tools, name: str, options: dict[str, Any]
) -> None:
    films = Films(tmp_path)
    source = films.test("in.mkv", *TAGGED, "-colorspace", "smpte170m", seconds=1)

    run_module(Ffmpeg, encode(source, tmp_path / name, options), tools=tools)


@either
@pytest.mark.parametrize("pix_fmt", ["yuvj420p", "yuv444p", "gray"])
def test_other_formats_of_pixels_raise_no_false_alarm(
    tmp_path: Path, tools: Tools, pix_fmt: str
) -> None:
    films = Films(tmp_path)
    source = films.test("in.mkv", "-pix_fmt", pix_fmt, seconds=1)

    for name, options in (("a.mkv", X264), ("b.mkv", SVT), ("c.mp4", X265)):
        run_module(Ffmpeg, encode(source, tmp_path / name, options), tools=tools)


def test_a_lost_tag_is_refused(tmp_path: Path) -> None:
    films = Films(tmp_path)
    source = films.test("in.mkv", *TAGGED, "-colorspace", "smpte170m", seconds=1)
    plain = films.test("plain.mkv", seconds=1)
    ffmpeg = fake_tool(
        tmp_path,
        "ffmpeg",
        f"""
words = [{str(plain)!r} if word == {str(source)!r} else word for word in sys.argv]
os.execv({str(SYSTEM["ffmpeg"])!r}, words)
""",
    )
    data = encode(source, tmp_path / "out.mkv", X264)

    with pytest.raises(OutputRefused, match="lost the colour primaries smpte170m"):
        run_module(Ffmpeg, data, tools={"ffmpeg": ffmpeg})


def test_tags_that_the_job_sets_itself_are_no_loss(tmp_path: Path) -> None:
    films = Films(tmp_path)
    source = films.test("in.mkv", *TAGGED, "-colorspace", "smpte170m", seconds=1)
    own = {**X264, "color_primaries": "bt709", "color_trc": "bt709"}

    run_module(Ffmpeg, encode(source, tmp_path / "out.mkv", own))

    assert first_frame(tmp_path / "out.mkv")["color_primaries"] == "bt709"
