"""Files whose names a tool could take for something else, or cannot say at all."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sisyphus.testing import run_module

pytestmark = pytest.mark.tool

BYTES = "caf\udce9 \udcff"


@pytest.fixture
def film(tmp_path: Path) -> Path:
    made = tmp_path / "film.mkv"
    picture = ["-f", "lavfi", "-i", "testsrc=d=1:s=160x90:r=10"]
    command = ["ffmpeg", "-v", "error", *picture, "-c:v", "libx264", str(made)]
    subprocess.run(command, check=True)
    return made


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", [BYTES, "--help\n%d '\"$(x)", "é" * 120])
def test_handbrake_takes_every_name(film: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / name[:40]
    folder.mkdir()
    source = film.rename(folder / f"{name}.mkv")
    output = folder / f"{name}.mp4"
    options = {"encoder": "x264", "encoder_preset": "ultrafast", "quality": 30}
    data = {"source": str(source), "output_file": str(output), "video_options": options}

    run_module("handbrake", data, roots=[tmp_path])

    assert set(folder.iterdir()) == {source, output}
    assert output.stat().st_size > 0


def test_handbrake_may_be_allowed_what_is_refused(film: Path, tmp_path: Path) -> None:
    presets = tmp_path / "presets.json"
    command = ["HandBrakeCLI", "--preset-export", "Mine", "--preset-export-file"]
    subprocess.run([*command, presets], check=True, capture_output=True)
    data = {
        "source": str(film),
        "output_file": str(tmp_path / "out.mkv"),
        "general_options": {"preset_import_file": str(presets), "preset": "Mine"},
        "video_options": {"encoder": "x264", "encoder_preset": "ultrafast"},
    }

    with pytest.raises(
        Exception, match=r"allowed_options has handbrake\.preset_import"
    ):
        run_module("handbrake", data)

    allowed = {"allowed_options": ("handbrake.preset_import_file",)}
    run_module("handbrake", data, settings=allowed)
    assert (tmp_path / "out.mkv").stat().st_size > 0


def merged(film: Path, output: Path, **changes: Any) -> dict[str, Any]:
    data: dict[str, Any] = {
        "sources": [{"filename": str(film)}],
        "tracks": [{"source": 0, "track": 0}],
        "output_file": str(output),
        **changes,
    }
    run_module("mkvmerge", data, roots=[output.parent])
    said = subprocess.run(["mkvmerge", "-J", output], capture_output=True, check=True)
    found: dict[str, Any] = json.loads(said.stdout)
    return found


def test_what_is_attached_keeps_its_name_as_far_as_it_can_be_said(
    film: Path, tmp_path: Path
) -> None:
    folder = tmp_path / f"a folder {BYTES}"
    folder.mkdir()
    for name in ("@list", "a\nb", "it's", BYTES):
        (folder / name).write_text(name, errors="surrogateescape")

    found = merged(
        film, tmp_path / "out.mkv", attachment_directories=[str(folder)], verify="off"
    )

    names = {row["file_name"] for row in found["attachments"]}
    assert names == {"@list", "a\nb", "it's", "caf\ufffd \ufffd"}
    assert {row["size"] for row in found["attachments"]} == {3, 4, 5, 6}


def test_files_that_options_read_have_any_name(film: Path, tmp_path: Path) -> None:
    chapters = tmp_path / f"{BYTES}.txt"
    chapters.write_text("CHAPTER01=00:00:00.000\nCHAPTER01NAME=One\n")

    found = merged(film, tmp_path / "out.mkv", options={"chapters": str(chapters)})

    assert found["chapters"] == [{"num_entries": 1}]


def test_a_filter_reads_a_file_of_any_name(film: Path, tmp_path: Path) -> None:
    text = tmp_path / f"{BYTES} 'a'.txt"
    text.write_text("hello")
    quoted = str(text).replace("'", "'\\\\\\''")
    options = {
        "codec": "libx264",
        "preset": "ultrafast",
        "vf": f"drawtext=textfile='{quoted}'",
    }
    data = {
        "sources": [str(film)],
        "source_maps": [{"source": 0}],
        "output_maps": [{"stream": 0, "specifier": "v", "options": options}],
        "output_file": str(tmp_path / "out.mkv"),
    }

    run_module("ffmpeg", data, roots=[tmp_path])

    assert (tmp_path / "out.mkv").stat().st_size > 0
