"""Whether a Matroska file's elements follow each other without a gap.

A hole (a lost block of a disk, a broken download) makes every tool skip to the next
cluster and report success; the header and its duration are untouched. Walking from
element to element by their lengths finds it, and reads only some bytes of each cluster.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from sisyphus.media.matroska import enter_segment, read_identifier, read_length

_BUFFER = 4096
_CLUSTER = 0x1F43B675
_TOP = frozenset(
    {
        0x114D9B74,  # SeekHead
        0x1549A966,  # Info
        0x1654AE6B,  # Tracks
        0x1C53BB6B,  # Cues
        0x1941A469,  # Attachments
        0x1043A770,  # Chapters
        0x1254C367,  # Tags
        0xEC,  # Void
        0xBF,  # CRC-32
    }
)
_IN_CLUSTER = frozenset(
    {
        0xE7,  # Timestamp
        0xA3,  # SimpleBlock
        0xA0,  # BlockGroup
        0xA7,  # Position
        0xAB,  # PrevSize
        0xAF,  # EncryptedBlock
        0x5854,  # SilentTracks
        0xEC,
        0xBF,
    }
)


def first_gap(path: Path, meanwhile: Callable[[], object] = bool) -> int | None:
    """Find where the chain of elements breaks; ``None`` if it never does.

    Files that are not Matroska, and elements of open length (live recordings), are not
    looked into. ``meanwhile`` is called for each cluster, and may raise.
    """
    with path.open("rb", buffering=_BUFFER) as file:
        if not enter_segment(file) or (length := read_length(file)) is None:
            return None
        end = min(file.tell() + length, path.stat().st_size)
        return _walk(file, end, meanwhile, top=True)


def _walk(
    file: BinaryIO, end: int, meanwhile: Callable[[], object], *, top: bool
) -> int | None:
    known = _TOP if top else _IN_CLUSTER
    while (place := file.tell()) < end:
        identifier = read_identifier(file)
        length = read_length(file)
        if identifier is None:
            return place
        if length is None:
            return None if identifier == _CLUSTER else place
        body = file.tell()
        if identifier == _CLUSTER and top:
            meanwhile()
            inner = min(body + length, end)
            if (gap := _walk(file, inner, meanwhile, top=False)) is not None:
                return gap
        elif identifier not in known and not _is_followed(file, body + length, end):
            return place
        file.seek(min(body + length, end))
    return None


def _is_followed(file: BinaryIO, place: int, end: int) -> bool:
    """Tell if an element that is not known here at least leads to one that is."""
    if place >= end:
        return place == end
    file.seek(place)
    return read_identifier(file) in _TOP | _IN_CLUSTER | {_CLUSTER}
