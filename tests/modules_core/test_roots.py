"""Jobs stay below the roots, whatever their paths look like."""

from __future__ import annotations

from pathlib import Path

import pytest

from sisyphus.errors import InvalidSettings
from sisyphus.modules.roots import Roots


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("name", ["film.mkv", "new/folder/film.mkv", "a/../b", "..x"])
def test_what_lies_below_a_root_is_allowed(name: str, root: Path) -> None:
    Roots([root]).check(root / name, "source")


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../other", "new/../../other", "/etc/x"]
)
def test_what_leads_out_is_refused(name: str, root: Path) -> None:
    with pytest.raises(InvalidSettings, match="source: is outside the allowed roots"):
        Roots([root]).check(root / name, "source")


def test_a_folder_whose_name_starts_like_the_root_is_outside(root: Path) -> None:
    assert not Roots([root]).allows(root.with_name("root2") / "film.mkv")


def test_a_link_counts_as_what_it_points_to(root: Path, tmp_path: Path) -> None:
    (root / "out").symlink_to(tmp_path)
    (root / "dangling").symlink_to(tmp_path / "nothing")
    (tmp_path / "in").symlink_to(root)

    roots = Roots([root])

    assert not roots.allows(root / "out" / "film.mkv")
    assert not roots.allows(root / "dangling")
    assert roots.allows(tmp_path / "in" / "film.mkv")


def test_the_root_itself_may_be_a_link(root: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(root)

    assert Roots([link]).allows(root / "film.mkv")


def test_each_of_several_roots_counts(root: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"

    assert Roots([root, other]).allows(other / "film.mkv")


def test_the_refusal_says_what_to_do(root: Path) -> None:
    with pytest.raises(InvalidSettings, match="--root FOLDER") as caught:
        Roots([root]).check(Path("/etc/passwd"), "tasks[0].ffmpeg.source")

    assert caught.value.problems[0].field == "tasks[0].ffmpeg.source"
    assert str(root) in str(caught.value)
