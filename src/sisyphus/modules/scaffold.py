"""A new module to start from: a file that works, and a test that passes."""

from __future__ import annotations

from pathlib import Path
from string import Template

from sisyphus.errors import ConfigError
from sisyphus.modules.registry import NAME, class_name

_MODULE = Template('''\
"""$title: takes one picture from a film. Make it yours."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from sisyphus.modules.base import Module, ModuleSettings, Step
from sisyphus.modules.fields import InputFile, OutputFile, Seconds
from sisyphus.modules.task import Task


class ${class_name}Settings(ModuleSettings):
    """What a task's data looks like."""

    source: InputFile
    output_file: OutputFile
    at: Seconds = Field(0, description="Where in the film.")
    overwrite: bool = Field(False, description="Replace an existing file.")


def argv_of(settings: ${class_name}Settings, output: Path) -> list[str]:
    """Give the command; one list entry is one argument, no shell is involved."""
    start = ["ffmpeg", "-nostdin", "-hide_banner", "-y", "-ss", str(settings.at)]
    return [*start, "-i", str(settings.source), "-frames:v", "1", str(output)]


class $class_name(Module):
    """One picture of a film."""

    Settings = ${class_name}Settings
    settings: ${class_name}Settings

    def plan(self, task: Task) -> list[Step]:
        """Say what ``run`` will do."""
        wanted = self.settings
        return [
            Step(
                "take the picture",
                argv=argv_of(wanted, wanted.output_file),
                reads=[wanted.source],
                writes=[wanted.output_file],
            )
        ]

    def run(self, task: Task) -> None:
        """Take the picture; it gets its name only when it is whole."""
        wanted = self.settings
        task.input(wanted.source, "source")
        with task.output(wanted.output_file, overwrite=wanted.overwrite) as part:
            task.tool(argv_of(wanted, part))
        task.progress(100)
''')

_TEST = Template('''\
"""The module $name, run against a stand-in for its tool; needs no server."""

from pathlib import Path

import pytest

from sisyphus.errors import InvalidSettings, ToolFailed
from sisyphus.testing import fake_tool, plan_module, run_module

MODULE = Path(__file__).with_name("$file_name")
WRITES_ITS_LAST_ARGUMENT = "pathlib.Path(sys.argv[-1]).write_text('a picture')"


def task_data(folder: Path) -> dict[str, str]:
    source = folder / "film.mkv"
    source.write_text("a film")
    return {"source": str(source), "output_file": str(folder / "picture.png")}


def test_the_picture_appears_under_its_name(tmp_path: Path) -> None:
    data = task_data(tmp_path)
    ffmpeg = fake_tool(tmp_path, "ffmpeg", WRITES_ITS_LAST_ARGUMENT)

    done = run_module(MODULE, {**data, "at": "1:30"}, tools={"ffmpeg": ffmpeg})

    assert Path(data["output_file"]).read_text() == "a picture"
    assert "90.0" in done.argv[0]


def test_a_failed_tool_leaves_no_picture(tmp_path: Path) -> None:
    data = task_data(tmp_path)
    ffmpeg = fake_tool(tmp_path, "ffmpeg", "sys.exit('no such codec')")

    with pytest.raises(ToolFailed, match="no such codec"):
        run_module(MODULE, data, tools={"ffmpeg": ffmpeg})

    assert not Path(data["output_file"]).exists()


def test_a_missing_film_is_found_before_the_job_starts(tmp_path: Path) -> None:
    data = {**task_data(tmp_path), "source": str(tmp_path / "other.mkv")}

    with pytest.raises(InvalidSettings, match="source"):
        run_module(MODULE, data)


def test_the_plan_names_the_files(tmp_path: Path) -> None:
    data = task_data(tmp_path)

    (step,) = plan_module(MODULE, data)

    assert list(step.writes) == [tmp_path / "picture.png"]
''')


def write_module(name: str, folder: Path) -> tuple[Path, Path]:
    """Write ``<name>.py`` and its test into a folder; give both paths.

    Raises:
        ConfigError: the name cannot be a module's, or one of the files exists.
    """
    if not NAME.fullmatch(name) or name.startswith("test_"):
        raise ConfigError(
            f"{name!r} cannot be a module's name: must be a letter,"
            " then letters, digits, - or _"
        )
    module = folder / f"{name}.py"
    test = folder / f"test_{name.replace('-', '_')}.py"
    for path in (module, test):
        if path.exists():
            raise ConfigError(f"{path} exists already")
    words = {
        "name": name,
        "title": name.replace("-", " ").replace("_", " ").capitalize(),
        "class_name": class_name(name),
        "file_name": module.name,
    }
    folder.mkdir(parents=True, exist_ok=True)
    module.write_text(_MODULE.substitute(words))
    test.write_text(_TEST.substitute(words))
    return module, test
