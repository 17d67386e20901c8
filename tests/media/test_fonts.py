"""Names in font files, the choice among fonts, and the index of folders."""

from __future__ import annotations

import json
import os
import shutil
import struct
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from font_files import (
    GERMAN,
    JAPANESE,
    WINDOWS,
    collection,
    drawn_font,
    font,
    font_bytes,
    name,
    name_table,
    sfnt,
)
from sisyphus.media.font_index import index_fonts
from sisyphus.media.fonts import Choice, Face, Fit, NotAFont, choose, read_faces

MAC_ROMAN = (1, 0, 0)


def face(folder: Path, *args: object, **facts: object) -> Face:
    path = folder / "font.ttf"
    path.write_bytes(font_bytes(*args, **facts))  # type: ignore[arg-type]
    (only,) = read_faces(path)
    return only


# Reading


def test_a_file_with_nothing_but_names_is_a_font(tmp_path: Path) -> None:
    found = face(tmp_path, "Alpha Sans", "Bold Italic")

    assert found.name == "Alpha Sans Bold Italic"
    assert found.families == {"alpha sans"}
    assert found.full_names == {"alpha sans bold italic"}
    assert (found.weight, found.bold, found.italic) == (700, True, True)


@pytest.mark.parametrize(
    ("style", "weight", "bold", "italic"),
    [
        ("Regular", 400, False, False),
        ("Book", 400, False, False),
        ("Roman", 400, False, False),
        ("Normal", 400, False, False),
        ("", 400, False, False),
        ("Bold", 700, True, False),
        ("Oblique", 400, False, True),
        ("Bold Oblique", 700, True, True),
        ("BoldItalic", 700, True, True),
        ("SemiBold", 600, True, False),
        ("Demi Bold Italic", 600, True, True),
        ("Extra-Light", 200, False, False),
        ("Medium", 500, False, False),
        ("Black", 900, True, False),
        ("Condensed Bold", 700, True, False),
    ],
)
def test_the_words_of_a_style_say_weight_and_slant(
    style: str, weight: int, bold: bool, italic: bool, tmp_path: Path
) -> None:
    found = face(tmp_path, "Alpha", style)

    assert (found.weight, found.bold, found.italic) == (weight, bold, italic)
    assert found.odd is ("Condensed" in style)


def test_tables_say_what_words_in_another_language_do_not(tmp_path: Path) -> None:
    by_os2 = face(tmp_path, "Alpha", "Fett", weight=700, flags=0x21)
    by_head = face(tmp_path, "Alpha", "Gras", mac_style=3)

    assert (by_os2.weight, by_os2.bold, by_os2.italic) == (700, True, True)
    assert (by_head.weight, by_head.bold, by_head.italic) == (700, True, True)


def test_the_table_knows_the_weight_better_than_the_word(tmp_path: Path) -> None:
    assert face(tmp_path, "Alpha Light", "Regular", weight=300).weight == 300
    assert face(tmp_path, "Alpha", "Bold", weight=400).weight == 700
    assert face(tmp_path, "Alpha", "Bold", weight=7).weight == 700


def test_names_of_all_languages_count(tmp_path: Path) -> None:
    more = [
        name(1, "Große Alpha", GERMAN),
        name(1, "アルファ", JAPANESE),
        (*MAC_ROMAN, 1, "Alphá".encode("mac_roman")),
        (3, 2, 0x411, 1, "ソ".encode("cp932")),
        (3, 3, 0x804, 1, b"\0A" + "黑".encode("gb2312")),
        name(16, "Alpha Family"),
        name(6, "Alpha-Regular"),
    ]

    found = face(tmp_path, "Alpha", "Regular", *more)

    wanted = {"alpha", "grosse alpha", "アルファ", "alphá", "ソ", "a黑"}
    assert found.families == wanted
    assert found.typographic == {"alpha family"}
    assert found.full_names == {"alpha", "alpha-regular"}
    assert found.family == "Alpha"


