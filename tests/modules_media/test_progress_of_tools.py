"""Every tool's progress goes up, and ends at a hundred."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from sisyphus.testing import run_module

pytestmark = pytest.mark.tool

FAST = {"encoder": "x264", "encoder_preset": "ultrafast"}
COPY = [{"stream": 0, "options": {"codec": "copy"}}]
TASKS: dict[str, dict[str, Any]] = {
    "ffmpeg": {
        "sources": ["FILM"],
        "source_maps": [{"source": 0, "specifier": "v"}],
        "output_maps": COPY,
        "output_file": "OUT.mkv",
    },
    "handbrake": {"source": "FILM", "output_file": "OUT.mkv", "video_options": FAST},
    "mkvmerge": {
        "sources": ["FILM"],
        "tracks": [{"source": 0, "track": 0}],
        "output_file": "OUT.mkv",
    },
    "mkvextract": {
        "source": "FILM",
        "tracks": [{"id": 0, "filename": "OUT.h264"}, {"id": 1, "filename": "OUT.aac"}],
    },
}


def filled(value: Any, film: Path, folder: Path) -> Any:
    match value:
        case str():
            return value.replace("FILM", str(film)).replace("OUT", f"{folder}/out")
        case list():
            return [filled(item, film, folder) for item in value]
        case dict():
            return {key: filled(item, film, folder) for key, item in value.items()}
        case _:
            return value


@pytest.mark.parametrize("module", TASKS)
def test_progress_goes_up_to_a_hundred(module: str, clip: Path, tmp_path: Path) -> None:
    film = tmp_path / "film.mkv"
    subprocess.run(["mkvmerge", "-q", "-o", film, clip], check=True)

    run = run_module(module, filled(TASKS[module], film, tmp_path))

    percents = [p.percent for p in run.progress if p.percent is not None]
    assert percents == sorted(percents)
    assert percents[-1] == 100.0
    assert len(percents) > 1
