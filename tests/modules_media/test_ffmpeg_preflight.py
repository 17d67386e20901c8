"""What an ffmpeg task finds out before it works."""

from __future__ import annotations

import os
import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

from films import SYSTEM, Films, Tools, either
from sisyphus.errors import InvalidSettings, OutputRefused, TaskFailed, ToolMissing
from sisyphus.modules.ffmpeg import Ffmpeg
from sisyphus.testing import TaskRun, fake_tool, run_module

pytestmark = pytest.mark.tool

FAST = {"codec": "libx264", "preset": "ultrafast", "s": "160x90"}
COPY = {"codec": "copy"}
Usage = namedtuple("Usage", "total used free")


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


def cut_short(folder: Path, clip: Path) -> Path:
    """A film with its index in front, of which the end is missing."""
    front = ("-c", "copy", "-movflags", "faststart")
    path = Films(folder).make("film.mp4", "-i", clip, *front)
    os.truncate(path, path.stat().st_size * 6 // 10)
    return path


def nothing_was_made(run: TaskRun) -> bool:
    return not any("-map" in command for command in run.argv)


# Sources


@either
@pytest.mark.parametrize("probed", [True, False], ids=["ffprobe", "no ffprobe"])
def test_what_is_no_film_is_refused_before_the_work(
    tmp_path: Path, tools: Tools, probed: bool
) -> None:
    source = tmp_path / "film.mkv"
    source.write_text("no film")
    run = TaskRun()
    given = tools if probed else {**tools, "ffprobe": tmp_path / "missing"}

    with pytest.raises(
        InvalidSettings, match=r"sources\[0\]: is no film .*: EBML header"
    ):
        run_module(
            Ffmpeg, encode(source, tmp_path / "o.mkv", FAST), tools=given, run=run
        )

    assert nothing_was_made(run)


def test_an_mp4_without_its_index_is_refused(clip: Path, tmp_path: Path) -> None:
    source = Films(tmp_path).make("film.mp4", "-i", clip, "-c", "copy")
    os.truncate(source, source.read_bytes().rindex(b"moov") - 4)

    with pytest.raises(InvalidSettings, match="moov atom not found"):
        run_module(Ffmpeg, encode(source, tmp_path / "out.mkv", FAST))


def test_an_mp4_that_is_cut_short_is_refused(tmp_path: Path, clip: Path) -> None:
    source = cut_short(tmp_path, clip)
    run = TaskRun()

    with pytest.raises(
        OutputRefused, match=r"cut short: [\d,]+ bytes of what its header"
    ):
        run_module(Ffmpeg, encode(source, tmp_path / "out.mkv", FAST), run=run)

    assert nothing_was_made(run)


def test_an_end_that_is_not_wanted_may_be_missing(tmp_path: Path, clip: Path) -> None:
    source = cut_short(tmp_path, clip)
    data = encode(source, tmp_path / "out.mkv", FAST, input_options={"t": "1"})

    run_module(Ffmpeg, data)


def test_what_only_ffmpeg_can_read_is_not_refused(tmp_path: Path) -> None:
    raw = tmp_path / "film.raw"
    raw.write_bytes(bytes(16 * 16 * 3 // 2 * 10))
    options = {"f": "rawvideo", "pixel_format": "yuv420p", "video_size": "16x16"}
    data = encode(raw, tmp_path / "out.mkv", FAST, input_options=options)

    run_module(Ffmpeg, data)


# The tool


@either
@pytest.mark.parametrize(
    ("codec", "near"),
    [("libx256", "libx265"), ("libsvt_av1", "libsvtav1"), ("copi", "see ffmpeg")],
)
def test_an_encoder_that_is_not_there_is_named_with_the_nearest(
    clip: Path, tmp_path: Path, tools: Tools, codec: str, near: str
) -> None:
    run = TaskRun()

    with pytest.raises(InvalidSettings, match=rf"options\.codec: must be.*{near}"):
        run_module(
            Ffmpeg,
            encode(clip, tmp_path / "o.mkv", {"codec": codec}),
            tools=tools,
            run=run,
        )

    assert nothing_was_made(run)


@pytest.mark.parametrize("codec", ["libx264", "h264", "copy"])
def test_a_codec_may_be_named_instead_of_its_encoder(
    clip: Path, tmp_path: Path, codec: str
) -> None:
    small = {} if codec == "copy" else {"preset": "ultrafast", "s": "160x90"}

    run_module(Ffmpeg, encode(clip, tmp_path / "out.mkv", {"c": codec, **small}))


def test_an_ffmpeg_is_asked_once_what_it_has(clip: Path, tmp_path: Path) -> None:
    body = f'os.execv({str(SYSTEM["ffmpeg"])!r}, ["ffmpeg", *sys.argv[1:]])'
    tools = {"ffmpeg": fake_tool(tmp_path, "ffmpeg", body)}
    runs = [
        run_module(Ffmpeg, encode(clip, tmp_path / name, COPY), tools=tools)
        for name in ("a.mkv", "b.mkv")
    ]

    asked = [sum("-encoders" in command for command in run.argv) for run in runs]
    assert asked == [1, 0]


def test_an_ffmpeg_that_does_not_answer_refuses_nothing(
    clip: Path, tmp_path: Path
) -> None:
    body = f"""
if "-encoders" in sys.argv:
    sys.exit(1)
os.execv({str(SYSTEM["ffmpeg"])!r}, ["ffmpeg", *sys.argv[1:]])
"""
    tools = {"ffmpeg": fake_tool(tmp_path, "ffmpeg", body)}

    run_module(Ffmpeg, encode(clip, tmp_path / "out.mkv", FAST), tools=tools)


def test_without_ffmpeg_a_job_does_not_begin(clip: Path, tmp_path: Path) -> None:
    run = TaskRun()

    with pytest.raises(ToolMissing, match="ffmpeg"):
        run_module(
            Ffmpeg,
            encode(clip, tmp_path / "out.mkv", FAST),
            tools={"ffmpeg": tmp_path / "missing"},
            run=run,
        )

    assert run.argv == []


@either
def test_an_ending_that_is_no_container_is_refused(
    clip: Path, tmp_path: Path, tools: Tools
) -> None:
    run = TaskRun()

    with pytest.raises(
        InvalidSettings, match=r"output_file: must end like a container"
    ):
        run_module(
            Ffmpeg, encode(clip, tmp_path / "out.film", COPY), tools=tools, run=run
        )

    assert nothing_was_made(run)


@either
@pytest.mark.parametrize("name", ["out.nut", "out.h264", "out.png", "out.yuv"])
def test_rarer_endings_are_fine(
    clip: Path, tmp_path: Path, tools: Tools, name: str
) -> None:
    options = {"frames": 1} if name != "out.h264" else COPY

    run_module(Ffmpeg, encode(clip, tmp_path / name, options), tools=tools)


# Space


def disk(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    usage = Usage(10**12, 10**12 - free, free)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)


def everything(source: Path, output: Path, **changes: Any) -> dict[str, Any]:
    copies = [{"stream": n, "options": COPY} for n in (0, 1)]
    return encode(
        source, output, COPY, source_maps=[{"source": 0}], output_maps=copies, **changes
    )


def test_a_copy_needs_nine_tenths_of_its_source(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size, run = clip.stat().st_size * 9 // 10, TaskRun()
    disk(monkeypatch, 64 * 1024 * 1024)
    run_module(Ffmpeg, everything(clip, tmp_path / "enough.mkv"))

    # Not below what counts as full anyway.
    monkeypatch.setattr("sisyphus.modules.output.FREE_BYTES", 0)
    disk(monkeypatch, size - 1)
    with pytest.raises(
        TaskFailed, match=rf"at least {size:,} bytes.* {size - 1:,} bytes"
    ):
        run_module(Ffmpeg, everything(clip, tmp_path / "out.mkv"), run=run)

    assert nothing_was_made(run)


@pytest.mark.parametrize(
    ("changes", "share"),
    [
        ({"input_options": {"t": "2.65"}}, 0.5),
        ({"source_maps": [{"source": 0, "specifier": "a"}]}, 0.25),
    ],
    ids=["half of it", "sound only"],
)
def test_a_part_needs_less(
    clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    share: float,
) -> None:
    monkeypatch.setattr("sisyphus.modules.output.FREE_BYTES", 0)
    size = clip.stat().st_size
    data = {**everything(clip, tmp_path / "out.mkv"), **changes}

    disk(monkeypatch, int(size * share) + size // 6)

    run_module(Ffmpeg, data)


def test_an_encoding_needs_a_twentieth(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sisyphus.modules.output.FREE_BYTES", 0)
    size = clip.stat().st_size

    disk(monkeypatch, size // 20 + 1)
    run_module(Ffmpeg, encode(clip, tmp_path / "enough.mkv", FAST))

    disk(monkeypatch, size // 20 - 1)
    with pytest.raises(TaskFailed, match="disk full"):
        run_module(Ffmpeg, encode(clip, tmp_path / "out.mkv", FAST))
