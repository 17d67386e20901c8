"""A file appears under its name whole, checked and fenced, or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from sisyphus.errors import OutputRefused, Stopped, TaskFailed, ToolFailed
from sisyphus.modules import output
from sisyphus.modules.output import may_write, publish, safe_name


def publishing(
    target: Path,
    *,
    token: int = 7,
    job_id: str = "job-1",
    overwrite: bool = False,
    check: Callable[[Path], None] | None = None,
    confirm: Callable[[], None] = lambda: None,
) -> AbstractContextManager[Path]:
    return publish(
        target,
        job_id=job_id,
        token=token,
        overwrite=overwrite,
        check=check,
        confirm=confirm,
    )


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_gets_its_name_after_the_block(tmp_path: Path) -> None:
    target = tmp_path / "film.mkv"

    with publishing(target) as part:
        assert part.parent == tmp_path
        assert part.suffix == ".mkv"
        part.write_text("whole")
        assert not target.exists()

    assert target.read_text() == "whole"
    assert files_in(tmp_path) == ["film.mkv"]


@pytest.mark.parametrize("error", [Stopped("cancel"), TaskFailed("x"), ValueError("x")])
def test_whatever_is_raised_leaves_nothing(
    error: BaseException, tmp_path: Path
) -> None:
    with pytest.raises(type(error)), publishing(tmp_path / "film.mkv") as part:
        part.write_text("half")
        raise error

    assert files_in(tmp_path) == []


def test_an_existing_file_is_refused_before_any_work(tmp_path: Path) -> None:
    target = tmp_path / "film.mkv"
    target.write_text("old")

    with pytest.raises(OutputRefused, match='"overwrite": true') as caught:
        publishing(target).__enter__()

    assert not caught.value.retryable
    assert target.read_text() == "old"


def test_a_link_that_leads_nowhere_counts_as_existing(tmp_path: Path) -> None:
    target = tmp_path / "film.mkv"
    target.symlink_to(tmp_path / "nothing")

    with pytest.raises(OutputRefused, match="exists already"):
        publishing(target).__enter__()


def test_nothing_is_written_into_a_quarantine(tmp_path: Path) -> None:
    shelf = tmp_path / ".sisyphus-quarantine" / "a-job" / "1"
    shelf.mkdir(parents=True)
    (tmp_path / "way-in").symlink_to(shelf)

    with pytest.raises(TaskFailed, match="is in a quarantine"):
        publishing(tmp_path / "way-in" / "film.mkv", overwrite=True).__enter__()


def test_an_empty_file_is_let_pass_only_where_it_may_be_one(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputRefused, match="is empty"),
        publishing(tmp_path / "a") as a,
    ):
        a.touch()
    with publish(
        tmp_path / "b",
        job_id="job-1",
        token=7,
        overwrite=False,
        check=None,
        confirm=lambda: None,
        may_be_empty=True,
    ) as b:
        b.touch()

    assert files_in(tmp_path) == ["b"]


def test_overwriting_replaces_the_file_in_one_step(tmp_path: Path) -> None:
    target = tmp_path / "film.mkv"
    target.write_text("old")

    with publishing(target, overwrite=True) as part:
        part.write_text("new")
        assert target.read_text() == "old"

    assert target.read_text() == "new"
    assert files_in(tmp_path) == ["film.mkv"]


def test_a_file_that_came_meanwhile_is_never_replaced(tmp_path: Path) -> None:
    target = tmp_path / "film.mkv"

    with (
        pytest.raises(OutputRefused, match="exists already"),
        publishing(target) as part,
    ):
        part.write_text("mine")
        target.write_text("theirs")

    assert target.read_text() == "theirs"
    assert files_in(tmp_path) == ["film.mkv"]


def test_a_file_system_without_links_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)

    with publishing(tmp_path / "film.mkv") as part:
        part.write_text("whole")

    assert files_in(tmp_path) == ["film.mkv"]


def test_nothing_is_published_for_a_job_that_is_lost(tmp_path: Path) -> None:
    def lost() -> None:
        raise Stopped("lost")

    with pytest.raises(Stopped), publishing(tmp_path / "a", confirm=lost) as part:
        part.write_text("whole")

    assert files_in(tmp_path) == []


def test_the_job_is_confirmed_after_the_check_and_before_the_move(
    tmp_path: Path,
) -> None:
    target = tmp_path / "film.mkv"
    order: list[str] = []

    def confirm() -> None:
        order.append("moved" if target.exists() else "confirm")

    with publishing(
        target, check=lambda part: order.append("check"), confirm=confirm
    ) as part:
        part.write_text("whole")

    assert order == ["check", "confirm"]


def test_a_file_that_fails_its_check_is_removed(tmp_path: Path) -> None:
    def too_short(part: Path) -> None:
        raise OutputRefused(f"{part.stat().st_size} bytes are too few")

    with (
        pytest.raises(OutputRefused, match="4 bytes"),
        publishing(tmp_path / "film.mkv", check=too_short) as part,
    ):
        part.write_text("half")

    assert files_in(tmp_path) == []


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda part: None, "nothing was written"),
        (lambda part: part.touch(), "is empty"),
        (lambda part: part.symlink_to("/etc/passwd"), "not a regular file"),
    ],
)
def test_what_is_no_file_with_content_is_refused(
    write: Callable[[Path], Any], message: str, tmp_path: Path
) -> None:
    with (
        pytest.raises(OutputRefused, match=message),
        publishing(tmp_path / "film.mkv") as part,
    ):
        write(part)

    assert files_in(tmp_path) == []


def test_parts_of_dead_attempts_are_removed_and_no_others(tmp_path: Path) -> None:
    target = tmp_path / "film.mkv"
    keep = [
        ".sisyphus-job_1_8b5c1f4d-3-film.mkv",  # somebody else's id
        f".sisyphus-{safe_name('job-1')}-9-film.mkv",  # a later attempt: not ours
        f".sisyphus-{safe_name('job-1')}-3-other.mkv",
    ]
    dead = f".sisyphus-{safe_name('job-1')}-3-film.mkv"
    for name in (*keep, dead):
        (tmp_path / name).touch()

    with publishing(target, token=7) as part:
        part.write_text("whole")

    assert files_in(tmp_path) == sorted([*keep, "film.mkv"])


def test_a_job_may_replace_what_its_own_dead_attempt_published(tmp_path: Path) -> None:
    target = tmp_path / "film.mkv"
    with publishing(target, token=7) as part:
        part.write_text("first")
    if "user.sisyphus.job" not in os.listxattr(target):
        pytest.skip("this file system keeps no marks")

    assert may_write(target, "job-1")
    assert not may_write(target, "job-2")
    with publishing(target, token=8) as part:
        part.write_text("second")

    assert target.read_text() == "second"


def test_long_names_and_odd_ids_fit(tmp_path: Path) -> None:
    target = tmp_path / ("ü" * 120 + ".mkv")

    with publishing(target, job_id="../../etc/\u202e" + "x" * 300) as part:
        assert part.parent == tmp_path
        assert part.suffix == ".mkv"
        part.write_text("whole")

    assert target.exists()


def test_different_ids_make_different_names() -> None:
    assert safe_name("a/b") != safe_name("a_b")
    assert safe_name("plain.id_1") == "plain.id_1"
    assert len(safe_name("x" * 300)) <= 40


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(TaskFailed, match="nowhere does not exist"):
        publishing(tmp_path / "nowhere" / "film.mkv").__enter__()


def test_a_folder_is_never_replaced(tmp_path: Path) -> None:
    with pytest.raises(OutputRefused, match="is a folder"):
        publishing(tmp_path, overwrite=True).__enter__()


def test_a_file_system_that_is_nearly_full_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "FREE_BYTES", 1 << 62)

    with pytest.raises(
        TaskFailed, match=r"disk full: the file system of .* bytes free"
    ):
        publishing(tmp_path / "film.mkv").__enter__()


def test_a_file_system_that_fills_up_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(TaskFailed, match=f"disk full: the file system of {tmp_path}"),
        publishing(tmp_path / "film.mkv"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_tool_that_found_the_disk_full_names_the_file_system(tmp_path: Path) -> None:
    tail = ["av_interleaved_write_frame(): No space left on device"]

    with (
        pytest.raises(ToolFailed, match=r"disk full: .*; ffmpeg ended") as caught,
        publishing(tmp_path / "film.mkv"),
    ):
        raise ToolFailed("ffmpeg ended", argv=["ffmpeg"], exit_code=1, tail=tail)

    assert caught.value.exit_code == 1
