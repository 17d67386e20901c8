"""Whether an MP4 file holds all that its boxes declare: reads only some bytes."""

from __future__ import annotations

from pathlib import Path

_FIRST = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide")
_BOXES = frozenset({b"moov", b"mdat", b"moof"})


def missing_bytes(path: Path) -> int:
    """Tell how many bytes the last box lacks; 0 also for what is no MP4 file.

    Every tool reads a file with its index in front up to where it is cut, and reports
    success.
    """
    size, place = path.stat().st_size, 0
    with path.open("rb", buffering=0) as file:
        while place + 8 <= size:
            file.seek(place)
            header = file.read(16)
            length, kind = int.from_bytes(header[:4], "big"), header[4:8]
            if place == 0 and kind not in _FIRST:
                return 0
            if length == 1 and len(header) == 16:
                length = int.from_bytes(header[8:], "big")
            # 0 reaches to the end of the file; less than a header is no box.
            if length < 8:
                return 0
            if place + length > size:
                return place + length - size if kind in _BOXES else 0
            place += length
    return 0
