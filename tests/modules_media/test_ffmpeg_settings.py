"""What an ffmpeg task may say, and what it may not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from sisyphus.errors import InvalidSettings
from sisyphus.modules.ffmpeg import Ffmpeg
from sisyphus.modules.ffmpeg_filters import filters_of
from sisyphus.modules.ffmpeg_options import check_option, check_options
from sisyphus.modules.ffmpeg_settings import FfmpegSettings
from sisyphus.testing import plan_module


def task(**changes: Any) -> dict[str, Any]:
    return {
        "sources": ["/films/in.mkv"],
        "source_maps": [{"source": 0}],
        "output_maps": [{"stream": 0, "specifier": "v", "options": {"codec": "copy"}}],
        "output_file": "/films/out.mkv",
        **changes,
    }


def refusal(**changes: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        FfmpegSettings.model_validate(task(**changes))
    return str(caught.value)


def argv(**changes: Any) -> list[str]:
    return list(plan_module(Ffmpeg, task(**changes))[0].argv)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("i", "/etc/passwd"),
        ("y", None),
        ("filter_complex", "movie=/etc/passwd"),
        ("filter_script", "graph.txt"),
        ("progress", "http://example.com/"),
        ("passlogfile", "/tmp/log"),
        ("attach", "/etc/passwd"),
        ("dump_attachment", "x"),
        ("protocol_whitelist", "http"),
        ("map", "0"),
        ("f", "tee"),
        ("f", "segment"),
        ("f", "hls"),
        ("vf", "movie=in.mkv"),
        ("vf", "scale=1:1,mov\\ie=in.mkv"),
        ("filter", "'movie'=in.mkv[a];[a]null"),
        ("vf", "[in]frei0r=glow[out]"),
        ("vf", "metadata=print:file=/tmp/x"),
        ("vf", "psnr=stats_file='/tmp/x'"),
        ("vf", "drawtext=/text=secret"),
        ("vf", "subtitles=relative.srt"),
        ("x264-params", {"stats": "/tmp/x"}),
        ("x265-params", "csv=/tmp/x.csv"),
        ("x265-params", "csv=\\/tmp/x.csv"),
        ("svtav1-params", "a=1:b=../../x"),
        ("codec", "libx264|http://example.com"),
        ("b:a", "128k"),
        ("b ", "128k"),
        ("-b", "128k"),
        ("/b", "128k"),
        ("an", "/tmp/second-output.mkv"),
        ("shortest", "x.mkv"),
        ("codec", None),
        ("metadata", None),
        ("metadata", "/tmp/x"),
        ("vaapi_device", "/etc/passwd"),
    ],
)
def test_options_that_reach_beyond_the_task_are_refused(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=r"option|value|filter|format"):
        check_option(name, value, is_input=False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("vf", "scale=-2:720:flags=lanczos, crop=in_w:in_h/2,setsar=1/1"),
        ("filter", "select='not(mod(n\\,10))',setpts=N/25/TB"),
        ("af", "loudnorm=I=-16:TP=-1.5,aresample=48000"),
        ("x265-params", {"sar": "16:11", "no-sao": None, "keyint": 250}),
        ("x265-params", "master-display=G(13250,34500)B(7500,3000):max-cll=1000,400"),
        ("metadata", "title=/a/b or http://c"),
        ("r", "24000/1001"),
        ("aspect", "16:9"),
        ("force_key_frames", "expr:gte(t,n_forced*5)"),
        ("vaapi_device", "/dev/dri/renderD128"),
        ("shortest", True),
        ("an", None),
        ("f", "matroska"),
        ("movflags", "+faststart"),
        ("disposition", "default"),
        ("tag", "hvc1"),
    ],
)
def test_ordinary_options_are_fine(name: str, value: Any) -> None:
    assert check_option(name, value, is_input=False) == []


def test_files_of_some_filters_may_be_read_below_the_roots() -> None:
    graph = (
        "scale=2:2,subtitles='/films/a\\:b.ass':fontsdir=/films/fonts,lut3d=/films/l"
    )

    files = check_options({"vf": graph})

    assert files == [Path("/films/a:b.ass"), Path("/films/fonts"), Path("/films/l")]


def test_a_filter_graph_is_split_as_ffmpeg_does() -> None:
    graph = "[0:v]scale=1:2[a];[a]dr\\awtext@x=text='a,b;c'[b] ; null"

    assert list(filters_of(graph)) == [
        ("scale", "1:2"),
        ("drawtext", "text=a,b;c"),
        ("null", ""),
    ]


@pytest.mark.parametrize("options", [{"f": "lavfi"}, {"f": "concat"}, {"safe": 0}])
def test_sources_may_not_be_scripts_or_devices(options: dict[str, Any]) -> None:
    assert "input_options" in refusal(input_options=options)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"ss": 5}, "ss must be text"),
        ({"stream_loop": "x"}, "stream_loop must be a number"),
        ({"stream_loop": True}, "stream_loop must be a number"),
        ({"recast_media": "yes"}, "recast_media must be true or false"),
    ],
)
def test_known_input_options_have_types(options: Any, expected: str) -> None:
    assert expected in refusal(input_options=options)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"source_maps": [{"source": 2}]}, "there are only 1"),
        ({"source_maps": [{"source": 0, "specifier": "x"}]}, "must be v (video)"),
        ({"source_maps": [{"source": "0"}]}, "valid integer"),
        ({"overwrite": "yes"}, "valid boolean"),
        ({"source_maps": []}, "at least 1"),
        ({"sources": []}, "at least 1"),
        ({"sources": ["/a", "/a"]}, "names /a twice"),
        ({"source_map": [{"source": 0}]}, "mean the same"),
        ({"output_maps": [{"stream": 0}]}, "needs options or an option_set"),
        ({"output_file": "/films/in.mkv"}, "is also a source"),
        ({"output_file": "/films/%03d.png"}, "must name one file"),
        ({"output_file": "/films/list.m3u8"}, "must name one file"),
    ],
)
def test_wrong_settings_say_what_is_wrong(changes: Any, expected: str) -> None:
    assert expected in refusal(**changes)


def test_an_unknown_key_names_the_nearest() -> None:
    with pytest.raises(InvalidSettings, match="did you mean 'overwrite'"):
        argv(overwite=True)


def test_nothing_of_a_source_may_open_anything_else() -> None:
    words = argv(sources=["/films/in.mkv", "/films/b.mkv"])

    assert words.count("-protocol_whitelist") == words.count("-i") == 2
    assert all(
        words.index("-protocol_whitelist") < n for n, w in enumerate(words) if w == "-i"
    )


def test_names_that_look_like_protocols_or_options_become_plain_paths() -> None:
    words = argv(sources=["concat:a|b.mkv", "-y"], output_file="md5:x.mkv")

    here = Path.cwd()
    assert str(here / "concat:a|b.mkv") in words
    assert str(here / "-y") in words
    assert words[-1] == str(here / "md5:x.mkv")


def test_explicit_overwrite_is_always_obeyed() -> None:
    older = task()
    older["source_map"] = older.pop("source_maps")
    assert "-y" in plan_module(Ffmpeg, older)[0].argv
    assert "-n" in plan_module(Ffmpeg, {**older, "overwrite": False})[0].argv
    assert "-n" in argv()
    assert "-y" in argv(overwrite=True)


def test_flags_among_output_options_stand_alone() -> None:
    options = {"shortest": True, "copyinkf": None, "bitexact": False, "crf": 0}
    words = argv(output_maps=[{"stream": 1, "options": options}])

    assert words[-5:-1] == ["-shortest:1", "-copyinkf:1", "-crf:1", "0"]


def test_stored_options_are_checked_like_inline_ones() -> None:
    data = task(output_maps=[{"stream": 0, "option_set": "bad"}])
    stored = {"bad": {"name": "bad", "options": {"passlogfile": "x"}}}

    with pytest.raises(InvalidSettings, match=r"option_set.*passlogfile"):
        plan_module(Ffmpeg, data, stored=stored)


def test_files_of_filters_must_lie_below_the_roots(tmp_path: Path) -> None:
    options = {"vf": "subtitles=/etc/passwd"}
    data = task(output_maps=[{"stream": 0, "specifier": "v", "options": options}])

    with pytest.raises(InvalidSettings, match="outside the allowed roots"):
        plan_module(Ffmpeg, data, roots=[tmp_path])


def test_every_setting_is_described() -> None:
    schema = FfmpegSettings.model_json_schema()

    fields = [
        schema["properties"],
        *(d.get("properties", {}) for d in schema["$defs"].values()),
    ]
    assert all("description" in facts for group in fields for facts in group.values())
