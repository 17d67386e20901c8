"""The fonts that mkvmerge tasks attach, with the real mkvmerge and mkvextract."""

from __future__ import annotations

import json
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from font_files import (
    collection,
    drawn_font,
    font,
    font_bytes,
    name,
    subtitles,
)
from sisyphus.errors import InvalidSettings, ToolMissing
from sisyphus.modules.mkvmerge import Mkvmerge
from sisyphus.testing import TaskRun, plan_module, run_module

pytestmark = pytest.mark.tool


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home folder in which nothing is remembered."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of fonts."""
    path = tmp_path / "fonts"
    path.mkdir()
    return path


@pytest.fixture(scope="session")
def _film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.mkv"
    source = ["-f", "lavfi", "-i", "testsrc2=s=160x90:r=10:d=1"]
    quiet = ["ffmpeg", "-nostdin", "-v", "error"]
    subprocess.run([*quiet, *source, "-c:v", "mpeg4", path], check=True)
    return path


@pytest.fixture
def film(_film: Path, tmp_path: Path) -> Path:
    """A second of film without sound."""
    return Path(shutil.copy(_film, tmp_path / "film.mkv"))


def merged(path: Path, *words: str | Path) -> Path:
    """Merge with mkvmerge itself."""
    subprocess.run(["mkvmerge", "-q", "-o", path, *words], check=True)
    return path


def task(output: Path, *sources: Path, **changes: Any) -> dict[str, Any]:
    return {
        "sources": [str(source) for source in sources],
        "tracks": [{"source": 0, "track": 0}],
        "output_file": str(output),
        **changes,
    }


def plan(data: dict[str, Any], *folders: Path, **settings: Any) -> list[str]:
    (step,) = plan_module(
        Mkvmerge, data, settings={"font_folders": folders, **settings}
    )
    return list(step.argv)


def attached(argv: list[str]) -> list[str]:
    """What a command attaches, in order."""
    return [word for before, word in pairwise(argv) if before == "--attach-file"]


def refusal(data: dict[str, Any], *folders: Path) -> str:
    with pytest.raises(InvalidSettings) as caught:
        plan(data, *folders)
    return caught.value.message


def in_file(path: Path) -> list[tuple[str, str]]:
    """Name and type of the attachments in a file."""
    facts = json.loads(subprocess.check_output(["mkvmerge", "-J", path]))
    return [(row["file_name"], row["content_type"]) for row in facts["attachments"]]


# What is attached


def test_fonts_of_styles_and_of_tags_are_attached(
    film: Path, folder: Path, tmp_path: Path
) -> None:
    font(folder / "a.ttf", "Alpha")
    font(folder / "ab.ttf", "Alpha", "Bold")
    font(folder / "deep" / "b.otf", "Beta")
    font(folder / "unused.ttf", "Gamma")
    (folder / "c.ttc").write_bytes(collection("Delta", "Epsilon"))
    subs = subtitles(
        tmp_path / "subs.ass",
        {"Default": "alpha", "Sign": "@Epsilon"},
        r"one {\b1}two {\fnBETA\b0}three",
        "Sign|four",
    )
    output = tmp_path / "out.mkv"

    run = run_module(
        Mkvmerge, task(output, film, subs), settings={"font_folders": (folder,)}
    )

    assert in_file(output) == [
        ("a.ttf", "font/sfnt"),
        ("c.ttc", "font/collection"),
        ("ab.ttf", "font/sfnt"),
        ("b.otf", "font/sfnt"),
    ]
    assert not any("would suit" in line for line in run.log)


def test_the_plan_shows_the_fonts_as_files_that_are_read(
    film: Path, folder: Path, tmp_path: Path
) -> None:
    path = font(folder / "a.ttf", "Alpha")
    subs = subtitles(tmp_path / "subs.ass", {"Default": "Alpha"})

    (step,) = plan_module(
        Mkvmerge,
        task(tmp_path / "o.mkv", film, subs),
        settings={"font_folders": (folder,)},
    )

    assert path in step.reads
    place = list(step.argv).index("--attach-file")
    assert step.argv[place - 4 : place + 2] == [
        "--attachment-name",
        "a.ttf",
        "--attachment-mime-type",
        "font/sfnt",
        "--attach-file",
        str(path),
    ]


