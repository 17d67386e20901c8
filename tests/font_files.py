"""Font files that hold hardly more than names."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen

Record = tuple[int, int, int, int, bytes]
"""Platform, encoding, language, number of the name, its bytes."""

WINDOWS = (3, 1, 0x409)
GERMAN = (3, 1, 0x407)
JAPANESE = (3, 1, 0x411)


def name(number: int, text: str, where: tuple[int, int, int] = WINDOWS) -> Record:
    return (*where, number, text.encode("utf-16-be"))


def font_bytes(
    family: str = "Alpha",
    style: str = "Regular",
    *more: Record,
    weight: int | None = None,
    flags: int = 0,
    mac_style: int | None = None,
    start: bytes = b"\0\1\0\0",
) -> bytes:
    """Make a font: families 1, 2 and 4, ``more`` names, tables if they are asked for."""
    full = family if style == "Regular" else f"{family} {style}"
    records = [name(1, family), name(2, style), name(4, full), *more]
    tables = [(b"name", name_table(records))]
    if weight is not None:
        os2 = struct.pack(">HhHHH", 4, 500, weight, 5, 0) + bytes(52)
        tables.append((b"OS/2", os2 + struct.pack(">H", flags) + bytes(14)))
    if mac_style is not None:
        tables.append((b"head", bytes(44) + struct.pack(">H", mac_style) + bytes(8)))
    return sfnt(tables, start=start)


def name_table(records: Sequence[Record]) -> bytes:
    rows, texts = b"", b""
    for platform, encoding, language, number, raw in records:
        sizes = (len(raw), len(texts))
        rows += struct.pack(">6H", platform, encoding, language, number, *sizes)
        texts += raw
    return struct.pack(">3H", 0, len(records), 6 + len(rows)) + rows + texts


def sfnt(
    tables: Sequence[tuple[bytes, bytes]],
    at: int = 0,
    start: bytes = b"\0\1\0\0",
) -> bytes:
    """Put tables together; ``at`` is where the font begins in its file."""
    head = start + struct.pack(">4H", len(tables), 16, 0, 0)
    offset, rows, body = at + len(head) + 16 * len(tables), b"", b""
    for tag, data in tables:
        rows += struct.pack(">4s3I", tag, 0, offset + len(body), len(data))
        body += data
    return head + rows + body


def collection(*families: str) -> bytes:
    """Several fonts in one file."""
    start = 12 + 4 * len(families)
    offsets, body = b"", b""
    for family in families:
        offsets += struct.pack(">I", start + len(body))
        records = [name(1, family), name(2, "Regular"), name(4, family)]
        body += sfnt([(b"name", name_table(records))], at=start + len(body))
    return b"ttcf" + struct.pack(">2I", 0x00010000, len(families)) + offsets + body


def font(path: Path, family: str = "Alpha", style: str = "Regular") -> Path:
    """Write a font that has nothing but names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(font_bytes(family, style))
    return path


def drawn_font(path: Path, family: str, style: str) -> Path:
    """Write a font with real letters, A to Z: each is a square."""
    pen = TTGlyphPen(None)
    pen.moveTo((100, 0))
    for point in ((100, 700), (600, 700), (600, 0)):
        pen.lineTo(point)
    pen.closePath()
    letters = [chr(code) for code in range(ord("A"), ord("Z") + 1)]
    names = [".notdef", *letters]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({ord(letter): letter for letter in letters})
    builder.setupGlyf(dict.fromkeys(names, pen.glyph()))
    builder.setupHorizontalMetrics(dict.fromkeys(names, (700, 100)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    post_script = f"{family}-{style}".replace(" ", "")
    full = {"fullName": f"{family} {style}", "psName": post_script}
    builder.setupNameTable({"familyName": family, "styleName": style, **full})
    bold = style == "Bold"
    flags = 0x20 if bold else 0x40
    builder.setupOS2(usWeightClass=700 if bold else 400, fsSelection=flags)
    builder.setupHead(unitsPerEm=1000, macStyle=int(bold))
    builder.setupPost()
    path.parent.mkdir(parents=True, exist_ok=True)
    builder.save(path)
    return path


STYLE_FIELDS = (
    "Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour,"
    " Bold, Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle,"
    " Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding"
)
EVENT_FIELDS = "Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text"


def subtitles(
    path: Path,
    styles: dict[str, str],
    *lines: str,
    inside: str = "",
) -> Path:
    """Write a script: styles are written ``Alpha``, ``Alpha bold italic``.

    Lines are ``text`` in the first style, or ``style|text``.
    """
    rows = []
    for style, look in styles.items():
        bold, italic = -int("bold" in look), -int("italic" in look)
        family = look.removesuffix(" italic").removesuffix(" bold")
        colors = "&H00FFFFFF,&H000000FF,&H00000000,&H00000000"
        rest = "0,0,100,100,0,0,1,2,2,2,10,10,10,1"
        rows.append(f"Style: {style},{family},18,{colors},{bold},{italic},{rest}")
    first = next(iter(styles))
    events = []
    for number, line in enumerate(lines or ("Hello",)):
        style, _, text = line.rpartition("|")
        times = f"0:00:00.{number:02d},0:00:00.90"
        events.append(f"Dialogue: 0,{times},{style or first},,0,0,0,,{text}")
    parts = [
        "[Script Info]\nScriptType: v4.00+\n",
        f"[V4+ Styles]\nFormat: {STYLE_FIELDS}",
        "\n".join(rows) + "\n",
        inside,
        f"[Events]\nFormat: {EVENT_FIELDS}",
        "\n".join(events) + "\n",
    ]
    path.write_text("\n".join(parts), encoding="utf-8")
    return path
