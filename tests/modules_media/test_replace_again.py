"""A replacement that dies at any step is finished, or taken back, or undone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

import pytest
from faults import dying_at, steps_of
from replaced import NEW, OLD, Place

from sisyphus.errors import OutputRefused, TaskFailed
from sisyphus.modules.attributes import Fingerprint
from sisyphus.modules.cleanup import Cleanup
from sisyphus.modules.fields import Files
from sisyphus.modules.quarantine import Shelf, expire_all, shelves
from sisyphus.testing import run_module
from sisyphus.worker.resume import fingerprint as recorded
from sisyphus.worker.resume import first_task

SHM = Path("/dev/shm")
Prepare = Callable[[], Place]


@pytest.fixture
def base(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory: every step waits for the disk, and there are thousands."""
    with tempfile.TemporaryDirectory(dir=SHM if SHM.is_dir() else tmp_path) as name:
        yield Path(name)


@pytest.fixture
def disk(base: Path, tmp_path: Path) -> Path:
    """A folder on another file system."""
    if base.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is only one file system")
    return tmp_path


@pytest.fixture(params=["other name", "same name", "in place", "copied", "no links"])
def prepare(request: pytest.FixtureRequest, base: Path) -> Iterator[Prepare]:
    """Each call makes a fresh place, with everything as it was before the task."""
    number = 0

    def make() -> Place:
        nonlocal number
        number += 1
        root = base / str(number)
        match request.param:
            case "same name":
                return Place.make(root, "film.mkv")
            case "in place":
                return Place.make(root, "film.avi", "films/film.mkv")
            case "copied":
                disk: Path = request.getfixturevalue("disk")
                return Place.make(root, "film.mkv", str(disk / "film.mkv"))
            case _:
                return Place.make(root)

    if request.param == "no links":
        with patch("os.link", side_effect=PermissionError(1, "no links here")):
            yield make
    else:
        yield make


def count_steps(prepare: Prepare) -> int:
    place = prepare()
    count = steps_of(place.replace)
    assert place.films() == {place.final.name: NEW}
    return count


def check_between(place: Place, *, links: bool) -> None:
    """What holds at every moment."""
    assert place.one_is_whole()
    assert place.name_is_never_missing() or not links
    for name, content in place.films().items():
        assert content in (OLD, NEW), name


def check_done(place: Place) -> None:
    assert place.films() == {place.final.name: NEW}
    assert [path.read_bytes() for path in place.kept()] == [OLD]
    assert place.final == place.new or not place.new.exists()
    assert len(list(place.quarantine.glob("*/*.json"))) == 1


def test_the_next_attempt_finishes_what_died_at_any_step(
    prepare: Prepare, request: pytest.FixtureRequest
) -> None:
    links = "no links" not in request.node.name
    steps = count_steps(prepare)
    assert steps > 30

    for step in range(steps):
        place = prepare()
        came = Fingerprint.of(place.new.stat())
        with dying_at(step):
            place.replace()

        check_between(place, links=links)
        if place.new.exists() and place.new != place.final:
            # Else the task before would be done again, perhaps from what it has made.
            assert Fingerprint.of(place.new.stat()) == came

        place.replace()

        check_done(place)


def test_undo_takes_back_what_died_at_any_step(
    prepare: Prepare, request: pytest.FixtureRequest
) -> None:
    links = "no links" not in request.node.name
    steps = count_steps(prepare)

    for step in range(steps):
        place = prepare()
        with dying_at(step):
            place.replace()
        check_between(place, links=links)

        done = place.undo()

        assert all(one.fine for one in done), step
        place.check_original()
        assert place.new.is_file() or NEW in [p.read_bytes() for p in place.kept()]
        assert place.undo() == [] or place.undo()[0].said.endswith(
            "was put back before"
        )
        place.check_original()


def test_an_undo_that_died_at_any_step_is_finished_by_the_next(
    prepare: Prepare, request: pytest.FixtureRequest
) -> None:
    links = "no links" not in request.node.name
    place = prepare()
    place.replace()
    steps = steps_of(place.undo)
    assert steps > 10

    for step in range(steps):
        place = prepare()
        place.replace()
        with dying_at(step):
            place.undo()
        check_between(place, links=links)

        done = place.undo()

        assert all(one.fine for one in done), step
        place.check_original()
        assert place.new.is_file() or NEW in [p.read_bytes() for p in place.kept()]


def test_an_expiry_that_died_at_any_step_is_finished_by_the_next(base: Path) -> None:
    def prepare(number: int) -> tuple[Place, Shelf]:
        place = Place.make(base / str(number))
        place.replace()
        (shelf,) = shelves(place.roots)
        return place, shelf

    place, shelf = prepare(1000)
    steps = steps_of(lambda: expire_all(shelf, pytest.fail, at_once=True))

    for step in range(steps):
        place, shelf = prepare(step)
        with dying_at(step):
            expire_all(shelf, pytest.fail, at_once=True)

        expire_all(shelf, pytest.fail, at_once=True)

        assert place.films() == {"film.mkv": NEW}
        assert not place.quarantine.exists() or not place.kept()


def test_a_failure_at_any_step_is_taken_back_at_once(prepare: Prepare) -> None:
    steps = count_steps(prepare)
    placed = 0

    for step in range(steps):
        place = prepare()
        with failing_at(step), pytest.raises((TaskFailed, OSError)):
            place.replace()
            raise TaskFailed("too late to matter")

        if place.kept():
            placed += 1  # the next attempt finishes it
            assert place.films()[place.final.name] == NEW
            continue
        place.check_original()
        assert place.new.read_bytes() == NEW
    assert placed < steps


