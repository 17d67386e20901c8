"""Which fonts a subtitle script (ASS, SSA) needs, by its styles and by tags in its lines.

Read as players read it: what is malformed is passed over, and the rest still counts.
"""

from __future__ import annotations

import binascii
import codecs
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

PLAIN, BOLD = 400, 700
"""Weights, as font files count them: from 1 to 1000."""

# Up to the last field that matters; both versions have the same so far.
_STYLE = "Name, Fontname, Fontsize, Primary, Secondary, Outline, Back, Bold, Italic"
_EVENT = "Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text"
_SECTION = re.compile(r"\s*\[([^]]*)\]")
_LETTER = re.compile(r"[a-z]")
_SHOUTED = re.compile(r"SCRIPT INFO|V4\+{0,2} STYLES|EVENTS|FONTS|GRAPHICS")
_HEAD = re.compile(r"\s*\[\s*(script info|v4\+{0,2} styles)\s*\]", re.IGNORECASE)
_ENTRY = re.compile(r"\s*(format|style|dialogue)\s*:\s*", re.IGNORECASE)
_LINE_END = re.compile(r"\r\n|\r|\n")
_TAG = re.compile(
    r"\\(?P<name>fn|b(?!e|lur|ord)|i(?!clip)|r|p(?!os|bo))(?P<value>[^\\()]*)"
)
_NUMBER = re.compile(r"\s*([-+]?\d+)")
_BREAK = re.compile(r"\\[Nnh]")
_DEFAULT = "Default"
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark is its beginning
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LEGACY = ("utf-8", "cp932", "gb18030", "big5", "cp949", "cp1251", "cp1250", "cp1252")
# Fonts inside scripts are written with the 64 signs from "!" on.
_SIX_BITS = bytes.maketrans(
    bytes(range(33, 97)),
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
)


@dataclass(frozen=True, slots=True)
class FontNeed:
    """One font that a script asks for."""

    family: str
    """As the script says it, without the ``@`` of vertical text."""
    weight: int = PLAIN
    italic: bool = False
    styles: tuple[str, ...] = (_DEFAULT,)
    """The styles that say so, and those of text whose tags do."""
    by_tag: bool = False
    """Whether only tags in lines ask for it, not the style itself."""
    used: bool = True
    """Whether any text is shown in it."""

    @property
    def bold(self) -> bool:
        """Whether it is nearer to bold than to plain."""
        return self.weight >= 600

    def __str__(self) -> str:
        words = []
        if self.weight not in (PLAIN, BOLD):
            words.append(f"weight {self.weight}")
        elif self.weight == BOLD:
            words.append("bold")
        words += ["italic"] * self.italic
        return f"{self.family} ({', '.join(words)})" if words else self.family


@dataclass(frozen=True, slots=True)
class Script:
    """What a subtitle script says about fonts."""

    needs: tuple[FontNeed, ...] = ()
    """Those of its styles in their order, then those of tags in the order of lines."""
    embedded: Mapping[str, bytes] = field(default_factory=dict)
    """Font files that the script brings along: name to content."""
    sure: bool = True
    """Whether its encoding is known; if not, see ``spellings``."""


def read_script(data: bytes, charset: str | None = None) -> Script:
    """Read a script; ``charset`` is what is said about files without a mark of their own.

    Never fails: of a file that is no script, nothing is needed.
    """
    text, sure = _decoded(data, charset)
    parts = _Parts()
    parts.read(text)
    return Script(tuple(parts.needs()), parts.embedded(), sure)


