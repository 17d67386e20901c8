"""The cleanup module: nothing is lost that should stay."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from sisyphus.errors import InvalidSettings, JobError, TaskFailed
from sisyphus.modules.base import Patience
from sisyphus.modules.cleanup import Cleanup
from sisyphus.testing import plan_module, run_module


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
def two_file_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    """No rename leads out of its folder."""
    rename = Path.replace

    def replace(self: Path, target: Any) -> Path:
        if Path(target).parent != self.parent:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", replace)


def clean(folder: Path, data: dict[str, Any]) -> None:
    run_module(Cleanup, data, roots=[folder])


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


@pytest.mark.usefixtures("two_file_systems")
def test_a_move_to_another_file_system_copies_and_compares(
    folder: Path, film: Path
) -> None:
    (folder / "disk").mkdir()

    clean(folder, {"move": transfer(film, folder / "disk")})

    check_is_the_film(folder / "disk" / "film.mkv")
    assert not film.exists()
    assert len(list((folder / "disk").iterdir())) == 1


@pytest.mark.usefixtures("two_file_systems")
def test_a_source_stays_when_its_copy_is_not_the_same(
    folder: Path, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "disk").mkdir()
    monkeypatch.setattr("filecmp.cmp", lambda *args, **kinds: False)

    with pytest.raises(TaskFailed, match="differs"):
        clean(folder, {"move": transfer(film, folder / "disk")})

    check_is_the_film(film)
    assert list((folder / "disk").iterdir()) == []


def test_a_file_is_replaced_but_a_folder_never(folder: Path, film: Path) -> None:
    (folder / "b.mkv").write_text("older")
    (folder / "box" / "film.mkv").mkdir(parents=True)

    clean(folder, {"copy": transfer(film, folder / "b.mkv")})
    check_is_the_film(folder / "b.mkv")
    with pytest.raises(TaskFailed, match="not a regular file"):
        clean(folder, {"copy": transfer(film, folder / "box")})


@pytest.mark.parametrize("verb", ["copy", "move"])
def test_a_file_is_never_moved_onto_itself(verb: str, folder: Path, film: Path) -> None:
    (folder / "link").symlink_to(folder)

    with pytest.raises(TaskFailed, match="same file"):
        clean(folder, {verb: transfer(film, folder / "link" / "film.mkv")})

    check_is_the_film(film)


def test_an_empty_file_is_copied_too(folder: Path) -> None:
    (folder / "empty").touch()

    clean(folder, {"copy": transfer(folder / "empty", folder / "b")})

    assert (folder / "b").read_bytes() == b""


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
    ],
)
def test_wrong_settings_say_what_is_wrong(data: Any, expected: str) -> None:
    with pytest.raises(JobError, match=expected) as caught:
        plan_module(Cleanup, data)

    assert caught.value.code == "validation_error"
