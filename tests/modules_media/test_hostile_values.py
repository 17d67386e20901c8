"""What a job may not make a tool read or write, and what an operator may allow."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sisyphus.errors import ConfigError, InvalidSettings, ToolFailed
from sisyphus.modules import ffmpeg_options
from sisyphus.modules.ffmpeg_argv import build_argv
from sisyphus.modules.ffmpeg_filters import filters_of
from sisyphus.modules.ffmpeg_options import FLAGS, check_option
from sisyphus.modules.ffmpeg_settings import FfmpegSettings
from sisyphus.modules.mkvmerge_settings import FLAGS as FLAGS_OF_MKVMERGE
from sisyphus.modules.options import Allowed, check_text
from sisyphus.modules.playlists import playlist_in
from sisyphus.modules.registry import Registry
from sisyphus.settings import Settings
from sisyphus.testing import TaskRun, plan_module, run_module

pytestmark = pytest.mark.tool

FFMPEGS = {"Debian's": "ffmpeg", "the wheel's": imageio_ffmpeg.get_ffmpeg_exe()}


LONGER = "testsrc=d=2:s=160x90:r=10"


def encode(**changes: Any) -> dict[str, Any]:
    options = {"codec": "libx264", "preset": "ultrafast", **changes.pop("options", {})}
    return {
        "sources": ["/films/in.mkv"],
        "source_maps": [{"source": 0, "specifier": "v", "stream": 0}],
        "output_maps": [{"stream": 0, "specifier": "v", "options": options}],
        "output_file": "/films/out.mkv",
        **changes,
    }


def merge(**changes: Any) -> dict[str, Any]:
    return {
        "sources": ["/films/in.mkv"],
        "tracks": [{"source": 0, "track": 0}],
        "output_file": "/films/out.mkv",
        **changes,
    }


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return made(tmp_path / "film.mkv", "-c:v", "libx264", "-preset", "ultrafast")


def made(
    path: Path, *options: str, picture: str = "testsrc=d=0.4:s=160x90:r=10"
) -> Path:
    source = ["-f", "lavfi", "-i", picture]
    subprocess.run(["ffmpeg", "-v", "error", *source, *options, path], check=True)
    return path


# ffmpeg: names and values

READS_OR_WRITES_ELSEWHERE: list[tuple[str, Any]] = [
    # Other spellings of what is refused.
    ("novstats_file", "x"),
    ("noreport", "http://host/x"),
    ("nobenchmark", "x.mkv"),
    ("nopsnr", "x.mkv"),
    ("license", None),
    ("vpasslogfile", "x"),
    ("aprotocol_whitelist", "http"),
    ("sdump_attachment", "x"),
    # Options that came after the first tables were written.
    ("stats_enc_pre", "x"),
    ("stats_mux_pre", "x"),
    ("print_graphs_file", "x"),
    ("sub_name", "x"),
    ("pattern_type", "glob"),
    ("strftime", 1),
    # Names of files in the settings of encoders.
    ("x264-params", {"stats": "//tmp/x"}),
    ("x264-params", {"stats=/tmp/x": None}),
    ("x264-params", "cqm=/etc/passwd"),
    ("x264opts", "qpfile=/etc/passwd"),
    ("x264opts", "opencl-clbin=a/../../../x"),
    ("x264-params", "dump-yuv= /tmp/x"),
    ("x265-params", "analysis-save=/tmp/x"),
    ("x265-params", "analysis-load=/etc/passwd"),
    ("x265-params", "scaling-list=/etc/passwd"),
    ("x265-params", "lambda-file=/etc/passwd"),
    ("x265-params", "dhdr10-info=/etc/passwd"),
    ("x265-params", "zonefile=/etc/passwd"),
    ("x265-params", "film-grain=/etc/passwd"),
    ("x265-params", "recon=/tmp/x"),
    ("x265-params", "log-file='/tmp/x'"),
    ("x265-params", {"csv": "/tmp/x.csv", "csv-log-level": 2}),
    ("x265-stats", "/tmp/x"),
    ("svtav1-params", "stats=/tmp/x"),
    ("svtav1-params", "fgs-table=/etc/passwd"),
    ("aom-params", "film-grain-table=/etc/passwd"),
    ("vvenc-params", "rcstatsfile=/tmp/x"),
    ("kvazaar-params", "cqmfile=/etc/passwd,roi=/etc/passwd"),
    ("rav1e-params", "rdo-lookahead=1:x=~/x"),
    ("ifo_palette", "/etc/passwd"),
    ("aribb24-base-path", "/etc"),
    # Addresses: ffmpeg needs no slashes in them.
    ("header", "http:host/x"),
    ("header", "tcp:host:80"),
    ("header", "unix:x"),
    ("header", "async:cache:HTTP:host/x"),
    ("header", "crypto+http:host/x"),
    ("header", "file:x"),
    ("header", "pipe:1"),
    ("header", "fd:"),
    ("header", "concat:a|b"),
    ("header", "subfile,,start,0,end,9,,:x"),
    # Formats.
    ("f", "whip"),
    ("f", "webm_chunk"),
    ("f", "matroska,TEE"),
    ("f", "rtsp"),
    # Filters.
    ("vf", "metadata=print:file=http\\\\:host/x"),
    ("vf", "metadata=print:file=tcp\\\\:host\\\\:80"),
    ("af", "ametadata=mode=print:file='udp\\:host'"),
    ("vf", "ssim=stats_file=//tmp/x"),
    ("vf", "ssim360=heatmap_str=/etc/passwd"),
    ("vf", "libvmaf=log_path=/tmp/x"),
    ("vf", "libvmaf=model='path=/etc/passwd'"),
    ("vf", "signature=filename=/tmp/x"),
    ("vf", "vidstabdetect=result=/tmp/x"),
    ("vf", "vidstabtransform=input=/etc/passwd"),
    ("vf", "deshake=filename=/tmp/x"),
    ("vf", "curves=psfile=/etc/passwd"),
    ("vf", "curves=plot=/tmp/x"),
    ("vf", "find_rect=object=/etc/passwd"),
    ("vf", "cover_rect=/etc/passwd"),
    ("vf", "fsync=file=/etc/passwd"),
    ("vf", "paletteuse=debug_kdtree=/tmp/x"),
    ("vf", "libplacebo=custom_shader_path=/etc/passwd"),
    ("vf", "libplacebo=shader_cache=/tmp/x"),
    ("vf", "qrencode=textfile=/etc/passwd"),
    ("vf", "drawvg=file=/etc/passwd"),
    ("vf", "ocr=datapath=/etc"),
    ("vf", "whisper=model=x:destination=http\\://host"),
    ("af", "loudnorm=stats_file=/tmp/x"),
    ("af", "firequalizer=dumpfile=/tmp/x"),
    ("af", "ladspa=file=x"),
    ("vf", "scale=/w=/etc/passwd:1"),
    ("vf", "sendcmd=c='1 drawtext reinit textfile=/etc/passwd'"),
    ("vf", "[a\\]null=1]movie=x"),
    ("vf", "null [a] ; [a] 'mo'v\\ie@x=film.mkv [b]"),
    ("vf", {"movie": "x"}),
]


@pytest.mark.parametrize(("name", "value"), READS_OR_WRITES_ELSEWHERE)
def test_no_spelling_of_a_file_or_an_address_slips_through(
    name: str, value: Any
) -> None:
    with pytest.raises(ValueError, match=r"option|value|filter|format"):
        check_option(name, value, is_input=False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x264-params", {"psy-rd": "1.0:0.15", "deblock": "-1,-1", "keyint": 240}),
        ("x264opts", "no-dct-decimate:ref=4:8x8dct"),
        ("x265-params", "hash=md5:sei=1:zones=0,100,crf=20/101,200,q=30"),
        ("x265-params", {"display-window": "0,0,0,0", "csv": "frames.csv"}),
        ("svtav1-params", "tune=0:film-grain=8"),
        ("pass", 1),
        ("g", 240),
        ("force_key_frames", "0:00:05,chapters-0.1"),
        ("bsf", "filter_units=remove_types=6,h264_metadata=sample_aspect_ratio=4/3"),
        ("map_metadata", "0:s:0"),
        ("vf", "drawtext=text='a\\: /b, http\\://c'"),
        ("vf", "scale=iw/2:ih /2,setdar=16/9,eq=gamma=1.1"),
        ("vf", "zoompan=z='min(zoom+0.0015,1.5)':d=25*5:s=160x90"),
        ("vf", "[in]split[a][b];[a]crop=iw:ih/2[c];[c][b]overlay=0:0[out]"),
        ("af", "pan=stereo|FL=0.5*FC+0.7*FL|FR=0.5*FC+0.7*FR,volume=-3dB"),
        ("disposition", "default+forced"),
        ("metadata", "comment=file:///x, see http://y"),
        ("noautorotate", True),
        ("init_hw_device", "cuda:0"),
    ],
)
def test_what_encoders_and_filters_need_is_fine(name: str, value: Any) -> None:
    assert check_option(name, value, is_input=False) == []


def spellings(text: str) -> st.SearchStrategy[str]:
    """All ways to write a text in a graph: signs escaped, quoted, or left alone."""

    def spelled(hows: list[str]) -> str:
        return "".join(
            f"'{sign}'" if how == "quoted" and sign != "'" else f"\\{sign}"
            if how != "plain" or sign in "[]=,;:'\\ "
            else sign
            for sign, how in zip(text, hows, strict=True)
        )  # fmt: skip

    how = st.sampled_from(["plain", "escaped", "quoted"])
    return st.lists(how, min_size=len(text), max_size=len(text)).map(spelled)


SIGNS = st.text("ab =:,;[]'\\", max_size=5)
LABELS = st.lists(SIGNS.filter(bool).flatmap(spellings), max_size=2)
FILTERS = st.tuples(st.sampled_from(["null", "movie", "crop"]), SIGNS)


@given(st.data())
def test_no_spelling_of_a_graph_hides_a_filter(data: st.DataObject) -> None:
    wanted = data.draw(st.lists(FILTERS, min_size=1, max_size=3))
    graph = []
    for name, arguments in wanted:
        labels = "".join(f"[{label}]" for label in data.draw(LABELS))
        spelled = data.draw(spellings(name))
        if arguments:
            spelled += "=" + data.draw(spellings(arguments))
        graph.append(labels + spelled + data.draw(st.sampled_from(["", "[x]", " "])))

    joined = data.draw(st.sampled_from([",", ";", " ; "])).join(graph)

    assert list(filters_of(joined)) == wanted


# ffmpeg: the command line


def outputs_of(argv: list[str]) -> list[str]:
    """What ffmpeg takes for outputs: every word that is no option, nor one's value."""
    words, found = iter(argv[1:]), []
    for word in words:
        name = word[1:].split(":")[0]
        if not word.startswith("-") or word == "-":
            found.append(word)
        elif name not in FLAGS | {"nostdin", "hide_banner", "nostats", "y", "n"}:
            next(words)
    return found


