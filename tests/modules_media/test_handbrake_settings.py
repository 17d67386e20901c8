"""What a HandBrake task may say, and the command that comes out."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sisyphus.errors import InvalidSettings
from sisyphus.modules import handbrake_options as known
from sisyphus.modules.handbrake import Handbrake
from sisyphus.modules.handbrake_settings import HandbrakeSettings
from sisyphus.modules.options import words as names
from sisyphus.testing import plan_module

PATHS = {"source": "/in.mkv", "output_file": "/out.mkv"}
START = ["--input", "/in.mkv", "--output", "/out.mkv"]


def words(settings: dict[str, Any] | None = None, **sections: Any) -> list[str]:
    """The command line without what is always in it."""
    (step,) = plan_module(Handbrake, {**PATHS, **sections}, settings=settings)
    program, *argv = step.argv
    assert program == "HandBrakeCLI"
    assert argv.count("--json") == 1
    place = argv.index("--input")
    assert argv[place : place + 4] == START
    del argv[place : place + 4]
    return [word for word in argv if word != "--json"]


def shown(**sections: Any) -> str:
    """The same as one line."""
    return shlex.join(words(**sections))


def refusal(**sections: Any) -> str:
    with pytest.raises(InvalidSettings) as caught:
        plan_module(Handbrake, {**PATHS, **sections})
    return str(caught.value)


# Sections


@pytest.mark.parametrize(
    ("section", "options", "expected"),
    [
        ("source_options", {"title": 2, "angle": 1}, "--title 2 --angle 1"),
        ("source_options", {"min_duration": 0.5}, "--min-duration 0.5"),
        ("source_options", {"chapters": "1-3"}, "--chapters 1-3"),
        ("source_options", {"chapters": 3, "previews": 5}, "--chapters 3 --previews 5"),
        ("source_options", {"start_at": {"pts": 900}}, "--start-at pts:900"),
        ("source_options", {"stop_at": "frames:10"}, "--stop-at frames:10"),
        ("destination_options", {"format": "av_mp4"}, "--format av_mp4"),
        ("destination_options", {"markers": None}, "--markers"),
        ("video_options", {"encoder": "VP9_10bit"}, "--encoder VP9_10bit"),
        ("video_options", {"quality": 19, "vb": 900}, "--quality 19 --vb 900"),
        ("video_options", {"quality": 30.5}, "--quality 30.5"),
        ("video_options", {"rate": "29.97"}, "--rate 29.97"),
        ("video_options", {"encoder_preset": 8}, "--encoder-preset 8"),
        ("video_options", {"encoder_level": 4.1}, "--encoder-level 4.1"),
        ("video_options", {"enable_hw_decoding": "x"}, "--enable-hw-decoding x"),
        ("video_options", {"enable_hw_decoding": True}, "--enable-hw-decoding nvdec"),
        ("video_options", {"enable_hw_decoding": False}, ""),
        ("video_options", {"disable_hw_decoding": True}, "--disable-hw-decoding"),
        (
            "video_options",
            {"encopts": "ref=3:no-deblock"},
            "--encopts ref=3:no-deblock",
        ),
        ("audio_options", {"aq": [3, 2.5]}, "--aq 3,2.5"),
        ("audio_options", {"aencoder": "opus", "ab": 96}, "--aencoder opus --ab 96"),
        ("audio_options", {"audio": "1,2"}, "--audio 1,2"),
        ("audio_options", {"arate": ["auto", 44.1]}, "--arate auto,44.1"),
        ("audio_options", {"normalize_mix": [True, False]}, "--normalize-mix 1,0"),
        ("audio_options", {"normalize_mix": True}, "--normalize-mix 1"),
        ("audio_options", {"ab": [None, 128]}, "--ab ,128"),
        ("audio_options", {"audio_copy_mask": ["aac"]}, "--audio-copy-mask aac"),
        ("picture_options", {"max_width": 640}, "--maxWidth 640"),
        ("picture_options", {"crop": {"bottom": 2}}, "--crop 0:2:0:0"),
        ("picture_options", {"crop": "2:2:4:4"}, "--crop 2:2:4:4"),
        ("picture_options", {"color_matrix": 709}, "--color-matrix 709"),
        ("picture_options", {"pixel_aspect": "16:15"}, "--pixel-aspect 16:15"),
        ("picture_options", {"crop_mode": "none"}, "--crop-mode none"),
        ("filters_options", {"nlmeans_tune": "film"}, "--nlmeans-tune film"),
        ("subtitles_options", {"subtitle": ["scan", 1]}, "--subtitle scan,1"),
        ("subtitles_options", {"subtitle": 1}, "--subtitle 1"),
        ("subtitles_options", {"subtitle_burned": True}, "--subtitle-burned"),
        (
            "subtitles_options",
            {"subtitle_burned": "native"},
            "--subtitle-burned=native",
        ),
        ("subtitles_options", {"subtitle_forced": [1, 2]}, "--subtitle-forced=1,2"),
        ("subtitles_options", {"first_subtitle": True}, "--first-subtitle"),
        ("subtitles_options", {"native_language": "eng"}, "--native-language eng"),
        ("subtitles_options", {"srt_file": ["/a.srt"]}, "--srt-file /a.srt"),
        ("subtitles_options", {"srt_offset": [-200]}, "--srt-offset -200"),
        ("subtitles_options", {"srt_burn": 2, "ssa_default": True}, "--srt-burn=2"),
    ],
)
def test_each_option_of_a_section_becomes_its_argument(
    section: str, options: dict[str, Any], expected: str
) -> None:
    assert shown(**{section: options}).startswith(expected)


def test_sections_and_options_keep_the_order_of_the_job() -> None:
    line = shown(
        filters_options={"grayscale": True},
        video_options={"quality": 20, "encoder": "x264"},
        audio_options={"ab": [96], "audio": [1]},
    )

    assert line == "--grayscale --quality 20 --encoder x264 --ab 96 --audio 1"


def test_the_older_dialect_has_an_order_of_its_own() -> None:
    line = shown(
        subtitle_tracks=[{"track": 1}],
        filters_options={"g": None},
        audio_tracks=[{"track": 2, "ab": 96}],
        video_options={"e": "x264"},
        general_options={"verbose": 2, "json": True},
    )

    assert line == "--verbose=2 -e x264 --ab 96 --audio 2 -g --subtitle 1"


def test_any_option_may_stand_in_any_section_of_the_older_dialect() -> None:
    line = shown(source_options={"encoder": "x264", "max-height": 90, "g": None})

    assert line == "--encoder x264 --maxHeight 90 -g"


# Flags


@pytest.mark.parametrize("value", [True, None])
def test_a_flag_that_is_set_stands_alone(value: bool | None) -> None:
    assert words(video_options={"two_pass": value}) == ["--two-pass"]
    assert words(general_options={"two-pass": value, "2": value}) == [
        "--two-pass",
        "-2",
    ]


NEGATABLE = names(
    "markers optimize ipod_atom align_av inline_parameter_sets two_pass turbo"
    " keep_display_aspect itu_par comb_detect deinterlace bwdif decomb detelecine hqdn3d"
    " nlmeans chroma_smooth unsharp lapsharp deblock colorspace grayscale"
)
NOT_NEGATABLE = names(
    "main_feature vfr cfr pfr rotate pad all_audio all_subtitles native_dub srt_default"
    " ssa_burn loose_anamorphic quality encoder denoise subtitle_burned verbose Z"
)


@pytest.mark.parametrize("name", sorted(NEGATABLE))
def test_false_is_no_where_handbrake_has_it(name: str) -> None:
    word = f"--no-{name.replace('_', '-')}"

    assert words(general_options={name: False}) == [word]
    assert words(general_options={f"no_{name}": True}) == [word]
    assert words(general_options={f"no_{name}": False}) == []


@pytest.mark.parametrize("name", sorted(NOT_NEGATABLE))
def test_false_is_nothing_elsewhere(name: str) -> None:
    assert words(general_options={name: False}) == []


def test_no_pad_is_left_out_because_it_makes_no_film() -> None:
    assert words(filters_options={"no-pad": True}) == []


@pytest.mark.parametrize("section", ["audio_options", "general_options"])
@pytest.mark.parametrize(("name", "value"), [("audio", None), ("subtitle", False)])
def test_nothing_chosen_is_said_as_none(section: str, name: str, value: Any) -> None:
    if name == "subtitle" and section == "audio_options":
        section = "subtitles_options"

    assert words(**{section: {name: value}}) == [f"--{name}", "none"]


# Filters


@pytest.mark.parametrize("section", ["filters_options", "general_options"])
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"bwdif": True}, "--bwdif"),
        ({"bwdif": None}, "--bwdif"),
        ({"bwdif": "bob"}, "--bwdif=bob"),
        ({"bwdif": {"preset": "bob"}}, "--bwdif=bob"),
        ({"comb_detect": {"presets": "fast"}}, "--comb-detect=fast"),
        ({"hqdn3d": {"custom": {"y_spatial": 3}}}, "--hqdn3d=y-spatial=3"),
        ({"hqdn3d": {"y_spatial": 3, "cb_spatial": 2.5}}, "--hqdn3d="),
        ({"lapsharp": "y-strength=0.2:y-kernel=lap"}, "--lapsharp=y-strength=0.2:"),
        ({"detelecine": {"strict_breaks": True}}, "--detelecine=strict-breaks=1"),
        ({"rotate": {"angle": 90, "hflip": False}}, "--rotate=angle=90:hflip=0"),
        ({"pad": {"width": 9, "color": "red"}}, "--pad width=9:color=red"),
        ({"colorspace": "bt709"}, "--colorspace bt709"),
        ({"colorspace": {"custom": {"primaries": "bt709"}}}, "--colorspace primaries="),
    ],
)
def test_filters_take_what_handbrake_reads(
    section: str, options: dict[str, Any], expected: str
) -> None:
    assert " ".join(words(**{section: options})).startswith(expected)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"bwdif": "bub"}, "did you mean 'bob'"),
        ({"bwdif": {"preset": "bob", "mode": 1}}, "preset must stand alone"),
        ({"hqdn3d": {"y_spacial": 1}}, "did you mean 'y_spatial'"),
        ({"pad": True}, "needs a value"),
        ({"pad": {"color": "red:width=9"}}, "one number or word"),
        ({"nlmeans": 3}, "must be true, false, a preset's name or an object"),
        ({"unsharp": {}}, "at least one setting"),
        ({"grayscale": "yes"}, "takes no value"),
        ({"nlmeans_tune": "flim"}, "did you mean 'film'"),
    ],
)
def test_filters_that_handbrake_would_not_understand_are_refused(
    options: dict[str, Any], expected: str
) -> None:
    said = refusal(filters_options=options)

    assert expected in said
    assert f"tasks[0].handbrake.filters_options.{next(iter(options))}" in said


# Tracks


def test_tracks_become_lists_with_empty_places() -> None:
    tracks = [
        {"track": 1, "options": {"aencoder": "opus", "ab": 96}},
        {"track": 2, "aencoder": "ac3", "aname": "Director, and friends"},
        {"track": 2, "normalize-mix": True},
    ]

    assert words(audio_tracks=tracks) == [
        *("--aencoder", "opus,ac3,"),
        *("--ab", "96,,"),
        *("--aname", ',"Director, and friends",'),
        *("--normalize-mix", ",,1"),
        *("--audio", "1,2,2"),
    ]


def test_short_and_long_names_of_tracks_make_one_list() -> None:
    tracks = [{"track": 1, "B": 96}, {"track": 2, "ab": 128}]

    assert words(audio_tracks=tracks) == ["-B", "96,128", "--audio", "1,2"]


def test_a_mark_of_subtitles_names_their_places_in_the_list() -> None:
    tracks = [
        {"track": 3, "subname": "Full"},
        {"track": 5, "options": {"subtitle-forced": None, "subtitle_burned": True}},
    ]

    assert words(subtitle_tracks=tracks) == [
        *("--subname", "Full,"),
        "--subtitle-forced=2",
        "--subtitle-burned=2",
        *("--subtitle", "3,5"),
    ]


@pytest.mark.parametrize(
    ("tracks", "expected"),
    [
        ([{"ab": 96}], "audio_tracks[0].track: is missing"),
        ([{"track": 0}], "greater than or equal to 1"),
        ([{"track": 1, "abb": 96}], "did you mean 'ab'"),
        ([{"track": 1, "encoder": "x264"}], "not an option of a single audio track"),
        ([{"track": 1, "options": {"ab": [96]}}], "must be a single value"),
        ([{"track": 1, "ab": "much"}], "must be a number"),
        ([{"track": 1, "aname": 'the "cut"'}], "which HandBrake drops"),
    ],
)
def test_wrong_tracks_are_told(tracks: Any, expected: str) -> None:
    assert expected in refusal(audio_tracks=tracks)


def test_only_one_subtitle_track_can_be_burned() -> None:
    tracks = [{"track": n, "subtitle-burned": True} for n in (1, 2)]

    assert "only one track may have subtitle_burned" in refusal(subtitle_tracks=tracks)


# Names


def test_one_letter_names_are_short_options() -> None:
    options = {
        "q": 22,
        "w": 128,
        "6": "mono",
        "h": 96,
        "d": "bob",
        "9": True,
        "O": False,
    }

    assert shown(general_options=options) == (
        "-q 22 -w 128 -6 mono --height 96 --deinterlace=bob -9 --no-optimize"
    )


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({"video_options": {"qualty": 1}}, "did you mean 'quality'"),
        ({"general_options": {"max-widht": 1}}, "did you mean 'max_width'"),
        ({"general_options": {"P": 1}}, "is not an option of HandBrakeCLI"),
        ({"general_options": {"no-rotate": True}}, "is not an option of HandBrakeCLI"),
        ({"audio_options": {"width": 1}}, "does not belong into this section"),
        ({"vidio_options": {}}, "did you mean 'video_options'"),
    ],
)
def test_an_unknown_name_is_told_the_nearest_known_one(
    sections: Any, expected: str
) -> None:
    assert expected in refusal(**sections)


@pytest.mark.parametrize("name", ["i", "input", "o", "output"])
@pytest.mark.parametrize("section", ["video_options", "general_options"])
def test_no_section_may_name_source_or_output(section: str, name: str) -> None:
    said = refusal(**{section: {name: "/etc/passwd"}})

    assert f"{section}.{name}: belongs into" in said


@pytest.mark.parametrize(
    "name", ["help", "version", "scan", "z", "encoder_preset_list", "describe"]
)
def test_options_that_make_no_film_are_refused(name: str) -> None:
    assert "instead of a film" in refusal(general_options={name: True})


@pytest.mark.parametrize(
    "name", ["preset-import-file", "queue_import_file", "preset-export-file"]
)
def test_options_that_choose_files_of_their_own_need_leave(name: str) -> None:
    allowed = f"handbrake.{name.replace('-', '_')}"

    assert allowed in refusal(general_options={name: "/etc/x"})
    settings = {"allowed_options": (allowed,)}
    argv = words(settings, general_options={name: "/etc/x"})
    assert argv == [f"--{name.replace('_', '-')}", "/etc/x"]


# Values


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({"video_options": {"encoder": "x265_10"}}, "did you mean 'x265_10bit'"),
        ({"video_options": {"quality": "good"}}, "must be a number"),
        ({"general_options": {"q": "good"}}, "must be a number"),
        ({"video_options": {"quality": True}}, "needs a value"),
        ({"video_options": {"quality": None}}, "needs a value"),
        ({"general_options": {"encoder": None}}, "needs a value"),
        ({"video_options": {"two_pass": 1}}, "takes no value"),
        ({"video_options": {"vb": [900]}}, "takes one value"),
        ({"video_options": {"encopts": {"qpfile": "/etc/x"}}}, "names a file"),
        ({"general_options": {"x": "ref=1:stats=/etc/x"}}, "handbrake.encopts"),
        ({"source_options": {"title": 0}}, "only look at the titles"),
        ({"source_options": {"title": 1.5}}, "integer"),
        ({"source_options": {"start_at": {"hours": 1}}}, "seconds, frames, pts"),
        ({"general_options": {"start-at": "10"}}, "seconds:, frames: or pts:"),
        ({"source_options": {"chapters": "one"}}, "a chapter or some"),
        ({"audio_options": {"drc": [0.5]}}, "from 1 to 4, or 0"),
        ({"audio_options": {"ab": []}}, "must not be empty"),
        ({"audio_options": {"audio_lang_list": ["english"]}}, 'such as "eng"'),
        ({"picture_options": {"crop": {"up": 2}}}, "has no 'up'"),
        ({"picture_options": {"crop": "2:2"}}, "top:bottom:left:right"),
        ({"general_options": {"color-matrix": "7O9"}}, "did you mean '709'"),
        ({"subtitles_options": {"subtitle": ["first"]}}, "must be a number or none"),
        ({"general_options": {"width": {"a": 1}}}, "not an object"),
        ({"general_options": {"encoder": ""}}, "not empty"),
        ({"output_file": "/in.mkv"}, "must not be the source"),
    ],
)
def test_values_that_handbrake_would_drop_or_misread_are_refused(
    sections: Any, expected: str
) -> None:
    assert expected in refusal(**sections)


def test_names_that_old_examples_misspell_are_understood() -> None:
    options = {"encoder": "nvenv_h265_10bit"}

    assert words(video_options=options) == ["--encoder", "nvenc_h265_10bit"]


def test_a_value_that_looks_like_an_option_stays_a_value() -> None:
    options = {"gain": [-3], "aname": ["--help"], "audio_fallback": "-h"}

    assert shown(audio_options=options) == (
        "--gain -3 --aname --help --audio-fallback -h"
    )


def test_names_with_commas_are_quoted() -> None:
    assert words(audio_options={"aname": "A, x"}) == ["--aname", '"A, x"']
    assert words(subtitles_options={"srt_file": ["/a,b.srt"]}) == [
        "--srt-file",
        '"/a,b.srt"',
    ]


def test_files_of_subtitles_are_made_absolute_and_are_read() -> None:
    options = {"srt-file": "a.srt,b.srt", "ssa_file": ["c.ass"], "markers": "d.csv"}
    here = Path.cwd()

    (step,) = plan_module(Handbrake, {**PATHS, "general_options": options})

    assert f"--markers={here}/d.csv" in step.argv
    assert f"{here}/a.srt,{here}/b.srt" in step.argv
    read = [path.name for path in step.reads]
    assert read == ["in.mkv", "a.srt", "b.srt", "c.ass", "d.csv"]


# What editors get


def test_every_setting_is_described_and_typed() -> None:
    schema = HandbrakeSettings.model_json_schema()
    groups = [schema["properties"]]
    groups += [part.get("properties", {}) for part in schema["$defs"].values()]
    fields = [facts for group in groups for facts in group.values()]

    assert all("description" in facts or "$ref" in facts for facts in fields)
    video = schema["$defs"]["VideoOptions"]["properties"]
    assert "x265_10bit" in video["encoder"]["enum"]
    assert video["two_pass"]["type"] == "boolean"
    assert video["vb"] | {"type": "integer", "minimum": 1} == video["vb"]
    assert '{"type": "null"}' not in json.dumps(video)


def test_the_newer_sections_accept_nothing_else() -> None:
    schema = HandbrakeSettings.model_json_schema()

    assert schema["additionalProperties"] is False
    assert schema["$defs"]["PictureOptions"]["additionalProperties"] is False


# The real tool


@pytest.mark.tool
def test_all_options_of_the_help_are_known() -> None:
    printed = subprocess.run(
        ["HandBrakeCLI", "--help"], capture_output=True, text=True, check=True
    )
    named = set(re.findall(r"(?:^|[\s,])--([A-Za-z][\w-]*)", printed.stdout))
    refused = names(
        "encoder-level-list encoder-preset-list encoder-profile-list encoder-tune-list"
        " help input output preset-list scan version"
    )

    assert named - known.KNOWN == refused


@pytest.mark.tool
def test_all_known_options_are_options_of_the_tool() -> None:
    flags = [f"--{name}" for name in sorted(known.FLAGS)]
    optional = [f"--{name}=1" for name in sorted(known.OPTIONAL)]
    rest = known.KNOWN - known.FLAGS - known.OPTIONAL
    valued = [word for name in sorted(rest) for word in (f"--{name}", "1")]

    printed = subprocess.run(
        ["HandBrakeCLI", *flags, *optional, *valued, "--version"],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )

    assert "unknown option" not in printed.stderr
    assert printed.stdout.strip().splitlines()[-1].startswith("HandBrake 1.")