def test_the_style_is_read_in_english(tmp_path: Path) -> None:
    path = tmp_path / "font.ttf"
    records = [
        name(2, "Fett", GERMAN),
        name(1, "Alpha"),
        name(2, "Bold"),
        name(5, "Version 2.50; made by hand"),
    ]
    path.write_bytes(sfnt([(b"name", name_table(records))]))

    (found,) = read_faces(path)

    assert found.style == "Bold"
    assert found.revision == 2.5


def test_open_type_and_collections_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.otf").write_bytes(font_bytes("Alpha", start=b"OTTO"))
    (tmp_path / "b.ttc").write_bytes(collection("Beta", "Gamma"))

    assert [f.family for f in read_faces(tmp_path / "a.otf")] == ["Alpha"]
    assert [f.family for f in read_faces(tmp_path / "b.ttc")] == ["Beta", "Gamma"]


def test_a_font_that_a_library_made_is_read(tmp_path: Path) -> None:
    path = drawn_font(tmp_path / "a.ttf", "Alpha", "Bold")

    (found,) = read_faces(path)

    assert (found.name, found.weight, found.bold) == ("Alpha Bold", 700, True)
    assert found.full_names == {"alpha bold", "alpha-bold"}


MALFORMED = {
    "empty": b"",
    "text": b"no font at all",
    "cut": font_bytes()[:40],
    "no names": sfnt([(b"head", bytes(54))]),
    "no family": sfnt([(b"name", name_table([name(2, "Regular")]))]),
    "many fonts": b"ttcf" + struct.pack(">2I", 0x00010000, 0xFFFFFFFF),
    "no fonts": collection(),
    "names beyond the end": sfnt([(b"name", struct.pack(">3H", 0, 65535, 6))]),
    "other format": b"wOFF" + font_bytes()[4:],
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_what_is_no_font_is_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "font.ttf"
    path.write_bytes(MALFORMED[kind])

    with pytest.raises(NotAFont, match=r"font\.ttf"):
        read_faces(path)


def test_a_file_that_is_not_there_is_no_font(tmp_path: Path) -> None:
    with pytest.raises(NotAFont, match="No such file"):
        read_faces(tmp_path / "font.ttf")


@given(data=st.binary(max_size=200), cut=st.integers(0, 300))
def test_no_damage_is_more_than_a_refusal(
    data: bytes, cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.ttf"
    whole = font_bytes("Alpha", weight=400, mac_style=0)
    path.write_bytes(whole[:cut] + data + whole[cut + len(data) :])

    with suppress(NotAFont):
        read_faces(path)


def test_names_that_overlap_do_not_fill_the_memory(tmp_path: Path) -> None:
    rows = struct.pack(">6H", *WINDOWS, 1, 65535, 0) * 65535
    table = struct.pack(">3H", 0, 65535, 6) + rows
    path = tmp_path / "bomb.ttf"
    path.write_bytes(sfnt([(b"name", table)]))

    with pytest.raises(NotAFont):
        read_faces(path)


# Choosing


def fonts(folder: Path, *described: str) -> list[Face]:
    """Make fonts: ``Alpha``, ``Alpha:Bold``."""
    found: list[Face] = []
    for text in described:
        family, _, style = text.partition(":")
        path = font(folder / f"{text}.ttf", family, style or "Regular")
        found += read_faces(path)
    return found


def chosen(
    faces: list[Face], family: str, weight: int = 400, italic: bool = False
) -> tuple[str, Fit] | None:
    found = choose(faces, [family], weight, italic)
    return (found.face.name, found.fit) if found else None


FAMILY = ("Alpha", "Alpha:Bold", "Alpha:Italic", "Alpha:Bold Italic", "Beta:Book")


@pytest.mark.parametrize(
    ("weight", "italic", "wanted"),
    [
        (400, False, "Alpha Regular"),
        (700, False, "Alpha Bold"),
        (400, True, "Alpha Italic"),
        (700, True, "Alpha Bold Italic"),
        (900, False, "Alpha Bold"),
        (300, False, "Alpha Regular"),
    ],
)
def test_weight_and_slant_choose_in_a_family(
    weight: int, italic: bool, wanted: str, tmp_path: Path
) -> None:
    found = chosen(fonts(tmp_path, *FAMILY), "Alpha", weight, italic)

    assert found == (wanted, Fit.EXACT)


def test_case_and_blanks_do_not_count(tmp_path: Path) -> None:
    faces = fonts(tmp_path, "Alpha Sans")

    assert chosen(faces, "ALPHA  sans") == ("Alpha Sans Regular", Fit.EXACT)
    assert chosen(faces, "AlphaSans") is None
    assert chosen(faces, "Alpha") is None


def test_a_book_is_a_regular_font(tmp_path: Path) -> None:
    assert chosen(fonts(tmp_path, *FAMILY), "Beta") == ("Beta Book", Fit.EXACT)


def test_another_style_of_the_family_is_only_near(tmp_path: Path) -> None:
    faces = fonts(tmp_path, "Alpha", "Alpha:Italic")

    assert chosen(faces, "Alpha", 700) == ("Alpha Regular", Fit.NEAREST)
    assert chosen(faces, "Alpha", 700, True) == ("Alpha Italic", Fit.NEAREST)


def test_a_marker_lets_a_font_serve_every_style(tmp_path: Path) -> None:
    faces = fonts(tmp_path, "Alpha", "Alpha:Bold", "Alpha:Italic")
    (tmp_path / "Alpha.ttf.all_styles").touch()

    assert chosen(faces, "Alpha", 700, True) == ("Alpha Regular", Fit.ANY_STYLE)
    assert chosen(faces, "Alpha", 700) == ("Alpha Bold", Fit.EXACT)


def test_full_and_post_script_names_are_names_too(tmp_path: Path) -> None:
    faces = fonts(tmp_path, *FAMILY)
    (tmp_path / "p.ttf").write_bytes(
        font_bytes("Gamma", "Bold", name(6, "GammaPS-Bold"))
    )
    faces += read_faces(tmp_path / "p.ttf")

    assert chosen(faces, "Alpha Bold") == ("Alpha Bold", Fit.EXACT)
    assert chosen(faces, "Alpha Bold", 700) == ("Alpha Bold", Fit.EXACT)
    assert chosen(faces, "Alpha Bold", 700, True) == ("Alpha Bold", Fit.NEAREST)
    assert chosen(faces, "gammaps-bold") == ("Gamma Bold", Fit.EXACT)


def larger_family(folder: Path) -> list[Face]:
    """Alpha, Alpha SemiBold and Alpha Condensed, which are all of the family Alpha."""
    faces = fonts(folder, "Alpha")
    for own, style, weight in (("SemiBold", "SemiBold", 600), ("Condensed", "", 400)):
        more = [name(16, "Alpha"), name(17, style or own)]
        path = folder / f"{own}.ttf"
        path.write_bytes(font_bytes(f"Alpha {own}", "Regular", *more, weight=weight))
        faces += read_faces(path)
    return faces


def test_a_weight_with_a_family_of_its_own_serves_the_larger_one(
    tmp_path: Path,
) -> None:
    faces = larger_family(tmp_path)

    assert chosen(faces, "Alpha SemiBold") == ("Alpha SemiBold Regular", Fit.EXACT)
    assert chosen(faces, "Alpha SemiBold", 700) == (
        "Alpha SemiBold Regular",
        Fit.EXACT,
    )
    assert chosen(faces, "Alpha", 600) == ("Alpha SemiBold Regular", Fit.EXACT)
    assert chosen(faces, "Alpha") == ("Alpha Regular", Fit.EXACT)
    assert chosen(faces[1:], "Alpha") == ("Alpha SemiBold Regular", Fit.NEAREST)


def test_a_name_of_the_larger_family_only_is_told(tmp_path: Path) -> None:
    faces = larger_family(tmp_path)

    def by_larger(family: str, weight: int) -> bool:
        found = choose(faces, [family], weight, False)
        return found is not None and found.by_larger

    assert by_larger("Alpha", 600)
    assert not by_larger("Alpha", 400)
    assert not by_larger("Alpha SemiBold", 600)


def test_a_condensed_font_is_no_font_of_the_larger_family(tmp_path: Path) -> None:
    faces = larger_family(tmp_path)

    assert chosen(faces[2:], "Alpha") is None
    assert chosen(faces[2:], "Alpha Condensed") is not None


def test_a_black_font_is_the_plain_one_of_its_own_family(tmp_path: Path) -> None:
    found = face(tmp_path, "Alpha Black", "Regular", weight=900)

    assert chosen([found], "Alpha Black") == ("Alpha Black Regular", Fit.EXACT)


def test_the_first_name_that_is_known_counts(tmp_path: Path) -> None:
    faces = fonts(tmp_path, "Alpha", "Beta")

    found = choose(faces, ["Nowhere", "Beta", "Alpha"], 400, False)

    assert found
    assert found.face.family == "Beta"
    assert choose(faces, [], 400, False) is None


def test_of_equal_fonts_the_first_folder_goes_before_the_newer_version(
    tmp_path: Path,
) -> None:
    for folder, version in (("one", "1.0"), ("two", "3.0"), ("two/b", "2.0")):
        (tmp_path / folder).mkdir(exist_ok=True)
        data = font_bytes("Alpha", "Regular", name(5, f"Version {version}"))
        (tmp_path / folder / "a.ttf").write_bytes(data)

    def paths(*folders: str) -> tuple[str, list[str]]:
        index = index_fonts([tmp_path / folder for folder in folders], None)
        found = choose(index.faces, ["Alpha"], 400, False)
        assert isinstance(found, Choice)
        places = [found.face, *found.rivals]
        first, *rest = (str(one.path.relative_to(tmp_path)) for one in places)
        return first, rest

    assert paths("one", "two") == ("one/a.ttf", ["two/a.ttf", "two/b/a.ttf"])
    assert paths("two", "one") == ("two/a.ttf", ["two/b/a.ttf", "one/a.ttf"])


# The index


def families(*folders: Path, memory: Path | None = None) -> list[str]:
    return [found.family for found in index_fonts(folders, memory).faces]


def test_fonts_are_found_below_the_folders_in_order(tmp_path: Path) -> None:
    font(tmp_path / "b" / "deep" / "a.TTF", "Beta")
    font(tmp_path / "a" / "z.otf", "Alpha")
    (tmp_path / "a" / "c.ttc").write_bytes(collection("Gamma", "Delta"))
    (tmp_path / "a" / "readme.txt").write_text("no font")

    found = families(tmp_path / "a", tmp_path / "b", tmp_path / "no such folder")

    assert found == ["Gamma", "Delta", "Alpha", "Beta"]


def test_links_are_followed_and_never_in_a_circle(tmp_path: Path) -> None:
    outside = font(tmp_path / "outside" / "x.ttf", "Alpha")
    folder = tmp_path / "fonts"
    folder.mkdir()
    (folder / "link.ttf").symlink_to(outside)
    (folder / "again.ttf").symlink_to(outside)
    (folder / "circle").symlink_to(folder)
    (folder / "dangling.ttf").symlink_to(tmp_path / "nowhere")
    (tmp_path / "outside" / "up").symlink_to(tmp_path)

    index = index_fonts([folder, folder], None)

    assert [found.path for found in index.faces] == [folder / "again.ttf"]
    assert not index.broken


def test_broken_files_are_listed_and_stop_nothing(tmp_path: Path) -> None:
    font(tmp_path / "good.ttf", "Alpha")
    (tmp_path / "bad.ttf").write_bytes(b"no font")
    os.mkfifo(tmp_path / "pipe.ttf")

    index = index_fonts([tmp_path], None)

    assert [found.family for found in index.faces] == ["Alpha"]
    assert list(index.broken) == [tmp_path / "bad.ttf"]


def test_known_fonts_are_not_read_again(tmp_path: Path) -> None:
    memory = tmp_path / "memory" / "fonts.json"
    path = font(tmp_path / "fonts" / "a.ttf", "Alpha")
    (tmp_path / "fonts" / "bad.ttf").write_bytes(b"no font")
    first = index_fonts([path.parent], memory)
    facts = path.stat()
    path.write_bytes(b"x" * facts.st_size)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))

    second = index_fonts([path.parent], memory)

    assert first.new == {path, path.parent / "bad.ttf"}
    assert second.new == frozenset()
    assert second.faces == first.faces
    assert second.broken == first.broken


