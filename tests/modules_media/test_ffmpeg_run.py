"""The ffmpeg module with the real ffmpeg."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sisyphus.errors import InvalidSettings, OutputRefused, ToolFailed
from sisyphus.modules.ffmpeg import Ffmpeg
from sisyphus.testing import TaskRun, fake_tool, run_module

pytestmark = pytest.mark.tool

SMALL = {"codec": "libx264", "preset": "ultrafast", "s": "160x90", "crf": 40}


def encode(source: Path, output: Path, **changes: Any) -> dict[str, Any]:
    return {
        "sources": [str(source)],
        "source_maps": [{"source": 0, "specifier": "v"}],
        "output_maps": [{"specifier": "v", "stream": 0, "options": SMALL}],
        "output_file": str(output),
        **changes,
    }


def everything(source: Path, output: Path) -> dict[str, Any]:
    copy = {"stream": 0, "options": {"codec": "copy"}}
    maps = [{**copy, "specifier": "v"}, {**copy, "specifier": "a"}]
    return encode(source, output, source_maps=[{"source": 0}], output_maps=maps)


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def punch(path: Path, size: int) -> None:
    """Put zeroes where a third of a file is."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 3)
        file.write(bytes(size))


@pytest.fixture
def film(clip: Path, tmp_path: Path) -> Path:
    path = tmp_path / "film.mkv"
    subprocess.run(["mkvmerge", "-q", "-o", path, clip], check=True)
    return path


