"""Where the chain of a Matroska file's elements breaks."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from sisyphus.media.structure import first_gap

pytestmark = pytest.mark.tool


def remuxed(clip: Path, path: Path, *options: str, tool: Sequence[str] = ()) -> Path:
    command = tool or ("ffmpeg", "-v", "error", "-i", str(clip), "-c", "copy", *options)
    subprocess.run([*command, str(path)], check=True, capture_output=True)
    return path


@pytest.mark.parametrize(
    "options",
    [(), ("-cluster_time_limit", "100"), ("-live", "1"), ("-write_crc32", "0")],
    ids=" ".join,
)
def test_a_whole_file_has_no_gap(
    clip: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    assert first_gap(remuxed(clip, tmp_path / "film.mkv", *options)) is None


def test_a_whole_file_of_mkvmerge_has_no_gap(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "film.mkv"
    attached = ("--attach-file", __file__, str(clip))
    subprocess.run(
        ["mkvmerge", "-q", "-o", str(path), *attached], check=True, capture_output=True
    )

    assert first_gap(path) is None


def test_a_hole_is_found_at_the_element_that_it_hits(
    clip: Path, tmp_path: Path
) -> None:
    path = remuxed(clip, tmp_path / "film.mkv")
    content = bytearray(path.read_bytes())
    start = len(content) // 2
    content[start : start + 64 * 1024] = bytes(64 * 1024)
    path.write_bytes(content)

    place = first_gap(path)

    assert place is not None
    assert start <= place < start + 64 * 1024


def test_an_element_that_nobody_knows_yet_is_no_gap(clip: Path, tmp_path: Path) -> None:
    path = remuxed(clip, tmp_path / "film.mkv", "-reserve_index_space", "1000")
    content = path.read_bytes()
    void = content.index(b"\xec", content.index(b"\x18\x53\x80\x67"))
    path.write_bytes(content[:void] + b"\x81" + content[void + 1 :])

    assert first_gap(path) is None


def test_a_file_that_is_cut_short_has_no_gap_but_an_end(
    clip: Path, tmp_path: Path
) -> None:
    path = remuxed(clip, tmp_path / "film.mkv")
    path.write_bytes(path.read_bytes()[:-100_000])

    assert first_gap(path) is None


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"\x1aE\xdf\xa3", b"text"])
def test_what_is_no_matroska_file_has_no_gap(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)

    assert first_gap(path) is None


def test_the_samples_have_no_gap(clip: Path) -> None:
    assert first_gap(clip) is None
