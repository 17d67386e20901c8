"""The mkvextract module with the real mkvextract."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from sisyphus.errors import InvalidSettings, OutputRefused, ToolFailed
from sisyphus.modules.mkvextract import Mkvextract
from sisyphus.modules.mkvextract_settings import MkvextractSettings
from sisyphus.testing import fake_tool, plan_module, run_module

pytestmark = pytest.mark.tool

LINES = """1
00:00:00,100 --> 00:00:00,400
First line

2
00:00:00,500 --> 00:00:00,900
Second line
"""
TWINS = [{"id": 0, "filename": "/x.idx"}, {"id": 1, "filename": "/x.sub"}]
CHAPTERS = "CHAPTER01=00:00:00.000\nCHAPTER01NAME=One\n"


def quietly(*command: object) -> None:
    subprocess.run(list(map(str, command)), check=True, stdin=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tracks 0 video, 1 audio jpn, 2 audio eng, 3 ASS, 4 SRT eng; all else as well."""
    folder = tmp_path_factory.mktemp("film")
    for name, text in (("a.srt", LINES), ("c.txt", CHAPTERS), ("note.txt", "A note")):
        (folder / name).write_text(text)
    streams, film = folder / "streams.mkv", folder / "film.mkv"
    quietly(
        *("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=160x90:r=25:d=1"),
        *("-f", "lavfi", "-i", "sine=400:d=1", "-f", "lavfi", "-i", "sine=500:d=1"),
        *("-i", folder / "a.srt", "-i", folder / "a.srt"),
        *(word for n in range(5) for word in ("-map", n)),
        *("-c:v", "libx264", "-preset", "ultrafast", "-c:a:0", "aac"),
        *("-c:a:1", "libopus", "-c:s:0", "ass", "-c:s:1", "srt"),
        *("-metadata:s:1", "language=jpn", "-metadata:s:2", "language=eng"),
        *("-metadata:s:4", "language=eng", streams),
    )
    attach = ("--attachment-mime-type", "text/plain", "--attach-file")
    quietly(
        *("mkvmerge", "-q", "-o", film, "--chapters", folder / "c.txt"),
        *(*attach, folder / "a.srt", *attach, folder / "note.txt", streams),
    )
    return film