def test_what_has_changed_is_read_again(tmp_path: Path) -> None:
    memory = tmp_path / "fonts.json"
    path = font(tmp_path / "fonts" / "a.ttf", "Alpha")
    assert families(path.parent, memory=memory) == ["Alpha"]

    font(path, "Beta Two")
    assert families(path.parent, memory=memory) == ["Beta Two"]

    path.unlink()
    assert families(path.parent, memory=memory) == []


def test_what_other_workers_remember_is_kept(tmp_path: Path) -> None:
    memory = tmp_path / "fonts.json"
    one, two = tmp_path / "one", tmp_path / "two"
    font(one / "a.ttf", "Alpha")
    font(two / "b.ttf", "Beta")
    families(one, memory=memory)
    families(two, memory=memory)

    assert index_fonts([one], memory).new == frozenset()

    shutil.rmtree(one)
    font(two / "c.ttf", "Gamma")
    families(two, memory=memory)
    assert len(json.loads(memory.read_text())["files"]) == 2


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"version": 1, "files": {"/a": 1}}', '{"version": 99}', "\udcff"],
)
def test_a_damaged_memory_is_made_anew(content: str, tmp_path: Path) -> None:
    memory = tmp_path / "fonts.json"
    memory.write_text(content, errors="surrogateescape")
    memory.chmod(0o600)
    font(tmp_path / "fonts" / "a.ttf", "Alpha")

    assert families(tmp_path / "fonts", memory=memory) == ["Alpha"]
    assert index_fonts([tmp_path / "fonts"], memory).new == frozenset()


