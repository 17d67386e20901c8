"""The door: help, errors and exit codes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cli.conftest import Sisyphus
from sisyphus.cli.main import COMMANDS, load

NOBODY = "redis://127.0.0.1:1"


def test_help_lists_every_command_and_the_exit_codes(sisyphus: Sisyphus) -> None:
    said = sisyphus("--help")

    assert said.code == 0
    for entry in COMMANDS:
        assert entry.help in said.out
    for word in ("0    fine", "4    Redis does not answer", "130  interrupted"):
        assert word in said.out


@pytest.mark.parametrize("name", [entry.name for entry in COMMANDS])
def test_every_command_has_help_of_its_own(name: str, sisyphus: Sisyphus) -> None:
    said = sisyphus(name, "-h")

    assert said.code == 0
    assert load(name).help.split(".")[0].split("\n")[0] in said.out


def test_help_waits_for_nothing_that_only_commands_need() -> None:
    look = (
        "import sys; from sisyphus.cli.main import app;"
        "sys.stdout.write(' '.join(sys.modules))"
    )

    loaded = subprocess.run(
        [sys.executable, "-c", look], capture_output=True, text=True, check=True
    ).stdout.split()

    assert not {"redis", "pydantic", "yaml", "rich.console"} & set(loaded)


def test_the_version_is_printed(sisyphus: Sisyphus) -> None:
    assert sisyphus("--version").out[:2] == "2."


def test_a_misspelt_command_is_answered_with_the_right_one(sisyphus: Sisyphus) -> None:
    said = sisyphus("jbos")

    assert said.code == 2
    assert "Did you mean 'jobs'?" in said.err


def test_redis_that_does_not_answer_is_one_line_and_code_4(sisyphus: Sisyphus) -> None:
    said = sisyphus("jobs", "list", "--redis-url", NOBODY)

    assert said.code == 4
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "does not answer" in said.err
    assert "--redis-url" in said.err


def test_a_wrong_setting_is_one_line_and_code_2(
    sisyphus: Sisyphus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SISYPHUS_REDIS_ULR", "redis://elsewhere")

    said = sisyphus("queue", "show")

    assert said.code == 2
    assert said.err.count("\n") == 1
    assert "did you mean 'SISYPHUS_REDIS_URL'?" in said.err


def test_what_is_not_there_is_code_3(with_redis: str, sisyphus: Sisyphus) -> None:
    assert sisyphus("jobs", "show", "nobody").code == 3
    assert sisyphus("workers", "drain", "nobody").code == 3
    assert sisyphus("queue", "rejected", "show", "nothing").code == 3
    assert sisyphus("queue", "rejected", "drop", "1-1").code == 3
    assert sisyphus("data", "show", "ffmpeg", "nothing").code == 3


def test_all_that_is_wrong_with_a_document_is_listed(
    with_redis: str, sisyphus: Sisyphus, anywhere: Path
) -> None:
    (anywhere / "a.json").write_text('{"job_id": "a", "tasks": []}')

    said = sisyphus("submit", "a.json")

    assert said.code == 2
    assert "2 things are wrong" in said.err
    assert "job_title: is missing" in said.err
    assert "tasks" in said.err