@pytest.fixture
def film(whole: Path, tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return Path(shutil.copyfile(whole, tmp_path / "film.mkv"))


Out = Callable[[str], str]


@pytest.fixture
def out(tmp_path: Path) -> Out:
    """Give the path of an output; the folder holds nothing else."""
    return lambda name: str(tmp_path / "out" / name)


def there(film: Path) -> list[str]:
    return sorted(path.name for path in (film.parent / "out").iterdir())


def command(data: dict[str, Any]) -> list[str]:
    (step,) = plan_module(Mkvextract, data)
    return list(step.argv)


def refusal(**data: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        MkvextractSettings.model_validate({"source": "/a.mkv", **data})
    return str(caught.value)


# What comes out


def test_everything_comes_out_in_one_go(film: Path, out: Out) -> None:
    data = {
        "source": str(film),
        "tracks": [
            {"id": 0, "filename": out("v.h264")},
            {"id": 1, "track_type": "audio", "filename": out("a.opus")},
            {"id": 0, "track_type": "subtitles", "filename": out("s.ass")},
            {"id": 4, "filename": out("s.srt")},
        ],
        "attachments": [{"id": 1, "filename": out("note.txt")}],
        "chapters": out("chapters.xml"),
        "tags": out("tags.xml"),
        "timestamps": [{"id": 0, "filename": out("times.txt")}],
        "cues": [{"id": 0, "filename": out("cues.txt")}],
    }

    run = run_module(Mkvextract, data)

    assert len(there(film)) == 9
    assert Path(out("note.txt")).read_text() == "A note"
    assert "Second line" in Path(out("s.srt")).read_text()
    assert "<ChapterString>One<" in Path(out("chapters.xml")).read_text("utf-8-sig")
    assert len(Path(out("times.txt")).read_text().splitlines()) == 1 + 25 + 1
    assert run.progress[-1].percent == 100.0


def test_modes_come_in_the_order_of_the_keys(film: Path, out: Out) -> None:
    data = {
        "cues": [{"id": 0, "filename": out("c")}],
        "chapters": out("x"),
        "tracks": [{"id": 0, "filename": out("v")}, {"id": 2, "filename": out("a")}],
        "source": str(film),
    }

    made = command(data)

    wanted = [f"0:{out('c')}", out("x"), f"0:{out('v')}", f"2:{out('a')}"]
    assert made[:3] == ["mkvextract", str(film), "--gui-mode"]
    assert made[3::2][:2] == ["cues", "chapters"]
    assert [word for word in made if word in wanted] == wanted
    assert made[7] == "tracks"


@pytest.mark.parametrize(
    ("item", "id"),
    [
        ({"id": 2}, 2),
        ({"id": 1, "track_type": "audio"}, 2),
        ({"id": 0, "language": "eng"}, 2),
        ({"id": 1, "language": "eng"}, 4),
        ({"id": 0, "language": "eng", "track_type": "subtitles"}, 4),
    ],
)
def test_a_track_is_the_nth_of_those_that_match(
    film: Path, out: Out, item: dict[str, Any], id: int
) -> None:
    tracks = [{**item, "filename": out("t")}]

    assert command({"source": str(film), "tracks": tracks})[-1] == f"{id}:{out('t')}"


def test_attachments_count_from_0_though_matroska_counts_from_1(
    film: Path, out: Out
) -> None:
    attachments = [{"id": 0, "filename": out("f")}]

    made = command({"source": str(film), "attachments": attachments})

    assert made[-1] == f"1:{out('f')}"


def test_names_with_all_kinds_of_signs_are_safe(film: Path, tmp_path: Path) -> None:
    source = tmp_path / "@-x: ö\n\udcff.mkv"
    film.rename(source)
    names = ["@a\n.srt", "a:b:c", "-o", "tracks", "0:x \"'\udcff", "x" * 240 + ".txt"]
    items = [{"id": n % 2, "filename": str(tmp_path / names[n])} for n in range(2)]
    data = {
        "source": str(source),
        "attachments": items,
        "tracks": [{"id": 4, "filename": str(tmp_path / names[2])}],
        "chapters": str(tmp_path / names[3]),
        "timestamps": [{"id": 0, "filename": str(tmp_path / names[4])}],
        "cues": [{"id": 0, "filename": str(tmp_path / names[5])}],
    }

    run_module(Mkvextract, data)

    assert all((tmp_path / name).stat().st_size for name in names)


def test_existing_files_are_replaced(film: Path, out: Out) -> None:
    Path(out("note.txt")).write_text("older and longer")
    attachments = [{"id": 1, "filename": out("note.txt")}]

    run_module(Mkvextract, {"source": str(film), "attachments": attachments})

    assert Path(out("note.txt")).read_text() == "A note"


def test_webm_is_matroska(film: Path, out: Out) -> None:
    webm = film.with_suffix(".webm")
    quietly("ffmpeg", "-v", "error", "-i", film, "-map", "0:2", "-c", "copy", webm)

    run_module(
        Mkvextract,
        {"source": str(webm), "tracks": [{"id": 0, "filename": out("a.opus")}]},
    )

    assert there(film) == ["a.opus"]


# What is not there


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        (
            {"tracks": [{"id": 5}]},
            r"tracks\[0\].id: is not there: film.mkv has 0 video",
        ),
        (
            {"tracks": [{"id": 0, "track_type": "subtitles", "language": "jpn"}]},
            "of subtitles jpn is not there: film.mkv has .*1 audio jpn",
        ),
        ({"attachments": [{"id": 2}]}, "has 0 a.srt, 1 note.txt"),
        ({"timestamps": [{"id": 9}]}, r"timestamps\[0\].id: is not there"),
        ({"cues": [{"id": 9}]}, r"cues\[0\].id: is not there"),
    ],
)
def test_what_is_not_there_is_found_before_the_job_starts(
    film: Path, out: Out, what: dict[str, Any], expected: str
) -> None:
    for items in what.values():
        items[0]["filename"] = out("x")

    with pytest.raises(InvalidSettings, match=expected):
        run_module(Mkvextract, {"source": str(film), **what})


