"""The mkvmerge module with the real mkvmerge."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from sisyphus.errors import InvalidSettings, OutputRefused, ToolFailed
from sisyphus.modules.mkvmerge import Mkvmerge
from sisyphus.modules.mkvmerge_settings import MkvmergeSettings
from sisyphus.testing import plan_module, run_module

pytestmark = pytest.mark.tool


def merge(source: Path | str, output: Path | str, **changes: Any) -> dict[str, Any]:
    return {
        "sources": [{"filename": str(source)}],
        "tracks": [{"source": 0, "track": 0}],
        "output_file": str(output),
        **changes,
    }


def identified(path: Path) -> Any:
    return json.loads(subprocess.check_output(["mkvmerge", "-J", path]))


def refusal(**changes: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        MkvmergeSettings.model_validate(merge("/a.mkv", "/b.mkv", **changes))
    return str(caught.value)


def test_listed_tracks_are_copied_with_progress(clip: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mkv"

    run = run_module(Mkvmerge, merge(clip, output))

    assert [track["type"] for track in identified(output)["tracks"]] == ["video"]
    assert run.progress[-1].percent == 100.0


def test_names_with_all_kinds_of_signs_are_safe(clip: Path, tmp_path: Path) -> None:
    source = tmp_path / '@it\'s ( a ) "film" ö.mp4'
    source.symlink_to(clip)

    run_module(Mkvmerge, merge(source, tmp_path / "-o =ö.mkv"))

    assert (tmp_path / "-o =ö.mkv").exists()


def test_an_existing_output_is_replaced(clip: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.mkv"
    output.write_text("older")

    run_module(Mkvmerge, merge(clip, output))

    assert output.stat().st_size > 1000


def test_warnings_are_logged_and_the_task_succeeds(clip: Path, tmp_path: Path) -> None:
    tracks = [{"source": 0, "track": 9, "options": {"language": "eng"}}]
    data = merge(clip, tmp_path / "o.mkv", sources=[str(clip)], tracks=tracks)

    run = run_module(Mkvmerge, data)

    assert any("ID 9 was requested but not found" in line for line in run.log)


def test_an_error_says_what_mkvmerge_said(clip: Path, tmp_path: Path) -> None:
    tracks = [{"source": 0, "track": 0, "options": {"language": "nonsense!"}}]

    with pytest.raises(ToolFailed, match="nonsense!") as caught:
        run_module(Mkvmerge, merge(clip, tmp_path / "o.mkv", tracks=tracks))

    assert "--language" in caught.value.argv
    assert caught.value.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_a_truncated_source_is_refused(clip: Path, tmp_path: Path) -> None:
    source = tmp_path / "film.mkv"
    subprocess.run(["mkvmerge", "-q", "-o", source, clip], check=True)
    os.truncate(source, source.stat().st_size // 2)

    with pytest.raises(OutputRefused, match="cut short"):
        run_module(Mkvmerge, merge(source, tmp_path / "o.mkv"))


def test_a_source_that_is_no_film_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "a.txt"
    source.write_text("no film")

    with pytest.raises(InvalidSettings, match=r"sources\[0\]"):
        run_module(Mkvmerge, merge(source, tmp_path / "o.mkv"))


def test_a_track_that_is_not_there_is_found_before_the_job_starts(
    clip: Path, tmp_path: Path
) -> None:
    tracks = [{"source": 0, "track": 5}]

    with pytest.raises(InvalidSettings, match=r"tracks\[0\].track: .*which has 0, 1"):
        plan_module(Mkvmerge, merge(clip, tmp_path / "o.mkv", tracks=tracks))


def test_the_plan_of_a_source_to_come_says_what_is_not_known(tmp_path: Path) -> None:
    (step,) = plan_module(Mkvmerge, merge(tmp_path / "later.mkv", tmp_path / "o.mkv"))

    assert "once later.mkv is there" in step.what
    assert step.argv[-2:] == ["--track-order", "0:0"]


@pytest.mark.parametrize(
    "options",
    [
        {"split": "10s"},
        {"output": "/tmp/x.mkv"},
        {"redirect-output": "x"},
        {"no-chapters": "/etc/passwd"},
        {"title": None},
        {"sub-charset": "/etc/passwd"},
        {"future-option": "+/etc/passwd"},
        {"chapters": "relative.xml"},
        {"a b": 1},
        {"-o": "x"},
    ],
)
def test_options_that_reach_beyond_the_task_are_refused(options: Any) -> None:
    assert "options" in refusal(options=options)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"tracks": [{"source": 1, "track": 0}]}, "there are only 1"),
        ({"tracks": []}, "at least 1"),
        ({"sources": []}, "at least 1"),
        ({"output_file": "/a.mkv"}, "one of the sources"),
        ({"sources": [{"filename": "/a.mkv", "x": 1}]}, "extra"),
        ({"overwrite": True}, "extra"),
    ],
)
def test_wrong_settings_say_what_is_wrong(changes: Any, expected: str) -> None:
    assert expected in refusal(**changes).lower()


def test_files_that_options_name_must_lie_below_the_roots(
    clip: Path, tmp_path: Path
) -> None:
    roots = [tmp_path, clip.parent]
    for options in ({"chapters": "/etc/passwd"}, {"tags": "0:/etc/passwd"}):
        data = merge(clip, tmp_path / "o.mkv", options=options)
        with pytest.raises(InvalidSettings, match="outside the allowed roots"):
            run_module(Mkvmerge, data, roots=roots)


def test_attached_links_may_not_lead_out_of_the_roots(
    clip: Path, tmp_path: Path
) -> None:
    extra = tmp_path / "extra"
    extra.mkdir()
    (extra / "a").symlink_to("/etc/passwd")
    data = merge(clip, tmp_path / "o.mkv", attachment_directories=[str(extra)])

    with pytest.raises(InvalidSettings, match="outside the allowed roots"):
        run_module(Mkvmerge, data, roots=[tmp_path, clip.parent])


def test_every_setting_is_described() -> None:
    schema = MkvmergeSettings.model_json_schema()

    fields = [
        schema["properties"],
        *(d["properties"] for d in schema["$defs"].values()),
    ]
    assert all("description" in facts for group in fields for facts in group.values())
