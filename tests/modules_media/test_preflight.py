"""What modules of every kind look at before they work."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from films import Films
from sisyphus.errors import Stopped, TaskFailed
from sisyphus.media.verify import check_source
from sisyphus.modules.control import Control, StopReason
from sisyphus.modules.ffmpeg import Ffmpeg
from sisyphus.modules.mkvmerge import Mkvmerge
from sisyphus.testing import TaskRun, run_module

pytestmark = pytest.mark.tool


class Usage:
    """What a file system says of itself."""

    def __init__(self, free: int) -> None:
        self.free = free


def merge(source: Path, output: Path) -> dict[str, object]:
    tracks = [{"source": 0, "track": number} for number in (0, 1)]
    return {"sources": [str(source)], "tracks": tracks, "output_file": str(output)}


def test_a_merge_needs_room_for_its_sources(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sisyphus.modules.output.FREE_BYTES", 0)
    needed, run = clip.stat().st_size * 9 // 10, TaskRun()

    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(needed))
    run_module(Mkvmerge, merge(clip, tmp_path / "enough.mkv"))

    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(needed - 1))
    with pytest.raises(TaskFailed, match=rf"at least {needed:,} bytes"):
        run_module(Mkvmerge, merge(clip, tmp_path / "out.mkv"), run=run)

    assert not any(word.startswith("@") for argv in run.argv for word in argv)


def test_looking_for_holes_can_be_stopped(clip: Path, tmp_path: Path) -> None:
    film = Films(tmp_path).make("film.mkv", "-i", clip, "-c", "copy")
    control = Control()
    control.stop(StopReason.CANCEL)

    with pytest.raises(Stopped):
        check_source(film, control.raise_if_stopping)


def test_a_long_count_is_told(tmp_path: Path) -> None:
    tone = (
        "-f",
        "lavfi",
        "-i",
        "sine=d=14",
        "-c:a",
        "libopus",
        "-frame_duration",
        "2.5",
    )
    source = Films(tmp_path).make("sound.mkv", *tone)
    data = {
        "sources": [str(source)],
        "source_maps": [{"source": 0}],
        "output_maps": [{"stream": 0, "options": {"codec": "copy"}}],
        "output_file": str(tmp_path / "out.mkv"),
    }

    run = run_module(Ffmpeg, data)

    told = [p.frame for p in run.progress if p.info.get("checking") == "packets"]
    assert told[:1] == [5000]
