"""Replacing an original: what is refused, what is kept, and for how long."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from replaced import NEW, OLD, Place

from sisyphus.errors import (
    InvalidSettings,
    JobError,
    OutputRefused,
    Stopped,
    TaskFailed,
)
from sisyphus.modules import exchange, quarantine
from sisyphus.modules.attributes import Fingerprint
from sisyphus.modules.cleanup import Cleanup
from sisyphus.modules.quarantine import NAME, Shelf, place_for, shelves
from sisyphus.modules.task import Task
from sisyphus.testing import plan_module, run_module

SHM = Path("/dev/shm")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place.make(tmp_path / "root")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system."""
    if not SHM.is_dir() or SHM.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is only one file system")
    with tempfile.TemporaryDirectory(dir=SHM) as name:
        yield Path(name)


def refused(place: Place, expected: str, **more: Any) -> JobError:
    """Make sure that it is refused, for good, and nothing has happened."""
    with pytest.raises(OutputRefused, match=expected) as caught:
        place.replace(**more)

    assert not caught.value.retryable
    assert place.original.read_bytes() == OLD
    assert not place.quarantine.exists()
    return caught.value


# What it does


def test_the_new_file_gets_name_times_and_permissions_of_the_original(
    place: Place,
) -> None:
    done = place.replace()

    place.check_replaced()
    assert done.log[0] == f"{place.new} is now {place.final}"
    assert str(place.kept()[0]) in done.log[1]


def test_with_equal_endings_the_name_stays(tmp_path: Path) -> None:
    place = Place.make(tmp_path / "root", "Film.MKV", "temp/other.mkv")
    place.final = place.original

    place.replace()

    place.check_replaced()


def test_a_new_file_that_has_its_final_name_already_is_welcome(tmp_path: Path) -> None:
    place = Place.make(tmp_path / "root", "film.avi", "films/film.mkv")

    place.replace()

    assert place.films() == {"film.mkv": NEW}
    assert place.final.stat().st_mtime == 1_000_000_000
    place.undo()
    assert place.films() == {"film.avi": OLD, "film.mkv": NEW}


def test_a_new_file_from_another_file_system_is_copied(
    tmp_path: Path, disk: Path
) -> None:
    place = Place.make(tmp_path / "root", new=str(disk / "film.mkv"))

    place.replace()

    place.check_replaced()


def test_a_new_file_with_a_second_name_is_copied_and_that_one_stays_as_it_is(
    place: Place,
) -> None:
    second = place.new.with_name("second.mkv")
    second.hardlink_to(place.new)
    before = second.stat().st_mtime_ns

    place.replace()

    place.check_replaced()
    assert second.stat().st_mtime_ns == before
    assert second.read_bytes() == NEW


def test_a_file_system_without_links_will_do(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)

    place.replace()
    place.check_replaced()
    place.undo()
    place.check_as_before()


def test_further_names_of_the_original_are_told(place: Place) -> None:
    second = place.root / "second.avi"
    second.hardlink_to(place.original)

    done = place.replace()

    assert done.log[-1] == "it has 1 further names, which are left as they are"
    assert second.read_bytes() == OLD


def test_extended_attributes_of_the_original_are_not_the_new_files(
    place: Place,
) -> None:
    try:
        os.setxattr(place.original, "user.checksum", b"of the original")
    except OSError:
        pytest.skip("this file system has no extended attributes")

    place.replace()

    assert os.listxattr(place.final) == ["user.sisyphus.job"]


def test_the_plan_says_what_happens_to_the_original(place: Place) -> None:
    (step,) = plan_module(Cleanup, place.data(), roots=place.roots)

    assert step.what == (
        f"put {place.new} in the place of {place.original}, which is kept for 30 days"
    )
    assert list(step.reads) == [place.new, place.original]
    assert list(step.writes) == [place.final]
    assert list(step.deletes) == [place.new, place.original]


# What is refused


