"""The command ``fonts``."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from cli.conftest import Sisyphus
from font_files import font, subtitles


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def here(anywhere: Path) -> Path:
    """A folder with fonts and with subtitles that need two."""
    font(anywhere / "fonts" / "a.ttf", "Alpha")
    font(anywhere / "fonts" / "ab.ttf", "Alpha", "Bold")
    styles = {"Default": "Alpha", "Sign": "Beta", "Unused": "Gamma"}
    subtitles(anywhere / "subs.ass", styles, r"a{\b1}b", "Sign|c")
    return anywhere


HERE = ("--font-folder", "fonts")


def test_each_style_is_shown_with_its_font_and_where_it_is(
    sisyphus: Sisyphus, here: Path
) -> None:
    said = sisyphus("fonts", "check", "subs.ass", *HERE)

    assert said.code == 1
    rows = [line.split(maxsplit=2) for line in said.lines[1:]]
    assert rows[0] == ["subs.ass", "Default", f"Alpha         {here}/fonts/a.ttf"]
    assert [row[1] for row in rows] == ["Default", "Sign", "Unused", "Default"]
    assert rows[1][2].split() == ["Beta", "missing"]
    assert "no text is set in it" in rows[2][2]
    assert rows[3][2].endswith("fonts/ab.ttf")
    assert 'subs.ass needs the font "Beta" for the style Sign' in said.err


def test_nothing_missing_is_code_0(sisyphus: Sisyphus, here: Path) -> None:
    font(here / "more" / "b.otf", "Beta")

    said = sisyphus("fonts", "check", "subs.ass", *HERE, "--font-folder", "more")

    assert said.code == 0
    assert said.err == ""


def test_programs_get_json(sisyphus: Sisyphus, here: Path) -> None:
    said = sisyphus("fonts", "check", "subs.ass", "--json", *HERE)

    assert said.code == 1
    assert said.json[0] == {
        "file": "subs.ass",
        "track": None,
        "styles": ["Default"],
        "family": "Alpha",
        "weight": 400,
        "italic": False,
        "used": True,
        "by_tag": False,
        "missing": False,
        "comes_along": False,
        "font": f"{here}/fonts/a.ttf",
    }
    assert [row["missing"] for row in said.json] == [False, True, False, False]


@pytest.mark.tool
def test_films_are_looked_into_each_by_itself(sisyphus: Sisyphus, here: Path) -> None:
    beta = font(here / "beta.ttf", "Beta")
    merge = ["mkvmerge", "-q", "-o", "film.mkv", "subs.ass", "--attach-file", str(beta)]
    subprocess.run(merge, check=True)

    said = sisyphus("fonts", "check", "film.mkv", "subs.ass", *HERE)

    assert said.code == 1
    found = [line for line in said.lines if "Beta" in line]
    assert "film.mkv track 0" in found[0]
    assert "comes along: Beta Regular" in found[0]
    assert found[1].startswith("subs.ass")
    assert "missing" in found[1]


def test_files_without_styled_subtitles_need_nothing(
    sisyphus: Sisyphus, here: Path
) -> None:
    (here / "a.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nHello\n")

    said = sisyphus("fonts", "check", "a.srt", *HERE)

    assert (said.code, said.out) == (0, "")
    assert "need a font" in said.err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("check", "nothing.ass"), "nothing.ass is not a file"),
        (("check", "subs.ass", "--font-folder", "none"), "none is not a folder"),
        (("list", "--font-folder", "none"), "none is not a folder"),
    ],
)
def test_wrong_names_are_code_2(
    words: tuple[str, ...], expected: str, sisyphus: Sisyphus, here: Path
) -> None:
    said = sisyphus("fonts", *words)

    assert said.code == 2
    assert expected in said.err


@pytest.mark.tool
def test_a_damaged_film_is_one_line(sisyphus: Sisyphus, here: Path) -> None:
    (here / "film.mkv").write_bytes(bytes.fromhex("1a45dfa3") + b"\x84damaged")

    said = sisyphus("fonts", "check", "film.mkv", *HERE)

    assert said.code in (0, 2)
    assert "Traceback" not in said.err


def test_fonts_are_listed_by_family(sisyphus: Sisyphus, here: Path) -> None:
    (here / "fonts" / "broken.ttf").write_text("no font")
    font(here / "fonts" / "z.ttf", "aardvark")

    said = sisyphus("fonts", "list", *HERE)

    assert said.code == 0
    families = [line.split()[0] for line in said.lines]
    assert families == ["FAMILY", "aardvark", "Alpha", "Alpha"]
    assert "broken.ttf" in said.err
    some = sisyphus("fonts", "list", "ALPHA bold", *HERE, "--json").json
    assert [row["path"] for row in some] == [f"{here}/fonts/ab.ttf"]
