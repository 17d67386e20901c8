"""Undo and the quarantine from the command line: without any Redis."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import Sisyphus

OLD, NEW = "original" * 500, "new film" * 300


@pytest.fixture
def films(anywhere: Path) -> Path:
    (anywhere / "films").mkdir()
    (anywhere / "temp").mkdir()
    return anywhere / "films"


@pytest.fixture
def replaced(sisyphus: Sisyphus, films: Path) -> list[Path]:
    """Two originals that the job ``a-job`` has replaced."""
    return replace(sisyphus, films, "a-job", "one.avi", "two.mkv")


def replace(
    sisyphus: Sisyphus, films: Path, job: str, *names: str, **more: Any
) -> list[Path]:
    originals = [films / name for name in names]
    wishes = []
    for original in originals:
        new = films.parent / "temp" / f"{original.stem}.mkv"
        original.write_text(OLD)
        new.write_text(NEW)
        wish = {"original": str(original), "with": str(new), "verify": "off"}
        wishes.append({**wish, **more})
    task = {"cleanup": {"replace": wishes}}
    document = {"job_title": "Smaller", "job_id": job, "tasks": [task]}
    (films.parent / "job.json").write_text(json.dumps(document))
    assert sisyphus("run", "job.json").code == 0
    assert [path.with_suffix(".mkv").read_text() for path in originals] == [
        NEW for _ in originals
    ]
    return originals


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_undo_puts_all_originals_of_a_job_back(
    sisyphus: Sisyphus, replaced: list[Path], films: Path
) -> None:
    said = sisyphus("undo", "a-job")

    assert said.code == 0
    assert said.lines == [
        f"{replaced[1]} is back; the new file is {films.parent / 'temp' / 'two.mkv'}",
        f"{replaced[0]} is back; the new file is {films.parent / 'temp' / 'one.mkv'}",
    ]
    assert contents(films) == {"one.avi": OLD, "two.mkv": OLD}
    assert contents(films.parent / "temp") == {"one.mkv": NEW, "two.mkv": NEW}


def test_undo_may_be_repeated(sisyphus: Sisyphus, replaced: list[Path]) -> None:
    sisyphus("undo", "a-job")

    said = sisyphus("undo", "a-job")

    assert said.code == 0
    assert said.lines == [f"{path} was put back before" for path in reversed(replaced)]


def test_a_dry_run_only_tells(
    sisyphus: Sisyphus, replaced: list[Path], films: Path
) -> None:
    said = sisyphus("undo", "a-job", "--dry-run")

    assert said.lines == [f"{path} would be put back" for path in reversed(replaced)]
    assert contents(films) == {"one.mkv": NEW, "two.mkv": NEW}


def test_json_says_what_became_of_each(
    sisyphus: Sisyphus, replaced: list[Path], films: Path
) -> None:
    said = sisyphus("undo", "a-job", "--json")

    assert said.json[0] == {
        "original": str(replaced[1]),
        "fine": True,
        "said": said.json[0]["said"],
        "new_file": str(films.parent / "temp" / "two.mkv"),
    }


def test_a_file_that_is_another_one_by_now_is_not_taken_away(
    sisyphus: Sisyphus, replaced: list[Path], films: Path
) -> None:
    (films / "two.mkv").write_text("upgraded")

    for words in (("--dry-run",), ()):
        said = sisyphus("undo", "a-job", *words)

        assert said.code == 1
        assert "is not the file that was put there any more; --force" in said.err
    assert contents(films) == {"one.avi": OLD, "two.mkv": "upgraded"}


def test_force_keeps_what_it_takes_away(
    sisyphus: Sisyphus, replaced: list[Path], films: Path
) -> None:
    (films / "two.mkv").write_text("upgraded")
    (films / "one.mkv").write_text("upgraded, too")

    said = sisyphus("undo", "a-job", "--force", "--json")

    assert said.code == 0
    assert Path(said.json[0]["new_file"]).read_text() == "upgraded"
    assert contents(films) == {
        "one.avi": OLD,
        "one.mkv": "upgraded, too",
        "two.mkv": OLD,
    }


def test_a_new_file_that_is_gone_is_not_missed(
    sisyphus: Sisyphus, replaced: list[Path], films: Path
) -> None:
    for name in ("one.mkv", "two.mkv"):
        (films / name).unlink()

    said = sisyphus("undo", "a-job")

    assert said.code == 0
    assert contents(films) == {"one.avi": OLD, "two.mkv": OLD}


def test_an_original_whose_name_is_taken_is_not_put_back_over_it(
    sisyphus: Sisyphus, replaced: list[Path], films: Path
) -> None:
    replaced[0].write_text("somebody else's")

    said = sisyphus("undo", "a-job", "--force")

    assert said.code == 1
    assert "another file has the name" in said.err
    assert contents(films)["one.avi"] == "somebody else's"
    assert contents(films)["two.mkv"] == OLD


@pytest.mark.parametrize("gone", [True, False])
def test_where_the_new_file_cannot_go_back_the_quarantine_keeps_it(
    gone: bool, sisyphus: Sisyphus, replaced: list[Path], films: Path
) -> None:
    temp = films.parent / "temp"
    if gone:
        temp.rmdir()
    else:
        (temp / "one.mkv").write_text("another")
        (temp / "two.mkv").write_text("another")

    said = sisyphus("undo", "a-job", "--json")

    kept = [Path(one["new_file"]) for one in said.json]
    assert [path.read_text() for path in kept] == [NEW, NEW]
    assert all(".sisyphus-quarantine" in path.parts for path in kept)
    listed = sisyphus("quarantine", "list", "--json").json
    assert {row["state"] for row in listed} == {"undone"}
    assert [row["size"] for row in listed] == [len(NEW)] * 2


def test_one_original_replaced_twice_comes_back_by_one_undo(
    sisyphus: Sisyphus, films: Path
) -> None:
    replace(sisyphus, films, "a-job", "one.mkv")
    newer = films.parent / "temp" / "one.mkv"
    newer.write_text(NEW[:-100])
    assert sisyphus("run", "job.json").code == 0
    assert contents(films) == {"one.mkv": NEW[:-100]}

    dry = sisyphus("undo", "a-job", "--dry-run")
    said = sisyphus("undo", "a-job")

    assert (dry.code, len(dry.lines)) == (0, 2)
    assert (said.code, len(said.lines)) == (0, 2)
    assert contents(films) == {"one.mkv": OLD}


def test_an_unknown_job_is_told(sisyphus: Sisyphus, replaced: list[Path]) -> None:
    said = sisyphus("undo", "another-job")

    assert said.code == 3
    assert "no original of a job 'another-job' is kept below" in said.err


def test_undo_finds_what_is_kept_below_other_roots(
    sisyphus: Sisyphus,
    replaced: list[Path],
    films: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert sisyphus("undo", "a-job").code == 3

    said = sisyphus("undo", "a-job", "--root", films.parent)

    assert said.code == 0
    assert contents(films) == {"one.avi": OLD, "two.mkv": OLD}


def test_a_root_that_has_moved_takes_its_quarantine_along(
    sisyphus: Sisyphus,
    replaced: list[Path],
    films: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moved = tmp_path_factory.mktemp("mounted") / "elsewhere"
    monkeypatch.chdir("/")
    films.parent.rename(moved)

    said = sisyphus("undo", "a-job", "--root", moved)

    assert said.code == 0
    assert contents(moved / "films") == {"one.avi": OLD, "two.mkv": OLD}
    moved.rename(films.parent)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("original", "../outside/one.avi"),
        ("final", "/etc/passwd"),
        ("original", ".sisyphus-quarantine/x"),
        ("version", 99),
        ("number", 7),
        ("state", "odd"),
    ],
)
def test_a_record_that_was_tampered_with_is_not_obeyed(
    field: str, value: Any, sisyphus: Sisyphus, films: Path
) -> None:
    replace(sisyphus, films, "a-job", "one.avi")
    (record,) = films.parent.glob(".sisyphus-quarantine/*/1.json")
    facts = json.loads(record.read_text())
    record.write_text(json.dumps({**facts, field: value}))

    said = sisyphus("undo", "a-job", "--force")

    assert said.code == 1
    assert str(record) in said.err
    assert contents(films) == {"one.mkv": NEW}


# The quarantine


def test_list_shows_what_is_kept_and_until_when(
    sisyphus: Sisyphus, replaced: list[Path]
) -> None:
    said = sisyphus("quarantine", "list")

    assert said.lines[0].split() == ["JOB", "STATE", "SIZE", "EXPIRES", "ORIGINAL"]
    assert said.lines[1].split()[:5] == ["a-job", "kept", "4.0", "kB", "in"]
    assert said.lines[1].endswith(str(replaced[0]))
    (first, _) = sisyphus("quarantine", "list", "--json").json
    assert first["original"] == str(replaced[0])
    assert Path(first["file"]).read_text() == OLD


def test_an_empty_quarantine_is_said_to_be_so(
    sisyphus: Sisyphus, anywhere: Path
) -> None:
    assert "Nothing is kept below" in sisyphus("quarantine", "list").err
    assert sisyphus("quarantine", "list", "--json").json == []
    assert "0 entries" in sisyphus("quarantine", "purge").err


def test_purge_deletes_what_has_expired_and_nothing_else(
    sisyphus: Sisyphus, replaced: list[Path], films: Path
) -> None:
    first = films.parent / ".sisyphus-quarantine"
    (record,) = first.glob("*/1.json")
    facts = json.loads(record.read_text())
    record.write_text(json.dumps({**facts, "expires": facts["began"]}))

    dry = sisyphus("quarantine", "purge", "--dry-run")
    assert dry.lines == [f"{replaced[0]}, job a-job"]
    assert "1 entry, 4.0 kB would be deleted" in dry.err
    assert len(sisyphus("quarantine", "list", "--json").json) == 2

    assert sisyphus("quarantine", "purge").lines == dry.lines
    (left,) = sisyphus("quarantine", "list", "--json").json
    assert left["original"] == str(replaced[1])
    assert sisyphus("undo", "a-job").code == 0
    assert contents(films) == {"one.mkv": NEW, "two.mkv": OLD}


def test_purge_of_a_job_does_not_wait(
    sisyphus: Sisyphus, replaced: list[Path], films: Path
) -> None:
    replace(sisyphus, films, "b-job", "three.mkv")

    said = sisyphus("quarantine", "purge", "a-job")

    assert said.code == 0
    (left,) = sisyphus("quarantine", "list", "--json").json
    assert left["job_id"] == "b-job"
    assert sisyphus("quarantine", "purge", "a-job").code == 3
    assert sisyphus("undo", "a-job").code == 3
