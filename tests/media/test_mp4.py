"""Whether an MP4 file holds what its boxes declare."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from films import Films
from sisyphus.media.mp4 import missing_bytes


def box(kind: bytes, body: bytes = b"", size: int | None = None) -> bytes:
    length = 8 + len(body) if size is None else size
    return length.to_bytes(4, "big") + kind + body


FRONT = box(b"ftyp", b"isom") + box(b"moov", b"index")


@pytest.mark.tool
@pytest.mark.parametrize(
    "flags", ["0", "faststart", "frag_keyframe+empty_moov"], ids=str
)
def test_whole_films_lack_nothing(clip: Path, tmp_path: Path, flags: str) -> None:
    copy = ("-i", clip, "-c", "copy", "-movflags", flags)

    assert missing_bytes(Films(tmp_path).make("film.mp4", *copy)) == 0


@pytest.mark.tool
def test_what_is_cut_off_is_counted(clip: Path, tmp_path: Path) -> None:
    copy = ("-i", clip, "-c", "copy", "-movflags", "faststart")
    film = Films(tmp_path).make("film.mp4", *copy)
    os.truncate(film, film.stat().st_size - 1000)

    assert missing_bytes(film) == 1000


@pytest.mark.parametrize(
    ("content", "missing"),
    [
        (b"", 0),
        (b"short", 0),
        (b"no film, but a text that is long enough", 0),
        (FRONT + box(b"mdat", b"data"), 0),
        (FRONT + box(b"mdat", b"data", size=20), 8),
        (FRONT + box(b"mdat", (1 << 33).to_bytes(8, "big"), size=1), (1 << 33) - 16),
        (FRONT + box(b"mdat", b"to the end", size=0), 0),
        (FRONT + box(b"mdat", b"data") + bytes(4096), 0),
        (FRONT + box(b"mdat", b"data") + box(b"free", b"", size=999), 0),
        (FRONT + box(b"mdat", b"data") + b"\0\0\0", 0),
    ],
    ids=[
        "empty",
        "short",
        "text",
        "whole",
        "cut",
        "cut, large",
        "to the end",
        "padded",
        "padding cut",
        "scraps",
    ],
)
def test_only_what_is_declared_can_be_missing(
    tmp_path: Path, content: bytes, missing: int
) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(content)

    assert missing_bytes(path) == missing