def test_a_film_is_encoded_with_progress_in_frames(clip: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mkv"

    run = run_module(Ffmpeg, encode(clip, output))

    assert output.stat().st_size > 1000
    percents = [p.percent for p in run.progress if p.percent is not None]
    assert percents == sorted(percents)
    assert (run.progress[-1].percent, run.progress[-1].total) == (100.0, 132)
    assert run.progress[0].total == 132
    assert leftovers(tmp_path) == []


def test_sound_alone_has_progress_in_time(clip: Path, tmp_path: Path) -> None:
    data = encode(
        clip,
        tmp_path / "out.mka",
        source_maps=[{"source": 0, "specifier": "a"}],
        output_maps=[{"specifier": "a", "stream": 0, "options": {"codec": "ac3"}}],
    )

    run = run_module(Ffmpeg, data)

    assert run.progress[-1].percent == 100.0
    assert run.progress[-1].total is None


def test_a_trimmed_film_reaches_its_own_hundred(clip: Path, tmp_path: Path) -> None:
    trim = {"ss": "0:00:01", "to": "0:00:03"}

    run = run_module(Ffmpeg, encode(clip, tmp_path / "o.mkv", input_options=trim))

    assert run.progress[-1].total == 50


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov", "a.ts", "a.avi"])
def test_copies_into_all_containers_pass_the_check(
    name: str, clip: Path, tmp_path: Path
) -> None:
    run_module(Ffmpeg, everything(clip, tmp_path / name))


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_one_picture_of_a_film_passes_the_check(
    name: str, clip: Path, tmp_path: Path
) -> None:
    options = {"frames": 1, "s": "160x90"}
    maps = [{"specifier": "v", "stream": 0, "options": options}]

    run_module(Ffmpeg, encode(clip, tmp_path / name, output_maps=maps))


def test_a_film_with_a_cover_passes_the_check(clip: Path, tmp_path: Path) -> None:
    cover, source = tmp_path / "cover.png", tmp_path / "covered.mp4"
    quiet = ["ffmpeg", "-v", "error", "-i", str(clip)]
    subprocess.run([*quiet, "-frames:v", "1", str(cover)], check=True)
    maps = ["-map", "0", "-map", "1", "-c", "copy", "-disposition:v:1", "attached_pic"]
    subprocess.run([*quiet, "-i", str(cover), *maps, str(source)], check=True)

    for name in ("out.mp4", "out.mkv"):
        data = everything(source, tmp_path / name)
        cover_map = {"stream": 1, "specifier": "v", "options": {"codec": "copy"}}
        data["output_maps"].append(cover_map)
        run_module(Ffmpeg, data)


def test_a_truncated_source_is_refused_before_the_work(
    film: Path, tmp_path: Path
) -> None:
    os.truncate(film, film.stat().st_size * 6 // 10)
    run = TaskRun()

    with pytest.raises(
        OutputRefused, match=r"cut short: its header declares \d+ bytes"
    ):
        run_module(Ffmpeg, encode(film, tmp_path / "out.mkv"), run=run)

    assert run.argv == []


def test_a_source_with_a_hole_is_refused_before_the_work(
    film: Path, tmp_path: Path
) -> None:
    punch(film, 300_000)
    run = TaskRun()

    with pytest.raises(OutputRefused, match=r"damaged at byte"):
        run_module(Ffmpeg, encode(film, tmp_path / "out.mkv"), run=run)

    assert not any("-map" in command for command in run.argv)


def test_a_hole_that_only_the_frames_show_is_refused_after_the_work(
    clip: Path, tmp_path: Path
) -> None:
    source = Path(shutil.copy(clip, tmp_path / "film.mp4"))
    punch(source, 250_000)

    with pytest.raises(OutputRefused, match=r"has \d+ frames, film\.mp4 has 132"):
        run_module(Ffmpeg, encode(source, tmp_path / "out.mkv"))

    assert not (tmp_path / "out.mkv").exists()
    assert leftovers(tmp_path) == []


def test_a_failing_tool_says_why(clip: Path, tmp_path: Path) -> None:
    maps = [{"specifier": "v", "stream": 0, "options": {**SMALL, "preset": "swift"}}]

    with pytest.raises(ToolFailed, match="ffmpeg") as caught:
        run_module(Ffmpeg, encode(clip, tmp_path / "out.mkv", output_maps=maps))

    assert any("swift" in line for line in caught.value.tail)
    assert leftovers(tmp_path) == []


def test_a_script_in_the_clothes_of_a_film_is_refused(
    clip: Path, tmp_path: Path
) -> None:
    shutil.copy(clip, tmp_path / "a.mp4")
    script = tmp_path / "film.mkv"
    script.write_text("ffconcat version 1.0\nfile a.mp4\n")

    with pytest.raises(InvalidSettings, match="concat playlist or script"):
        run_module(Ffmpeg, encode(script, tmp_path / "out.mkv"))


def crashing(folder: Path, times: int) -> Path:
    """An ffmpeg that crashes a few times before it works."""
    ffmpeg = shutil.which("ffmpeg")
    body = f"""
count = pathlib.Path({str(folder / "count")!r})
done = len(count.read_text()) if count.exists() else 0
if "-map" not in sys.argv:
    os.execv({ffmpeg!r}, ["ffmpeg", *sys.argv[1:]])
count.write_text("x" * (done + 1))
if done < {times}:
    pathlib.Path(sys.argv[-1]).write_text("half a film")
    os.kill(os.getpid(), 11)
os.execv({ffmpeg!r}, ["ffmpeg", *sys.argv[1:]])
"""
    return fake_tool(folder, "ffmpeg", body)


def test_a_crash_of_ffmpeg_is_retried_twice(clip: Path, tmp_path: Path) -> None:
    tools = {"ffmpeg": crashing(tmp_path, 2)}

    run_module(Ffmpeg, encode(clip, tmp_path / "out.mkv"), tools=tools)

    assert (tmp_path / "out.mkv").stat().st_size > 1000


def test_a_third_crash_fails_the_task(clip: Path, tmp_path: Path) -> None:
    tools = {"ffmpeg": crashing(tmp_path, 9)}

    with pytest.raises(ToolFailed, match="SIGSEGV"):
        run_module(Ffmpeg, encode(clip, tmp_path / "out.mkv"), tools=tools)

    assert (tmp_path / "count").read_text() == "xxx"


def test_an_output_that_leads_to_the_source_is_refused(film: Path) -> None:
    link = film.with_name("link.mkv")
    link.symlink_to(film)

    with pytest.raises(InvalidSettings, match="one of the sources"):
        run_module(Ffmpeg, encode(film, link, overwrite=True))


def test_without_ffprobe_there_is_still_progress(clip: Path, tmp_path: Path) -> None:
    tools = {"ffprobe": tmp_path / "missing"}

    run = run_module(Ffmpeg, encode(clip, tmp_path / "out.mkv"), tools=tools)

    assert any("ffprobe is not installed" in line for line in run.log)
    assert run.progress[-1].percent == 100.0