NAMES = st.one_of(
    st.sampled_from(
        sorted(FLAGS | ffmpeg_options.MAY_ALLOW | {"crf", "f", "metadata"})
    ),
    st.from_regex(r"-?(no|v|a|s)?[a-z_/:=-]{1,8}", fullmatch=True),
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(0, 2),
    st.sampled_from(["", "-i", "x.mkv", "/x", "a=b", "-", "http://h", "movie=x", "@f"]),
    st.text(max_size=6),
)
VALUES = st.one_of(SCALARS, st.dictionaries(st.text(max_size=4), SCALARS, max_size=2))


@given(
    st.dictionaries(NAMES, VALUES, max_size=3),
    st.dictionaries(NAMES, VALUES, max_size=3),
)
def test_no_options_that_are_accepted_make_another_output(
    given_options: dict[str, Any], input_options: dict[str, Any]
) -> None:
    data = encode(output_maps=[{"stream": 0, "options": given_options}])
    try:
        settings = FfmpegSettings.model_validate(
            {**data, "input_options": input_options}
        )
    except ValueError:
        return
    options = [entry.options or {} for entry in settings.output_maps]

    argv = build_argv(settings, options, Path("/films/out.mkv"), overwrite=True)

    assert outputs_of(argv) == ["/films/out.mkv"]


