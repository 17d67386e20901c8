"""A decoding pass finds what is broken, and nothing else."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from films import Films, Tools, either
from sisyphus.media.decode import Decoding, decode_argv

SAMPLES = Path(__file__).parent.parent.parent / "samples"


def decoded(path: Path, tools: Tools) -> Decoding:
    argv = [str(tools["ffmpeg"]), *decode_argv(path)[1:]]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    decoding = Decoding()
    for line in done.stdout.splitlines():
        decoding.hear(line)
    for line in done.stderr.splitlines():
        decoding.hear_error(line)
    return decoding


@pytest.mark.tool
@either
@pytest.mark.parametrize(
    ("name", "frames"),
    [("big_buck_bunny_5s.mp4", 132), ("big_buck_bunny_trailer.mp4", 1323)],
)
def test_real_films_decode(tools: Tools, name: str, frames: int) -> None:
    decoding = decoded(SAMPLES / name, tools)

    assert (decoding.errors, decoding.frames) == ([], frames)


@pytest.mark.tool
@either
def test_odd_times_are_no_errors(tmp_path: Path, tools: Tools) -> None:
    films = Films(tmp_path)
    times = "select='not(mod(n,5))+lt(n,10)',setpts='PTS+if(mod(N,3),0.0003/TB,0)'"
    uneven = ("-vf", times, "-fps_mode", "passthrough", "-enc_time_base", "1/90000")
    made = [
        films.test("vfr.mp4", *uneven, rate="60"),
        films.test("ntsc.mkv", "-bf", "2", rate="24000/1001"),
        films.test("stream.ts", "-bf", "2"),
    ]

    for path in made:
        assert decoded(path, tools).errors == [], path.name


@pytest.mark.tool
@either
def test_damage_is_said(clip: Path, tmp_path: Path, tools: Tools) -> None:
    film = Path(shutil.copy(clip, tmp_path / "film.mp4"))
    with film.open("r+b") as file:
        file.seek(300_000)
        file.write(bytes(50_000))

    assert decoded(film, tools).errors != []


@pytest.mark.tool
@either
def test_a_file_without_picture_and_sound_is_empty(
    tmp_path: Path, tools: Tools
) -> None:
    lines = tmp_path / "lines.srt"
    lines.write_text("1\n00:00:00,100 --> 00:00:00,900\nA line\n")

    decoding = decoded(lines, tools)

    assert (decoding.empty, decoding.errors) == (True, [])


def test_only_frames_are_counted() -> None:
    decoding = Decoding()

    heard = [decoding.hear(line) for line in ("fps=20", "frame=  7", "progress=end")]

    assert heard == [None, 7, None]
    assert decoding.frames == 7
