"""What an operator allows jobs to use, in a real worker."""

from __future__ import annotations

from typing import Any

import pytest

from sisyphus.errors import ConfigError
from worker.machines import Site


def push(site: Site, job_id: str, options: dict[str, Any]) -> None:
    data = {
        "sources": [str(site.path("missing.mkv"))],
        "source_maps": [{"source": 0}],
        "output_maps": [{"stream": 0, "options": options}],
        "output_file": str(site.path("out.mkv")),
    }
    site.push(job_id, tasks=[{"ffmpeg": data}])


def test_only_what_is_allowed_gets_past_the_settings(site: Site) -> None:
    machine = site.machine(allowed_options=["ffmpeg.filter_script"])
    push(site, "allowed", {"filter_script": "/x"})
    push(site, "refused", {"filter_script": "/x", "attach": "/x"})

    site.until("allowed", "failed", 60)
    site.until("refused", "failed", 60)

    (problem,) = site.error("allowed")["problems"]
    assert problem["field"] == "tasks[0].ffmpeg.sources[0]"
    (problem,) = site.error("refused")["problems"]
    assert problem["field"] == "tasks[0].ffmpeg.output_maps[0].options"
    assert "unless allowed_options has ffmpeg.attach" in problem["expected"]
    assert "refused elsewhere: ffmpeg.filter_script" in machine.log


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"allowed_options": ["ffmpeg.filter_scrip"]}, "did you mean 'filter_script'"),
        ({"modules": ["ffmpg"]}, "did you mean 'ffmpeg'"),
    ],
)
def test_a_worker_with_a_slip_in_its_settings_says_so_once_and_ends(
    site: Site, settings: dict[str, Any], said: str
) -> None:
    machine = site.machine(**settings)

    assert machine.process.wait(60) == ConfigError.exit_status
    assert machine.log.count(said) == 1
    assert "Traceback" not in machine.log
