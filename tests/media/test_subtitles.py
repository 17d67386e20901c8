"""Which fonts a subtitle script needs."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pysubs2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pysubs2 import SSAEvent, SSAFile, SSAStyle

from sisyphus.media.subtitles import (
    FontNeed,
    looks_like_script,
    read_script,
    spellings,
)

STYLE_FIELDS = (
    "Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour,"
    " Bold, Italic, Underline"
)
EVENT_FIELDS = "Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text"


def style(name: str, font: str, bold: object = 0, italic: object = 0) -> str:
    return f"Style: {name},{font},18,&H0,&H0,&H0,&H0,{bold},{italic},0"


def line(text: str, name: str = "Default") -> str:
    return f"Dialogue: 0,0:00:00.00,0:00:01.00,{name},,0,0,0,,{text}"


def script(styles: Sequence[str], lines: Sequence[str]) -> str:
    return "\n".join(
        [
            "[Script Info]",
            "ScriptType: v4.00+",
            "",
            "[V4+ Styles]",
            f"Format: {STYLE_FIELDS}",
            *styles,
            "",
            "[Events]",
            f"Format: {EVENT_FIELDS}",
            *lines,
        ]
    )


def needs(text: str | bytes, charset: str | None = None) -> list[FontNeed]:
    data = text.encode() if isinstance(text, str) else text
    return list(read_script(data, charset).needs)


def fonts(text: str | bytes) -> list[str]:
    return [str(need) for need in needs(text) if need.used]


def tagged(text: str) -> list[str]:
    """The fonts of a line in the style Default (Alpha) beside the style Other."""
    styles = [style("Default", "Alpha"), style("Other", "Beta", -1, -1)]
    return fonts(script(styles, [line(text)]))


# Styles


def test_styles_need_their_fonts_in_their_order() -> None:
    styles = [
        style("Default", "Alpha"),
        style("Shout", "Alpha", -1),
        style("Sign", "Beta", 0, 1),
        style("Again", "Alpha"),
    ]
    found = needs(script(styles, [line("x", name) for name in ("Sign", "Again")]))

    assert [(str(need), need.used) for need in found] == [
        ("Alpha", True),
        ("Alpha (bold)", False),
        ("Beta (italic)", True),
    ]
    assert found[0].styles == ("Default", "Again")


@pytest.mark.parametrize(
    ("value", "bold"),
    [("0", False), ("-1", True), ("1", True), ("7", True), ("", False), ("x", False)],
)
def test_anything_but_zero_is_bold(value: str, bold: bool) -> None:
    (need,) = needs(script([style("Default", "Alpha", value)], [line("x")]))

    assert need.bold is bold


def test_the_sign_of_vertical_text_is_no_part_of_the_name() -> None:
    text = script([style("Default", "@MS Gothic")], [line(r"a{\fn@Beta}b")])

    assert fonts(text) == ["MS Gothic", "Beta"]


def test_an_older_version_has_the_same_fields() -> None:
    text = "\n".join(
        [
            "[Script Info]",
            "ScriptType: v4.00",
            "[V4 Styles]",
            "Style: *Default,Alpha,18,1,2,3,4,-1,1,1,2,2,2,10,10,10,0,1",
            "[Events]",
            "Dialogue: Marked=0,0:00:00.00,0:00:01.00,*Default,,0,0,0,,Hello, you",
        ]
    )

    assert fonts(text) == ["Alpha (bold, italic)"]


def test_the_order_of_fields_is_what_the_script_says() -> None:
    text = "\n".join(
        [
            "[V4+ Styles]",
            "Format: Italic, Bold, Fontname, Name",
            "Style: 1,0,Alpha,Default",
            "[Events]",
            "Format: Style, Start, End, Text",
            "Dialogue: Default,0:00:00.00,0:00:01.00,Hello, you",
        ]
    )

    assert fonts(text) == ["Alpha (italic)"]


def test_of_two_styles_of_one_name_the_later_counts() -> None:
    styles = [style("Default", "Alpha"), style("Default", "Beta")]

    assert fonts(script(styles, [line("x")])) == ["Beta"]


def test_a_style_that_is_not_there_is_the_default_one() -> None:
    known = script([style("Default", "Alpha")], [line("x", "Nowhere")])
    unknown = script([style("Sign", "Alpha")], [line("x", "Nowhere")])

    assert fonts(known) == ["Alpha"]
    assert fonts(unknown) == ["Arial"]


def test_lines_without_anything_to_see_need_no_font() -> None:
    lines = [
        "Comment: 0,0:00:00.00,0:00:01.00,Default,,0,0,0,,not shown",
        line(r"\N \h"),
        line(r"{\fnBeta}"),
        line(r"{\p1}m 0 0 l 10 0 10 10{\p0}"),
    ]

    assert fonts(script([style("Default", "Alpha")], lines)) == []


# Tags


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (r"a{\fnBeta}b", ["Alpha", "Beta"]),
        (r"{\fnBeta}b", ["Beta"]),
        (r"{\fn Beta Sans-2 é 日本 }b", ["Beta Sans-2 é 日本"]),
        (r"{\fnBeta\fs20}b{\fn}c", ["Alpha", "Beta"]),
        (r"{\fnBeta}b{\fn0}c", ["Alpha", "Beta"]),
        (r"{\b1}b{\b0}c", ["Alpha", "Alpha (bold)"]),
        (r"{\b900}b", ["Alpha (weight 900)"]),
        (r"{\b700}b", ["Alpha (bold)"]),
        (r"{\b50}b", ["Alpha"]),
        (r"{\i1}b{\i}c", ["Alpha", "Alpha (italic)"]),
        (r"{\i1\b1}b", ["Alpha (bold, italic)"]),
        (r"{\i1}b{\r}c", ["Alpha", "Alpha (italic)"]),
        (r"{\rOther}b", ["Beta (bold, italic)"]),
        (r"{\rOther\b0}b", ["Beta (italic)"]),
        (r"{\rNowhere}b", ["Alpha"]),
        (r"{\rOther}b{\fn}c{\r}d", ["Alpha", "Beta (bold, italic)"]),
        (r"{\t(0,100,\fnBeta)}b", ["Beta"]),
        (r"{\t(\b1)}b", ["Alpha (bold)"]),
        (r"{\be1\blur2\bord3\iclip(1,2,3,4)\pos(1,2)\pbo3}b", ["Alpha"]),
        (r"{\p1}m 0 0{\p0}b", ["Alpha"]),
        (r"{\p1\fnBeta}m 0 0 l 1 1", []),
        (r"{\p1}m 0 0{\r\p0}b", ["Alpha"]),
        (r"a{b\fnBeta}c", ["Alpha", "Beta"]),
        (r"a{\fnBeta", ["Alpha"]),
        (r"\fnBeta", ["Alpha"]),
        (r"{}a{\}b{\fn", ["Alpha"]),
        (r"{\b99999999999999999999}a", ["Alpha (weight 1000)"]),
    ],
)
def test_tags_in_lines_change_the_font(text: str, wanted: list[str]) -> None:
    assert sorted(tagged(text)) == sorted(wanted)


def test_what_only_tags_ask_for_is_told_apart() -> None:
    styles = [style("Default", "Alpha"), style("Shout", "Alpha", 1)]
    by_tag = needs(script(styles, [line(r"{\b1}a{\i1}b")]))
    by_style = needs(script(styles, [line(r"{\b1}a"), line("b", "Shout")]))

    assert [(str(need), need.used, need.by_tag) for need in by_tag] == [
        ("Alpha", False, False),
        ("Alpha (bold)", True, True),
        ("Alpha (bold, italic)", True, True),
    ]
    assert by_style[1].by_tag is False
    assert by_tag[1].styles == ("Shout", "Default")


# Encodings

SIGNS = script([style("Default", "Größe 日本")], [line("x")])


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
def test_unicode_is_read_in_all_its_forms(encoding: str) -> None:
    assert fonts(SIGNS.encode(encoding)) == ["Größe 日本"]
    assert read_script(SIGNS.encode(encoding)).sure


def test_a_mark_of_the_other_byte_order_is_understood() -> None:
    assert fonts(b"\xfe\xff" + SIGNS.encode("utf-16-be")) == ["Größe 日本"]


@pytest.mark.parametrize("encoding", ["cp932", "gb18030", "cp949", "cp1251"])
def test_an_old_encoding_can_be_any_until_a_font_is_found(encoding: str) -> None:
    name = {"cp932": "ソフト体", "gb18030": "黑体"}.get(encoding)
    name = name or {"cp949": "굴림", "cp1251": "Шрифт"}[encoding]
    text = script([style("Default", name)], [line(r"a{\fnBeta}b")]).encode(encoding)

    found = read_script(text)

    assert not found.sure
    assert name in spellings(found.needs[0].family, found.sure)
    assert found.needs[1].family == "Beta"
    assert read_script(text, encoding).needs[0].family == name


def test_an_encoding_that_nobody_knows_is_not_used() -> None:
    text = script([style("Default", "é")], [line("x")]).encode("latin-1")

    assert needs(text, "no-such-charset")[0].family == "é"


def test_names_that_are_certain_have_one_spelling() -> None:
    assert spellings("Größe", sure=True) == ["Größe"]
    assert spellings("Alpha", sure=False) == ["Alpha"]


# Malformed


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[Events]",
        "[V4+ Styles]\nStyle:\nStyle: \nStyle: ,\nFormat:\nStyle: a",
        "[Events]\nFormat:\nDialogue: x\nDialogue:",
        "Dialogue: 0,0,0,Default",
        "\0\0\0",
        "[Fonts]\nfontname: x\n!\n\nfontname:\n~~~~",
    ],
)
def test_what_makes_no_sense_needs_nothing(text: str) -> None:
    assert read_script(text.encode()).needs == ()


def test_a_bad_line_does_not_hide_the_others() -> None:
    styles = [
        "Style: Broken",
        style("Bad colour", "Beta").replace("&H0", "blue"),
        style("Default", "Alpha"),
    ]
    lines = [
        line("b", "Bad colour").replace("0:00:01.00", "never"),
        "Dialogue: 0,0:00",
        line("a"),
    ]

    assert fonts(script(styles, lines)) == ["Beta", "Alpha"]


@given(st.binary(max_size=300))
def test_no_bytes_are_too_strange(data: bytes) -> None:
    read_script(data)
    read_script(b"[V4+ Styles]\nStyle: " + data + b"\n[Events]\nDialogue: " + data)
    looks_like_script(data)


@given(st.text(alphabet=r"{}\bifnrpt()0123456789 aD,&-+", max_size=80))
def test_no_tags_are_too_strange(text: str) -> None:
    assert all(need.family for need in needs(script([], [line(text)])))


# Fonts inside


def written_inside(data: bytes) -> list[str]:
    """As editors write a font into a script: six bits a sign, from ``!`` on."""
    bits = "".join(f"{byte:08b}" for byte in data)
    signs = "".join(
        chr(33 + int(bits[i : i + 6].ljust(6, "0"), 2)) for i in range(0, len(bits), 6)
    )
    return [signs[i : i + 80] for i in range(0, len(signs), 80)]


@pytest.mark.parametrize("length", [0, 1, 2, 3, 100, 1001])
def test_fonts_inside_a_script_come_out_as_they_were(length: int) -> None:
    content = bytes((i * 37 + 11) % 256 for i in range(length))
    inside = ["[Fonts]", "fontname: alpha_0.ttf", *written_inside(content), ""]
    other = ["fontname: b.ttf", *written_inside(struct.pack(">I", 0x00010000))]
    text = "\n".join([script([], []), "", *inside, *other, "[Events]"])

    found = read_script(text.encode()).embedded

    assert found == {"alpha_0.ttf": content, "b.ttf": b"\0\1\0\0"}


# What is a script


@pytest.mark.parametrize(
    ("start", "wanted"),
    [
        (b"[Script Info]\nTitle: x", True),
        (b"\xef\xbb\xbf\n; made by hand\n[SCRIPT INFO]", True),
        ("[Script Info]\r\n".encode("utf-16"), True),
        (b"[V4 Styles]\n", True),
        (b"1\n00:00:00,000 --> 00:00:01,000\n[Script Info]", False),
        (b"\x1aE\xdf\xa3\x01\x00", False),
        (b"", False),
    ],
)
def test_a_script_is_known_by_its_beginning(start: bytes, wanted: bool) -> None:
    assert looks_like_script(start) is wanted


# A second opinion

NAMES = st.text(alphabet="abcXYZ 12", min_size=1, max_size=8).map(str.strip)


@given(
    st.lists(
        st.tuples(NAMES.filter(bool), NAMES.filter(bool), st.booleans(), st.booleans()),
        min_size=1,
        max_size=4,
        unique_by=lambda entry: entry[0],
    ),
    st.lists(
        st.sampled_from(["a", r"{\b1}", r"{\b0}", r"{\i1}", r"{\fnBeta}", r"{\r}"]),
        max_size=6,
    ),
)
def test_a_library_that_writes_scripts_reads_them_alike(
    styles: list[tuple[str, str, bool, bool]], pieces: list[str]
) -> None:
    file = SSAFile()
    file.styles = {
        name: SSAStyle(fontname=font, bold=bold, italic=italic)
        for name, font, bold, italic in styles
    }
    first = styles[0][0]
    file.append(SSAEvent(0, 1000, "".join(pieces), style=first))

    found = needs(file.to_string("ass"))

    parsed = pysubs2.formats.substation.parse_tags(
        "".join(pieces), file.styles[first], file.styles
    )
    wanted = {
        (part.fontname.casefold(), part.bold, part.italic)
        for text, part in parsed
        if text.strip()
    }
    assert {(n.family.casefold(), n.bold, n.italic) for n in found if n.used} == wanted