def test_an_unrelated_file_with_the_new_name_is_not_overwritten(place: Place) -> None:
    place.final.write_text("somebody else's")

    refused(place, "exists already")

    assert place.final.read_text() == "somebody else's"
    assert place.new.exists()


@pytest.mark.parametrize(
    ("size", "expected"), [(2, r"0\.1 %"), (4001, r"100\.0 %"), (0, "is empty")]
)
def test_a_new_file_of_a_strange_size_is_refused(
    size: int, expected: str, place: Place
) -> None:
    place.new.write_bytes(bytes(size))

    refused(place, expected)


def test_a_strange_size_may_be_allowed(place: Place) -> None:
    place.new.write_bytes(bytes(5000))

    place.replace(any_size=True)

    assert place.final.stat().st_size == 5000


def test_an_empty_file_replaces_nothing_even_if_any_size_is_allowed(
    place: Place,
) -> None:
    place.new.write_bytes(b"")

    refused(place, "is empty", any_size=True)


def test_the_same_file_under_two_names_is_refused(place: Place) -> None:
    place.new.unlink()
    place.new.hardlink_to(place.original)

    refused(place, "are the same file")


@pytest.mark.parametrize("which", ["original", "new"])
def test_links_are_refused(which: str, place: Place) -> None:
    path: Path = getattr(place, which)
    real = place.root / "elsewhere"
    path.rename(real)
    path.symlink_to(real)

    refused(place, "is a symbolic link")


@pytest.mark.parametrize("which", ["original", "new"])
def test_a_missing_file_is_told(which: str, place: Place) -> None:
    getattr(place, which).unlink()

    with pytest.raises(TaskFailed, match="does not exist"):
        place.replace()


