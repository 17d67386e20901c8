"""The cases in ``cases/``: what jobs that people have may count on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from argv_patterns import mismatches
from materials import fill_in, make

from sisyphus.errors import JobError
from sisyphus.media.progress import EncodingProgress
from sisyphus.modules.base import Module
from sisyphus.modules.cleanup import Cleanup
from sisyphus.modules.ffmpeg import Ffmpeg
from sisyphus.modules.mkvmerge import Mkvmerge
from sisyphus.testing import plan_module, run_module

MODULES: dict[str, type[Module]] = {
    "ffmpeg": Ffmpeg,
    "mkvmerge": Mkvmerge,
    "cleanup": Cleanup,
}
# Subclasses of the error that ends a task when it runs.
RUN_ERRORS = {"output_refused": "run_error", "tool_missing": "run_error"}
CASES = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((Path(__file__).parent / "cases").glob("*.json"))
}


def named(kind: str) -> list[Any]:
    return [name for name, case in CASES.items() if case["kind"] == kind]


@pytest.fixture
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    folder = tmp_path / "work here"
    folder.mkdir()
    filled = fill_in(CASES[request.param], folder)
    for entry in filled.get("files", ()):
        make(entry)
    return {
        **filled,
        "roots": [folder],
        "module": MODULES.get(filled.get("module", "")),
    }


def run(case: Any) -> None:
    run_module(
        case["module"], case["data"], roots=case["roots"], stored=case.get("stored")
    )


def check_files(state: dict[str, Any]) -> None:
    assert [path for path in state.get("exists", ()) if not Path(path).exists()] == []
    assert [path for path in state.get("absent", ()) if Path(path).exists()] == []
    for path, content in state.get("content", {}).items():
        assert Path(path).read_text(encoding="utf-8") == content


@pytest.mark.tool
@pytest.mark.parametrize("case", named("argv"), indirect=True)
def test_the_command_line_is_right_and_runs(case: Any) -> None:
    steps = plan_module(
        case["module"], case["data"], roots=case["roots"], stored=case.get("stored")
    )

    argv = list(steps[0].argv)
    assert mismatches(argv, case["expect"]) == []
    if "real_run" in case["expect"]:
        run(case)
        for path in case["expect"]["real_run"]["outputs"]:
            assert Path(path).stat().st_size > 100


@pytest.mark.tool
@pytest.mark.parametrize("case", named("error"), indirect=True)
def test_the_task_fails_with_the_right_error(case: Any) -> None:
    with pytest.raises(JobError) as caught:
        run(case)

    code = caught.value.code
    assert {code, RUN_ERRORS.get(code)} & set(case["expect"]["error"])
    check_files(case["expect"].get("state", {}))


@pytest.mark.parametrize("case", named("filesystem"), indirect=True)
def test_the_files_are_as_they_should_be(case: Any) -> None:
    run(case)

    check_files(case["expect"])


@pytest.mark.parametrize("case", named("progress"), indirect=True)
def test_progress_is_read_from_what_the_tool_prints(case: Any) -> None:
    progress = EncodingProgress(total=case["total_frames"])

    readings = [progress.feed(line) for line in case["tool_output"]]

    last = [reading for reading in readings if reading is not None][-1]
    assert {
        "current_frame": last.frame,
        "total_frames": last.total,
        "percent_complete": f"{last.percent:.2f}",
    } == case["expect"]["value"]