def test_everything_that_is_wrong_is_said_at_once(film: Path, out: Out) -> None:
    tracks = [{"id": n, "filename": out(str(n))} for n in (0, 7, 8)]

    with pytest.raises(InvalidSettings) as caught:
        run_module(Mkvextract, {"source": str(film), "tracks": tracks})

    fields = [problem.field for problem in caught.value.problems]
    assert fields == ["tasks[0].mkvextract.tracks[1].id", *fields[1:]]
    assert len(fields) == 2


def test_two_entries_may_not_mean_the_same_track(film: Path, out: Out) -> None:
    tracks = [
        {"id": 1, "filename": out("a")},
        {"id": 0, "track_type": "audio", "filename": out("b")},
    ]

    with pytest.raises(InvalidSettings, match=r"tracks\[1\].id: is the same as tracks"):
        run_module(Mkvextract, {"source": str(film), "tracks": tracks})


def test_missing_chapters_are_only_a_warning(film: Path, out: Out) -> None:
    bare = film.with_name("bare.mkv")
    quietly("mkvmerge", "-q", "-o", bare, "--no-chapters", film)
    tracks = [{"id": 4, "filename": out("s.srt")}]
    data = {"source": str(bare), "tracks": tracks, "chapters": out("c.xml")}

    run = run_module(Mkvextract, data)

    assert there(film) == ["s.srt"]
    assert any("has no chapters" in line for line in run.log)


def test_chapters_of_another_film_are_not_taken_for_missing_ones(
    film: Path, out: Out
) -> None:
    bare = film.with_name("bare.mkv")
    quietly("mkvmerge", "-q", "-o", bare, "--no-chapters", film)
    Path(out("c.xml")).write_text("of another film")
    tracks = [{"id": 4, "filename": out("s.srt")}]
    data = {"source": str(bare), "tracks": tracks, "chapters": out("c.xml")}

    with pytest.raises(OutputRefused, match="is there from before"):
        run_module(Mkvextract, data)

    assert there(film) == ["c.xml"]


def test_a_task_that_finds_nothing_at_all_fails(film: Path, out: Out) -> None:
    bare = film.with_name("bare.mkv")
    quietly("mkvmerge", "-q", "-o", bare, "--no-chapters", film)

    with pytest.raises(OutputRefused, match="nothing that was asked for"):
        run_module(Mkvextract, {"source": str(bare), "chapters": out("c.xml")})


@pytest.mark.parametrize("name", ["a.mp4", "a.srt"])
def test_other_files_than_matroska_are_refused(film: Path, out: Out, name: str) -> None:
    source = film.with_name(name)
    streams = ("-map", "0:v") if name == "a.mp4" else ("-map", "0:4")
    quietly("ffmpeg", "-v", "error", "-i", film, *streams, source)
    tracks = [{"id": 0, "filename": out("x")}]

    with pytest.raises(InvalidSettings, match=r"must be a Matroska file, is .*ffmpeg"):
        run_module(Mkvextract, {"source": str(source), "tracks": tracks})