def test_fonts_come_from_outside_the_roots_and_links_are_resolved(
    film: Path, folder: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = font(tmp_path_factory.mktemp("elsewhere") / "real.ttf", "Alpha")
    (folder / "link.ttf").symlink_to(outside)
    subs = subtitles(tmp_path / "subs.ass", {"Default": "Alpha"})
    films = tmp_path / "films"
    films.mkdir()
    for path in (film, subs):
        path.rename(films / path.name)
    data = task(films / "out.mkv", films / film.name, films / subs.name)

    run = run_module(
        Mkvmerge, data, roots=[films], settings={"font_folders": (folder,)}
    )

    assert in_file(films / "out.mkv") == [("link.ttf", "font/sfnt")]
    assert str(outside) not in " ".join(run.log[0])


def test_each_font_is_attached_once_for_all_sources(
    film: Path, folder: Path, tmp_path: Path
) -> None:
    a, b = font(folder / "a.ttf", "Alpha"), font(folder / "b.ttf", "Beta")
    one = subtitles(tmp_path / "one.ass", {"Default": "Beta"})
    two = subtitles(tmp_path / "two.ssa", {"Default": "Alpha", "Sign": "Beta"}, "x")

    argv = plan(task(tmp_path / "o.mkv", film, one, two), folder)

    assert attached(argv) == [str(b), str(a)]


def test_listed_attachments_come_before_fonts(
    film: Path, folder: Path, tmp_path: Path
) -> None:
    path = font(folder / "a.ttf", "Alpha")
    (tmp_path / "cover.jpg").write_bytes(b"x")
    subs = subtitles(tmp_path / "subs.ass", {"Default": "Alpha"})
    more = {"attachments": [{"filename": str(tmp_path / "cover.jpg")}]}

    argv = plan(task(tmp_path / "o.mkv", film, subs, **more), folder)

    assert attached(argv) == [str(tmp_path / "cover.jpg"), str(path)]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "cp932"])
def test_scripts_in_other_encodings_are_read(
    encoding: str, film: Path, folder: Path, tmp_path: Path
) -> None:
    path = font(folder / "a.ttf", "ソフト体")
    subs = subtitles(tmp_path / "subs.ass", {"Default": "ソフト体"})
    subs.write_bytes(subs.read_text(encoding="utf-8").encode(encoding))

    assert attached(plan(task(tmp_path / "o.mkv", film, subs), folder)) == [str(path)]


def test_the_charset_of_a_track_counts(
    film: Path, folder: Path, tmp_path: Path
) -> None:
    font(folder / "a.ttf", "ソフト体")
    subs = subtitles(tmp_path / "subs.ass", {"Default": "Шрифт"})
    subs.write_bytes(subs.read_text(encoding="utf-8").encode("cp1251"))
    tracks = [{"source": 1, "track": 0, "options": {"sub-charset": "windows-1251"}}]

    said = refusal(task(tmp_path / "o.mkv", film, subs, tracks=tracks), folder)

    assert "Шрифт" in said


def test_a_script_is_known_by_its_content(
    film: Path, folder: Path, tmp_path: Path
) -> None:
    path = font(folder / "a.ttf", "Alpha")
    subs = subtitles(tmp_path / "subs.txt", {"Default": "Alpha"})

    assert attached(plan(task(tmp_path / "o.mkv", film, subs), folder)) == [str(path)]


def test_without_styled_subtitles_nobody_looks_for_fonts(
    film: Path, tmp_path: Path
) -> None:
    lines = tmp_path / "subs.srt"
    lines.write_text("1\n00:00:00,000 --> 00:00:01,000\nHello\n")
    run = TaskRun()

    run_module(
        Mkvmerge,
        task(tmp_path / "o.mkv", film, lines),
        settings={"font_folders": (tmp_path / "no such folder",)},
        run=run,
    )

    assert not any("font" in line for line in run.log)
    assert not (tmp_path / "home").exists()


def test_fonts_can_be_switched_off(film: Path, folder: Path, tmp_path: Path) -> None:
    subs = subtitles(tmp_path / "subs.ass", {"Default": "Nowhere"})

    data = task(tmp_path / "o.mkv", film, subs)

    assert attached(plan(data, folder, font_attachments=False)) == []