def looks_like_script(start: bytes) -> bool:
    """Tell by its first bytes whether a file is a script, whatever its name."""
    text, _ = _decoded(start[: len(start) // 4 * 4], None)
    for line in _LINE_END.split(text.lstrip("\ufeff")):
        if line.strip() and not line.lstrip().startswith(";"):
            return _HEAD.match(line) is not None
    return False


def spellings(family: str, sure: bool = True) -> list[str]:
    """List what a family's name can be, the likeliest first.

    A script that is not Unicode was read byte by byte. Which of the old encodings it has
    shows when one of them gives the name of a font that is there.
    """
    found = [family]
    if not sure and not family.isascii():
        for encoding in _LEGACY:
            try:
                found.append(family.encode("latin-1").decode(encoding))
            except UnicodeError:
                continue
    return list(dict.fromkeys(found))


def _decoded(data: bytes, charset: str | None) -> tuple[str, bool]:
    """Decode a file; and tell whether that is certain."""
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return data.decode(encoding, "replace"), True
    start = data[:4096]
    zeros = start[0::2].count(0), start[1::2].count(0)
    if max(zeros) > len(start) // 8:
        wide = "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"
        return data.decode(wide, "replace"), True
    try:
        return data.decode(), True
    except UnicodeDecodeError:
        pass
    try:
        return data.decode(charset or "", "replace"), True
    except (LookupError, ValueError):  # no such encoding, or none of texts
        return data.decode("latin-1"), False


_Look = tuple[str, int, bool]
"""Family, weight, whether slanted."""


class _Parts:
    """A script taken apart."""

    def __init__(self) -> None:
        self.styles: dict[str, FontNeed] = {}
        self._lines: list[tuple[str, str]] = []
        self._fonts: dict[str, list[str]] = {}
        self._style_format = _fields(_STYLE)
        self._event_format = _fields(_EVENT)

    # Reading

    def read(self, text: str) -> None:
        section = font = ""
        for line in _LINE_END.split(text.lstrip("\ufeff")):
            if (heading := _heading(line)) is not None:
                section, font = heading, ""
            elif section == "fonts":
                if line.startswith("fontname:"):
                    font = line.partition(":")[2].strip()
                    self._fonts[font] = []
                elif font:
                    self._fonts[font].append(line.strip())
            elif entry := _ENTRY.match(line):
                self._take(section, entry[1].lower(), line[entry.end() :])

    def _take(self, section: str, kind: str, rest: str) -> None:
        if kind == "format":
            if section == "events":
                self._event_format = _fields(rest)
            elif section.endswith("styles"):
                self._style_format = _fields(rest)
        elif kind == "style":
            self._take_style(rest)
        else:
            self._take_line(rest)

    def _take_style(self, rest: str) -> None:
        values = [value.strip() for value in rest.split(",")]
        facts = dict(zip(self._style_format, values, strict=False))
        name = facts.get("name", _DEFAULT).lstrip("*")
        self.styles[name] = FontNeed(
            family=_family(facts.get("fontname", "")),
            weight=BOLD if _number(facts.get("bold", "")) else PLAIN,
            italic=bool(_number(facts.get("italic", ""))),
            styles=(name,),
        )

    def _take_line(self, rest: str) -> None:
        # The text comes last and may hold commas.
        names = self._event_format
        values = rest.split(",", len(names) - 1)
        facts = dict(zip(names, values, strict=False))
        if "text" in facts:
            self._lines.append((facts.get("style", ""), facts["text"]))

    # What it needs

    def needs(self) -> Iterator[FontNeed]:
        """List all needs, equal ones once."""
        styles: dict[_Look, dict[str, None]] = {}
        for name, style in self.styles.items():
            styles.setdefault(_look(style), {})[name] = None
        by_tag: dict[_Look, bool] = {}
        spelt = {_look(style): style.family for style in self.styles.values()}
        for name, text in self._lines:
            for (family, weight, italic), whose, tagged in self._shown(name, text):
                look = (family.casefold(), weight, italic)
                styles.setdefault(look, {})[whose] = None
                by_tag[look] = by_tag.get(look, True) and tagged
                spelt.setdefault(look, family)
        for look, names in styles.items():
            if look[0]:
                yield FontNeed(
                    spelt[look],
                    *look[1:],
                    styles=tuple(names),
                    by_tag=by_tag.get(look, False),
                    used=look in by_tag,
                )

    def _shown(self, name: str, text: str) -> Iterator[tuple[_Look, str, bool]]:
        """Follow a line's tags: give the look of every piece of text that is shown.

        With it the style, and whether tags have changed the look.
        """
        own = style = self._style(name)
        now = plain = (style.family, style.weight, style.italic)
        drawing = False
        for number, piece in enumerate(_pieces(text)):
            if number % 2 == 0:
                if not drawing and _BREAK.sub("", piece).strip():
                    yield now, style.styles[0], now != plain
                continue
            for tag in _TAG.finditer(piece):
                value = tag["value"].strip()
                match tag["name"]:
                    case "fn":
                        again = value in ("", "0")
                        now = (style.family if again else _family(value), *now[1:])
                    case "b":
                        now = (now[0], _weight(value, style.weight), now[2])
                    case "i":
                        wanted = _number(value) if value else None
                        italic = bool(wanted) if wanted in (0, 1) else style.italic
                        now = (*now[:2], italic)
                    case "r":
                        style = self.styles.get(value.lstrip("*"), own)
                        now = plain = (style.family, style.weight, style.italic)
                    case _:
                        drawing = _number(value) > 0

    def _style(self, name: str) -> FontNeed:
        name = name.strip().lstrip("*")
        if name.casefold() == _DEFAULT.casefold():
            name = _DEFAULT
        found = self.styles.get(name) or self.styles.get(_DEFAULT)
        # Players have this one for lines whose style is not there.
        return found or FontNeed("Arial", styles=(name or _DEFAULT,))

    def embedded(self) -> dict[str, bytes]:
        found = {}
        for name, lines in self._fonts.items():
            signs = "".join(lines).encode("ascii", "replace").translate(_SIX_BITS)
            try:
                found[name] = binascii.a2b_base64(signs + b"=" * (-len(signs) % 4))
            except binascii.Error:
                continue
        return found


def _heading(line: str) -> str | None:
    """Read the name of a section; nothing from a line that begins none."""
    found = _SECTION.match(line)
    name = found[1].strip() if found else ""
    return name.lower() if _LETTER.search(name) or _SHOUTED.fullmatch(name) else None


def _pieces(text: str) -> list[str]:
    """Cut a line at its tags: text, tags, text ... text."""
    found, place = [], 0
    while (start := text.find("{", place)) >= 0:
        if (end := text.find("}", start)) < 0:
            break  # a brace that is never closed is text
        found += [text[place:start], text[start + 1 : end]]
        place = end + 1
    return [*found, text[place:]]


def _fields(text: str) -> Sequence[str]:
    return [name.strip().lower() for name in text.split(",")]


def _look(style: FontNeed) -> _Look:
    return style.family.casefold(), style.weight, style.italic


def _family(text: str) -> str:
    return text.strip().removeprefix("@").strip()


def _number(text: str) -> int:
    """Read the number that a text begins with, as players do."""
    found = _NUMBER.match(text)
    return int(found[1][:9]) if found else 0


def _weight(value: str, of_style: int) -> int:
    r"""Read ``\b``: 0 and 1 switch, from 100 on it is a weight."""
    if not value:
        return of_style
    number = _number(value)
    if number in (0, 1):
        return BOLD if number else PLAIN
    return min(number, 1000) if number >= 100 else of_style
