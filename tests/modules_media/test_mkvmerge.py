"""The mkvmerge module with the real mkvmerge."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from sisyphus.errors import InvalidSettings, OutputRefused, ToolFailed
from sisyphus.modules.mkvmerge import Mkvmerge
from sisyphus.modules.mkvmerge_settings import MkvmergeSettings
from sisyphus.testing import fake_tool, plan_module, run_module

pytestmark = pytest.mark.tool


def merge(source: Path | str, output: Path | str, **changes: Any) -> dict[str, Any]:
    return {
        "sources": [{"filename": str(source)}],
        "tracks": [{"source": 0, "track": 0}],
        "output_file": str(output),
        **changes,
    }


def identified(path: Path) -> Any:
    return json.loads(subprocess.check_output(["mkvmerge", "-J", path]))


def refusal(**changes: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        MkvmergeSettings.model_validate(merge("/a.mkv", "/b.mkv", **changes))
    return str(caught.value)


def test_listed_tracks_are_copied_with_progress(clip: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mkv"

    run = run_module(Mkvmerge, merge(clip, output))

    assert [track["type"] for track in identified(output)["tracks"]] == ["video"]
    assert run.progress[-1].percent == 100.0


def test_names_with_all_kinds_of_signs_are_safe(clip: Path, tmp_path: Path) -> None:
    source = tmp_path / '@it\'s ( a ) "film" ö.mp4'
    source.symlink_to(clip)

    run_module(Mkvmerge, merge(source, tmp_path / "-o =ö.mkv"))

    assert (tmp_path / "-o =ö.mkv").exists()


def test_an_existing_output_is_replaced(clip: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mkv"
    output.write_text("older")

    run_module(Mkvmerge, merge(clip, output))

    assert output.stat().st_size > 1000


def test_warnings_are_logged_and_the_task_succeeds(clip: Path, tmp_path: Path) -> None:
    tracks = [{"source": 0, "track": 9, "options": {"language": "eng"}}]
    data = merge(clip, tmp_path / "o.mkv", sources=[str(clip)], tracks=tracks)

    run = run_module(Mkvmerge, data)

    assert any("ID 9 was requested but not found" in line for line in run.log)


def test_an_error_says_what_mkvmerge_said(clip: Path, tmp_path: Path) -> None:
    tracks = [{"source": 0, "track": 0, "options": {"language": "nonsense!"}}]

    with pytest.raises(ToolFailed, match="nonsense!") as caught:
        run_module(Mkvmerge, merge(clip, tmp_path / "o.mkv", tracks=tracks))

    assert "--language" in caught.value.argv
    assert caught.value.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_a_truncated_source_is_refused(clip: Path, tmp_path: Path) -> None:
    source = tmp_path / "film.mkv"
    subprocess.run(["mkvmerge", "-q", "-o", source, clip], check=True)
    os.truncate(source, source.stat().st_size // 2)

    with pytest.raises(OutputRefused, match="cut short"):
        run_module(Mkvmerge, merge(source, tmp_path / "o.mkv"))


def test_a_source_that_is_no_film_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "a.txt"
    source.write_text("no film")

    with pytest.raises(InvalidSettings, match=r"sources\[0\]"):
        run_module(Mkvmerge, merge(source, tmp_path / "o.mkv"))


def test_a_track_that_is_not_there_is_found_before_the_job_starts(
    clip: Path, tmp_path: Path
) -> None:
    tracks = [{"source": 0, "track": 5}]

    with pytest.raises(InvalidSettings, match=r"tracks\[0\].track: .*which has 0, 1"):
        plan_module(Mkvmerge, merge(clip, tmp_path / "o.mkv", tracks=tracks))


def test_the_plan_of_a_source_to_come_says_what_is_not_known(tmp_path: Path) -> None:
    (step,) = plan_module(Mkvmerge, merge(tmp_path / "later.mkv", tmp_path / "o.mkv"))

    assert "once later.mkv is there" in step.what
    assert step.argv[-2:] == ["--track-order", "0:0"]


@pytest.mark.parametrize(
    "options",
    [
        {"split": "10s"},
        {"output": "/tmp/x.mkv"},
        {"redirect-output": "x"},
        {"no-chapters": "/etc/passwd"},
        {"title": None},
        {"sub-charset": "/etc/passwd"},
        {"future-option": "+/etc/passwd"},
        {"chapters": " "},
        {"a b": 1},
        {"-o": "x"},
    ],
)
def test_options_that_reach_beyond_the_task_are_refused(options: Any) -> None:
    assert "options" in refusal(options=options)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"tracks": [{"source": 1, "track": 0}]}, "there are only 1"),
        ({"tracks": []}, "at least 1"),
        ({"sources": []}, "at least 1"),
        ({"output_file": "/a.mkv"}, "one of the sources"),
        ({"sources": [{"filename": "/a.mkv", "x": 1}]}, "extra"),
        ({"overwrite": True}, "extra"),
    ],
)
def test_wrong_settings_say_what_is_wrong(changes: Any, expected: str) -> None:
    assert expected in refusal(**changes).lower()


def test_files_that_options_name_must_lie_below_the_roots(
    clip: Path, tmp_path: Path
) -> None:
    roots = [tmp_path, clip.parent]
    for options in (
        {"chapters": "/etc/passwd"},
        {"tags": "0:/etc/passwd"},
        {"chapters": "../passwd"},
    ):
        data = merge(clip, tmp_path / "o.mkv", options=options)
        with pytest.raises(InvalidSettings, match="outside the allowed roots"):
            run_module(Mkvmerge, data, roots=roots)


def test_a_relative_file_of_an_option_starts_where_the_worker_does(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = merge(clip, tmp_path / "o.mkv", options={"chapters": "chapters.txt"})

    (step,) = plan_module(Mkvmerge, data)

    chapters = step.argv[step.argv.index("--chapters") + 1]
    assert chapters == str(tmp_path / "chapters.txt")


def test_attached_links_may_not_lead_out_of_the_roots(
    clip: Path, tmp_path: Path
) -> None:
    extra = tmp_path / "extra"
    extra.mkdir()
    (extra / "a").symlink_to("/etc/passwd")
    data = merge(clip, tmp_path / "o.mkv", attachment_directories=[str(extra)])

    with pytest.raises(InvalidSettings, match="outside the allowed roots"):
        run_module(Mkvmerge, data, roots=[tmp_path, clip.parent])


# What is checked

Words = list[str | Path]


@pytest.fixture(scope="session")
def _parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film with sound and chapters, its sound alone, and half of that."""
    folder = tmp_path_factory.mktemp("parts")
    (folder / "chapters.txt").write_text(
        "CHAPTER01=00:00:00.000\nCHAPTER01NAME=One\n"
        "CHAPTER02=00:00:01.000\nCHAPTER02NAME=Two\n"
    )
    (folder / "note.txt").write_text("a note")
    make = ["ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi"]
    picture: Words = ["-i", "testsrc2=s=160x90:r=10:d=2", "-c:v", "libx264"]
    quick: Words = ["-preset", "ultrafast", "-g", "5"]
    subprocess.run([*make, *picture, *quick, folder / "v.mp4"], check=True)
    for name, seconds in (("a.ac3", 2), ("half.ac3", 1)):
        sound: Words = ["-i", f"sine=400:d={seconds}", "-c:a", "ac3", folder / name]
        subprocess.run([*make, *sound], check=True)
    for name in ("a", "half"):
        merged(folder / f"{name}.mka", folder / f"{name}.ac3")
    extras: Words = ["--chapters", folder / "chapters.txt"]
    extras += ["--attach-file", folder / "note.txt"]
    merged(folder / "film.mkv", folder / "v.mp4", folder / "a.ac3", *extras)
    return folder


