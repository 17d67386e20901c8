"""The cleanup module: nothing is lost that should stay."""

from __future__ import annotations

import errno
import filecmp
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from sisyphus.errors import (
    InvalidSettings,
    JobError,
    OutputRefused,
    Stopped,
    TaskFailed,
)
from sisyphus.modules import folders
from sisyphus.modules import transfer as transfer_module
from sisyphus.modules.base import Patience
from sisyphus.modules.cleanup import Cleanup
from sisyphus.modules.control import Control, StopReason
from sisyphus.testing import TaskRun, plan_module, run_module

SHM = Path("/dev/shm")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "root"
    path.mkdir()
    return path


@pytest.fixture
def film(folder: Path) -> Path:
    path = folder / "film.mkv"
    path.write_bytes(b"film" * 1000)
    path.chmod(0o640)
    os.utime(path, (1_000_000_000, 1_000_000_000))
    return path


@pytest.fixture
def disk(folder: Path) -> Iterator[Path]:
    """A folder on another file system."""
    if not SHM.is_dir() or SHM.stat().st_dev == folder.stat().st_dev:
        pytest.skip("there is only one file system")
    with tempfile.TemporaryDirectory(dir=SHM) as name:
        yield Path(name)


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """The film is copied in four."""
    monkeypatch.setattr(transfer_module, "_CHUNK", 1000)


def clean(folder: Path, data: dict[str, Any], *more_roots: Path) -> TaskRun:
    return run_module(Cleanup, data, roots=[folder, *more_roots])


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def transfer(source: Path, destination: Path) -> list[dict[str, str]]:
    return [{"source": str(source), "destination": str(destination)}]


def check_is_the_film(path: Path) -> None:
    facts = path.stat()
    assert path.read_bytes() == b"film" * 1000
    assert stat.S_IMODE(facts.st_mode) == 0o640
    assert facts.st_mtime == 1_000_000_000


def test_it_never_works_on_without_knowing_that_the_job_is_ours() -> None:
    assert Cleanup.patience is Patience.STRICT


def test_a_copy_keeps_times_and_permissions(folder: Path, film: Path) -> None:
    clean(folder, {"copy": transfer(film, folder / "b.mkv")})

    check_is_the_film(folder / "b.mkv")
    check_is_the_film(film)


def test_a_move_keeps_times_and_permissions(folder: Path, film: Path) -> None:
    clean(folder, {"move": transfer(film, folder / "b.mkv")})

    check_is_the_film(folder / "b.mkv")
    assert not film.exists()


def test_a_move_to_another_file_system_copies_and_compares(
    folder: Path, film: Path, disk: Path
) -> None:
    clean(folder, {"move": transfer(film, disk)}, disk)

    check_is_the_film(disk / "film.mkv")
    assert not film.exists()
    assert names_in(disk) == ["film.mkv"]


