"""Classes written for the older clients run, with one import line changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from sisyphus.errors import CleanupFailed, InvalidSettings, TaskFailed
from sisyphus.testing import TaskRun, run_module

OF_2021 = """
from sisyphus.modules.legacy import (
    JobModule, JobModuleInitError, JobRunFailureError, JobValidationError
)

class Oldstyle(JobModule):
    def __init__(self, data, job_title):
        super().__init__(data, job_title)
        self.module_name = "oldstyle"
        if self.data.wrong == "init":
            raise JobModuleInitError(message="bad start", module=self.module_name)

    def validate(self):
        if self.data.wrong == "validate":
            raise JobValidationError(message="bad data", module=self.module_name)

    def run(self):
        self.set_status("in_progress", "oldstyle")
        self.update_progress({"current_frame": 5, "total_frames": 10,
                              "percent_complete": "50.00"})
        self.tool(["/bin/echo", self.job_title, self.data.nested.name])
        if self.data.wrong == "run":
            raise JobRunFailureError("bad end", "oldstyle")
"""

OF_2023 = """
from sisyphus.modules.legacy import (
    CleanupError, InitializationError, RunError, TaskModule, ValidationError
)

class Newstyle(TaskModule):
    def __init__(self, task):
        super().__init__(task)
        if self.task.data.wrong == "init":
            raise InitializationError("bad start")
        self.steps = ["made"]

    def validate(self):
        if self.task.data.wrong == "validate":
            raise ValidationError(message="bad data")
        self.steps.append("validated")

    def run(self):
        self.set_start_time()
        self.heartbeat.set_data({"status": "in_progress", "task": self.task.module,
                                 "progress": 25, "info": {"steps": self.steps}})
        if self.task.data.wrong == "run":
            raise RunError("bad end")
        assert self.get_duration() >= 0

    def cleanup(self):
        if self.task.data.wrong == "cleanup":
            raise CleanupError("bad mess")
"""


@pytest.fixture
def of_2021(tmp_path: Path) -> Path:
    path = tmp_path / "oldstyle.py"
    path.write_text(OF_2021)
    return path


@pytest.fixture
def of_2023(tmp_path: Path) -> Path:
    path = tmp_path / "newstyle.py"
    path.write_text(OF_2023)
    return path


def test_a_class_of_2021_runs(of_2021: Path) -> None:
    done = run_module(of_2021, {"wrong": "", "nested": {"name": "here"}})

    assert "A job here" in done.log
    (progress,) = done.progress
    assert (progress.percent, progress.frame, progress.total) == (50.0, 5, 10)


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ("init", InvalidSettings, "bad start"),
        ("validate", InvalidSettings, "bad data"),
        ("run", TaskFailed, "bad end"),
    ],
)
def test_the_errors_of_2021_are_translated(
    wrong: str, error: type[Exception], message: str, of_2021: Path
) -> None:
    with pytest.raises(error, match=message):
        run_module(of_2021, {"wrong": wrong, "nested": {"name": "x"}})


def test_a_class_of_2023_is_made_once_and_goes_through_its_steps(of_2023: Path) -> None:
    done = run_module(of_2023, {"wrong": ""})

    (progress,) = done.progress
    assert progress.percent == 25
    assert progress.info == {"steps": ["made", "validated"]}


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ("init", InvalidSettings, "bad start"),
        ("validate", InvalidSettings, "bad data"),
        ("run", TaskFailed, "bad end"),
        ("cleanup", CleanupFailed, "bad mess"),
    ],
)
def test_the_errors_of_2023_are_translated(
    wrong: str, error: type[Exception], message: str, of_2023: Path
) -> None:
    with pytest.raises(error, match=message):
        run_module(of_2023, {"wrong": wrong}, run=TaskRun())
