"""A cleanup that was interrupted at any step: nothing is lost, and it runs again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from faults import dying_at, steps_of

from sisyphus.errors import TaskFailed
from sisyphus.modules.cleanup import Cleanup
from sisyphus.testing import TaskRun, run_module

SHM = Path("/dev/shm")
CONTENT = b"film" * 1000
MARK = "user.sisyphus.job"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "root"
    path.mkdir()
    try:
        os.setxattr(path, MARK, b"x")
    except OSError:
        pytest.skip("this file system has no extended attributes")
    return path


@pytest.fixture
def disk(folder: Path) -> Iterator[Path]:
    """A folder on another file system."""
    if not SHM.is_dir() or SHM.stat().st_dev == folder.stat().st_dev:
        pytest.skip("there is only one file system")
    with tempfile.TemporaryDirectory(dir=SHM) as name:
        yield Path(name)


@pytest.fixture(params=["same file system", "another file system"])
def shelf(request: pytest.FixtureRequest, folder: Path) -> Path:
    """Where films are moved to."""
    if request.param == "another file system":
        other: Path = request.getfixturevalue("disk")
        return other
    (folder / "shelf").mkdir()
    return folder / "shelf"


def begin(folder: Path, shelf: Path) -> Path:
    """Put everything as it was before the task."""
    for path in (*folder.iterdir(), *shelf.iterdir()):
        if path.is_file():
            path.unlink()
    film = folder / "film.mkv"
    film.write_bytes(CONTENT)
    os.utime(film, (1_000_000_000, 1_000_000_000))
    return film


def clean(folder: Path, shelf: Path, data: dict[str, Any]) -> TaskRun:
    return run_module(Cleanup, data, roots=[folder, shelf])


def move(film: Path, shelf: Path) -> dict[str, Any]:
    return {"move": [{"source": str(film), "destination": str(shelf)}]}


def is_whole(path: Path) -> bool:
    return path.is_file() and path.read_bytes() == CONTENT


def test_a_move_that_dies_at_any_step_loses_nothing_and_is_finished_by_the_next_attempt(
    folder: Path, shelf: Path
) -> None:
    film, moved = begin(folder, shelf), shelf / "film.mkv"
    steps = steps_of(lambda: clean(folder, shelf, move(film, shelf)))
    assert steps >= 5

    for step in range(steps):
        begin(folder, shelf)
        with dying_at(step):
            clean(folder, shelf, move(film, shelf))

        assert is_whole(film) or is_whole(moved), step
        assert not moved.exists() or is_whole(moved), step

        clean(folder, shelf, move(film, shelf))
        assert is_whole(moved), step
        assert moved.stat().st_mtime == 1_000_000_000
        assert not film.exists()
        assert [path.name for path in shelf.iterdir()] == ["film.mkv"]


@pytest.mark.parametrize(
    "after",
    [
        lambda folder: {"delete_files": [str(folder / "film.mkv")]},
        lambda folder: {"delete": [str(folder / "film.mkv")]},
        lambda folder: move(folder / "film.mkv", folder / "b.mkv"),
    ],
)
def test_a_task_whose_operations_use_one_file_runs_again_from_any_step(
    after: Any, folder: Path, shelf: Path
) -> None:
    film = begin(folder, shelf)
    data = {
        "copy": [{"source": str(film), "destination": str(shelf / "a.mkv")}],
        **after(folder),
    }
    steps = steps_of(lambda: clean(folder, shelf, data))
    (folder / "b.mkv").unlink(missing_ok=True)

    for step in range(steps):
        begin(folder, shelf)
        with dying_at(step):
            clean(folder, shelf, data)

        clean(folder, shelf, data)

        assert is_whole(shelf / "a.mkv")
        assert not film.exists()


def test_a_file_that_was_checked_and_then_moved_need_not_be_there_again(
    folder: Path, shelf: Path
) -> None:
    film = begin(folder, shelf)
    data = {"verify_exists": [str(film)], **move(film, shelf)}
    clean(folder, shelf, data)

    again = clean(folder, shelf, data)

    assert again.log[-1] == f"move {film}: done by an earlier attempt"


@pytest.mark.parametrize("mark", [None, b"another-job"])
def test_what_this_job_has_not_put_there_is_no_finished_move(
    mark: bytes | None, folder: Path, shelf: Path
) -> None:
    film = begin(folder, shelf)
    film.rename(folder / "film")
    (shelf / "film.mkv").write_bytes(b"somebody else's")
    if mark is not None:
        os.setxattr(shelf / "film.mkv", MARK, mark)

    with pytest.raises(TaskFailed, match="No such file"):
        clean(folder, shelf, move(film, shelf))


def test_a_failed_move_leaves_no_mark(folder: Path, shelf: Path) -> None:
    film = begin(folder, shelf)
    (shelf / "film.mkv").mkdir()
    os.setxattr(film, MARK, b"another-job")

    with pytest.raises(TaskFailed, match="not a regular file"):
        clean(folder, shelf, move(film, shelf))

    assert os.getxattr(film, MARK) == b"another-job"
    (shelf / "film.mkv").rmdir()


def test_what_was_moved_is_not_made_again(folder: Path, shelf: Path) -> None:
    film = begin(folder, shelf)
    data = {"verify_exists": [str(film)], **move(film, shelf)}
    module = Cleanup(Cleanup.Settings.model_validate(data))
    assert module.files().reads == {film}

    clean(folder, shelf, data)

    assert module.files().reads == set()
    assert module.files().deletes == {film}


DYING = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {here!r})
from sisyphus.modules import transfer
from sisyphus.modules.cleanup import Cleanup
from sisyphus.testing import run_module

folder, shelf = Path({folder!r}), Path({shelf!r})
write, pieces = transfer._write_all, 0

def die(writing, chunk):
    global pieces
    pieces += 1
    write(writing, chunk)
    if pieces == 3:
        os.kill(os.getpid(), signal.SIGKILL)

transfer._write_all, transfer._CHUNK = die, 1000
data = {{"move": [{{"source": str(folder / "film.mkv"), "destination": str(shelf)}}]}}
run_module(Cleanup, data, roots=[folder, shelf])
"""


def test_a_worker_killed_while_it_copies_leaves_the_source(
    folder: Path, disk: Path
) -> None:
    film = begin(folder, disk)
    here = str(Path(__file__).parent)
    program = DYING.format(here=here, folder=str(folder), shelf=str(disk))

    ended = subprocess.run([sys.executable, "-c", program], capture_output=True)

    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert is_whole(film)
    assert not (disk / "film.mkv").exists()
    (left,) = disk.iterdir()
    assert left.stat().st_size == 3000

    clean(folder, disk, move(film, disk))
    assert is_whole(disk / "film.mkv")
    assert [path.name for path in disk.iterdir()] == ["film.mkv"]
