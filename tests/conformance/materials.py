"""Make the files that a case needs, with real tools and little time."""

from __future__ import annotations

import shutil
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
CHAPTERS = """CHAPTER01=00:00:00.000
CHAPTER01NAME=One
CHAPTER02=00:00:01.000
CHAPTER02NAME=Two
"""
TAGS = """<?xml version="1.0"?>
<Tags><Tag><Targets/><Simple>
<Name>COMMENT</Name><String>a tag of the film</String>
</Simple></Tag></Tags>
"""
STYLES = """
Name Fontname Fontsize PrimaryColour SecondaryColour OutlineColour BackColour Bold Italic
Underline StrikeOut ScaleX ScaleY Spacing Angle BorderStyle Outline Shadow Alignment
MarginL MarginR MarginV Encoding
"""
EVENTS = "Layer Start End Style Name MarginL MarginR MarginV Effect Text"


def fill_in(value: Any, names: dict[str, str]) -> Any:
    """Put what a name stands for in place of ``${name}``, wherever it is written."""
    match value:
        case str():
            for name, text in names.items():
                value = value.replace(f"${{{name}}}", text)
            return value
        case list():
            return [fill_in(item, names) for item in value]
        case dict():
            return {
                fill_in(key, names): fill_in(item, names) for key, item in value.items()
            }
        case _:
            return value


class Workshop:
    """Makes files; a film that was made before is copied."""

    def __init__(self, store: Path) -> None:
        self._store = store

    def make(self, entry: dict[str, Any]) -> None:
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
            case "ass":
                said = entry.get("lines", ["Hello"])
                path.write_text(_ass(entry["styles"], said), encoding="utf-8")
            case "ttf":
                path.write_bytes(_font(entry["family"], entry["subfamily"]))
            case "ac3":
                shutil.copy(self._film([f"a{entry.get('channels', '')}"], ".ac3"), path)
            case "media":
                suffix, seconds = path.suffix, entry.get("seconds", 2)
                shutil.copy(self._film(entry["streams"], suffix, seconds), path)
            case "matroska":
                self._matroska(path, entry)
            case kind:
                raise ValueError(f"no such kind of file: {kind}")

    def _film(self, streams: list[str], suffix: str, seconds: float = 2) -> Path:
        """Encode a small film; streams are written ``v``, ``a:jpn``, ``s:eng``."""
        name = "_".join([*streams, str(seconds)]).replace(":", "-")
        path = self._store / f"{name}{suffix}"
        if path.exists():
            return path
        inputs: list[str] = []
        outputs: list[str] = []
        subtitles = self._store / "lines.srt"
        subtitles.write_text(SUBTITLES, encoding="utf-8")
        for number, stream in enumerate(streams):
            kind, _, language = stream.partition(":")
            match kind:
                case "v":
                    picture = f"testsrc2=s=160x120:r=10:d={seconds}"
                    source = ["-f", "lavfi", "-i", picture]
                case "a":
                    tone = f"sine={300 + 100 * number}:d={seconds}"
                    source = ["-f", "lavfi", "-i", tone]
                case "s":
                    source = ["-i", str(subtitles)]
                case _:
                    raise ValueError(f"no such kind of stream: {stream}")
            inputs += source
            outputs += ["-map", str(number)]
            if language:
                outputs += [f"-metadata:s:{number}", f"language={language}"]
        codecs = ["-c:v", "libx264", "-preset", "ultrafast", "-c:a", "ac3"]
        quiet = ["-nostdin", "-v", "error", "-y"]
        _run("ffmpeg", *quiet, *inputs, *outputs, *codecs, "-c:s", "srt", str(path))
        return path

    def _matroska(self, path: Path, entry: dict[str, Any]) -> None:
        """Make a film with attachments (name to text), chapters and tags."""
        command = ["mkvmerge", "-q", "-o", str(path)]
        for name, text in entry.get("attachments", {}).items():
            attached = self._store / name
            attached.write_text(text, encoding="utf-8")
            command += ["--attachment-mime-type", "text/plain"]
            command += ["--attach-file", str(attached)]
        for option, text in (("--chapters", CHAPTERS), ("--global-tags", TAGS)):
            if entry.get(option.rpartition("-")[2]):
                extra = self._store / f"{option}.txt"
                extra.write_text(text, encoding="utf-8")
                command += [option, str(extra)]
        _run(*command, str(self._film(entry["streams"], ".mkv")))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def _ass(styles: list[dict[str, Any]], said: list[str]) -> str:
    """Write subtitles whose lines, ``text`` or ``style|text``, use these styles."""
    columns = STYLES.split()
    usual = {"Fontsize": "18", "ScaleX": "100", "ScaleY": "100", "Alignment": "2"}
    rows = []
    for style in styles:
        facts = {
            **dict.fromkeys(columns, "0"),
            **usual,
            "Name": style["name"],
            "Fontname": style["font"],
            "Bold": str(style.get("bold", 0)),
            "Italic": str(style.get("italic", 0)),
        }
        rows.append("Style: " + ",".join(facts[name] for name in columns))
    lines = []
    for line in said:
        style_name, _, text = line.rpartition("|")
        name = style_name or styles[0]["name"]
        lines.append(f"Dialogue: 0,0:00:00.10,0:00:00.90,{name},,0,0,0,,{text}")
    parts = [
        ["[Script Info]", "ScriptType: v4.00+"],
        ["[V4+ Styles]", f"Format: {', '.join(columns)}", *rows],
        ["[Events]", f"Format: {', '.join(EVENTS.split())}", *lines],
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


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
