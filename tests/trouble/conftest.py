"""Troubles as people meet them: commands, real workers, and servers that misbehave."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from sisyphus.cli.main import app
from sisyphus.embedded import EmbeddedServer
from worker.machines import Machine, Site, is_alive

PASSWORD = "hush-hush"
TASKS: Any = [{"cleanup": {"delete_files": []}}]
JOB = {"job_title": "A job", "job_id": "j", "tasks": TASKS}


@dataclass(frozen=True)
class Said:
    """How a command ended; nothing it says is a traceback or has the password."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Said]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run a command; the job of the folder is ``job.json``."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "job.json").write_text(json.dumps(JOB))
    runner = CliRunner()

    def run(url: str, *words: object) -> Said:
        argv = [*map(str, words), "--redis-url", url]
        result = runner.invoke(app, argv)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        said = Said(result.exit_code, result.stdout, result.stderr)
        assert PASSWORD not in said.out + said.err
        return said

    return run


@pytest.fixture
def own_server(tmp_path: Path, free_port: int) -> Iterator[EmbeddedServer]:
    """A server that a test may spoil, on a port of its own."""
    folder = tmp_path / "server"
    with EmbeddedServer(folder, port=free_port, appendfsync="always") as server:
        yield server


@pytest.fixture
def site(own_server: EmbeddedServer, tmp_path: Path) -> Iterator[Site]:
    assert own_server.tcp_url is not None
    made = Site(own_server.tcp_url, tmp_path)
    yield made
    made.close()


def loud(machine: Machine, *, quietest: str = "WARNING") -> list[str]:
    """What a machine has said that is more than chatter, without times."""
    assert "Traceback" not in machine.log
    assert PASSWORD not in machine.log
    levels = ("WARNING", "ERROR") + (("INFO",) if quietest == "INFO" else ())
    found = []
    for line in machine.log.splitlines():
        if line.startswith("{") and line.endswith("}"):  # of a worker process
            told = json.loads(line)
            level, said = told["level"], told["message"]
        else:
            _, _, level, said = [*line.split(" ", 3), "", "", ""][:4]
        if level in levels and "no append-only file" not in said:
            found.append(said)
    return found


def saying(machine: Machine, *words: str) -> list[str]:
    """The lines that have all these words, whatever their level but DEBUG."""
    lines = loud(machine, quietest="INFO")
    return [line for line in lines if all(word in line for word in words)]


@pytest.fixture
def alive() -> Callable[[int], bool]:
    return is_alive
