"""``sisyphus check``: what jobs would do, and all that is wrong with them."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from sisyphus.cli import render
from sisyphus.cli.documents import Document, read_documents
from sisyphus.cli.failure import WRONG_INPUT
from sisyphus.cli.options import (
    AsJson,
    ModuleFolders,
    Queue,
    RedisUrl,
    RootFolders,
    settings_of,
    single,
)
from sisyphus.client import Client
from sisyphus.errors import (
    ConfigError,
    InvalidSettings,
    Problem,
    StoreError,
)
from sisyphus.modules.base import Step
from sisyphus.modules.registry import Registry
from sisyphus.settings import Settings
from sisyphus.worker.local import JobPlan, Stored, TaskPlan, plan_job

app = single()


@app.command()
def check(
    jobs: Annotated[
        list[str],
        typer.Argument(
            metavar="JOB...", help="JSON or YAML files, folders of them, or - (stdin)."
        ),
    ],
    root: RootFolders = None,
    modules: ModuleFolders = None,
    as_json: AsJson = False,
    redis_url: RedisUrl = None,
    queue: Queue = None,
) -> None:
    """Say what jobs would do here, and all that is wrong with them. Runs nothing.

    Shows each task's commands, ready to be copied, and the files it reads, writes and
    deletes. Redis is asked only for option sets and profiles that a job names.
    """
    settings = settings_of(redis_url, queue, roots=root, module_folders=modules)
    registry = Registry.load(settings)
    found: list[tuple[Document, JobPlan]] = []
    with stored_in_redis(settings) as stored:
        for document in read_documents(jobs):
            plan = plan_job(document.raw, settings, registry, stored)
            found.append((document, plan))
    if as_json:
        render.emit_json([_as_json(document, plan) for document, plan in found])
    else:
        for number, (document, plan) in enumerate(found):
            if number:
                render.say("")
            _show(document, plan)
    wrong = any(plan.all_problems for _, plan in found)
    raise typer.Exit(WRONG_INPUT if wrong else 0)


@contextmanager
def stored_in_redis(settings: Settings) -> Iterator[Stored]:
    """Give what looks up stored option sets; connects when the first is asked for."""
    with Client(settings=settings) as client:
        yield _asking(client.get_data)


def _asking(get_data: Callable[[str, str], dict[str, Any] | None]) -> Stored:
    def ask(module: str, name: str) -> dict[str, Any] | None:
        try:
            return get_data(module, name)
        except (StoreError, ConfigError) as error:
            expected = f"is stored in Redis, which cannot be asked: {error.message}"
            raise InvalidSettings.of(Problem(module, name, expected)) from None

    return ask


def _show(document: Document, plan: JobPlan) -> None:
    problems = len(plan.all_problems)
    verdict = Text("✔ fine", style="green")
    if problems:
        said = render.count(problems, "thing is", "things are")
        verdict = Text(f"✘ {said} wrong", style="red")
    title = plan.job.job_title if plan.job else ""
    place = render.plain(document.place, "bold")
    gap = "  " if title else ""
    render.say(Text.assemble(place, "  ", render.plain(title), gap, verdict))
    for problem in plan.problems:
        _show_problem(problem, "  ")
    for number, task in enumerate(plan.tasks, 1):
        _show_task(number, task)


def _show_task(number: int, task: TaskPlan) -> None:
    render.say("")
    render.say(Text.assemble(f"  {number} ", render.plain(task.module, "cyan")))
    for problem in task.problems:
        _show_problem(problem, "    ")
    for warning in task.warnings:
        render.say(render.plain(f"    {warning}", "yellow"))
    for step in task.steps:
        _show_step(step)


def _show_problem(problem: Problem, indent: str) -> None:
    render.say(render.plain(f"{indent}✘ {problem}", "red"))


def _show_step(step: Step) -> None:
    render.say(render.plain(f"    {step.what}"))
    if step.argv:
        # One line, however long: it is there to be copied.
        render.say(render.plain(f"    {shlex.join(map(str, step.argv))}", "bold"))
    for verb, paths in (
        ("reads", step.reads),
        ("writes", step.writes),
        ("deletes", step.deletes),
    ):
        for path in dict.fromkeys(paths):
            # "delete /films/a.mkv" needs no second line to say so.
            if step.argv or str(path) not in step.what:
                render.say(render.plain(f"      {verb:8}{path}", render.QUIET))


def _as_json(document: Document, plan: JobPlan) -> dict[str, Any]:
    return {
        "place": document.place,
        "job_id": plan.job.job_id if plan.job else None,
        "job_title": plan.job.job_title if plan.job else None,
        "fine": not plan.all_problems,
        "problems": _problems(plan.problems),
        "tasks": [
            {
                "module": task.module,
                "problems": _problems(task.problems),
                "warnings": task.warnings,
                "steps": [_step(step) for step in task.steps],
            }
            for task in plan.tasks
        ],
    }


def _step(step: Step) -> dict[str, Any]:
    def listed(paths: Sequence[Path]) -> list[str]:
        return [str(path) for path in paths]

    return {
        "what": step.what,
        "argv": [str(word) for word in step.argv],
        "reads": listed(step.reads),
        "writes": listed(step.writes),
        "deletes": listed(step.deletes),
    }


def _problems(problems: Sequence[Problem]) -> list[dict[str, Any]]:
    return [
        {"field": p.field, "value": str(p.value), "expected": p.expected}
        for p in problems
    ]