def test_a_player_finds_what_is_attached(
    film: Path, folder: Path, tmp_path: Path
) -> None:
    drawn_font(folder / "a.ttf", "Alpha Beta", "Regular")
    drawn_font(folder / "b.ttf", "Alpha Beta", "Bold")
    styles = {"Default": "ALPHA beta", "Sign": "Alpha Beta Bold"}
    subs = subtitles(tmp_path / "subs.ass", styles, r"A{\b1}B", "Sign|C")
    output = tmp_path / "out.mkv"
    settings = {"font_folders": (folder,)}
    run_module(Mkvmerge, task(output, film, subs), settings=settings)

    play = ["ffmpeg", "-nostdin", "-v", "verbose", "-i", "out.mkv"]
    play += ["-vf", "subtitles=out.mkv", "-f", "null", "-"]
    said = subprocess.run(play, cwd=tmp_path, capture_output=True, text=True)

    assert said.returncode == 0, said.stderr
    for chosen in (
        "(ALPHA beta, 400, 0) -> AlphaBeta-Regular",
        "(ALPHA beta, 700, 0) -> AlphaBeta-Bold",
        "(Alpha Beta Bold, 400, 0) -> AlphaBeta-Bold",
    ):
        assert chosen in said.stderr


# Missing fonts


def test_every_missing_font_is_named_with_style_source_and_folders(
    film: Path, folder: Path, tmp_path: Path
) -> None:
    subs = subtitles(
        tmp_path / "subs.ass",
        {"Default": "Nowhere", "Sign": "Nowhere bold"},
        r"one {\fnGone}two",
        "Sign|three",
    )

    data = task(tmp_path / "o.mkv", film, subs)
    said = refusal(data, folder, tmp_path / "none")

    assert said.count("tasks[0].mkvmerge.sources[1]: needs the font") == 3
    assert '"Nowhere" for the style Default' in said
    assert '"Nowhere (bold)" for the style Sign' in said
    assert '"Gone" for lines of the style Default' in said
    assert f"is not in {folder}, {tmp_path / 'none'} (not there)" in said
    assert "subs.ass" in said


def test_a_missing_font_can_be_a_warning(
    film: Path, folder: Path, tmp_path: Path
) -> None:
    font(folder / "a.ttf", "Alpha")
    subs = subtitles(tmp_path / "subs.ass", {"Default": "Nowhere", "B": "Alpha bold"})
    subs = subtitles(subs, {"Default": "Nowhere", "B": "Alpha bold"}, "one", "B|two")
    output = tmp_path / "o.mkv"

    run = run_module(
        Mkvmerge,
        task(output, film, subs),
        settings={"font_folders": (folder,), "missing_font": "warning"},
    )

    assert [f for f, _ in in_file(output)] == ["a.ttf"]
    said = [line for line in run.log if "needs the font" in line]
    assert len(said) == 2
    assert "Nowhere" in said[0]


def test_a_style_that_no_line_uses_may_lack_its_font(
    film: Path, folder: Path, tmp_path: Path
) -> None:
    path = font(folder / "a.ttf", "Alpha")
    beta = font(folder / "b.ttf", "Beta")
    subs = subtitles(
        tmp_path / "subs.ass",
        {"Default": "Alpha", "Unused": "Nowhere", "Bold": "Alpha bold", "Also": "Beta"},
    )

    argv = plan(task(tmp_path / "o.mkv", film, subs), folder)

    assert attached(argv) == [str(path), str(beta)]


def test_a_style_needs_its_very_weight_unless_a_marker_says_otherwise(
    film: Path, folder: Path, tmp_path: Path
) -> None:
    path = font(folder / "a.ttf", "Alpha")
    subs = subtitles(tmp_path / "subs.ass", {"Default": "Alpha bold"})
    data = task(tmp_path / "o.mkv", film, subs)

    said = refusal(data, folder)

    assert f"there is only {path} (Regular)" in said
    assert "a.ttf.all_styles" in said
    (folder / "a.ttf.all_styles").touch()
    assert attached(plan(data, folder)) == [str(path)]


def test_what_only_tags_ask_for_may_be_made_by_the_player(
    film: Path, folder: Path, tmp_path: Path
) -> None:
    path = font(folder / "a.ttf", "Alpha")
    subs = subtitles(tmp_path / "subs.ass", {"Default": "Alpha"}, r"{\i1}one {\b1}two")

    assert attached(plan(task(tmp_path / "o.mkv", film, subs), folder)) == [str(path)]