@pytest.mark.parametrize("verb", ["copy", "move"])
def test_a_source_stays_when_its_copy_is_not_the_same(
    verb: str, folder: Path, film: Path, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(writing: BinaryIO, chunk: memoryview) -> None:
        writing.write(bytes(len(chunk)))

    monkeypatch.setattr(transfer_module, "_write_all", lose)

    with pytest.raises(OutputRefused, match="differs"):
        clean(folder, {verb: transfer(film, disk)}, disk)

    check_is_the_film(film)
    assert names_in(disk) == []


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("verb", ["copy", "move"])
def test_a_file_that_changes_while_it_is_copied_is_refused(
    verb: str, folder: Path, film: Path, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = transfer_module._write_all

    def change(writing: BinaryIO, chunk: memoryview) -> None:
        write(writing, chunk)
        with film.open("r+b") as file:
            file.write(b"FILM")

    monkeypatch.setattr(transfer_module, "_write_all", change)

    with pytest.raises(OutputRefused, match="changed while it was copied"):
        clean(folder, {verb: transfer(film, disk)}, disk)

    assert film.stat().st_size == 4000
    assert names_in(disk) == []


def test_a_source_that_is_another_file_by_now_is_not_deleted(
    folder: Path, film: Path, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def upgraded(source: Path, target: Path) -> list[str]:
        (folder / "better").write_bytes(b"film" * 1000)
        (folder / "better").replace(film)
        return []

    monkeypatch.setattr(transfer_module, "copy_attributes", upgraded)

    with pytest.raises(OutputRefused, match="it stays"):
        clean(folder, {"move": transfer(film, disk)}, disk)

    assert film.read_bytes() == b"film" * 1000


@pytest.mark.usefixtures("small_pieces")
def test_a_copy_says_how_far_it_is(folder: Path, film: Path) -> None:
    data = {"copy": transfer(film, folder / "b"), "delete": [str(folder / "x")]}

    done = clean(folder, data)

    told = [progress.percent for progress in done.progress]
    assert told == [0, 6.25, 12.5, 18.75, 25, 31.25, 37.5, 43.75, 50, 100]


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("verb", ["copy", "move"])
def test_a_copy_can_be_stopped_and_leaves_nothing(
    verb: str, folder: Path, film: Path, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    control = Control()

    def stop(writing: BinaryIO, chunk: memoryview) -> None:
        control.stop(StopReason.CANCEL)

    monkeypatch.setattr(transfer_module, "_write_all", stop)

    with pytest.raises(Stopped):
        data = {verb: transfer(film, disk)}
        run_module(Cleanup, data, roots=[folder, disk], control=control)

    check_is_the_film(film)
    assert names_in(disk) == []


def test_a_file_for_which_there_is_no_room_is_not_begun(
    folder: Path, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = shutil.disk_usage(folder).free
    with film.open("r+b") as file:
        file.truncate(free)

    with pytest.raises(TaskFailed, match=r"disk full: .* are needed"):
        clean(folder, {"copy": transfer(film, folder / "b")})

    assert names_in(folder) == ["film.mkv"]


# What a file has besides its bytes


def test_extended_attributes_are_copied(folder: Path, film: Path) -> None:
    set_attribute(film, b"4 stars")

    clean(folder, {"copy": transfer(film, folder / "b.mkv")})

    assert os.getxattr(folder / "b.mkv", "user.rating") == b"4 stars"


def set_attribute(path: Path, value: bytes) -> None:
    try:
        os.setxattr(path, "user.rating", value)
    except OSError:
        pytest.skip("this file system has no extended attributes")


def test_the_owner_is_kept_where_that_is_permitted(folder: Path, film: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may give files away")
    os.chown(film, 1234, 1235)

    clean(folder, {"copy": transfer(film, folder / "b.mkv")})

    facts = (folder / "b.mkv").stat()
    assert (facts.st_uid, facts.st_gid) == (1234, 1235)


def test_an_owner_that_cannot_be_kept_is_no_error_but_lends_no_rights(
    folder: Path, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    os.chown(film, os.geteuid(), 1235 if os.geteuid() == 0 else os.getegid())
    film.chmod(0o4755)
    monkeypatch.setattr(os, "chown", refuse)

    clean(folder, {"copy": transfer(film, folder / "b.mkv")})

    copied = (folder / "b.mkv").stat()
    whole = copied.st_gid == film.stat().st_gid
    assert stat.S_IMODE(copied.st_mode) == (0o4755 if whole else 0o755)


def test_holes_stay_holes(folder: Path) -> None:
    sparse = folder / "sparse.bin"
    with sparse.open("wb") as file:
        file.truncate(64 * 1024 * 1024)
        file.seek(30 * 1024 * 1024)
        file.write(b"something")
    if sparse.stat().st_blocks * 512 > 1024 * 1024:
        pytest.skip("this file system has no holes")

    clean(folder, {"copy": transfer(sparse, folder / "b.bin")})

    assert (folder / "b.bin").stat().st_size == 64 * 1024 * 1024
    assert (folder / "b.bin").stat().st_blocks * 512 <= 8 * 1024 * 1024
    assert filecmp.cmp(sparse, folder / "b.bin", shallow=False)


@pytest.mark.parametrize("verb", ["copy", "move"])
def test_of_a_link_what_it_leads_to_is_taken(
    verb: str, folder: Path, film: Path
) -> None:
    (folder / "link.mkv").symlink_to(film)

    clean(folder, {verb: transfer(folder / "link.mkv", folder / "b.mkv")})

    check_is_the_film(folder / "b.mkv")
    check_is_the_film(film)
    assert not (folder / "b.mkv").is_symlink()
    assert (folder / "link.mkv").is_symlink() == (verb == "copy")


def test_a_file_with_two_names_keeps_the_other(folder: Path, film: Path) -> None:
    (folder / "second.mkv").hardlink_to(film)

    clean(folder, {"move": transfer(film, folder / "b.mkv")})

    assert (folder / "b.mkv").samefile(folder / "second.mkv")


def test_a_file_is_replaced_but_a_folder_never(folder: Path, film: Path) -> None:
    (folder / "b.mkv").write_text("older")
    (folder / "box" / "film.mkv").mkdir(parents=True)

    clean(folder, {"copy": transfer(film, folder / "b.mkv")})
    check_is_the_film(folder / "b.mkv")
    with pytest.raises(TaskFailed, match="not a regular file"):
        clean(folder, {"copy": transfer(film, folder / "box")})


@pytest.mark.parametrize("verb", ["copy", "move"])
def test_two_names_of_one_file_are_not_one_too_many(
    verb: str, folder: Path, film: Path
) -> None:
    (folder / "second.mkv").hardlink_to(film)

    with pytest.raises(TaskFailed, match="same file"):
        clean(folder, {verb: transfer(film, folder / "second.mkv")})


@pytest.mark.parametrize("verb", ["copy", "move"])
def test_a_file_is_never_moved_onto_itself(verb: str, folder: Path, film: Path) -> None:
    (folder / "link").symlink_to(folder)

    with pytest.raises(TaskFailed, match="same file"):
        clean(folder, {verb: transfer(film, folder / "link" / "film.mkv")})

    check_is_the_film(film)


@pytest.mark.parametrize("verb", ["copy", "move"])
def test_an_empty_file_is_copied_too(verb: str, folder: Path, disk: Path) -> None:
    (folder / "empty").touch()
    os.utime(folder / "empty", (1_000_000_000, 1_000_000_000))

    clean(folder, {verb: transfer(folder / "empty", disk / "b")}, disk)

    assert (disk / "b").read_bytes() == b""
    assert (disk / "b").stat().st_mtime == 1_000_000_000
    assert names_in(disk) == ["b"]


def test_a_link_is_deleted_and_its_target_stays(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a").touch()
    (folder / "link").symlink_to(outside)

    clean(folder, {"delete": [str(folder / "link")]})

    assert not (folder / "link").is_symlink()
    assert (outside / "a").exists()


def outside_jobs(folder: Path, outside: Path) -> list[dict[str, Any]]:
    inside = folder / "film.mkv"
    return [
        {"delete": [str(outside / "a")]},
        {"delete_files": [str(folder / ".." / "outside" / "a")]},
        {"delete": [str(folder / "way-out" / "a")]},
        {"delete": [str(folder)]},
        {"verify_exists": [str(outside / "a")]},
        {"copy": transfer(outside / "a", folder / "b")},
        {"copy": transfer(inside, outside / "b")},
        {"move": transfer(inside, folder / "way-out" / "b")},
        {"move": transfer(folder / "way-out" / "a", folder / "b")},
        {"copy": transfer(folder / "leads-out", folder / "b")},
    ]


def test_a_root_below_another_root_is_not_deleted(folder: Path) -> None:
    (folder / "inner").mkdir()

    with pytest.raises(InvalidSettings, match="is a root of this worker itself"):
        clean(folder, {"delete": [str(folder / "inner")]}, folder / "inner")

    assert (folder / "inner").is_dir()


def test_a_link_that_changes_at_the_last_moment_leads_nowhere_else(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "box").mkdir()
    (folder / "box" / "a").touch()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "a").touch()
    resolve = folders.root_of

    def swap(roots: Any, real: Path) -> Path | None:
        found = resolve(roots, real)
        (folder / "box").rename(folder / "was")
        (folder / "box").symlink_to(tmp_path / "outside")
        return found

    monkeypatch.setattr(folders, "root_of", swap)

    with pytest.raises(TaskFailed, match="Not a directory"):
        clean(folder, {"delete": [str(folder / "box" / "a")]})

    assert (tmp_path / "outside" / "a").exists()


@pytest.mark.parametrize("number", range(10))
def test_nothing_outside_the_roots_is_touched(
    number: int, folder: Path, film: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a").write_text("not ours")
    (folder / "way-out").symlink_to(outside)
    (folder / "leads-out").symlink_to(outside / "a")
    before = sorted(tmp_path.rglob("*"))

    with pytest.raises(InvalidSettings, match="outside the allowed roots"):
        clean(folder, outside_jobs(folder, outside)[number])

    assert sorted(tmp_path.rglob("*")) == before


def test_the_first_failure_ends_the_task(folder: Path, film: Path) -> None:
    missing = folder / "missing"
    data = {"move": transfer(missing, folder / "b"), "delete": [str(film)]}

    with pytest.raises(TaskFailed, match="No such file"):
        clean(folder, data)

    assert film.exists()


def test_a_copied_file_may_be_moved_in_the_same_task(folder: Path, film: Path) -> None:
    data = {
        "copy": transfer(film, folder / "b"),
        "move": transfer(folder / "b", folder / "c"),
        "delete_files": [str(film)],
    }

    clean(folder, data)

    check_is_the_film(folder / "c")
    assert [path.name for path in folder.iterdir()] == ["c"]


def test_the_plan_is_in_the_order_of_the_keys(folder: Path, film: Path) -> None:
    data = {"delete": [str(folder / "x")], "move": transfer(film, folder)}

    steps = plan_module(Cleanup, data, roots=[folder])

    assert list(steps[0].deletes) == [folder / "x"]
    assert list(steps[1].writes) == [film]
    assert film.exists()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"delet": ["/a"]}, "did you mean 'delete'"),
        ({"delete": "/a"}, "delete"),
        ({"delete": [1]}, r"delete\[0\]: must be a path"),
        ({"copy": [{"source": "/a"}]}, r"copy\[0\].destination: is missing"),
        ({"move": [{"source": "/a", "destination": "/b", "x": 1}]}, "not a known key"),
        ({"copy": [{"source": "/a", "dest": "/b"}]}, "did you mean 'destination'"),
        ({"replace": [{"originl": "/a", "with": "/b"}]}, "did you mean 'original'"),
        ({"replace": [{"original": "/a", "with": "/a"}]}, "must be two files"),
        ({"replace": [{"original": "/a"}]}, r"replace\[0\].with: is missing"),
    ],
)
def test_wrong_settings_say_what_is_wrong(data: Any, expected: str) -> None:
    with pytest.raises(JobError, match=expected) as caught:
        plan_module(Cleanup, data)

    assert caught.value.code == "validation_error"