# What is refused by the settings alone


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({}, "needs at least one of tracks"),
        ({"tracks": []}, "needs at least one of tracks"),
        ({"tracks": [{"id": 0}]}, "filename"),
        ({"tracks": [{"filename": "/x"}]}, "id"),
        ({"tracks": [{"id": -1, "filename": "/x"}]}, "greater than or equal to 0"),
        ({"tracks": [{"id": "0", "filename": "/x"}]}, "valid integer"),
        ({"tracks": [{"id": True, "filename": "/x"}]}, "valid integer"),
        ({"tracks": [{"id": 0, "filename": "/x", "track_type": "a"}]}, "subtitles"),
        ({"tracks": [{"id": 0, "filename": "/a.mkv"}]}, "also the source"),
        ({"tags": "/x", "chapters": "/x"}, "also tags"),
        ({"tracks": TWINS}, "also tracks[0].filename"),
        ({"attachments": [{"id": 0, "filename": "/x", "language": "eng"}]}, "extra"),
        ({"tags": "/x", "verify": "quality"}, "'quick', 'decode' or 'off'"),
        ({"tags": "/x", "overwrite": True}, "extra"),
    ],
)
def test_wrong_settings_say_what_is_wrong(data: Any, expected: str) -> None:
    assert expected in refusal(**data).lower()


def test_an_unknown_key_names_the_nearest(film: Path, out: Out) -> None:
    with pytest.raises(InvalidSettings, match="did you mean 'chapters'"):
        run_module("mkvextract", {"source": str(film), "chapter": out("c")})


def test_a_link_to_the_source_is_no_output(film: Path, out: Out) -> None:
    Path(out("link")).symlink_to(film)
    before = film.read_bytes()

    with pytest.raises(InvalidSettings, match=r"tracks\[0\].filename: must not be one"):
        run_module(
            Mkvextract,
            {"source": str(film), "tracks": [{"id": 0, "filename": out("link")}]},
        )

    assert film.read_bytes() == before


def test_every_output_must_lie_below_the_roots(film: Path, tmp_path: Path) -> None:
    for key in ("chapters", "tags"):
        with pytest.raises(
            InvalidSettings, match=f"{key}: is outside the allowed roots"
        ):
            run_module(
                Mkvextract, {"source": str(film), key: "/tmp/x"}, roots=[tmp_path]
            )


def test_every_setting_is_described() -> None:
    schema = MkvextractSettings.model_json_schema()

    fields = [
        schema["properties"],
        *(d["properties"] for d in schema["$defs"].values()),
    ]
    assert all("description" in facts for group in fields for facts in group.values())


# What is damaged


def test_a_truncated_source_is_refused(film: Path, out: Out) -> None:
    os.truncate(film, film.stat().st_size // 2)

    with pytest.raises(OutputRefused, match="cut short"):
        run_module(
            Mkvextract,
            {"source": str(film), "tracks": [{"id": 0, "filename": out("v")}]},
        )


def after_the_tool(tmp_path: Path, body: str) -> dict[str, Path]:
    """An mkvextract that does something to its files when it is done."""
    real = shutil.which("mkvextract")
    code = f"""
import shutil, subprocess
def part(name): return next((pathlib.Path({str(tmp_path / "out")!r})).glob(f".*{{name}}"))
def made(name): return pathlib.Path(sys.argv[1][1:]).with_name(name)
code = subprocess.run([{real!r}, *sys.argv[1:]]).returncode
{body}
sys.exit(code)
"""
    return {"mkvextract": fake_tool(tmp_path, "mkvextract", code)}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("part('v.h264').unlink()", "nothing was written for .*v.h264"),
        ("os.truncate(part('s.srt'), 0)", "nothing was written for .*s.srt.*be empty"),
        ("os.truncate(part('note.txt'), 3)", "3 bytes, the attachment has 6"),
        ("os.truncate(part('times.txt'), 50)", "times.txt: .* 1?[0-9] timestamps"),
        ("os.truncate(part('cues.txt'), 50)", "cues.txt was not written to its end"),
        ("os.truncate(made('chapters.xml'), 90)", "c.xml was not written to its end"),
        ("os.truncate(made('tags.xml'), 0)", "t.xml was not written to its end"),
        (
            "p = part('v.h264'); os.truncate(p, p.stat().st_size // 2)",
            "v.h264: the output has 1[0-9] frames, its track 25",
        ),
        (
            "shutil.copy(pathlib.Path(sys.argv[0]).with_name('film.mkv'), part('a.aac'))",
            "a.aac: the output holds h264 video, .*, not one audio track",
        ),
        ("sys.exit(2)", "mkvextract ended with exit status 2"),
        ("sys.exit(1)", ""),
    ],
)
def test_nothing_gets_its_name_unless_all_of_it_is_whole(
    film: Path, out: Out, body: str, expected: str
) -> None:
    Path(out("note.txt")).write_text("older")
    data = {
        "source": str(film),
        "attachments": [{"id": 1, "filename": out("note.txt")}],
        "tracks": [
            {"id": 0, "filename": out("v.h264")},
            {"id": 1, "filename": out("a.aac")},
            {"id": 4, "filename": out("s.srt")},
        ],
        "timestamps": [{"id": 0, "filename": out("times.txt")}],
        "cues": [{"id": 0, "filename": out("cues.txt")}],
        "chapters": out("c.xml"),
        "tags": out("t.xml"),
    }
    tools = after_the_tool(film.parent, body)

    if not expected:  # warnings fail nothing
        run_module(Mkvextract, data, tools=tools)
        assert len(there(film)) == 8
        return
    with pytest.raises((OutputRefused, ToolFailed), match=expected):
        run_module(Mkvextract, data, tools=tools)

    assert there(film) == ["note.txt"]
    assert Path(out("note.txt")).read_text() == "older"


