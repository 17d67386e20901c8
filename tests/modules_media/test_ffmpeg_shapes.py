"""Good films of every shape pass the checks, with an old ffmpeg and with a new one."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from films import Films, Tools, either
from sisyphus.errors import OutputRefused
from sisyphus.modules.ffmpeg import Ffmpeg
from sisyphus.testing import fake_tool, run_module

pytestmark = pytest.mark.tool

FAST = {"codec": "libx264", "preset": "ultrafast"}
COPY = {"codec": "copy"}
LINES = """\
1
00:00:00,100 --> 00:00:00,100
No time at all

2
00:00:00,500 --> 00:00:00,900
Two at once

3
00:00:00,500 --> 00:00:00,900
Two at once

4
00:00:01,200 --> 00:00:05,800
Longer than the film
"""


def variable_rate(films: Films) -> Path:
    times = "select='not(mod(n,5))+lt(n,40)',setpts='PTS+if(mod(N,3),0.004/TB,0)'"
    keep = ("-fps_mode", "passthrough", "-enc_time_base", "1/1000")
    return films.test("film.mkv", "-vf", times, *keep, rate="60")


def open_groups(films: Films) -> Path:
    return films.test("film.mkv", "-x264-params", "open-gop=1:bframes=4:keyint=20")


def fields(films: Films) -> Path:
    options = ("-s", "160x96", "-flags", "+ildct+ilme", "-c:v", "mpeg2video")
    return films.test("film.ts", *options, "-c:a", "mp2")


def begins_in_a_scene(films: Films) -> Path:
    path = films.test("whole.ts", "-g", "30", seconds=4)
    packets = path.read_bytes()
    start = len(packets) // 188 // 5 * 188
    path = path.with_name("film.ts")
    path.write_bytes(packets[start:])
    return path


def with_edit_list(films: Films) -> Path:
    film = films.test("whole.mp4", "-bf", "2", "-g", "24")
    return films.make("film.mp4", "-ss", "1.1", "-i", film, "-c", "copy")


def with_cover(films: Films) -> Path:
    film = films.test("whole.mp4")
    cover = films.make("cover.png", "-i", film, "-frames:v", "1")
    maps = ("-map", "0", "-map", "1", "-c", "copy", "-disposition:v:1", "attached_pic")
    return films.make("film.mp4", "-i", film, "-i", cover, *maps)


def with_subtitles_and_font(films: Films) -> Path:
    film = films.test("whole.mkv")
    lines = film.with_name("lines.srt")
    lines.write_text(LINES)
    two = ("-map", "0", "-map", "1", "-map", "1", "-c", "copy", "-c:s:1", "ass")
    path = films.make("subtitled.mkv", "-i", film, "-i", lines, *two)
    merged = film.with_name("film.mkv")
    font = ("--attachment-mime-type", "font/ttf", "--attach-file", lines)
    subprocess.run(["mkvmerge", "-q", "-o", merged, path, *font], check=True)
    return merged


def uneven(films: Films) -> Path:
    short = "testsrc2=s=160x90:r=25:d=1"
    sources = ("-f", "lavfi", "-i", short, "-f", "lavfi", "-i", "sine=d=3")
    fast = ("-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac")
    return films.make("film.mkv", *sources, *fast)


def old_and_plain(films: Films) -> Path:
    return films.test("film.avi", "-c:v", "mpeg4", "-c:a", "libmp3lame")


def fragments(films: Films) -> Path:
    return films.test("film.mp4", "-movflags", "frag_keyframe+empty_moov")


def web(films: Films) -> Path:
    fast = ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8")
    return films.test("film.webm", *fast, "-c:a", "libvorbis")


SHAPES = (
    variable_rate,
    open_groups,
    fields,
    begins_in_a_scene,
    with_edit_list,
    with_cover,
    with_subtitles_and_font,
    uneven,
    old_and_plain,
    fragments,
    web,
)


def task(source: Path, output: Path, *maps: dict[str, Any], **more: Any) -> Any:
    return {
        "sources": [str(source)],
        "source_maps": [{"source": 0}],
        "output_maps": list(maps),
        "output_file": str(output),
        **more,
    }


@either
@pytest.mark.parametrize("make", SHAPES, ids=lambda make: make.__name__)
def test_any_film_is_copied_and_encoded(
    tmp_path: Path, tools: Tools, make: Callable[[Films], Path]
) -> None:
    source = make(Films(tmp_path))
    copies = [{"stream": n, "options": COPY} for n in range(5)]
    sound = {"specifier": "a", "stream": 0, "options": {"codec": "aac"}}
    picture = {"specifier": "v", "stream": 0, "options": FAST}
    film = [{"source": 0, "specifier": kind, "stream": 0} for kind in "va"]

    run_module(Ffmpeg, task(source, tmp_path / "copy.mkv", *copies), tools=tools)
    data = task(source, tmp_path / "out.mp4", picture, sound, source_maps=film)
    run_module(Ffmpeg, data, tools=tools)


@either
@pytest.mark.parametrize(
    "name", ["big_buck_bunny_trailer.mp4", "big_buck_bunny_5s.mp4"]
)
def test_real_films_are_copied(
    clip: Path, tmp_path: Path, tools: Tools, name: str
) -> None:
    copies = [{"stream": n, "options": COPY} for n in (0, 1)]

    for suffix in (".mkv", ".mp4", ".mov", ".ts", ".avi"):
        output = tmp_path / f"out{suffix}"
        run_module(Ffmpeg, task(clip.with_name(name), output, *copies), tools=tools)


@either
@pytest.mark.parametrize(
    "options",
    [
        {"r": 12},
        {"filter": "fps=12"},
        {"filter": "setpts=0.5*PTS"},
        {"filter": "select='not(mod(n,2))'"},
        {"filter": "yadif=1"},
        {"shortest": True},
        {"frames": 10},
        {"fps_mode": "cfr"},
    ],
    ids=str,
)
def test_a_job_may_change_length_and_rate(
    tmp_path: Path, tools: Tools, options: dict[str, Any]
) -> None:
    source = uneven(Films(tmp_path))
    picture = {"specifier": "v", "stream": 0, "options": {**FAST, **options}}
    sound = {"specifier": "a", "stream": 0, "options": COPY}

    run_module(Ffmpeg, task(source, tmp_path / "out.mp4", picture, sound), tools=tools)


@either
@pytest.mark.parametrize("codec", ["copy", "libx264"])
@pytest.mark.parametrize(
    "cut", [{"ss": "0.9"}, {"t": "0.7"}, {"ss": "0.4", "to": "1.3"}], ids=str
)
def test_a_film_may_be_cut(
    tmp_path: Path, tools: Tools, cut: dict[str, str], codec: str
) -> None:
    source = open_groups(Films(tmp_path))
    both = [{"stream": 0, "options": {"codec": codec}}, {"stream": 1, "options": COPY}]

    for name in ("out.mkv", "out.mp4"):
        data = task(source, tmp_path / name, *both, input_options=cut)
        run_module(Ffmpeg, data, tools=tools)


@either
def test_sources_may_differ_in_length(tmp_path: Path, tools: Tools) -> None:
    films = Films(tmp_path)
    short, long = films.test("short.mkv", seconds=1), films.test("long.mkv", seconds=3)
    copies = [{"stream": n, "options": COPY} for n in (0, 1)]
    maps = [{"source": 0, "specifier": "v"}, {"source": 1, "specifier": "a"}]
    data = task(short, tmp_path / "out.mkv", *copies, source_maps=maps)

    run_module(Ffmpeg, {**data, "sources": [str(short), str(long)]}, tools=tools)


@either
@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("s.flac", "flac"),
        ("s.mp3", "libmp3lame"),
        ("s.wav", "pcm_s16le"),
        ("s.m4a", "aac"),
    ],
)
def test_sound_alone_is_copied_and_encoded(
    tmp_path: Path, tools: Tools, name: str, codec: str
) -> None:
    source = Films(tmp_path).make(name, "-f", "lavfi", "-i", "sine=d=3", "-c:a", codec)

    for output, chosen in (("a.mka", "copy"), ("b.opus", "libopus"), ("c.m4a", "aac")):
        options = {"stream": 0, "options": {"codec": chosen}}
        run_module(Ffmpeg, task(source, tmp_path / output, options), tools=tools)


def test_a_font_that_is_left_behind_is_refused(tmp_path: Path) -> None:
    source = with_subtitles_and_font(Films(tmp_path))
    bare = tmp_path / "bare.mkv"
    subprocess.run(
        ["mkvmerge", "-q", "-o", bare, "--no-attachments", source], check=True
    )
    ffmpeg = shutil.which("ffmpeg")
    body = f"""
words = [{str(bare)!r} if word == {str(source)!r} else word for word in sys.argv]
os.execv({ffmpeg!r}, words)
"""
    tools = {"ffmpeg": fake_tool(tmp_path, "ffmpeg", body)}
    copies = [{"stream": n, "options": COPY} for n in range(5)]

    with pytest.raises(OutputRefused, match="0 attachments instead of 1"):
        run_module(Ffmpeg, task(source, tmp_path / "out.mkv", *copies), tools=tools)
