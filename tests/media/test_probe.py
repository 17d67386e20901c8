"""What ffprobe's answers mean."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sisyphus.media.probe import Printed, Probe, Unreadable, film_of


def really(argv: Sequence[str]) -> Printed:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return Printed(done.returncode, done.stdout, done.stderr)


def film(stream: dict[str, Any], duration: str = "10.0") -> Any:
    answer = {
        "format": {"format_name": "matroska,webm", "duration": duration},
        "streams": [{"index": 0, "codec_type": "video", **stream}],
    }
    return film_of(Path("/a.mkv"), Printed(0, json.dumps(answer), ""))


def test_a_real_film_is_read(clip: Path) -> None:
    found = Probe(really).film(clip)

    video, audio = found.streams
    assert (video.kind, video.codec, video.claimed_frames) == ("video", "h264", 132)
    assert (audio.kind, audio.codec) == ("audio", "aac")
    assert found.trusted
    assert found.duration == pytest.approx(5.31, abs=0.05)
    assert Probe(really).packets(clip, video) == 132


def test_a_text_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "text.mkv"
    path.write_text("no film")

    with pytest.raises(Unreadable, match="Invalid data"):
        Probe(really).film(path)


def test_a_stream_is_as_long_as_its_own_tag_says() -> None:
    tags = {"DURATION-eng": "00:01:00.000000000", "DURATION": "00:00:09.500000000"}
    assert film({"tags": tags}).streams[0].duration == 9.5


def test_a_frame_count_that_does_not_fit_the_duration_is_not_believed() -> None:
    counted: list[Sequence[str]] = []

    def read(argv: Sequence[str]) -> Printed:
        counted.append(argv)
        # One packet comes before the first key frame, one is hidden.
        return Printed(0, "0,___\n0,K__\n1,K__\n0,___\n\n0,KD_\n0,___\n", "")

    stale = film({"tags": {"NUMBER_OF_FRAMES": "5000"}, "avg_frame_rate": "25/1"})
    fresh = film({"tags": {"NUMBER_OF_FRAMES-eng": "250"}, "avg_frame_rate": "25/1"})

    assert Probe(read).frames(stale, stale.streams[0]) == 3
    assert Probe(read).frames(fresh, fresh.streams[0]) == 250
    assert len(counted) == 1
