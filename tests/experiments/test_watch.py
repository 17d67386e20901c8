"""What the experiments rely on: the watch sees what it is there to see."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from bench.encoders import Watch
from bench.experiments import tabulate
from bench.scene import Outcome
from waiting import eventually

PICTURE = "testsrc2=s=320x180:r=10"
pytestmark = pytest.mark.tool


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@pytest.fixture
def watch(folder: Path) -> Iterator[Watch]:
    with Watch(folder) as watch:
        yield watch


@pytest.fixture
def encode(watch: Watch) -> Iterator[type[Encode]]:
    yield Encode
    for each in Encode.started:
        each.kill()
        each.wait()
    Encode.started.clear()


class Encode(subprocess.Popen[bytes]):
    """An encode as slow as what it shows, that nobody guards."""

    started: ClassVar[list[Encode]] = []

    def __init__(self, part: Path) -> None:
        source = ["-re", "-f", "lavfi", "-i", PICTURE]
        codec = ["-c:v", "libx264", "-preset", "ultrafast", "-threads", "1"]
        super().__init__(["ffmpeg", "-nostdin", "-v", "error", *source, *codec, part])
        self.started.append(self)


def test_the_watch_sees_two_encoders_of_one_film(
    watch: Watch, folder: Path, encode: type[Encode]
) -> None:
    encode(folder / ".part-1-film.mp4")
    encode(folder / ".part-2-film.mp4")
    encode(folder / ".part-1-other.mp4")

    eventually(lambda: watch.most == {"film.mp4": 2, "other.mp4": 1})


def test_the_watch_does_not_mind_what_others_encode(
    watch: Watch, folder: Path, encode: type[Encode]
) -> None:
    encode(folder.parent / os.fsdecode(b".part-1-\xe9t\xe9.mp4"))
    encode(folder / ".part-1-film.mp4")

    eventually(lambda: watch.most)

    assert watch.most == {"film.mp4": 1}


def test_the_watch_sees_when_an_encoder_is_gone(
    watch: Watch, folder: Path, encode: type[Encode]
) -> None:
    process = encode(folder / ".part-1-film.mp4")
    (found,) = eventually(watch.running)

    process.kill()

    assert eventually(lambda: found.gone)  # although it has not been waited for
    assert not watch.running()


def test_the_watch_sees_a_file_that_grows_without_its_encoder(
    watch: Watch, folder: Path, encode: type[Encode]
) -> None:
    part = folder / ".part-1-film.mp4"
    process = encode(part)
    eventually(watch.running)
    process.kill()
    eventually(lambda: not watch.running())
    assert watch.grown == 0

    with part.open("ab") as file:
        file.write(b"more")

    eventually(lambda: watch.grown == 4)


def test_the_watch_sees_a_film_that_is_published_twice(
    watch: Watch, folder: Path
) -> None:
    film = folder / "film.mp4"
    film.write_bytes(b"first")
    eventually(lambda: len(watch.published["film.mp4"]) == 1)

    film.write_bytes(b"second")

    eventually(lambda: len(watch.published["film.mp4"]) > 1)


def test_the_table_tells_median_and_worst_of_all_rounds() -> None:
    runs = [Outcome(gone=gone, most=1, state="done") for gone in (1, 2, 9)]

    result = tabulate({"X": runs, "none": []})

    assert result.rows == [("X", "2.00, 9.00", "-", "1", "done", "3")]
    assert [run["gone"] for run in result.figures["X"]] == [1, 2, 9]