@pytest.fixture
def parts(_parts: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(_parts, tmp_path / "parts"))


def merged(path: Path, *words: str | Path) -> Path:
    subprocess.run(["mkvmerge", "-q", "-o", path, *words], check=True)
    return path


def faulty(folder: Path, change: str) -> dict[str, Path]:
    """An mkvmerge that changes the list of its ``words`` before it merges."""
    body = f"""
import json, subprocess
words = sys.argv[1:]
if words[0].startswith("@"):
    words = json.loads(pathlib.Path(words[0][1:]).read_text())
    {change}
sys.exit(subprocess.run(["{shutil.which("mkvmerge")}", *words]).returncode)
"""
    return {"mkvmerge": fake_tool(folder, "mkvmerge", body)}


def all_of(parts: Path, **changes: Any) -> dict[str, Any]:
    """The film and a second sound, all that is in them."""
    return {
        "sources": [str(parts / "film.mkv"), str(parts / "a.mka")],
        "tracks": [{"source": 0, "track": 0}],
        "output_file": str(parts / "out.mkv"),
        "attachments": [{"filename": str(parts / "chapters.txt")}],
        **changes,
    }


FAULTS = {
    "a track": (
        "words.insert(words.index('('), '--no-audio')",
        "1 audio tracks, not 2",
    ),
    "the chapters": ("words.insert(words.index('('), '--no-chapters')", "the chapters"),
    "an attachment of a source": (
        "words.insert(words.index('('), '--no-attachments')",
        "lacks the attachments note.txt",
    ),
    "an attachment": (
        "at = words.index('--attach-file'); del words[at:at + 2]",
        "lacks the attachments chapters.txt",
    ),
    "half of the sound": (
        "words = [w.replace('a.mka', 'half.mka') for w in words]",
        "audio stream 2 of the output",
    ),
    "half of it all": (
        "words += ['--split', 'parts:00:00:00-00:00:01']",
        "of the output",
    ),
}


