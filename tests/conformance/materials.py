"""Make the files that a case needs, with real tools and little time."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path
from typing import Any

SUBTITLES = """1
00:00:00,100 --> 00:00:00,900
First line

2
00:00:01,000 --> 00:00:01,800
Second line
"""


def fill_in(value: Any, folder: Path) -> Any:
    """Put the folder in place of ``${W}``, wherever it stands."""
    match value:
        case str():
            return value.replace("${W}", str(folder))
        case list():
            return [fill_in(item, folder) for item in value]
        case dict():
            return {
                fill_in(key, folder): fill_in(item, folder)
                for key, item in value.items()
            }
        case _:
            return value


def make(entry: dict[str, Any]) -> None:
    """Make one file or folder; ``entry`` says which kind."""
    path = Path(entry["path"])
    if entry["kind"] == "dir":
        path.mkdir(parents=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    match entry["kind"]:
        case "text":
            path.write_text(entry["content"], encoding="utf-8")
        case "srt":
            path.write_text(SUBTITLES, encoding="utf-8")
        case "ac3":
            _ffmpeg("-f", "lavfi", "-i", "sine=400:d=2", "-c:a", "ac3", str(path))
        case "media":
            film(path, entry["streams"])
        case "ttf":
            path.write_bytes(_font(entry["family"], entry["subfamily"]))
        case kind:
            raise ValueError(f"no such kind of file: {kind}")


def film(path: Path, streams: list[str], *, seconds: float = 2, rate: int = 10) -> None:
    """Encode a small film; streams are written ``v``, ``a:jpn``, ``s:eng``."""
    inputs: list[str] = []
    outputs: list[str] = []
    subtitles = path.with_name(f"{path.stem}.lines.srt")
    for number, stream in enumerate(streams):
        kind, _, language = stream.partition(":")
        if kind == "v":
            source = f"testsrc2=s=160x120:r={rate}:d={seconds}"
            inputs += ["-f", "lavfi", "-i", source]
        elif kind == "a":
            inputs += ["-f", "lavfi", "-i", f"sine={300 + 100 * number}:d={seconds}"]
        else:
            subtitles.write_text(SUBTITLES, encoding="utf-8")
            inputs += ["-i", str(subtitles)]
        outputs += ["-map", str(number)]
        if language:
            outputs += [f"-metadata:s:{number}", f"language={language}"]
    codecs = ["-c:v", "libx264", "-preset", "ultrafast", "-c:a", "ac3", "-c:s", "srt"]
    _ffmpeg(*inputs, *outputs, *codecs, str(path))
    subtitles.unlink(missing_ok=True)


def _ffmpeg(*arguments: str) -> None:
    quiet = ["ffmpeg", "-nostdin", "-v", "error", "-y"]
    subprocess.run([*quiet, *arguments], check=True)


def _font(family: str, subfamily: str) -> bytes:
    """Write a font file that has nothing but names."""
    names = {1: family, 2: subfamily, 4: f"{family} {subfamily}"}
    texts = {number: text.encode("utf-16-be") for number, text in names.items()}
    offset, records = 0, b""
    for number, text in texts.items():
        records += struct.pack(">6H", 3, 1, 0x409, number, len(text), offset)
        offset += len(text)
    head = struct.pack(">3H", 0, len(texts), 6 + len(records))
    table = head + records + b"".join(texts.values())
    start = struct.pack(">IHHHH", 0x00010000, 1, 16, 0, 0)
    return start + struct.pack(">4sIII", b"name", 0, 28, len(table)) + table
