"""What a task offers to its module."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from processes import SharedDeadline, boot_ms

from sisyphus.errors import InvalidSettings, Stopped, ToolFailed
from sisyphus.modules.base import Module, ModuleSettings, Patience
from sisyphus.modules.chain import Before
from sisyphus.modules.control import Control, StopReason
from sisyphus.modules.fields import InputFile, OutputFile
from sisyphus.modules.task import Progress, Surroundings, Task
from sisyphus.modules.tool import Deadline, Tools
from sisyphus.settings import Settings


class CopySettings(ModuleSettings):
    source: InputFile
    output_file: OutputFile


class Copy(Module):
    Settings = CopySettings
    name = "copy"


class Worker:
    """What surrounds a task, written down."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.progress: list[Progress] = []
        self.log: list[tuple[str, str]] = []
        self.control = Control()

    def task(self, source: Path | None = None, **more: Any) -> Task:
        settings = CopySettings(
            source=source or self.folder / "in", output_file=self.folder / "out"
        )
        around = Surroundings(
            settings=Settings.model_construct(roots=(self.folder,)),
            tools=Tools(),
            control=self.control,
            on_progress=self.progress.append,
            on_log=lambda level, line: self.log.append((level, line)),
            confirm=lambda: None,
            stored=lambda module, name: {"of": module} if name == "known" else None,
            deadline=more.pop("deadline", None),
        )
        facts: dict[str, Any] = {
            "job_id": "j",
            "job_title": "J",
            "token": 1,
            "index": 2,
        }
        return Task(around, module=Copy(settings), **facts, **more)


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    return Worker(tmp_path)


def test_progress_stays_between_0_and_100_and_never_falls(worker: Worker) -> None:
    task = worker.task()

    for percent in (-5, 30, 20, None, 170):
        task.progress(percent)

    assert [step.percent for step in worker.progress] == [0, 30, 30, 30, 100]


def test_progress_carries_facts_for_people(worker: Worker) -> None:
    worker.task().progress(1, frame=3, total=300, phase="first")

    assert worker.progress == [
        Progress(percent=1, frame=3, total=300, info={"phase": "first"})
    ]


def test_a_tool_writes_its_command_and_its_words_into_the_log(worker: Worker) -> None:
    task = worker.task()

    task.tool(["sh", "-c", "echo 1%; echo words"], on_line=lambda line: line == "1%")

    shell = task.find_tool("sh")
    assert worker.log == [
        ("info", f"$ {shell} -c 'echo 1%; echo words'"),
        ("info", "words"),
    ]


def test_what_a_tool_leaves_in_its_temporary_folder_goes_with_the_task(
    worker: Worker,
) -> None:
    left: list[Path] = []

    def keep(line: str) -> bool:
        left.append(Path(line))
        return True

    with worker.task() as task:
        task.tool(["mktemp"], on_line=keep)
        assert left[0].parent == task.workdir

    assert not left[0].exists()


def test_what_every_tool_took_is_kept(worker: Worker) -> None:
    task = worker.task()

    task.tool(["true"])
    with pytest.raises(ToolFailed):
        task.tool(["false"])

    assert [result.exit_code for result in task.tools_run] == [0, 1]


@pytest.mark.parametrize("patience", list(Patience))
def test_a_tool_has_the_deadline_of_its_patience(
    patience: Patience, worker: Worker
) -> None:
    with SharedDeadline(1) as passed:
        free, over = 0, passed.at[1]
        strict, patient = (over, free) if patience is Patience.STRICT else (free, over)
        task = worker.task(deadline=Deadline(passed.fd, strict, patient))

        with pytest.raises(Stopped):
            task.tool(["sleep", "300"], patience=patience)

    assert boot_ms() > 1
    assert worker.control.reason is StopReason.LOST


def test_the_folder_for_temporary_files_goes_with_the_task(worker: Worker) -> None:
    with worker.task() as task:
        folder = task.workdir
        (folder / "passlog").touch()
        assert task.workdir == folder
        task.check_path(folder / "passlog")  # though it is outside the roots

    assert not folder.exists()


def test_a_missing_input_names_its_field(worker: Worker) -> None:
    with pytest.raises(InvalidSettings) as caught:
        worker.task().check_inputs()

    assert caught.value.problems[0].field == "tasks[2].copy.source"


def test_an_input_that_an_earlier_task_makes_need_not_exist(worker: Worker) -> None:
    made = worker.folder / "in"

    worker.task(before=Before(made=frozenset({made}))).check_inputs()


def test_an_input_that_an_earlier_task_takes_away_is_refused(worker: Worker) -> None:
    source = worker.folder / "in"
    source.touch()

    with pytest.raises(InvalidSettings, match="moved away by an earlier task"):
        worker.task(before=Before(gone=frozenset({source}))).check_inputs()


def test_a_folder_is_no_input(worker: Worker) -> None:
    (worker.folder / "in").mkdir()

    with pytest.raises(InvalidSettings, match="must be a regular file"):
        worker.task().check_inputs()


def test_an_input_outside_the_roots_is_refused(worker: Worker) -> None:
    with pytest.raises(InvalidSettings, match="outside the allowed roots"):
        worker.task(source=Path("/etc/passwd")).check_inputs()


def test_an_output_outside_the_roots_is_refused(worker: Worker) -> None:
    with pytest.raises(InvalidSettings, match="outside the allowed roots"):
        worker.task().output(worker.folder.parent / "film.mkv")


def test_an_output_needs_its_folder(worker: Worker) -> None:
    task = worker.task()
    task.check_outputs()
    worker.folder.rmdir()

    with pytest.raises(InvalidSettings, match="folder that does not exist"):
        task.check_outputs()


def test_stored_settings_are_those_of_the_module(worker: Worker) -> None:
    task = worker.task()

    assert task.stored("known") == {"of": "copy"}
    with pytest.raises(InvalidSettings, match="is not stored for the module copy"):
        task.stored("other", "profile")


def test_a_stopping_task_is_not_confirmed(worker: Worker) -> None:
    task = worker.task()
    task.confirm()
    worker.control.stop(StopReason.CANCEL)

    with pytest.raises(Stopped):
        task.confirm()
