"""``sisyphus doctor``: check this machine and its Redis, and say how to mend them."""

from __future__ import annotations

from collections.abc import Iterator

import typer
from rich.text import Text

from sisyphus.cli import render
from sisyphus.cli.doctor_checks import machine_findings, ok
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
from sisyphus.errors import ConfigError, StoreRefused, StoreUnavailable
from sisyphus.logs import redacted
from sisyphus.settings import Settings
from sisyphus.store import health
from sisyphus.store.health import Finding, Severity
from sisyphus.store.views import Profile

_MARKS = {
    Severity.OK: ("✔", "green"),
    Severity.WARNING: ("!", "yellow"),
    Severity.ERROR: ("✘", "red"),
}

app = single()


@app.command()
def doctor(
    root: RootFolders = None,
    modules: ModuleFolders = None,
    as_json: AsJson = False,
    redis_url: RedisUrl = None,
    queue: Queue = None,
) -> None:
    """Check this machine and its Redis, and say how to mend them.

    Exit code 1 when something is wrong that a worker cannot do without.
    """
    settings = settings_of(redis_url, queue, roots=root, module_folders=modules)
    findings: list[tuple[str, Finding]] = []
    last = ""
    for topic, finding in _all(settings):
        heading = "redis" if topic in set(Profile) else topic
        shown = "" if heading == last else heading
        last = heading
        findings.append((topic, finding))
        if not as_json:
            _show(shown, finding)
    if as_json:
        render.emit_json([_row(topic, finding) for topic, finding in findings])
    else:
        _sum_up([finding.severity for _, finding in findings])
    wrong = any(finding.severity is Severity.ERROR for _, finding in findings)
    raise typer.Exit(1 if wrong else 0)


def _all(settings: Settings) -> Iterator[tuple[str, Finding]]:
    yield from machine_findings(settings)
    try:
        with Client(settings=settings) as client:
            client.reads.now()  # whatever else may be asked: is it there, are we let in?
            yield "redis", ok(redacted(settings.redis_url))
            yield from _of_server(client)
            yield from _of_queue(client, settings)
    except StoreUnavailable as error:
        mend = "start it, or name another: --redis-url URL or SISYPHUS_REDIS_URL"
        yield "redis", Finding(Severity.ERROR, error.message, mend)
    except (StoreRefused, ConfigError) as error:
        mend = "mend that, or name another: --redis-url"
        yield "redis", Finding(Severity.ERROR, error.message, mend)


def _of_server(client: Client) -> Iterator[tuple[str, Finding]]:
    try:
        server = client.server()
    except StoreRefused as error:
        what = f"its settings cannot be checked: {error.message}"
        yield "redis", Finding(Severity.WARNING, what, "allow this user INFO")
        return
    kept = health.durability(server)
    for finding in health.findings(server):
        yield (server.profile if finding == kept else "redis"), finding


def _of_queue(client: Client, settings: Settings) -> Iterator[tuple[str, Finding]]:
    if missing := client.reads.denied():
        found = health.rights_missing(missing)
        yield "redis", found
        if found.severity is Severity.ERROR:
            return
    queue, workers = client.queue(), len(client.workers())
    said = f"{settings.queue!r}, {render.count(workers, 'worker')} alive"
    if others := client.reads.elsewhere():
        what = health.other_database(settings, others)
        yield (
            "queue",
            Finding(Severity.WARNING, what, "--redis-url, SISYPHUS_REDIS_URL"),
        )
    elif queue.paused:
        mend = "sisyphus queue resume"
        yield "queue", Finding(Severity.WARNING, f"{said}, paused", mend)
    else:
        yield "queue", ok(said)


def _row(topic: str, finding: Finding) -> dict[str, str]:
    profile = {"profile": topic} if topic in set(Profile) else {}
    return {
        "topic": "durability" if profile else topic,
        "severity": finding.severity,
        "what": finding.what,
        "mend": finding.mend,
        **profile,
    }


def _show(topic: str, finding: Finding) -> None:
    mark, style = _MARKS[finding.severity]
    line = Text.assemble(
        (f"{mark} ", style), (f"{topic:<11}", render.QUIET), render.plain(finding.what)
    )
    render.say(line)
    if finding.mend:
        render.say(Text.assemble(" " * 13, ("→ ", style), render.plain(finding.mend)))


def _sum_up(severities: list[Severity]) -> None:
    errors = severities.count(Severity.ERROR)
    warnings = severities.count(Severity.WARNING)
    render.say("")
    if errors:
        said = f"{render.count(errors, 'error')}, {render.count(warnings, 'warning')}"
        render.say(Text(said, style="red"))
    elif warnings:
        said = f"works; {render.count(warnings, 'warning')}"
        render.say(Text(said, style="yellow"))
    else:
        render.say(Text("all is well", style="green"))