def test_an_error_says_what_mkvextract_said(film: Path, out: Out) -> None:
    odd = film.with_name("odd.mkv")
    source = ("-f", "lavfi", "-i", "testsrc2=s=160x90:r=5:d=1")
    quietly("ffmpeg", "-v", "error", *source, "-c:v", "prores", odd)
    data = {"source": str(odd), "tracks": [{"id": 0, "filename": out("v.mov")}]}

    with pytest.raises(ToolFailed, match="V_PRORES' is not supported") as caught:
        run_module(Mkvextract, data)

    assert caught.value.argv[0] == "mkvextract"
    assert there(film) == []


def test_without_verification_only_presence_counts(film: Path, out: Out) -> None:
    tools = after_the_tool(film.parent, "os.truncate(part('v.h264'), 1000)")
    tracks = [{"id": 0, "filename": out("v.h264")}]
    data = {"source": str(film), "tracks": tracks, "verify": "off"}

    run = run_module(Mkvextract, data, tools=tools)

    assert Path(out("v.h264")).stat().st_size == 1000
    assert not any("ffprobe" in argv[0] for argv in run.argv)


def test_decoding_finds_what_counting_does_not(film: Path, out: Out) -> None:
    body = """
p = part("v.h264")
content = bytearray(p.read_bytes())
middle = len(content) // 2
content[middle : middle + 40] = bytes(b ^ 0x55 for b in content[middle : middle + 40])
p.write_bytes(content)
"""
    tools = after_the_tool(film.parent, body)
    tracks = [{"id": 0, "filename": out("v.h264")}]
    data = {"source": str(film), "tracks": tracks}

    run_module(Mkvextract, data, tools=tools)
    Path(out("v.h264")).unlink()
    with pytest.raises(OutputRefused, match=r"v\.h264"):
        run_module(Mkvextract, {**data, "verify": "decode"}, tools=tools)

    assert there(film) == []


def test_whole_tracks_decode(film: Path, out: Out) -> None:
    tracks = [{"id": n, "filename": out(f"{n}.track")} for n in range(5)]

    run_module(Mkvextract, {"source": str(film), "tracks": tracks, "verify": "decode"})

    assert len(there(film)) == 5


def test_without_ffprobe_the_log_says_that_tracks_are_not_checked(
    film: Path, out: Out
) -> None:
    tracks = [{"id": 0, "filename": out("v.h264")}]

    run = run_module(
        Mkvextract,
        {"source": str(film), "tracks": tracks},
        tools={"ffprobe": "no-such-program"},
    )

    assert any("tracks are not checked" in line for line in run.log)


# Subtitles that are two files