def test_a_memory_that_others_may_write_is_not_believed(tmp_path: Path) -> None:
    memory = tmp_path / "fonts.json"
    font(tmp_path / "fonts" / "a.ttf", "Alpha")
    families(tmp_path / "fonts", memory=memory)
    memory.chmod(0o666)

    assert index_fonts([tmp_path / "fonts"], memory).new
    assert memory.stat().st_mode & 0o777 == 0o600

    elsewhere = tmp_path / "elsewhere.json"
    memory.rename(elsewhere)
    memory.symlink_to(elsewhere)
    assert index_fonts([tmp_path / "fonts"], memory).new
    assert not memory.is_symlink()


def test_where_nothing_can_be_remembered_fonts_are_found_too(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    font(tmp_path / "fonts" / "a.ttf", "Alpha")

    found = families(tmp_path / "fonts", memory=tmp_path / "file" / "fonts.json")

    assert found == ["Alpha"]


def test_many_may_remember_at_once(tmp_path: Path) -> None:
    memory = tmp_path / "memory" / "fonts.json"
    for number in range(30):
        font(tmp_path / "fonts" / f"{number}.ttf", f"Alpha {number}")

    with ThreadPoolExecutor(8) as pool:
        calls = [
            pool.submit(index_fonts, [tmp_path / "fonts"], memory) for _ in range(16)
        ]

    assert [len(call.result().faces) for call in calls] == [30] * 16
    assert [path.name for path in memory.parent.iterdir()] == ["fonts.json"]
    assert index_fonts([tmp_path / "fonts"], memory).new == frozenset()