def test_an_original_that_changed_since_the_job_began_stays(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Cleanup.run

    def upgraded(self: Cleanup, task: Task) -> None:
        (place.root / "better").write_bytes(OLD)
        (place.root / "better").replace(place.original)
        run(self, task)

    monkeypatch.setattr(Cleanup, "run", upgraded)

    refused(place, "changed since the job began")


@pytest.mark.parametrize("name", ["film.avi", "film.mkv"])
@pytest.mark.parametrize("moment", ["stage", "set_aside"])
def test_an_original_that_changes_at_the_last_moment_stays(
    name: str, moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place.make(tmp_path / "root", name)
    step = getattr(exchange.Exchange, moment)

    def then_upgrade(self: Any, *args: Any) -> Any:
        result = step(self, *args)
        (place.root / "better").write_bytes(b"better")
        (place.root / "better").replace(place.original)
        return result

    monkeypatch.setattr(exchange.Exchange, moment, then_upgrade)

    if moment == "set_aside" and name == "film.avi":
        place.replace()  # the other name is free, and what came meanwhile stays
        assert place.films() == {"film.avi": b"better", "film.mkv": NEW}
    else:
        with pytest.raises(OutputRefused, match="changed") as caught:
            place.replace()
        assert not caught.value.retryable
        assert place.films() == {name: b"better"}
    assert place.one_is_whole() or moment == "stage"


def test_a_new_file_that_changes_after_it_was_checked_is_put_back(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    room, changed = Shelf.make_room, []

    def change(self: Shelf, path: Path) -> None:
        place.new.write_bytes(b"another one")
        changed.append(place.new.stat().st_mtime_ns)
        room(self, path)

    monkeypatch.setattr(Shelf, "make_room", change)

    with pytest.raises(OutputRefused, match="changed after it was checked"):
        place.replace()

    place.check_original()
    assert place.new.read_bytes() == b"another one"
    assert place.new.stat().st_mtime_ns == changed[0]
    assert not place.quarantine.exists()


def test_nothing_is_replaced_for_a_job_that_is_lost(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(self: Task) -> None:
        raise Stopped("lost")

    monkeypatch.setattr(Task, "confirm", lost)
    came = Fingerprint.of(place.new.stat())

    with pytest.raises(Stopped):
        place.replace()

    place.check_as_before()
    assert Fingerprint.of(place.new.stat()) == came
    assert not place.quarantine.exists()


# Where


def outside(place: Place, where: Path) -> list[dict[str, str]]:
    (where / "a.mkv").write_bytes(NEW)
    (place.root / "way-out").symlink_to(where)
    inside, out = str(place.original), str(where / "a.mkv")
    return [
        {"original": out, "with": str(place.new)},
        {"original": inside, "with": out},
        {"original": str(place.root / "way-out" / "a.mkv"), "with": str(place.new)},
        {"original": inside, "with": str(place.root / "way-out" / "a.mkv")},
    ]


@pytest.mark.parametrize("number", range(4))
def test_nothing_outside_the_roots_is_replaced(
    number: int, place: Place, tmp_path: Path
) -> None:
    where = tmp_path / "outside"
    where.mkdir()
    wish = outside(place, where)[number]

    with pytest.raises(InvalidSettings, match="outside the allowed roots"):
        run_module(Cleanup, {"replace": [wish]}, roots=[place.root])

    assert (where / "a.mkv").read_bytes() == NEW
    place.check_as_before()


def test_jobs_do_not_touch_the_quarantine(place: Place) -> None:
    place.replace()
    (kept,) = place.kept()

    for data in (
        {"delete": [str(kept)]},
        {"move": [{"source": str(kept), "destination": str(place.root)}]},
        {"copy": [{"source": str(place.final), "destination": str(kept)}]},
    ):
        with pytest.raises(InvalidSettings, match="is in a quarantine"):
            run_module(Cleanup, data, roots=place.roots)


def test_a_quarantine_that_cannot_be_made_is_told_before_the_job_starts(
    place: Place,
) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    place.root.chmod(0o500)

    try:
        with pytest.raises(InvalidSettings, match="could not be kept"):
            place.replace()
    finally:
        place.root.chmod(0o700)


@pytest.mark.parametrize("what", ["link", "file"])
def test_a_quarantine_must_be_a_folder(what: str, place: Place, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    if what == "link":
        place.quarantine.symlink_to(tmp_path / "elsewhere")
    else:
        place.quarantine.touch()

    with pytest.raises(InvalidSettings, match="must be a folder"):
        place.replace()

    place.check_as_before()
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_the_quarantine_is_hidden_and_for_the_worker_alone(place: Place) -> None:
    place.replace()

    assert place.quarantine.name.startswith(".")
    assert place.quarantine.stat().st_mode & 0o077 == 0


def test_a_mount_below_the_root_has_its_own_quarantine(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (disk / "films").mkdir()
    monkeypatch.setattr(quarantine, "_mount_points", lambda: [SHM, disk.parent])

    assert place_for([Path("/")], disk / "films" / "a.mkv") == SHM
    (SHM / NAME / "0test").mkdir(parents=True, exist_ok=True)
    try:
        found = [shelf.folder for shelf in shelves([Path("/dev")])]
        assert SHM / NAME / "0test" in found
    finally:
        (SHM / NAME / "0test").rmdir()
        (SHM / NAME).rmdir()


# For how long


def test_days_may_be_set_for_a_worker_and_for_an_original(place: Place) -> None:
    settings = {"quarantine_days": 3.0}
    run_module(Cleanup, place.data(), roots=place.roots, settings=settings)
    (record,) = place.quarantine.glob("*/*.json")
    facts = json.loads(record.read_text())
    assert 2.9 < (facts["expires"] - facts["began"]) / 86_400 < 3.1

    place.undo()
    place.replace(keep_days=5)
    facts = json.loads(sorted(place.quarantine.glob("*/*.json"))[-1].read_text())
    assert 4.9 < (facts["expires"] - facts["began"]) / 86_400 < 5.1


def test_kept_for_no_day_an_original_goes_when_the_new_file_is_in_its_place(
    place: Place,
) -> None:
    done = place.replace(keep_days=0)

    assert place.films() == {"film.mkv": NEW}
    assert not place.quarantine.exists()
    assert done.log[1] == f"{place.original} is deleted: it is kept for no day"
    again = place.replace(keep_days=0)
    assert again.log[0] == f"{place.original} was replaced by an earlier attempt"


def expire(place: Place) -> None:
    """Let the time of all that is kept have come."""
    for record in place.quarantine.glob("*/*.json"):
        facts = json.loads(record.read_text())
        facts["expires"] = facts["began"] - 1
        record.write_text(json.dumps(facts))


def replace_another(place: Place, **more: Any) -> list[str]:
    other = Place.make(place.root, "other.avi", "temp/other.mkv")
    return run_module(Cleanup, other.data(**more), roots=place.roots).log


def test_what_has_expired_goes_when_a_later_job_replaces_something(
    place: Place,
) -> None:
    place.replace()
    expire(place)

    log = replace_another(place)

    assert log[-1] == f"1 expired in {place.quarantine} and deleted"
    assert [path.name for path in place.kept()] == ["other.avi"]


def test_what_has_not_expired_stays(place: Place) -> None:
    place.replace()

    replace_another(place)

    assert sorted(path.name for path in place.kept()) == ["film.avi", "other.avi"]


@pytest.mark.parametrize("state", ["intent", "staged", "aside", "placed", "undoing"])
def test_what_is_not_finished_never_expires(state: str, place: Place) -> None:
    place.replace()
    expire(place)
    (record,) = place.quarantine.glob("*/*.json")
    facts = json.loads(record.read_text())
    record.write_text(json.dumps({**facts, "state": state, "job_id": "another"}))
    record.parent.rename(place.quarantine / "another")

    replace_another(place)

    assert sorted(path.name for path in place.kept()) == ["film.avi", "other.avi"]


def test_only_what_is_on_record_is_deleted(place: Place) -> None:
    place.replace()
    expire(place)
    (kept,) = place.kept()
    (kept.parent / "not ours").touch()
    (place.quarantine / "not ours").touch()
    (place.quarantine / "no job").mkdir()
    (place.quarantine / "no job" / "1.json").write_text("{}")

    log = replace_another(place)

    assert not kept.exists()
    assert (kept.parent / "not ours").exists()
    assert (place.quarantine / "not ours").exists()
    assert any("no job/1.json: it cannot be understood" in line for line in log)


def test_an_original_that_was_changed_in_the_quarantine_stays(place: Place) -> None:
    place.replace()
    expire(place)
    place.kept()[0].write_bytes(b"mended")

    log = replace_another(place)

    assert b"mended" in [path.read_bytes() for path in place.kept()]
    assert any("was changed in the quarantine" in line for line in log)


def test_no_task_looks_at_more_than_some_of_thousands(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.replace()
    (record,) = place.quarantine.glob("*/*.json")
    facts = {**json.loads(record.read_text()), "expires": 1}
    for number in range(30):
        shelf = place.quarantine / f"job-{number}"
        shelf.mkdir()
        (shelf / "1.json").write_text(json.dumps({**facts, "job_id": shelf.name}))
    monkeypatch.setattr(quarantine, "_LOOKED_AT", 20)

    left = [31]
    while left[-1] > 1:
        replace_another(place)
        (place.root / "films" / "other.mkv").unlink()
        left.append(len(list(place.quarantine.glob("*/1.json"))))
        assert left[-2] - 10 <= left[-1] < left[-2]


def test_a_job_that_is_run_afresh_replaces_once_more(place: Place) -> None:
    place.replace()
    again = Place.make(place.root, "film.mkv")
    again.original.write_bytes(NEW + b"!")

    again.replace()

    assert sorted(path.read_bytes() for path in place.kept()) == sorted(
        [OLD, NEW + b"!"]
    )
    assert [
        Path(record).name for record in sorted(place.quarantine.glob("*/*.json"))
    ] == [
        "1.json",
        "2.json",
    ]