def test_what_is_missing_is_seen_before_the_job_starts_not_in_files_to_come(
    film: Path, folder: Path, tmp_path: Path
) -> None:
    subs = tmp_path / "later.ass"

    assert attached(plan(task(tmp_path / "o.mkv", film, subs), folder)) == []


def test_two_fonts_that_suit_are_named_and_the_first_folder_wins(
    film: Path, folder: Path, tmp_path: Path
) -> None:
    first = font(folder / "a.ttf", "Alpha")
    other = tmp_path / "other" / "a.ttf"
    font(other, "Alpha").write_bytes(font_bytes("Alpha", "Regular", name(5, "9")))
    shutil.copy(first, folder / "copy.ttf")
    subs = subtitles(tmp_path / "subs.ass", {"Default": "Alpha"})
    run = TaskRun()

    run_module(
        Mkvmerge,
        task(tmp_path / "o.mkv", film, subs),
        settings={"font_folders": (folder, other.parent)},
        run=run,
    )

    (said,) = [line for line in run.log if "would suit as well" in line]
    assert f"{first} is attached" in said
    assert str(other) in said
    assert "copy.ttf" not in said


def test_broken_fonts_stop_nothing_and_are_named_once(
    film: Path, folder: Path, tmp_path: Path
) -> None:
    font(folder / "a.ttf", "Alpha")
    (folder / "broken.ttf").write_bytes(b"no font")
    subs = subtitles(tmp_path / "subs.ass", {"Default": "Alpha"})
    data = task(tmp_path / "o.mkv", film, subs)
    settings = {"font_folders": (folder,)}

    first, second = (run_module(Mkvmerge, data, settings=settings) for _ in range(2))

    assert sum("broken.ttf" in line for line in first.log) == 1
    assert not any("broken.ttf" in line for line in second.log)


# Matroska sources


@pytest.fixture
def styled(film: Path, tmp_path: Path) -> Path:
    """A film with subtitles in the track 1, in Alpha."""
    subs = subtitles(tmp_path / "inner.ass", {"Default": "Alpha"}, r"one {\fnBeta}two")
    return merged(tmp_path / "styled.mkv", film, subs)


def test_subtitles_inside_films_need_their_fonts_too(
    styled: Path, folder: Path, tmp_path: Path
) -> None:
    a, b = font(folder / "a.ttf", "Alpha"), font(folder / "b.ttf", "Beta")
    data = task(tmp_path / "o.mkv", styled)

    assert attached(plan(data, folder)) == [str(a), str(b)]

    b.unlink()
    assert 'the font "Beta" for lines of the style Default in track 1' in refusal(
        data, folder
    )


@pytest.mark.parametrize(
    ("changes", "needed"),
    [
        ({}, True),
        ({"options": {"no-subtitles": None}}, False),
        ({"options": {"subtitle-tracks": "!1"}}, False),
        ({"options": {"subtitle-tracks": "1"}}, True),
        ({"options": {"subtitle-tracks": "de"}}, True),
    ],
)
def test_subtitles_that_are_left_out_need_no_fonts(
    changes: dict[str, Any], needed: bool, styled: Path, folder: Path, tmp_path: Path
) -> None:
    font(folder / "a.ttf", "Alpha")
    font(folder / "b.ttf", "Beta")

    argv = plan(task(tmp_path / "o.mkv", styled, **changes), folder)

    assert bool(attached(argv)) is needed


def test_tracks_that_are_not_listed_need_no_fonts(
    styled: Path, folder: Path, tmp_path: Path
) -> None:
    font(folder / "a.ttf", "Alpha")
    font(folder / "b.ttf", "Beta")

    def made(tracks: list[int], **options: Any) -> bool:
        source = {"filename": str(styled), "options": options}
        listed = [{"source": 0, "track": track} for track in tracks]
        data = task(tmp_path / "o.mkv", sources=[source], tracks=listed)
        return bool(attached(plan(data, folder)))

    assert not made([0])
    assert made([0, 1])
    assert made([0], **{"_copy-subtitles-tracks": True})