def names_in_help(ffmpeg: str) -> list[str]:
    said = subprocess.run(
        [ffmpeg, "-hide_banner", "-h", "full"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split(" AVOptions:\n")[0]
    return sorted(set(re.findall(r"^-(\w+)", said, re.MULTILINE)))


def parsed(ffmpeg: str, names: list[str]) -> dict[str, bool]:
    """Have ffmpeg read options, each before a word: whether it leaves that alone."""
    words = [word for name in names for word in (f"-{name}", f"after-{name}")]
    said = subprocess.run(
        [ffmpeg, "-hide_banner", "-loglevel", "debug", *words],
        capture_output=True,
        text=True,
    ).stderr
    read = re.findall(r"^Reading option '(.*?)' \.\.\. matched as", said, re.MULTILINE)
    return {name: f"after-{name}" in read for name in names if f"-{name}" in read}


@pytest.mark.parametrize("ffmpeg", FFMPEGS.values(), ids=FFMPEGS)
def test_options_that_stand_alone_are_those_that_ffmpeg_takes_for_such(
    ffmpeg: str,
) -> None:
    known = names_in_help(ffmpeg)
    known += [f"no{name}" for name in known if f"no{name}" in FLAGS]
    names = [name for name in known if not is_refused(name)]

    found = parsed(ffmpeg, names)

    assert len(found) == len(names) > 100
    alone = {name for name, is_alone in found.items() if is_alone}
    assert alone - FLAGS == set()
    assert FLAGS & found.keys() - alone - ffmpeg_options.ALWAYS_ON == set()


def is_refused(name: str) -> bool:
    try:
        check_option(name, "1", is_input=False)
    except ValueError as error:
        return "takes no value" not in str(error)
    return False


def run(data: Mapping[str, Any], module: str = "ffmpeg", **settings: Any) -> TaskRun:
    return run_module(module, data, settings=settings)


@pytest.mark.parametrize("ffmpeg", FFMPEGS.values(), ids=FFMPEGS)
def test_a_flag_that_older_versions_give_a_value_does_not_eat_the_next_word(
    film: Path, tmp_path: Path, ffmpeg: str
) -> None:
    data = encode(
        sources=[str(film)],
        output_file=str(tmp_path / "out.mkv"),
        input_options={"autorotate": True, "noautorotate": False},
    )

    run(data, ffmpeg=ffmpeg)

    assert (tmp_path / "out.mkv").stat().st_size > 0


# ffmpeg: why it matters


@pytest.mark.parametrize("ffmpeg", FFMPEGS.values(), ids=FFMPEGS)
def test_a_filter_would_send_to_an_address_without_slashes(
    film: Path, ffmpeg: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        port = listener.getsockname()[1]
        graph = f"metadata=print:file='http\\:127.0.0.1\\:{port}/x'"
        command = [
            ffmpeg,
            "-v",
            "quiet",
            "-i",
            str(film),
            "-vf",
            graph,
            "-f",
            "null",
            "-",
        ]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL) as sender:
            connection, _ = listener.accept()
            with connection:
                assert connection.recv(16).startswith(b"POST /x")
            sender.kill()

    with pytest.raises(ValueError, match="address"):
        check_option("vf", graph, is_input=False)


def test_an_encoder_would_write_to_a_path_of_two_slashes(
    film: Path, tmp_path: Path
) -> None:
    stats = tmp_path / "elsewhere"
    options = ["-c:v", "libx264", "-x264-params", f"pass=1:stats=/{stats}"]
    command = ["ffmpeg", "-v", "quiet", "-i", str(film), *options, "-f", "null", "-"]
    subprocess.run(command, stdin=subprocess.DEVNULL, check=True)
    assert stats.exists()

    with pytest.raises(ValueError, match="names a file"):
        check_option("x264-params", {"stats": f"/{stats}"}, is_input=False)


@pytest.mark.parametrize("ffmpeg", FFMPEGS.values(), ids=FFMPEGS)
def test_a_picture_whose_name_looks_like_a_pattern_is_itself(
    tmp_path: Path, ffmpeg: str
) -> None:
    made(tmp_path / "p000.png", "-frames:v", "1", picture="color=red:s=16x16")
    blue = made(tmp_path / "blue.png", "-frames:v", "1", picture="color=blue:s=16x16")
    picture = blue.rename(tmp_path / "p%03d.png")
    data = encode(
        sources=[str(picture)],
        output_file=str(tmp_path / "out.bmp"),
        output_maps=[{"stream": 0, "specifier": "v", "options": {"codec": "bmp"}}],
    )

    run(data, ffmpeg=ffmpeg)

    colour = (tmp_path / "out.bmp").read_bytes()[-3:]
    assert colour[0] > 200 > 50 > colour[2]  # BMP writes blue first


@pytest.mark.parametrize(
    "name", ["/films/%03d.png", "/films/%d/film.jpg", "/films/x.chk", "/films/x.m3u8"]
)
def test_an_output_is_one_file(name: str) -> None:
    with pytest.raises(InvalidSettings, match="must name one file"):
        plan_module("ffmpeg", encode(output_file=name))


def test_pictures_are_one_file_under_any_ending() -> None:
    with pytest.raises(InvalidSettings, match="must name one file"):
        data = encode(output_file="/films/%d.mkv", options={"f": "image2"})
        plan_module("ffmpeg", data)
    assert plan_module("ffmpeg", encode(output_file="/films/%03d.mkv"))


# Playlists

PLAYLISTS: dict[str, tuple[str, str]] = {
    "film.m3u8": ("hls", "#EXTM3U\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n"),
    "film.ts": ("hls", "#EXTM3U\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n"),
    "film.mkv": ("concat", "ffconcat version 1.0\nfile {secret}\n"),
    "film.mp4": ("dash", "<?xml version='1.0'?>\n<MPD type='static'>"),
    "film.srt": ("sdp", "v=0\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n"),
    "film.xml": ("imf", "<CompositionPlaylist xmlns='x'>"),
    "film.avs": ("avisynth", "AviSource('x')"),
    "film.vpy": ("vapoursynth", "import os"),
    "00000.mpls": ("mpls", "MPLS0200"),
}


@pytest.mark.parametrize(
    ("name", "kind", "text"), [(n, *p) for n, p in PLAYLISTS.items()]
)
def test_a_playlist_is_known_under_any_name(
    tmp_path: Path, name: str, kind: str, text: str
) -> None:
    path = tmp_path / name
    tag = b"ID3\x04\0\0\0\0\0\x02ab"

    path.write_text(text)
    assert playlist_in(path) == kind

    path.write_bytes(tag + text.encode())
    assert playlist_in(path) == kind


def test_a_film_is_no_playlist_whatever_is_in_it(film: Path, clip: Path) -> None:
    assert playlist_in(clip) is None
    head = film.read_bytes()
    film.write_bytes(head + b"\n#EXTM3U\n<MPD \nc=IN ")
    assert playlist_in(film) is None


@pytest.mark.parametrize("program", ["ffmpeg", "no ffprobe"])
def test_a_source_that_names_other_files_is_refused_before_any_tool_sees_it(
    film: Path, tmp_path: Path, program: str
) -> None:
    source = tmp_path / "list.mkv"
    source.write_text(f"ffconcat version 1.0\nfile {film.name}\n")
    data = encode(sources=[str(source)], output_file=str(tmp_path / "out.mkv"))
    told = TaskRun()

    with pytest.raises(InvalidSettings, match=r"ffmpeg\.format\.concat"):
        run_module(
            "ffmpeg",
            data,
            run=told,
            settings={"ffprobe": "/nowhere/ffprobe"} if program != "ffmpeg" else None,
        )

    assert not [argv for argv in told.argv if str(source) in argv]


def test_a_playlist_may_be_allowed(film: Path, tmp_path: Path) -> None:
    source = tmp_path / "list.mkv"
    source.write_text(f"ffconcat version 1.0\nfile {film.name}\nfile {film.name}\n")
    data = encode(sources=[str(source)], output_file=str(tmp_path / "out.mkv"))

    run(data, allowed_options=("ffmpeg.format.concat",))

    assert (tmp_path / "out.mkv").stat().st_size > 0


# Allowing


def test_a_refusal_says_what_would_allow_it() -> None:
    with pytest.raises(
        InvalidSettings, match=r"allowed_options has ffmpeg\.filter_script"
    ):
        plan_module("ffmpeg", encode(options={"filter_script": "x"}))
    with pytest.raises(InvalidSettings, match=r"allowed_options has mkvmerge\.split"):
        plan_module("mkvmerge", merge(options={"split": "1s"}))


@pytest.mark.parametrize(
    ("options", "entry"),
    [
        ({"x265-params": "csv=/x"}, "ffmpeg.x265-params"),
        ({"an-option-to-come": "/x"}, "ffmpeg.*"),
        ({"vf": "scale=/x"}, "ffmpeg.filter.*"),
        ({"vf": "ssim=f=/x"}, "ffmpeg.filter.ssim"),
        ({"f": "tee"}, "ffmpeg.format.tee"),
    ],
)
def test_what_a_refusal_names_is_an_entry_that_lifts_it(
    options: dict[str, Any], entry: str
) -> None:
    with pytest.raises(
        InvalidSettings, match=re.escape(f"allowed_options has {entry} ")
    ):
        plan_module("ffmpeg", encode(options=options))

    settings = {"allowed_options": (entry,)}
    assert plan_module("ffmpeg", encode(options=options), settings=settings)


@pytest.mark.parametrize(
    ("allowed", "options"),
    [
        ("ffmpeg.filter_script", {"filter_script": "/films/graph.txt"}),
        ("ffmpeg.filter_complex", {"filter_complex": "movie=/films/x[a]"}),
        ("ffmpeg.dump_attachment", {"dump_attachment": "/films/font.ttf"}),
        ("ffmpeg.x265-params", {"x265-params": {"csv": "/logs/x.csv"}}),
        ("ffmpeg.X265_PARAMS", {"x265-params": {"csv": "/logs/x.csv"}}),
        ("ffmpeg.filter.movie", {"vf": "null[a];movie=/films/x[b];[a][b]overlay"}),
        ("ffmpeg.filter.*", {"vf": "movie=/x,metadata=print:file=/y"}),
        ("ffmpeg.filter.metadata", {"vf": "metadata=print:file=/logs/x"}),
        ("ffmpeg.vf", {"vf": "movie=/films/x"}),
        ("ffmpeg.format.tee", {"f": "tee"}),
        ("ffmpeg.vstats", {"vstats": True}),
        ("ffmpeg.*", {"attach": "/films/x", "vf": "movie=/x", "f": "hls"}),
    ],
)
def test_what_is_refused_may_be_allowed(allowed: str, options: dict[str, Any]) -> None:
    data = encode(options=options)
    with pytest.raises(InvalidSettings):
        plan_module("ffmpeg", data)

    (step,) = plan_module("ffmpeg", data, settings={"allowed_options": (allowed,)})

    name, value = next(iter(options.items()))
    assert f"-{name}:v:0" in step.argv
    assert isinstance(value, dict | bool) or value in step.argv


@pytest.mark.parametrize(
    "options",
    [
        {"filter_complex": "x"},
        {"vf": "amovie=/films/x"},
        {"i": "/films/x"},
        {"an": "/films/x.mkv"},
        {"shortest": "x"},
    ],
)
def test_what_is_allowed_allows_nothing_else(options: dict[str, Any]) -> None:
    settings = {"allowed_options": ("ffmpeg.filter.movie", "ffmpeg.filter_script")}

    with pytest.raises(InvalidSettings):
        plan_module("ffmpeg", encode(options=options), settings=settings)


@pytest.mark.parametrize(
    "options", [{"i": "x"}, {"y": "x"}, {"vstats": "x"}, {"an": "x"}]
)
def test_the_frame_of_the_command_stays_even_when_all_is_allowed(
    options: dict[str, Any],
) -> None:
    settings = {"allowed_options": ("ffmpeg.*",)}

    with pytest.raises(InvalidSettings, match="option"):
        plan_module("ffmpeg", encode(options=options), settings=settings)


def test_a_problem_stands_where_the_option_does() -> None:
    data = encode(output_maps=[{"stream": 0, "options": {"crf": 1, "lavfi": "x"}}])

    with pytest.raises(InvalidSettings) as caught:
        plan_module("ffmpeg", data)

    (problem,) = caught.value.problems
    assert problem.field == "tasks[0].ffmpeg.output_maps[0].options"


def test_stored_options_are_allowed_like_inline_ones() -> None:
    stored = {"set": {"name": "set", "options": {"filter_script": "/films/x"}}}
    data = encode(output_maps=[{"stream": 0, "option_set": "set"}])
    allowed = {"allowed_options": ("ffmpeg.filter_script",)}

    with pytest.raises(InvalidSettings, match="filter_script"):
        plan_module("ffmpeg", data, stored=stored)

    (step,) = plan_module("ffmpeg", data, stored=stored, settings=allowed)
    assert "/films/x" in step.argv


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("filter_complex", "must be a module's name, a dot and an option"),
        ("ffmpg.filter_complex", "did you mean 'ffmpeg'"),
        ("ffmpeg.filter_complx", "did you mean 'filter_complex'"),
        ("ffmpeg.filter.moovie", "did you mean 'filter.movie'"),
        ("ffmpeg.i", "refuses nothing by the name 'i'"),
        ("ffmpeg.", "must be a module's name"),
        ("mkvmerge.slit", "did you mean 'split'"),
        ("mkvmerge.output", "refuses nothing by the name 'output'"),
        ("cleanup.*", "refuses nothing by the name '*'"),
    ],
)
def test_a_slip_in_the_setting_is_found_at_start(entry: str, expected: str) -> None:
    settings = Settings.model_construct(allowed_options=(entry,))

    with pytest.raises(ConfigError, match=re.escape(expected)):
        Registry.load(settings)