class failing_at:  # noqa: N801 - reads as dying_at
    """Let one change fail with an error of the disk."""

    def __init__(self, step: int) -> None:
        self._step, self._patches, self._count = step, [], 0  # type: ignore[var-annotated]

    def __enter__(self) -> None:
        for name in ("link", "rename", "replace", "unlink", "mkdir", "fsync", "utime"):
            self._patches.append(patch(f"os.{name}", self._failing(getattr(os, name))))
            self._patches[-1].start()

    def _failing(self, call: Callable[..., object]) -> Callable[..., object]:
        def change(*args: object, **more: object) -> object:
            self._count += 1
            if self._count == self._step + 1:
                raise OSError(5, "Input/output error")
            return call(*args, **more)

        return change

    def __exit__(self, *_: object) -> None:
        for one in self._patches:
            one.stop()


# Real deaths

DYING = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {here!r})
from faults import CHANGES
from replaced import Place

count = 0

def watch(name):
    call = getattr(os, name)
    def change(*args, **more):
        global count
        if count == {step}:
            os.kill(os.getpid(), signal.SIGKILL)
        count += 1
        return call(*args, **more)
    setattr(os, name, change)

place = Place.make(Path({root!r}))
for name in CHANGES:
    watch(name)
place.replace()
"""


@pytest.mark.parametrize("step", [8, 24, 32, 40])
def test_a_worker_that_is_killed_really_keeps_no_lock(
    step: int, tmp_path: Path
) -> None:
    here = str(Path(__file__).parent)
    program = DYING.format(here=here, root=str(tmp_path), step=step)

    ended = subprocess.run([sys.executable, "-c", program], capture_output=True)

    assert ended.returncode == -signal.SIGKILL, ended.stderr
    place = Place(
        tmp_path,
        tmp_path / "films" / "film.avi",
        tmp_path / "temp" / "film.mkv",
        tmp_path / "films" / "film.mkv",
        (tmp_path,),
    )
    check_between(place, links=True)
    place.undo()
    place.check_original()


# Two at once


def test_nobody_undoes_what_is_just_being_replaced(tmp_path: Path) -> None:
    place = Place.make(tmp_path)
    place.replace()
    (shelf,) = shelves(place.roots)

    with shelf.locked(), pytest.raises(TaskFailed, match="its job runs just now"):
        place.undo()
    with shelf.locked():
        assert expire_all(shelf, pytest.fail, at_once=True) == []
    place.check_replaced()


def test_an_attempt_waits_for_one_that_is_just_ending(tmp_path: Path) -> None:
    place = Place.make(tmp_path)
    place.replace()
    (shelf,) = shelves(place.roots)
    release = ExitStack()
    release.enter_context(shelf.locked())

    with patch("time.sleep", side_effect=lambda seconds: release.close()):
        again = place.replace()

    assert again.log == [f"{place.original} was replaced by an earlier attempt"]


def test_a_job_whose_undoing_was_interrupted_does_not_replace(tmp_path: Path) -> None:
    place = Place.make(tmp_path)
    place.replace()
    (record,) = place.quarantine.glob("*/*.json")
    facts = json.loads(record.read_text())
    record.write_text(json.dumps({**facts, "state": "undoing"}))

    with pytest.raises(OutputRefused, match="`sisyphus undo a-job` finishes that"):
        place.replace()


def test_a_job_that_was_undone_can_replace_again(tmp_path: Path) -> None:
    place = Place.make(tmp_path)
    place.replace()
    place.undo()
    place.check_as_before()

    place.replace()

    place.check_replaced()
    place.undo()
    place.check_as_before()


# Where a job goes on


def test_what_was_replaced_is_not_made_again(tmp_path: Path) -> None:
    place = Place.make(tmp_path)
    module = Cleanup(Cleanup.Settings.model_validate(place.data()))
    assert module.files().reads == {place.original, place.new}

    place.replace()

    assert module.files().reads == {place.original}
    assert module.files().deletes == {place.original, place.new}


def test_a_job_never_encodes_again_what_it_has_put_in_the_originals_place(
    prepare: Prepare, request: pytest.FixtureRequest
) -> None:
    if "in place" in request.node.name:
        pytest.skip("the film's times changed, so it is not known for what was encoded")
    afresh = 0

    for step in range(count_steps(prepare)):
        place = prepare()
        encode = Files(frozenset({place.original}), frozenset({place.new}))
        done = [{"outputs": [recorded(place.new)]}]
        with dying_at(step):
            place.replace()

        module = Cleanup(Cleanup.Settings.model_validate(place.data()))
        start = first_task(done, [encode, module.files()])

        if start == 0:
            afresh += 1
            assert place.original.read_bytes() == OLD
        place.replace()
    assert afresh < 25


def test_without_marks_the_name_decides(tmp_path: Path) -> None:
    place = Place.make(tmp_path)
    module = Cleanup(Cleanup.Settings.model_validate(place.data()))
    place.new.unlink()
    assert place.new in module.files().reads
    place.final.write_bytes(NEW)

    with patch("os.getxattr", side_effect=OSError(95, "Operation not supported")):
        assert place.new not in module.files().reads


def test_several_originals_are_replaced_by_one_task(tmp_path: Path) -> None:
    first = Place.make(tmp_path)
    second = Place.make(tmp_path, "other.avi", "temp/other.mkv")
    data = {"replace": [*first.data()["replace"], *second.data()["replace"]]}
    steps = steps_of(lambda: run_module(Cleanup, data, roots=first.roots))
    first.undo()

    with dying_at(steps * 2 // 3):
        run_module(Cleanup, data, roots=first.roots)
    run_module(Cleanup, data, roots=first.roots)

    assert first.films() == {"film.mkv": NEW, "other.mkv": NEW}
    assert len(first.kept()) == 2
