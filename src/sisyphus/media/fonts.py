"""Which font a text gets: the names in font files, and the choice among them.

Only names and style are read, so that a file with nothing else will do. Font files come
from strangers, too (as attachments of films): whatever is wrong with one is ``NotAFont``.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import BinaryIO

from fontTools.misc.encodingTools import getEncoding
from fontTools.ttLib.sfnt import SFNTReader

from sisyphus.errors import SisyphusError

SUFFIXES = frozenset({".ttf", ".otf", ".ttc", ".otc"})
ALL_STYLES = ".all_styles"
"""Ending of a marker file: the font beside it may serve any style of its family."""

_STARTS = (b"\0\1\0\0", b"true", b"OTTO")
_COLLECTION = b"ttcf"
_MOST_FACES, _MOST_NAMES, _MOST_BYTES = 256, 4096, 1024
_MOST_TABLE = 4 * 1024 * 1024
_FAMILY, _STYLE, _VERSION = 1, 2, 5
_TYPOGRAPHIC, _TYPOGRAPHIC_STYLE = (16, 21), 17
_FULL = (4, 6, 18)
_NAMES = frozenset(
    {_FAMILY, _STYLE, _VERSION, *_TYPOGRAPHIC, _TYPOGRAPHIC_STYLE, *_FULL}
)
_MICROSOFT, _ENGLISH = 3, 0x409

_WEIGHTS = {
    word: weight
    for weight, words in {
        100: "thin hairline",
        200: "extralight ultralight",
        300: "light",
        350: "semilight demilight",
        500: "medium",
        600: "semibold demibold demi",
        700: "bold",
        800: "extrabold ultrabold",
        900: "black heavy",
        950: "extrablack ultrablack",
    }.items()
    for word in words.split()
}
_WEIGHT = re.compile("|".join(sorted(_WEIGHTS, key=len, reverse=True)))
_SLANTED = re.compile("italic|oblique|slanted|kursiv|inclined")
_PLAIN = re.compile("regular|book|roman|normal|plain")
_SLANT_COST = 110  # what a missing slant weighs against a wrong weight


class NotAFont(SisyphusError):
    """The file is no font that can be read."""


@dataclass(frozen=True, slots=True)
class Face:
    """One font: a file, or one of several in a collection."""

    path: Path
    family: str
    """In English, if it has such a name; for people."""
    style: str
    """Such as ``Bold Italic``; for people."""
    families: frozenset[str]
    """All names of the family, in every language, folded."""
    typographic: frozenset[str]
    """Names of the larger family that it is in: of ``Alpha`` for ``Alpha SemiBold``."""
    full_names: frozenset[str]
    """Full and PostScript names."""
    weight: int = 400
    bold: bool = False
    italic: bool = False
    odd: bool = False
    """Whether its style is more than weight and slant, such as ``Condensed``."""
    revision: float = 0.0
    folder: int = 0
    """Which of the folders it was found in, counted from 0."""

    @property
    def name(self) -> str:
        """Family and style."""
        return f"{self.family} {self.style}".strip()


def read_faces(path: Path) -> tuple[Face, ...]:
    """Read the fonts in a file.

    Raises:
        NotAFont: there are none, or it is broken.
    """
    try:
        with path.open("rb") as file:
            faces = tuple(
                _face(path, _tables(file, number)) for number in range(_count(file))
            )
    except OSError as error:
        raise NotAFont(f"{path} cannot be read: {error.strerror}") from None
    except Exception as error:  # the library fails in any way at what is malformed
        raise NotAFont(f"{path} is no font that can be read: {error}") from None
    if not faces:
        raise NotAFont(f"{path} holds no font")
    return faces


# The one part that knows the library


def _count(file: BinaryIO) -> int:
    """Count the fonts in a file."""
    start = file.read(4)
    if start in _STARTS:
        return 1
    if start != _COLLECTION:
        raise ValueError("it does not begin like one")
    _, count = struct.unpack(">2I", file.read(8))
    if count > _MOST_FACES:
        raise ValueError(f"it claims to hold {count} fonts")
    return int(count)


def _tables(file: BinaryIO, number: int) -> dict[str, bytes]:
    """Read the tables with names and style, as they are."""
    reader = SFNTReader(file, fontNumber=number)
    found: dict[str, bytes] = {}
    for tag in ("name", "OS/2", "head"):
        if tag in reader and reader.tables[tag].length <= _MOST_TABLE:
            found[tag] = reader[tag]
    return found


def _encoding(platform: int, encoding: int, language: int) -> str | None:
    found: str | None = getEncoding(platform, encoding, language)
    return found


# Reading


def fold(name: str) -> str:
    """Write a name so that equal ones are equal: case does not count."""
    return " ".join(name.split()).casefold()


def _face(path: Path, tables: dict[str, bytes]) -> Face:
    names: dict[int, list[str]] = {}
    for number, text in _names(tables["name"]):
        names.setdefault(number, []).append(text)

    def first(number: int) -> str:
        return names.get(number, [""])[0]

    def folded(*numbers: int) -> frozenset[str]:
        return frozenset(fold(t) for n in numbers for t in names.get(n, ()))

    family = first(_FAMILY) or first(_TYPOGRAPHIC[0])
    if not family:
        raise ValueError("it has no name")
    larger = folded(*_TYPOGRAPHIC)
    if _oddity(first(_TYPOGRAPHIC_STYLE)):
        larger = frozenset()  # Alpha Condensed is no font for who wants Alpha
    weight, bold, italic = _look(first(_STYLE), tables)
    return Face(
        path=path,
        family=family,
        style=first(_STYLE),
        families=folded(_FAMILY) or larger,
        typographic=larger,
        full_names=folded(*_FULL),
        weight=weight,
        bold=bold,
        italic=italic,
        odd=_oddity(first(_STYLE)),
        revision=_revision(first(_VERSION)),
    )


def _names(table: bytes) -> Iterator[tuple[int, str]]:
    """List number and text of all names that matter, English ones first."""
    _, count, start = struct.unpack_from(">3H", table)
    found = []
    for row in range(min(count, _MOST_NAMES)):
        record = struct.unpack_from(">6H", table, 6 + 12 * row)
        platform, encoding, language, number, length, offset = record
        if number not in _NAMES or length > _MOST_BYTES:
            continue
        raw = table[start + offset : start + offset + length]
        codec = _encoding(platform, encoding, language)
        if text := _text(raw, codec or ""):
            english = (platform, language) == (_MICROSOFT, _ENGLISH)
            found.append((not english, language != 0, row, number, text))
    for *_, number, text in sorted(found):
        yield number, text


def _text(raw: bytes, codec: str) -> str:
    if not codec.startswith("utf"):
        # Old East Asian fonts fill each letter up to two bytes.
        raw = raw.replace(b"\0", b"")
    try:
        return raw.decode(codec).strip().strip("\0")
    except (UnicodeError, LookupError):
        return ""


def _look(style: str, tables: dict[str, bytes]) -> tuple[int, bool, bool]:
    """Tell the weight, and whether a font is bold and slanted.

    The words say most; where they are in another language, the tables do.
    """
    weight, bold, slanted = _flags(tables)
    words = _joined(style)
    heavy = _WEIGHT.search(words)
    italic = _SLANTED.search(words) is not None
    if not (heavy or italic or _PLAIN.search(words)):
        return weight or (700 if bold else 400), bold, slanted
    named = _WEIGHTS[heavy[0]] if heavy else None
    bold = named is not None and named >= 600
    if weight is None or (bold and weight < 600):
        weight = named or 400
    return weight, bold, italic


def _oddity(style: str) -> bool:
    """Tell whether a style is more than weight and slant."""
    words = _joined(style)
    for known in (_SLANTED, _WEIGHT, _PLAIN):
        words = known.sub("", words)
    return bool(words)


def _joined(style: str) -> str:
    return re.sub(r"[\s_-]+", "", style).casefold()


def _flags(tables: dict[str, bytes]) -> tuple[int | None, bool, bool]:
    """Read weight, bold and slanted from the tables that have them."""
    weight, bold, slanted = None, False, False
    if len(os2 := tables.get("OS/2", b"")) >= 64:
        weight = struct.unpack_from(">H", os2, 4)[0]
        weight = 100 * weight if weight < 10 else weight
        flags = struct.unpack_from(">H", os2, 62)[0]
        bold, slanted = bool(flags & 0x20), bool(flags & 0x201)
    if len(head := tables.get("head", b"")) >= 46:
        flags = struct.unpack_from(">H", head, 44)[0]
        bold, slanted = bold or bool(flags & 1), slanted or bool(flags & 2)
    return (weight if weight and weight <= 1000 else None), bold, slanted


def _revision(version: str) -> float:
    found = re.search(r"\d+(?:\.\d+)?", version[:100])
    return float(found[0]) if found else 0.0


# Choosing


class Fit(IntEnum):
    """How well a font suits."""

    EXACT = 0
    """Family, weight and slant are those that are wanted."""
    ANY_STYLE = 1
    """The family is; and its marker file says that it may serve any style."""
    NEAREST = 2
    """The family is; players would make it bold or slanted themselves."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The font that suits best."""

    face: Face
    fit: Fit
    rivals: tuple[Face, ...] = ()
    """Others that suit as well, in other files."""
    by_larger: bool = False
    """Whether only the name of its larger family is wanted, which not all players know."""


