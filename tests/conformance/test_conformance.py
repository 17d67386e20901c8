"""The cases of single modules, tried on the modules with real tools."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from conformance.argv_patterns import mismatches
from conformance.casebook import CASES, of_kind
from sisyphus.errors import JobError
from sisyphus.media.handbrake import HandbrakeProgress
from sisyphus.media.progress import EncodingProgress
from sisyphus.modules.base import Module
from sisyphus.modules.task import Task
from sisyphus.testing import plan_module, run_module
from sisyphus.worker.board import Activity, Doing
from sisyphus.worker.heartbeat import progress

# Subclasses of the error that ends a task when it runs.
RUN_ERRORS = {"output_refused": "run_error", "tool_missing": "run_error"}
READERS: dict[str, Any] = {
    "ffmpeg": EncodingProgress,
    "HandBrakeCLI": HandbrakeProgress,
}
PUBLISHED = """
cleanup-new-copy-move-delete cleanup-seed-verify-and-delete cleanup-seed-verify-fails
cleanup-unknown-operation envelope-module-data envelope-seed-example envelope-utf8-title
ffmpeg-missing-source ffmpeg-new-full-example ffmpeg-new-long-specifier-no-overwrite
ffmpeg-new-optional-and-unspecified-streams ffmpeg-output-map-without-options
ffmpeg-seed-missing-source-map ffmpeg-seed-profile-inline-wins ffmpeg-seed-two-sources
ffmpeg-tool-fails ffmpeg-unknown-option-set ffmpeg-values-with-spaces
handbrake-input-in-section handbrake-missing-source handbrake-new-crop-and-sizes
handbrake-new-filters handbrake-new-readme handbrake-seed-flat-track-options
handbrake-seed-nested-track-options handbrake-unknown-option heartbeat-idle
heartbeat-in-progress heartbeat-startup http-queue-disable http-queue-roundtrip
job-second-task-fails job-seed-ffmpeg-mkvmerge-cleanup jobs-are-first-in-first-out
malformed-missing-job-id malformed-missing-tasks malformed-non-utf8 malformed-not-json
malformed-task-is-string malformed-top-level-list malformed-two-keys-in-task
mkvextract-all-modes mkvextract-by-type-and-language mkvextract-item-without-filename
mkvextract-no-such-language mkvmerge-attachment-mimetype mkvmerge-font-missing
mkvmerge-fonts-from-ass mkvmerge-missing-source mkvmerge-new-copy-flags
mkvmerge-new-full mkvmerge-seed-basic mkvmerge-seed-no-options-keys
mkvmerge-track-source-out-of-range no-task-runs-before-all-are-known progress-handbrake
progress-key-format unknown-module worker-id-encode001 worker-id-localhost
"""
"""The cases that workers in other languages are tried with, too."""


def test_every_published_case_is_here() -> None:
    names = set(PUBLISHED.split())
    assert len(names) == 60
    assert names - CASES.keys() == set()


def test_every_case_says_its_rule_and_is_of_a_kind_that_is_tried() -> None:
    assert [name for name, case in CASES.items() if not case.get("says")] == []
    kinds = {"argv", "error", "filesystem", "progress"}  # here
    kinds |= {"envelope", "job", "heartbeat", "worker_id", "http"}
    assert {case["kind"] for case in CASES.values()} == kinds


def surroundings(case: Any) -> dict[str, Any]:
    settings = dict(case.get("settings", {}))
    if "font_folders" in settings:
        settings["font_folders"] = tuple(map(Path, settings["font_folders"]))
    return {
        "roots": [case["folder"]],
        "stored": case.get("stored"),
        "settings": settings,
    }


def run(case: Any) -> None:
    run_module(case["module"], case["data"], **surroundings(case))


def check_files(state: dict[str, Any]) -> None:
    assert [path for path in state.get("exists", ()) if not Path(path).exists()] == []
    assert [path for path in state.get("absent", ()) if Path(path).exists()] == []
    for path, content in state.get("content", {}).items():
        assert Path(path).read_text(encoding="utf-8") == content


@pytest.mark.tool
@pytest.mark.parametrize("case", of_kind("argv"), indirect=True)
def test_the_command_line_is_right_and_runs(case: Any) -> None:
    steps = plan_module(case["module"], case["data"], **surroundings(case))

    argv = list(steps[0].argv)
    assert mismatches(argv, case["expect"]) == []
    if "real_run" in case["expect"]:
        run(case)
        for path in case["expect"]["real_run"]["outputs"]:
            assert Path(path).stat().st_size > 0


@pytest.mark.tool
@pytest.mark.parametrize("case", of_kind("error"), indirect=True)
def test_the_task_fails_with_the_right_error(case: Any) -> None:
    with pytest.raises(JobError) as caught:
        run(case)

    code = caught.value.code
    assert {code, RUN_ERRORS.get(code)} & set(case["expect"]["error"])
    check_files(case["expect"].get("state", {}))


@pytest.mark.parametrize("case", of_kind("filesystem"), indirect=True)
def test_the_files_are_as_they_should_be(case: Any) -> None:
    run(case)

    check_files(case["expect"])


@pytest.mark.parametrize("case", of_kind("progress"), indirect=True)
def test_progress_is_told_as_onlookers_read_it(case: Any) -> None:
    reader = READERS[case["tool"]](
        total=case.get("total_frames"), duration=case.get("duration")
    )

    class Listening(Module):
        def run(self, task: Task) -> None:
            for line in case["tool_output"]:
                if (now := reader.feed(line)) is not None:
                    task.progress(now.percent, frame=now.frame, total=now.total)

    last = run_module(Listening, {}).progress[-1]
    shown = Activity(doing=Doing.BUSY)
    shown.percent = math.nan if last.percent is None else last.percent
    shown.frame = -1 if last.frame is None else last.frame
    shown.total = -1 if last.total is None else last.total
    assert json.loads(progress(shown) or "") == case["expect"]["value"]
