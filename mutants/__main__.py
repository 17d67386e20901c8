"""``python -m mutants``: put each defect into the scripts and see what catches it."""

from __future__ import annotations

import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Annotated

import typer

from mutants.defects import DEFECTS, Defect
from mutants.defects_of_jobs import DEFECTS_OF_JOBS
from mutants.defects_of_sessions import DEFECTS_OF_SESSIONS
from mutants.defects_of_take import DEFECTS_OF_TAKE

ROOT = Path(__file__).parent.parent
LUA = Path(str(files("sisyphus.store"))) / "lua"
ALL = DEFECTS + DEFECTS_OF_TAKE + DEFECTS_OF_SESSIONS + DEFECTS_OF_JOBS
SECONDS = 300.0
"""After so long a walk under a defect is taken for one that does not end."""

_FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Result:
    """What became of one defect."""

    defect: Defect
    caught_by: str
    """``model``, ``tests``, or nothing."""
    said: str
    seconds: float


def main(
    only: Annotated[str, typer.Option(help="Scripts, with commas.")] = "",
    examples: Annotated[int, typer.Option(min=1, help="Of the model test.")] = 80,
    at_once: Annotated[int, typer.Option(min=1, help="Defects at a time.")] = 2,
) -> None:
    """Check that the model test, or a test of the store, catches every defect."""
    wanted = only.split(",") if only else [defect.script for defect in ALL]
    chosen = [d for d in ALL if d.script in wanted]
    results: list[Result] = []
    for result in _walk_all([d for d in chosen if not d.equivalent], examples, at_once):
        results.append(result if result.caught_by else _by_tests(result))
        _show(results[-1])
    for defect in chosen:
        if defect.equivalent:
            _line("same", 0, defect.script, defect.breaks, defect.equivalent)
    survived = [r for r in results if not r.caught_by]
    by_model = sum(r.caught_by == "model" for r in results)
    typer.echo(
        f"{len(results) - len(survived)} of {len(results)} caught: {by_model} by the"
        f" model test, {len(results) - by_model - len(survived)} by other tests;"
        f" {len(chosen) - len(results)} make no difference"
    )
    if survived:
        raise typer.Exit(1)


def _walk_all(defects: list[Defect], examples: int, at_once: int) -> Iterator[Result]:
    """Run the model test under each defect, each in a process with its own server."""
    left = list(reversed(defects))
    running: dict[Connection, tuple[Defect, ForkProcess, float]] = {}
    while left or running:
        while left and len(running) < at_once:
            defect = left.pop()
            ours, theirs = _FORK.Pipe()
            process = _FORK.Process(target=_walk, args=(defect, examples, theirs))
            process.start()
            theirs.close()
            running[ours] = (defect, process, time.monotonic())
        for connection in wait(list(running), timeout=5) or list(running):
            assert isinstance(connection, Connection)
            defect, process, began = running[connection]
            seconds = time.monotonic() - began
            if connection.poll():
                said = connection.recv()
            elif seconds > SECONDS:
                said = f"does not end within {SECONDS:.0f} s"
                process.kill()
            else:
                continue
            process.join()
            del running[connection]
            yield Result(defect, "model" if said else "", said, seconds)


def _walk(defect: Defect, examples: int, answer: Connection) -> None:
    """Say what the model test found, in one line."""
    from sisyphus.embedded import EmbeddedServer
    from store.elsewhere import scripts_in
    from store.model_walk import a_world, walk

    with Path(os.devnull).open("w") as nowhere, tempfile.TemporaryDirectory() as name:
        sys.stdout = sys.stderr = nowhere
        folders = [Path(name) / part for part in ("lua", "clock", "server")]
        for folder in folders:
            folder.mkdir()
        write_scripts(folders[0], defect)
        said = ""
        with (
            scripts_in(folders[0]),
            EmbeddedServer(folders[2], appendonly=False) as server,
            a_world(server.url, folders[1]) as world,
        ):
            try:
                walk(world, examples, steps=30, shrink=False)
            except Exception as error:
                said = f"{type(error).__name__}: {error}"
        answer.send(said)


def write_scripts(folder: Path, defect: Defect) -> None:
    """Copy the scripts, with the defect."""
    for path in LUA.glob("*.lua"):
        text = path.read_text()
        if path.stem == defect.script:
            if text.count(defect.text) != 1:
                raise typer.BadParameter(f"{path.name} has not once: {defect.text}")
            text = text.replace(defect.text, defect.instead)
        (folder / path.name).write_text(text)


def _by_tests(result: Result) -> Result:
    """Run the tests of the store under a defect that the model did not see."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        write_scripts(Path(name), result.defect)
        tests = sorted(str(path) for path in (ROOT / "tests/store").glob("test_*.py"))
        tests = [path for path in tests if "test_model" not in path]
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
        ran = subprocess.run(
            [*command, *tests],
            cwd=ROOT,
            env={**os.environ, "LUA_FOLDER": name},
            capture_output=True,
            text=True,
        )
    found = re.search(r"^(?:FAILED|ERROR) \S+::(\S+)", ran.stdout, re.MULTILINE)
    seconds = result.seconds + time.monotonic() - began
    caught_by = "tests" if found else ""
    return Result(result.defect, caught_by, found[1] if found else "", seconds)


def _show(result: Result) -> None:
    said = " ".join(result.said.split())
    _line(
        result.caught_by or "SURVIVED",
        result.seconds,
        result.defect.script,
        result.defect.breaks,
        said,
    )


def _line(word: str, seconds: float, script: str, breaks: str, said: str) -> None:
    typer.echo(f"{word:<8} {seconds:5.1f} s  {script:<10} {breaks:<66} {said[:110]}")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "tests"))
    import store.model_walk  # noqa: F401  # once, for all

    typer.run(main)
