"""A film is replaced only by the same film, readable and whole."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sisyphus.errors import OutputRefused, ToolMissing
from sisyphus.modules.cleanup import Cleanup
from sisyphus.testing import TaskRun, run_module

pytestmark = pytest.mark.tool

PICTURE = "testsrc2=s=160x90:r=25:d={}"
SOUND = "sine=d={}"


def film(path: Path, *options: str, seconds: int = 3, sound: bool = True) -> Path:
    inputs = ["-f", "lavfi", "-i", PICTURE.format(seconds)]
    if sound:
        inputs += ["-f", "lavfi", "-i", SOUND.format(seconds)]
    words = ["ffmpeg", "-nostdin", "-v", "error", "-y", *inputs, *options, str(path)]
    subprocess.run(words, check=True)
    return path


SMALL = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "40", "-c:a", "aac")
LARGE = ("-c:v", "mpeg4", "-q:v", "1", "-c:a", "mp2")


@pytest.fixture
def original(tmp_path: Path) -> Path:
    return film(tmp_path / "film.avi", *LARGE)


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return film(tmp_path / "temp.mkv", *SMALL)


def replace(original: Path, new: Path, **more: Any) -> TaskRun:
    wish = {"original": str(original), "with": str(new), **more}
    return run_module(Cleanup, {"replace": [wish]}, roots=[original.parent])


def check_refused(original: Path, new: Path, expected: str, **more: Any) -> None:
    before = original.read_bytes(), new.read_bytes()

    with pytest.raises(OutputRefused, match=expected):
        replace(original, new, **more)

    assert (original.read_bytes(), new.read_bytes()) == before
    assert sorted(path.name for path in original.parent.iterdir()) == sorted(
        [original.name, new.name]
    )


@pytest.mark.parametrize("verify", ["quick", "decode", "quality"])
def test_a_film_is_replaced_by_a_smaller_one(
    verify: str, original: Path, new: Path
) -> None:
    more = {"quality_floor": 5} if verify == "quality" else {}
    content = new.read_bytes()

    replace(original, new, verify=verify, **more)

    assert original.with_suffix(".mkv").read_bytes() == content
    assert not original.exists()


@pytest.mark.parametrize("seconds", [1, 6])
def test_another_film_is_refused(seconds: int, tmp_path: Path) -> None:
    original = film(tmp_path / "film.mkv", *LARGE)
    other = film(tmp_path / "temp.mkv", *SMALL, seconds=seconds)

    check_refused(original, other, "they are not the same film", any_size=True)


def test_a_film_without_sound_is_refused(original: Path, tmp_path: Path) -> None:
    silent = film(tmp_path / "temp.mkv", *SMALL, sound=False)

    check_refused(original, silent, "has no audio stream, .* has 1")


def test_a_film_that_is_cut_off_is_refused(original: Path, new: Path) -> None:
    os.truncate(new, new.stat().st_size * 6 // 10)

    check_refused(original, new, "is cut short")


def test_what_is_no_film_is_refused(original: Path, new: Path) -> None:
    new.write_bytes(os.urandom(50_000))

    check_refused(original, new, "is no film that can be read")


def test_a_film_that_cannot_be_decoded_is_refused(tmp_path: Path) -> None:
    original = film(tmp_path / "film.mkv", *LARGE)
    new = film(tmp_path / "temp.mp4", *SMALL)
    content = bytearray(new.read_bytes())
    place = content.index(b"mdat") + len(content) // 3
    content[place : place + 4000] = os.urandom(4000)
    new.write_bytes(content)

    check_refused(original, new, "does not decode", verify="decode")


def test_lost_fonts_are_refused(tmp_path: Path) -> None:
    (tmp_path / "font.ttf").write_bytes(b"a font")
    attach = (
        "-attach",
        str(tmp_path / "font.ttf"),
        "-metadata:s:t",
        "mimetype=font/ttf",
    )
    original = film(tmp_path / "film.mkv", *LARGE, *attach)
    (tmp_path / "font.ttf").unlink()
    new = film(tmp_path / "temp.mkv", *SMALL)

    check_refused(original, new, "0 attachments instead of 1")


def test_the_check_can_be_switched_off_for_one_original(
    original: Path, tmp_path: Path
) -> None:
    silent = film(tmp_path / "temp.mkv", *SMALL, sound=False)

    done = replace(original, silent, verify="off")

    assert not done.tools
    assert original.with_suffix(".mkv").exists()


def test_a_damaged_original_can_be_replaced(original: Path, new: Path) -> None:
    original.write_bytes(bytes(original.stat().st_size))

    done = replace(original, new)

    assert any(
        "is no film that can be read, and was not comp" in line for line in done.log
    )
    assert original.with_suffix(".mkv").exists()


def test_what_is_no_film_is_not_compared(tmp_path: Path) -> None:
    (tmp_path / "a.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nHello, you!\n")
    (tmp_path / "b.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nHello.\n")

    done = replace(tmp_path / "a.srt", tmp_path / "b.srt")

    assert not done.tools
    assert "Hello." in (tmp_path / "a.srt").read_text()


def test_films_are_not_replaced_unseen_where_ffprobe_is_missing(
    original: Path, new: Path, tmp_path: Path
) -> None:
    wish = {"original": str(original), "with": str(new)}

    with pytest.raises(ToolMissing, match="ffprobe"):
        run_module(
            Cleanup,
            {"replace": [wish]},
            roots=[tmp_path],
            tools={"ffprobe": tmp_path / "missing"},
        )

    assert original.exists()
