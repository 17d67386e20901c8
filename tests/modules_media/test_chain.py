"""Tasks that read what earlier tasks of the job make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sisyphus.modules.chain import Before, Chain
from sisyphus.modules.control import Control
from sisyphus.modules.registry import Registry
from sisyphus.modules.task import Surroundings, Task
from sisyphus.modules.tool import Tools
from sisyphus.settings import Settings

pytestmark = pytest.mark.tool


def test_a_chain_is_valid_before_its_first_task_ran(clip: Path, tmp_path: Path) -> None:
    raw, encoded, final = clip, tmp_path / "temp.mkv", tmp_path / "final.mkv"
    small = {"codec": "libx264", "preset": "ultrafast", "s": "160x90"}
    job: list[tuple[str, dict[str, Any]]] = [
        (
            "ffmpeg",
            {
                "sources": [str(raw)],
                "source_map": [{"source": 0, "stream_type": "v", "stream": 0}],
                "output_map": [{"stream_type": "v", "stream": 0, "options": small}],
                "output_file": str(encoded),
            },
        ),
        (
            "mkvmerge",
            {
                "sources": [{"filename": str(encoded)}],
                "tracks": [{"source": 0, "track": 0}],
                "output_file": str(final),
            },
        ),
        ("cleanup", {"verify_exists": [str(final)], "delete_files": [str(encoded)]}),
    ]
    settings = Settings.model_construct(roots=(tmp_path, clip.parent))
    registry = Registry.load(settings)
    around = Surroundings(
        settings=settings,
        tools=Tools(),
        control=Control(),
        on_progress=lambda progress: None,
        on_log=lambda level, line: None,
        confirm=lambda: None,
        stored=lambda module, name: None,
    )
    modules = [registry.build(name, data) for name, data in job]
    chain = Chain([module.files() for module in modules])
    tasks = []
    for index, module in enumerate(modules):
        task = Task(
            around,
            job_id="chain",
            job_title="Chain",
            token=1,
            index=index,
            module=module,
            before=chain.before,
        )
        module.validate(task)
        chain.follow(module, task)
        tasks.append((module, task))

    for module, task in tasks:
        task.before = Before()
        with task:
            module.run(task)

    assert [path.name for path in tmp_path.iterdir()] == ["final.mkv"]
