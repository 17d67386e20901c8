"""A module from the scaffold works, and its test passes, before anyone edits it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sisyphus.errors import ConfigError
from sisyphus.modules.registry import Registry
from sisyphus.modules.scaffold import write_module
from sisyphus.settings import Settings


@pytest.mark.parametrize("name", ["thumbnail", "contact-sheet", "x_1"])
def test_a_fresh_module_passes_its_own_test(name: str, tmp_path: Path) -> None:
    module, test = write_module(name, tmp_path / "modules")

    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        test.name,
    ]
    done = subprocess.run(command, cwd=test.parent, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout
    assert "4 passed" in done.stdout
    assert module.name == f"{name}.py"


def test_a_fresh_module_is_found_by_a_worker(tmp_path: Path) -> None:
    write_module("thumbnail", tmp_path)

    found = Registry.load(Settings.model_construct(module_folders=(tmp_path,)))

    assert found.get("thumbnail").__name__ == "Thumbnail"


def test_a_fresh_module_follows_the_rules_of_the_house(tmp_path: Path) -> None:
    module, test = write_module("thumbnail", tmp_path)

    for check in (["ruff", "check", "--isolated"], ["ruff", "format", "--check"]):
        command = [sys.executable, "-m", *check, str(module), str(test)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["", "1st", "../x", "a b", "test_x", "a.py"])
def test_a_name_that_no_job_could_use_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be a module's name"):
        write_module(name, tmp_path)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    mine = tmp_path / "thumbnail.py"
    mine.write_text("mine")

    with pytest.raises(ConfigError, match="exists already"):
        write_module("thumbnail", tmp_path)

    assert mine.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [mine]