def test_every_name_that_may_be_allowed_lifts_a_refusal() -> None:
    for name in ("ffmpeg", "mkvmerge"):
        for option in Registry.load(Settings.model_construct()).get(name).may_allow:
            assert Allowed.only(name, option).has(option)


def test_an_allowed_filter_reads_what_it_likes(film: Path, tmp_path: Path) -> None:
    graph = f"null[a];movie={film},negate[b];[a][b]blend=all_mode=difference"
    data = encode(
        sources=[str(film)],
        output_file=str(tmp_path / "out.mkv"),
        options={"vf": graph},
    )

    run(data, allowed_options=("ffmpeg.filter.movie",))

    assert (tmp_path / "out.mkv").stat().st_size > 0


def test_fonts_and_texts_of_filters_are_read(film: Path, tmp_path: Path) -> None:
    text = tmp_path / "it's: [a,b].srt"
    text.write_text("1\n00:00:00,000 --> 00:00:01,000\nhello\n")
    quoted = str(text).replace("\\", "\\\\").replace("'", "\\'").replace(":", "\\:")
    graph = "subtitles=" + quote(f"{quoted}") + f":fontsdir={tmp_path}"
    data = encode(
        sources=[str(film)],
        output_file=str(tmp_path / "out.mkv"),
        options={"vf": graph},
    )

    run(data)

    assert (tmp_path / "out.mkv").stat().st_size > 0