def choose(
    faces: Iterable[Face], names: Sequence[str], weight: int, italic: bool
) -> Choice | None:
    """Choose the font for a text; ``None`` if no font has any of the names.

    The first of the names counts for which there is a font. As in players, a name is
    that of a family, else of a larger family, else a full name. Of fonts that suit
    equally, the one in the earlier folder is taken, then the newer version.
    """
    for name in map(fold, names):
        found = [
            (level, face) for face in faces if (level := _level(face, name)) is not None
        ]
        if found:
            return _best(found, weight, italic)
    return None


def _level(face: Face, name: str) -> int | None:
    groups = (face.families, face.typographic, face.full_names)
    return next((level for level, names in enumerate(groups) if name in names), None)


def _best(found: Sequence[tuple[int, Face]], weight: int, italic: bool) -> Choice:
    def cost(entry: tuple[int, Face]) -> tuple[int, int, bool]:
        level, face = entry
        slant = _SLANT_COST if face.italic != italic else 0
        return level, abs(face.weight - weight) + slant, face.odd

    fit, rest = Fit.EXACT, [e for e in found if _suits(*e, weight, italic)]
    if not rest:
        fit, rest = Fit.ANY_STYLE, [e for e in found if _serves_all(e[1].path)]
    if not rest:
        fit, rest = Fit.NEAREST, list(found)
    least = min(map(cost, rest))
    equal = [face for level, face in rest if cost((level, face)) == least]
    equal.sort(key=lambda face: (face.folder, -face.revision, str(face.path)))
    first = equal[0]
    rivals = {face.path: face for face in equal if face.path != first.path}
    return Choice(first, fit, tuple(rivals.values()), by_larger=least[0] == 1)


def _suits(level: int, face: Face, weight: int, italic: bool) -> bool:
    heavy = weight >= 600
    is_heavy = face.bold or face.weight >= 600
    if level == 2:
        # The name itself says the style; more can only be asked for.
        return (face.italic or not italic) and (is_heavy or not heavy)
    if face.italic != italic:
        return False
    if level == 1:
        return abs(face.weight - weight) < 150
    return is_heavy if heavy else not face.bold


def _serves_all(path: Path) -> bool:
    return path.with_name(path.name + ALL_STYLES).exists()
