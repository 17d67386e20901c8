"""Which modules a job may name, and how its data is checked."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from sisyphus.errors import (
    ConfigError,
    InvalidSettings,
    ModuleBroken,
    UnknownModule,
)
from sisyphus.modules import registry
from sisyphus.modules.registry import Registry, class_name
from sisyphus.settings import Settings

COPY = """
from sisyphus.modules.base import Module, ModuleSettings
from sisyphus.modules.fields import InputFile, OutputFile

class CopySettings(ModuleSettings):
    source: InputFile
    output_file: OutputFile

class Copy(Module):
    Settings = CopySettings
"""


def settings_with(folder: Path, *allowed: str) -> Settings:
    return Settings.model_construct(module_folders=(folder,), modules=allowed)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "copy.py").write_text(COPY)
    return tmp_path


def test_a_file_in_a_folder_is_a_module(folder: Path) -> None:
    found = Registry.load(settings_with(folder))

    assert "copy" in found.names
    assert found.get("copy").__name__ == "Copy"
    assert found.get("copy") is found.get("copy")


def test_installed_modules_are_loaded_only_when_needed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "installed_one.py").write_text(COPY)
    (tmp_path / "installed_two.py").write_text("raise SystemError('was loaded')")
    monkeypatch.syspath_prepend(tmp_path)
    entries = [
        EntryPoint("one", "installed_one:Copy", registry.GROUP),
        EntryPoint("two", "installed_two:Copy", registry.GROUP),
        EntryPoint("../three", "installed_two:Copy", registry.GROUP),
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: entries)

    found = Registry.load(Settings.model_construct())

    assert found.names == ("one", "two")
    assert found.get("one").__name__ == "Copy"


def test_only_allowed_modules_can_be_named(folder: Path) -> None:
    (folder / "danger.py").write_text(COPY)

    found = Registry.load(settings_with(folder, "copy"))

    assert found.names == ("copy",)
    with pytest.raises(UnknownModule):
        found.get("danger")


def test_an_allowed_module_that_is_not_there_is_a_mistake(folder: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'copy'"):
        Registry.load(settings_with(folder, "copi"))


def test_a_missing_folder_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a folder"):
        Registry.load(settings_with(tmp_path / "nowhere"))


def test_an_unknown_module_is_answered_with_the_nearest(folder: Path) -> None:
    with pytest.raises(UnknownModule, match="did you mean 'copy'") as caught:
        Registry.load(settings_with(folder)).build("coppy", {}, "tasks[2]")

    assert caught.value.problems[0].field == "tasks[2]"


@pytest.mark.parametrize("name", ["os", "../copy", "copy.py", "", "sisyphus.errors"])
def test_a_name_never_reaches_the_import_system(name: str, folder: Path) -> None:
    with pytest.raises(UnknownModule):
        Registry.load(settings_with(folder, "copy")).get(name)


def test_files_that_are_no_modules_are_left_alone(folder: Path) -> None:
    for name in ("test_copy.py", "_private.py", "read me.py"):
        (folder / name).write_text("raise SystemError")

    names = Registry.load(settings_with(folder)).names

    assert not {"test_copy", "_private", "read me"} & set(names)


def test_data_is_checked_and_every_problem_named(folder: Path) -> None:
    data: dict[str, Any] = {"source": 3, "outputfile": "/x"}

    with pytest.raises(InvalidSettings) as caught:
        Registry.load(settings_with(folder)).build("copy", data, "tasks[0]")

    problems = {found.field: found.expected for found in caught.value.problems}
    assert problems["tasks[0].copy.source"] == "must be a path, as text"
    assert problems["tasks[0].copy.output_file"] == "is missing"
    assert "did you mean 'output_file'" in problems["tasks[0].copy.outputfile"]


def test_a_module_that_was_built_knows_its_name(folder: Path) -> None:
    data = {"source": "/a", "output_file": "/b"}

    module = Registry.load(settings_with(folder)).build("copy", data)

    assert module.name == "copy"


CAREFUL = """
from typing import ClassVar

from pydantic import ValidationInfo, field_validator

from sisyphus.modules.base import Module, ModuleSettings
from sisyphus.modules.options import Allowed


class CarefulSettings(ModuleSettings):
    command: str = ""

    @field_validator("command")
    @classmethod
    def _allowed(cls, text: str, info: ValidationInfo) -> str:
        Allowed.in_validation(info).check("command", "runs a command")
        return text


class Careful(Module):
    Settings = CarefulSettings
    may_allow: ClassVar[frozenset[str]] = frozenset({"command"})
"""


def test_every_module_may_leave_a_refusal_to_the_operator(folder: Path) -> None:
    (folder / "careful.py").write_text(CAREFUL)
    data = {"command": "rm"}

    with pytest.raises(InvalidSettings) as caught:
        Registry.load(settings_with(folder)).build("careful", data, "tasks[1]")
    (problem,) = caught.value.problems
    assert problem.field == "tasks[1].careful.command"
    wanted = "runs a command, unless allowed_options has careful.command"
    assert problem.expected == wanted

    settings = Settings.model_construct(
        module_folders=(folder,), allowed_options=("careful.command",)
    )
    assert Registry.load(settings).build("careful", data).name == "careful"


def test_what_is_allowed_of_a_broken_module_stops_no_worker(folder: Path) -> None:
    (folder / "broken.py").write_text("raise SystemExit")
    settings = Settings.model_construct(
        module_folders=(folder,), allowed_options=("broken.x",)
    )

    assert "broken" in Registry.load(settings).names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import nothing_of_this_name", "ModuleNotFoundError"),
        ("", "must define one Module, named Broken"),
        (COPY + "class Other(Module): pass", "must define one Module, named Broken"),
        ("raise SystemExit", "SystemExit"),
    ],
)
def test_a_file_that_does_not_load_breaks_its_own_jobs_only(
    text: str, message: str, folder: Path
) -> None:
    (folder / "broken.py").write_text(text)
    found = Registry.load(settings_with(folder))

    with pytest.raises(ModuleBroken, match=message) as caught:
        found.get("broken")

    assert "Traceback" in caught.value.traceback
    assert found.get("copy")


@pytest.mark.parametrize("name", ["Two_pass", "TwoPass"])
def test_of_several_classes_the_one_named_like_the_file_is_taken(
    name: str, folder: Path
) -> None:
    (folder / "two_pass.py").write_text(f"{COPY}\nclass {name}(Copy): pass")

    assert Registry.load(settings_with(folder)).get("two_pass").__name__ == name


@pytest.mark.parametrize(
    ("name", "expected"), [("ffmpeg", "Ffmpeg"), ("two-pass_x", "TwoPassX")]
)
def test_a_class_is_named_after_its_module(name: str, expected: str) -> None:
    assert class_name(name) == expected