def quote(text: str) -> str:
    """Quote for ffmpeg's graph syntax."""
    return re.sub(r"([\\'\[\],;])", r"\\\1", text)


# mkvmerge


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"chapters": {"/etc/passwd": None}}, "needs a path, as text"),
        ({"chapters": ["/etc/passwd"]}, "chapters"),
        ({"attach-file": "/etc/passwd"}, "outside the allowed roots"),
        ({"tags": "0:/etc/passwd"}, "outside the allowed roots"),
        ({"timestamps": "/etc/passwd"}, "outside the allowed roots"),
        ({"segmentinfo": "/etc/passwd"}, "outside the allowed roots"),
        ({"field-order": None, "title": "/etc/passwd"}, "needs a value"),
        ({"an-option-to-come": None, "title": "/etc/passwd"}, "needs a value"),
        ({"an-option-to-come": "/etc/passwd"}, "names a file"),
        ({"no-audio": "/etc/passwd"}, "takes no value"),
        ({"link": "/etc/passwd"}, r"mkvmerge\.link"),
        ({"output": "/etc/x"}, "is made from the other settings"),
        ({"redirect-output": "x"}, "controls the program"),
        ({"=": "/etc/passwd"}, "may hold letters"),
        ({"@/etc/passwd": None}, "may hold letters"),
        ({"split": "parts:0-1,+2-3"}, r"mkvmerge\.split"),
        ({"link-to-next": "x"}, r"mkvmerge\.link-to-next"),
        ({"append-to": "1:0:0:0"}, r"mkvmerge\.append-to"),
        ({"sub-charset": "0:../../x"}, "names a file"),
    ],
)
@pytest.mark.parametrize("where", ["options", "sources", "tracks"])
def test_no_option_of_mkvmerge_reads_or_writes_elsewhere(
    film: Path, tmp_path: Path, options: dict[str, Any], expected: str, where: str
) -> None:
    data = merge(output_file=str(tmp_path / "out.mkv"))
    source, track = {"filename": str(film)}, {"source": 0, "track": 0}
    if where == "options":
        data["options"] = options
    data["sources"] = [{**source, "options": options} if where == "sources" else source]
    data["tracks"] = [{**track, "options": options} if where == "tracks" else track]

    with pytest.raises(InvalidSettings, match=expected):
        run_module("mkvmerge", data, roots=[tmp_path])


