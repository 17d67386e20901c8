"""The size that a Matroska file says it has."""

from __future__ import annotations

from pathlib import Path

import pytest

from sisyphus.media.matroska import segment_size

EBML = bytes.fromhex("1A45DFA3 83 428601")
VOID = bytes.fromhex("EC 82 0000")
SEGMENT = bytes.fromhex("18538067")


def written(folder: Path, content: bytes) -> Path:
    path = folder / "a.mkv"
    path.write_bytes(content)
    return path


def test_a_whole_file_ends_where_its_header_says(tmp_path: Path) -> None:
    path = written(tmp_path, EBML + VOID + SEGMENT + b"\x85" + b"12345")

    size = segment_size(path)

    assert size is not None
    assert size.declared_end == size.file_size == path.stat().st_size
    assert not size.truncated and not size.unfinished


def test_a_file_that_ends_too_soon_is_truncated(tmp_path: Path) -> None:
    long_size = bytes.fromhex("01 00000000001000")
    size = segment_size(written(tmp_path, EBML + SEGMENT + long_size + b"12345"))

    assert size is not None and size.truncated


@pytest.mark.parametrize("unknown", ["FF", "01FFFFFFFFFFFFFF"])
def test_a_size_of_all_ones_was_left_open(tmp_path: Path, unknown: str) -> None:
    content = EBML + SEGMENT + bytes.fromhex(unknown) + b"12345"
    size = segment_size(written(tmp_path, content))

    assert size is not None and size.unfinished and not size.truncated


@pytest.mark.parametrize("content", [b"", b"\x1a", b"\x00\x00", b"RIFF....", EBML])
def test_anything_else_is_not_matroska(tmp_path: Path, content: bytes) -> None:
    assert segment_size(written(tmp_path, content)) is None
