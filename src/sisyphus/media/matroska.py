"""Whether a Matroska file is as long as its header says: reads only some bytes.

Every tool reads a truncated Matroska file to its end and reports success.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_EBML = 0x1A45DFA3
_SEGMENT = 0x18538067
_VOID = 0xEC
_FAR = 1 << 42


@dataclass(frozen=True, slots=True)
class SegmentSize:
    """Where the segment ends by its header, and how large the file is."""

    declared_end: int | None
    """``None``: the header leaves it open, as live recordings do."""
    file_size: int

    @property
    def truncated(self) -> bool:
        """Whether bytes are missing at the end."""
        return self.declared_end is not None and self.declared_end > self.file_size

    @property
    def unfinished(self) -> bool:
        """Whether the writer never came back to fill in the size."""
        return self.declared_end is None


def segment_size(path: Path) -> SegmentSize | None:
    """Read the size of the first segment; ``None`` if the file is not Matroska."""
    with path.open("rb") as file:
        size = path.stat().st_size
        if not enter_segment(file):
            return None
        length = read_length(file)
        end = None if length is None else file.tell() + length
        return SegmentSize(end, size)


def enter_segment(file: BinaryIO) -> bool:
    """Go to the first segment's length; false if the file is not Matroska."""
    if read_identifier(file) != _EBML:
        return False
    header = read_length(file)
    if header is None:
        return False
    _skip(file, header)
    while (identifier := read_identifier(file)) == _VOID:
        _skip(file, read_length(file) or 0)
    return identifier == _SEGMENT


def _skip(file: BinaryIO, length: int) -> None:
    # A header may claim more than a file system can have: no place to go to.
    file.seek(min(length, _FAR), 1)


def read_identifier(file: BinaryIO) -> int | None:
    """Read an element's id, with its length marker as is the custom."""
    first = file.read(1)
    if not first or not first[0] & 0xF0:
        return None
    width = 9 - first[0].bit_length()
    return int.from_bytes(first + file.read(width - 1), "big")


def read_length(file: BinaryIO) -> int | None:
    """Read an element's length; all ones means unknown."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    width = 9 - first[0].bit_length()
    value = int.from_bytes(first + file.read(width - 1), "big")
    mask = (1 << (7 * width)) - 1
    return None if value & mask == mask else value & mask