def test_every_flag_of_mkvmerge_is_one() -> None:
    for name in FLAGS_OF_MKVMERGE - {"webm"}:
        # mkvmerge looks for its sources when it has read all options.
        command = ["mkvmerge", "-o", "out.mkv", f"--{name}", "a-source", "--title", "x"]
        said = subprocess.run(command, capture_output=True, text=True).stdout
        assert "The file 'a-source' could not be opened" in said, name


def test_a_value_that_begins_with_an_at_sign_is_no_list_of_options(
    film: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text('["--title", "leaked"]')
    data = merge(
        sources=[str(film)],
        options={"title": f"@{secret}"},
        output_file=str(tmp_path / "out.mkv"),
    )

    run(data, "mkvmerge")

    made_file = (tmp_path / "out.mkv").read_bytes()
    assert b"leaked" not in made_file
    assert f"@{secret}".encode() in made_file


def test_a_series_is_not_read_when_only_its_first_file_is_named(tmp_path: Path) -> None:
    for number in (1, 2):
        made(tmp_path / f"VTS_01_{number}.VOB", "-c:v", "mpeg2video", "-f", "dvd",
             picture="testsrc=d=0.4:s=160x90:r=25")  # fmt: skip
    data = merge(
        sources=[str(tmp_path / "VTS_01_1.VOB")], output_file=str(tmp_path / "out.mkv")
    )

    done = run(data, "mkvmerge")

    assert not any("VTS_01_2" in line for line in done.log)
    sizes = [path.stat().st_size for path in tmp_path.glob("*.VOB")]
    assert (tmp_path / "out.mkv").stat().st_size < sum(sizes) * 0.8


def test_a_disc_s_playlist_is_refused_unless_allowed(tmp_path: Path) -> None:
    source = tmp_path / "00000.mpls"
    source.write_bytes(b"MPLS0200" + b"\0" * 100)
    data = merge(sources=[str(source)], output_file=str(tmp_path / "out.mkv"))

    with pytest.raises(InvalidSettings, match=r"mkvmerge\.format\.mpls"):
        run(data, "mkvmerge")
    with pytest.raises(Exception, match=r"^(?!.*allowed_options)"):
        run(data, "mkvmerge", allowed_options=("mkvmerge.format.mpls",))


@pytest.mark.parametrize(
    ("split", "names"),
    [
        ("1s", ["out-001.mkv", "out-002.mkv"]),
        ("parts:00:00:00-00:00:00.5", ["out.mkv"]),
    ],
)
def test_splitting_may_be_allowed_and_each_part_is_published_whole(
    tmp_path: Path, split: str, names: list[str]
) -> None:
    film = made(tmp_path / "film.mkv", "-c:v", "libx264", "-g", "5", picture=LONGER)
    folder = tmp_path / "odd [x] 'y"
    folder.mkdir()
    data = merge(sources=[str(film)], options={"split": split})
    data["output_file"] = str(folder / "out.mkv")

    done = run(data, "mkvmerge", allowed_options=("mkvmerge.split",))

    assert sorted(path.name for path in folder.iterdir()) == names
    assert done.log[-1] == f"made {folder / names[-1]}"


def test_a_split_that_fails_leaves_nothing_behind(film: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    data = merge(sources=[str(film)], options={"split": "nonsense"})
    data["output_file"] = str(folder / "out.mkv")

    with pytest.raises(ToolFailed, match="split"):
        run(data, "mkvmerge", allowed_options=("mkvmerge.split",))

    assert not list(folder.iterdir())


@pytest.mark.parametrize("text", ["1.5", "eng", "0:0", "und", "a/b", "16:9", "-5,30/1"])
def test_plain_values_hold_no_path(text: str) -> None:
    check_text("any", text)


@pytest.mark.parametrize(
    "text",
    ["/x", " /x", "//x", "a=/x", "a:/x", "a,/x", "a|/x", "(/x", "+/x", "../x", "a/../x",
     "~/x", "./x", "file:x", "HTTP:x", "a:rtmp:h", "x=srt:h", "s3://x", "@/x", "'/x",
     "\\/x", "a=\"/x"],
)  # fmt: skip
def test_paths_and_addresses_are_seen_wherever_they_begin(text: str) -> None:
    with pytest.raises(ValueError, match="names a file or an address"):
        check_text("any", text)