def vobsub(folder: Path) -> Path:
    """Write subtitles of a DVD, five tiny pictures, and put them into a film."""
    picture = bytes([0, 0])
    control = struct.pack(">HH", 0, 6) + bytes([3, 0x32, 0x10, 4, 0xFF, 0xF0])
    control += bytes([5, 0, 0, 1, 0, 0, 1, 6]) + struct.pack(">HH", 4, 5) + b"\1\xff"
    body = struct.pack(">HH", 4 + len(picture + control), 6) + picture + control
    index, packs = "# VobSub index file, v7\nsize: 720x576\nid: en, index: 0\n", b""
    for second in range(5):
        index += f"timestamp: 00:00:{second:02}:000, filepos: {len(packs):09x}\n"
        packs += _pack(90_000 * second, body)
    (folder / "dvd.idx").write_text(index)
    (folder / "dvd.sub").write_bytes(packs)
    quietly("mkvmerge", "-q", "-o", folder / "dvd.mkv", folder / "dvd.idx")
    return folder / "dvd.mkv"


def _pack(moment: int, body: bytes) -> bytes:
    """One sector of a DVD."""
    pts = bytes(
        [
            0x21 | moment >> 29 & 0x0E,
            *(moment >> 22 & 0xFF, 1 | moment >> 14 & 0xFE),
            *(moment >> 7 & 0xFF, 1 | moment << 1 & 0xFE),
        ]
    )
    head = bytes([0, 0, 1, 0xBA, 0x44, 0, 4, 0, 4, 1, 0, 0, 3, 0xF8])
    inside = bytes([0x81, 0x80, 5]) + pts + b"\x20" + body
    packet = bytes([0, 0, 1, 0xBD]) + struct.pack(">H", len(inside)) + inside
    rest = 2048 - len(head + packet) - 6
    fill = bytes([0, 0, 1, 0xBE]) + struct.pack(">H", rest) + b"\xff" * rest
    return head + packet + fill


@pytest.mark.parametrize("name", ["subs.idx", "subs.sub", "x" * 240 + ".sub"])
def test_vobsub_becomes_two_files(film: Path, out: Out, name: str) -> None:
    data = {
        "source": str(vobsub(film.parent)),
        "tracks": [{"id": 0, "filename": out(name)}],
    }

    (step,) = plan_module(Mkvextract, data)
    run_module(Mkvextract, {**data, "verify": "decode"})

    pair = [Path(out(name)).with_suffix(end) for end in (".idx", ".sub")]
    assert list(step.writes) == pair
    assert there(film) == [path.name for path in pair]
    assert len(pair[0].read_text().split("timestamp:")) == 6


def test_vobsub_needs_a_name_for_two_files(film: Path, out: Out) -> None:
    tracks = [{"id": 0, "filename": out("subs.xyz")}]

    with pytest.raises(InvalidSettings, match=r"must end in \.idx or \.sub"):
        run_module(Mkvextract, {"source": str(vobsub(film.parent)), "tracks": tracks})


# The plan


def test_the_printed_command_does_what_the_task_does(film: Path, out: Out) -> None:
    data = {
        "source": str(film),
        "tracks": [{"id": 0, "filename": out("v.h264")}],
        "tags": out("tags.xml"),
    }
    run_module(Mkvextract, data)
    made = {name: Path(out(name)).read_bytes() for name in there(film)}

    quietly(*command(data))

    assert {name: Path(out(name)).read_bytes() for name in there(film)} == made
    assert len(made) == 2


def test_the_plan_of_a_source_to_come_says_what_is_not_known(
    film: Path, out: Out
) -> None:
    later = str(film.with_name("later.mkv"))
    by_id = {"source": later, "cues": [{"id": 3, "filename": out("c")}]}
    by_number = {"source": later, "tracks": [{"id": 3, "filename": out("t")}]}

    assert command(by_id)[-1] == f"3:{out('c')}"
    (step,) = plan_module(Mkvextract, by_number)
    assert not step.argv
    assert "once later.mkv is there" in step.what
    assert list(step.writes) == [Path(out("t"))]
