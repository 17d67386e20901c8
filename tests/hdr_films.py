"""Small films with HDR data, made on the spot."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

MASTERING = "G(8500,39850)B(6550,2300)R(35400,14600)WP(15635,16450)L(10000000,1)"
TAGS = {"color_primaries": "bt2020", "color_trc": "smpte2084", "colorspace": "bt2020nc"}
HLG = {**TAGS, "color_trc": "arib-std-b67"}
_QUIET = ("ffmpeg", "-nostdin", "-v", "error", "-y")
_SLICE_TYPES = range(32)


def hdr_film(
    path: Path,
    *,
    static: bool = True,
    tags: dict[str, str] = TAGS,
    pix_fmt: str = "yuv420p10le",
) -> Path:
    """Make half a second of HDR10, or of something near it."""
    params = "log-level=error"
    if static:
        params += f":hdr10=1:repeat-headers=1:master-display={MASTERING}"
        params += ":max-cll=1000,400"
    said = [word for name, value in tags.items() for word in (f"-{name}", value)]
    _run(
        *("-f", "lavfi", "-i", "testsrc2=s=160x90:r=24:d=0.5", "-pix_fmt", pix_fmt),
        *("-c:v", "libx265", "-preset", "ultrafast", *said, "-x265-params", params),
        str(path),
    )
    return path


def hdr10plus_film(path: Path) -> Path:
    """Make a film with data for each scene: a message in front of every picture."""
    plain = hdr_film(path.with_name("plain.hevc"))
    first, *units = plain.read_bytes().split(b"\0\0\1")
    message = _message(bytes.fromhex("b5003c00010401") + _scene())
    made = bytearray(first)
    for unit in units:
        kind = (unit[0] >> 1) & 0x3F
        if kind in _SLICE_TYPES and unit[2] & 0x80:
            made += b"\0\0\1" + message + b"\0"
        made += b"\0\0\1" + unit
    raw = path.with_name("plus.hevc")
    raw.write_bytes(made)
    subprocess.run(["mkvmerge", "-q", "-o", path, raw], check=True)
    return path


def dolby_vision_film(path: Path) -> Path:
    """Make an MP4 film whose header says that it is Dolby Vision, profile 8.1."""
    plain = hdr_film(path.with_name("plain.mp4")).read_bytes()
    # Version 1.0, profile 8, level 3, with its base layer, which HDR10 players show.
    record = bytes([1, 0, 8 << 1, (3 << 3) | 5, 1 << 4]) + bytes(19)
    box = (8 + len(record)).to_bytes(4, "big") + b"dvvC" + record
    path.write_bytes(_boxed(plain, box))
    return path


def _boxed(film: bytes, box: bytes) -> bytes:
    """Put a box at the end of the picture's sample entry; the index lies at the end."""
    made = bytearray(film)
    place = film.index(b"moov") - 4
    containers = []
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"hev1"):
        place = film.index(kind, place) - 4
        containers.append(place)
    end = containers[-1] + int.from_bytes(film[containers[-1] :][:4], "big")
    for start in containers:
        size = int.from_bytes(film[start : start + 4], "big") + len(box)
        made[start : start + 4] = size.to_bytes(4, "big")
    made[end:end] = box
    return bytes(made)


def _scene() -> bytes:
    """Write the bits of one scene's data: one window, no percentiles."""
    fields = ((1, 2), (1000, 27), (0, 1), (9, 17), (9, 17), (9, 17), (5, 17), (0, 4))
    text = "".join(f"{value:0{width}b}" for value, width in (*fields, (0, 13)))
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def _message(body: bytes) -> bytes:
    """Wrap a user message for a HEVC stream."""
    content = bytes([4, len(body)]) + body + b"\x80"
    return b"\x4e\x01" + re.sub(rb"\0\0(?=[\0-\3])", b"\0\0\3", content)


def _run(*words: str) -> None:
    subprocess.run([*_QUIET, *words], check=True)
