"""What cannot be found out of a source never counts as harmless."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from sisyphus.errors import InvalidSettings, JobError, LimitReached, TaskFailed
from sisyphus.modules.playlists import playlist_in
from sisyphus.testing import TaskRun, fake_tool, run_module

pytestmark = pytest.mark.tool

TOLD = '\'{"format": {"format_name": "matroska,webm"}}\''


def copy_of(source: Path, **changes: Any) -> dict[str, Any]:
    return {
        "sources": [str(source)],
        "source_maps": [{"source": 0, "specifier": "v", "stream": 0}],
        "output_maps": [{"stream": 0, "options": {"codec": "copy"}}],
        "output_file": str(source.with_name("out.mkv")),
        **changes,
    }


def id3(size: int, *, footer: bool = False) -> bytes:
    digits = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    flags = b"\x10" if footer else b"\0"
    end = b"3DI\x04\0" + flags + digits if footer else b""
    return b"ID3\x04\0" + flags + digits + bytes(size) + end


def ffprobe_that(folder: Path, does: str, asked: str = "-show_entries") -> Path:
    """An ffprobe that fails when its command has ``asked`` in it."""
    real = shutil.which("ffprobe")
    body = f"""
told = {TOLD}
answer = sys.argv[sys.argv.index("-o") + 1] if "-o" in sys.argv else ""
if {asked!r} in " ".join(sys.argv):
    {does}
os.execv({real!r}, ["ffprobe", *sys.argv[1:]])
"""
    return fake_tool(folder, "ffprobe", body)


def say_and_fail(words: str) -> str:
    return f"print({words!r}, file=sys.stderr); sys.exit(1)"


@pytest.mark.parametrize(
    "tags",
    [
        id3(100_000),
        id3(100_000) + id3(70_000) + id3(0),
        id3(100_000, footer=True),
        id3(20, footer=True),
    ],
    ids=["long", "several", "long with a footer", "short with a footer"],
)
def test_a_playlist_behind_tags_is_known(tmp_path: Path, tags: bytes) -> None:
    path = tmp_path / "film.mkv"
    path.write_bytes(tags + b"ffconcat version 1.0\nfile secret.mkv\n")

    assert playlist_in(path) == "concat"


def test_a_tag_that_is_longer_than_its_file_hides_no_playlist(tmp_path: Path) -> None:
    path = tmp_path / "film.mkv"
    path.write_bytes(b"ID3\x04\x01\x01\x7f\x7f\x7f\x7f<MPD urn:mpeg:dash:>")

    assert playlist_in(path) == "dash"


def test_very_many_tags_are_skipped_soon(tmp_path: Path) -> None:
    path = tmp_path / "film.mkv"
    path.write_bytes(id3(0) * 200_000 + b"#EXTM3U\n")

    assert playlist_in(path) == "hls"


def test_a_script_with_a_long_answer_reaches_no_ffmpeg(
    clip: Path, tmp_path: Path
) -> None:
    shutil.copy(clip, tmp_path / "secret.mkv")
    script = tmp_path / "film.mkv"
    meta = b"stream_meta a " + b"b" * 900 + b"\n"
    lines = b"ffconcat version 1.0\nfile secret.mkv\n" + meta * 20_000
    script.write_bytes(id3(100_000) + lines)
    told = TaskRun()

    with pytest.raises(InvalidSettings, match=r"ffmpeg\.format\.concat"):
        run_module("ffmpeg", copy_of(script), run=told)

    assert not [argv for argv in told.argv if str(script) in argv]


# Answers that are none


@pytest.mark.parametrize(
    ("does", "said"),
    [
        ("os.truncate(answer, 0); sys.exit(0)", "ffprobe"),
        ("pathlib.Path(answer).write_text(told[:-2]); sys.exit(0)", "cut"),
        (
            "pathlib.Path(answer).write_text(' ' * (1 << 24) + told); sys.exit(0)",
            "longer than 16M",
        ),
        (say_and_fail("film.mkv: No space left on device"), "No space left"),
        ("os.kill(os.getpid(), 9)", "SIGKILL"),
    ],
    ids=["empty", "cut", "too long", "disk full", "killed"],
)
@pytest.mark.parametrize("asked", ["format=format_name ", "stream_tags"])
def test_an_answer_that_is_not_whole_fails_the_task(
    clip: Path, tmp_path: Path, does: str, said: str, asked: str
) -> None:
    does = does.replace("os.truncate(answer, 0)", "open(answer, 'w').close()")
    source = Path(shutil.copy(clip, tmp_path / "film.mkv"))
    if asked != "stream_tags":  # the format alone is asked for where all else failed
        source.write_text("no film")
    tools = {"ffprobe": ffprobe_that(tmp_path, does, asked)}

    with pytest.raises(TaskFailed, match=said):
        run_module("ffmpeg", copy_of(source), tools=tools)

    assert not (tmp_path / "out.mkv").exists()


@pytest.mark.parametrize("asked", ["stream_tags", "packet="])
def test_an_ffprobe_that_lacks_memory_says_nothing_of_the_film(
    clip: Path, tmp_path: Path, asked: str
) -> None:
    source = Path(shutil.copy(clip, tmp_path / "film.mkv"))
    does = say_and_fail(f"{source}: Cannot allocate memory")
    tools = {"ffprobe": ffprobe_that(tmp_path, does, asked)}

    with pytest.raises(LimitReached, match="ffprobe needs more memory"):
        run_module(
            "ffmpeg",
            copy_of(source),
            tools=tools,
            settings={"tool_memory": 2**40},
        )


def test_a_source_of_which_ffprobe_cannot_tell_the_format_is_not_opened(
    clip: Path, tmp_path: Path
) -> None:
    source = Path(shutil.copy(clip, tmp_path / "film.mkv"))
    does = say_and_fail(f"{source}: Operation not permitted")
    told = TaskRun()

    with pytest.raises(JobError, match="Operation not permitted"):
        run_module(
            "ffmpeg",
            copy_of(source),
            tools={"ffprobe": ffprobe_that(tmp_path, does)},
            run=told,
        )

    used = [argv for argv in told.argv if argv[0].endswith("ffmpeg")]
    assert not [argv for argv in used if str(source) in argv]