def test_fonts_that_a_film_brings_along_are_there(
    film: Path, folder: Path, tmp_path: Path
) -> None:
    subs = subtitles(tmp_path / "inner.ass", {"Default": "Alpha bold"}, r"a{\fnBeta}b")
    fonts: list[str | Path] = [
        *("--attach-file", font(tmp_path / "alpha.ttf", "Alpha")),
        *("--attach-file", font(tmp_path / "beta.ttf", "Beta")),
    ]
    styled = merged(tmp_path / "styled.mkv", film, subs, *fonts)
    output = tmp_path / "o.mkv"

    run_module(Mkvmerge, task(output, styled), settings={"font_folders": (folder,)})

    assert [f for f, _ in in_file(output)] == ["alpha.ttf", "beta.ttf"]

    # The very style that the film lacks is better than what it has.
    bold = font(folder / "bold.ttf", "Alpha", "Bold")
    assert attached(plan(task(output, styled), folder)) == [str(bold)]


@pytest.mark.parametrize(
    "options", [{"no-attachments": True}, {"attachments": "2"}, {"attachments": "!1"}]
)
def test_attachments_that_are_left_out_bring_no_fonts(
    options: dict[str, Any], film: Path, folder: Path, tmp_path: Path
) -> None:
    subs = subtitles(tmp_path / "inner.ass", {"Default": "Alpha"})
    inner = font(tmp_path / "alpha.ttf", "Alpha")
    (tmp_path / "b.txt").write_text("x")
    styled = merged(
        tmp_path / "styled.mkv",
        *(film, subs, "--attach-file", inner, "--attach-file", tmp_path / "b.txt"),
    )
    source = {"filename": str(styled), "options": options}
    tracks = [{"source": 0, "track": track} for track in (0, 1)]
    data = task(tmp_path / "o.mkv", sources=[source], tracks=tracks)

    assert "Alpha" in refusal(data, folder)

    path = font(folder / "a.ttf", "Alpha")
    assert attached(plan(data, folder)) == [str(path)]


def test_fonts_that_the_task_attaches_itself_are_there(
    film: Path, folder: Path, tmp_path: Path
) -> None:
    subs = subtitles(tmp_path / "subs.ass", {"Default": "Alpha"})
    mine = font(tmp_path / "mine" / "alpha.ttf", "Alpha")
    font(folder / "a.ttf", "Alpha")
    output = tmp_path / "o.mkv"

    for more in (
        {"attachments": [{"filename": str(mine)}]},
        {"attachment_directories": [str(mine.parent)]},
        {"options": {"attach-file": str(mine)}},
    ):
        argv = plan(task(output, film, subs, **more), folder)
        assert attached(argv) == [str(mine)]


def test_fonts_inside_a_script_are_there(
    film: Path, folder: Path, tmp_path: Path
) -> None:
    bits = "".join(f"{byte:08b}" for byte in font_bytes("Alpha"))
    signs = "".join(
        chr(33 + int(bits[i : i + 6].ljust(6, "0"), 2)) for i in range(0, len(bits), 6)
    )
    inside = f"[Fonts]\nfontname: alpha_0.ttf\n{signs}\n"
    subs = subtitles(tmp_path / "subs.ass", {"Default": "Alpha"}, inside=inside)
    output = tmp_path / "o.mkv"

    run_module(Mkvmerge, task(output, film, subs), settings={"font_folders": (folder,)})

    assert [f for f, _ in in_file(output)] == ["alpha_0.ttf"]


def test_without_mkvextract_a_plan_is_made_and_the_task_fails(
    styled: Path, folder: Path, tmp_path: Path
) -> None:
    data = task(tmp_path / "o.mkv", styled)
    tools = {"mkvextract": str(tmp_path / "none")}
    settings = {"font_folders": (folder,)}
    run = TaskRun()

    (step,) = plan_module(Mkvmerge, data, tools=tools, settings=settings)

    assert attached(list(step.argv)) == []
    with pytest.raises(ToolMissing):
        run_module(Mkvmerge, data, tools=tools, settings=settings, run=run)
    assert any("fonts are not looked for" in line for line in run.log)


def test_a_film_is_looked_through_once(
    styled: Path, folder: Path, tmp_path: Path
) -> None:
    font(folder / "a.ttf", "Alpha")
    font(folder / "b.ttf", "Beta")

    run = run_module(
        Mkvmerge, task(tmp_path / "o.mkv", styled), settings={"font_folders": (folder,)}
    )

    assert sum("mkvextract" in argv[0] for argv in run.argv) == 1
    assert next(p.percent for p in run.progress if p.percent is not None) < 100