@pytest.mark.parametrize("lost", FAULTS)
def test_what_has_not_come_along_is_missed(lost: str, parts: Path) -> None:
    change, expected = FAULTS[lost]
    tools = faulty(parts, change)

    with pytest.raises(OutputRefused, match=expected):
        run_module(Mkvmerge, all_of(parts), tools=tools)

    assert not (parts / "out.mkv").exists()
    run_module(Mkvmerge, all_of(parts, verify="off"), tools=tools)
    assert (parts / "out.mkv").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"options": {"no-chapters": None, "no-attachments": None}},
        {"options": {"disable-track-statistics-tags": None}},
        {"options": {"no-audio": True}},
        {"tracks": [{"source": 1, "track": 0}, {"source": 0, "track": 1}]},
        {"tracks": [{"source": 0, "track": 1, "options": {"sync": -900}}]},
        {"sources": ["film.mkv", "film.mkv"]},
        {"sources": ["v.mp4", "a.ac3", "half.mka"], "attachments": []},
        {"sources": ["v.mp4"], "options": {"chapters": "chapters.txt"}},
        {"output_file": "out.webm", "sources": ["v.webm"], "attachments": []},
        {
            "sources": [{"filename": "film.mkv"}, {"filename": "half.mka"}],
            "tracks": [{"source": 1, "track": 0}, {"source": 0, "track": 0}],
        },
    ],
)
def test_what_the_task_says_is_taken_for_what_it_is(
    changes: dict[str, Any], parts: Path
) -> None:
    if "v.webm" in changes.get("sources", ()):
        make: Words = ["ffmpeg", "-nostdin", "-v", "error", "-i", parts / "v.mp4"]
        subprocess.run([*make, "-c:v", "vp8", parts / "v.webm"], check=True)
    text = json.dumps(changes)
    for name in ("film.mkv", "v.mp4", "a.ac3", "half.mka", "chapters.txt", "v.webm"):
        text = text.replace(f'"{name}"', json.dumps(str(parts / name)))
    changes = json.loads(text.replace('"out.webm"', json.dumps(str(parts / "o.webm"))))
    data = all_of(parts, **changes)

    run = run_module(Mkvmerge, data)

    assert Path(data["output_file"]).exists()
    assert [line for line in run.log if "the output has" in line] == []


def test_what_mkvmerge_has_warned_of_may_be_missing(parts: Path) -> None:
    change = FAULTS["the chapters"][0]
    tracks = [{"source": 0, "track": 9, "options": {"language": "eng"}}]

    run = run_module(
        Mkvmerge, all_of(parts, tracks=tracks), tools=faulty(parts, change)
    )

    assert any("lacks the chapters of film.mkv" in line for line in run.log)
    assert any("with 1 warnings" in line for line in run.log)


def test_damage_inside_frames_is_found_by_decoding(parts: Path) -> None:
    source = parts / "film.mkv"
    probe = ["ffprobe", "-v", "error", "-select_streams", "v", "-of", "csv=p=0"]
    shown = [*probe, "-show_entries", "packet=pos,size", str(source)]
    rows = subprocess.check_output(shown, text=True).split()
    size, place = max(tuple(map(int, row.split(",")[:2])) for row in rows)
    film = bytearray(source.read_bytes())
    film[place + size // 2 : place + size // 2 + 200] = bytes(200)
    source.write_bytes(film)

    run_module(Mkvmerge, all_of(parts))

    with pytest.raises(OutputRefused, match="decode"):
        run_module(Mkvmerge, all_of(parts, verify="decode"))


def test_a_whole_film_decodes(parts: Path) -> None:
    run = run_module(Mkvmerge, all_of(parts, verify="decode"))

    assert any("decodes without an error" in line for line in run.log)


def test_merging_changes_no_picture_that_could_be_compared() -> None:
    assert "merging changes no picture" in refusal(verify="quality")


def test_every_setting_is_described() -> None:
    schema = MkvmergeSettings.model_json_schema()

    fields = [
        schema["properties"],
        *(d["properties"] for d in schema["$defs"].values()),
    ]
    assert all("description" in facts for group in fields for facts in group.values())
