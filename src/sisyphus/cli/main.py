"""The entry point: finds the command, turns our errors into one red line and a code."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from sisyphus import __version__
from sisyphus.errors import SisyphusError

JOBS, WORKERS, HERE = "Jobs", "Workers", "This machine"


@dataclass(frozen=True, slots=True)
class Entry:
    """A command as the list of commands shows it; its file is loaded when it is used."""

    name: str
    heading: str
    help: str


COMMANDS = (
    Entry("submit", JOBS, "Put jobs into the queue."),
    Entry("check", JOBS, "Say what jobs would do, and all that is wrong with them."),
    Entry("jobs", JOBS, "List, watch, cancel and repeat jobs; read their logs."),
    Entry("queue", JOBS, "Look at the queue, pause it, mend what it rejected."),
    Entry("data", JOBS, "Keep named option sets and profiles for modules."),
    Entry("worker", WORKERS, "Take jobs and run them, until told to stop."),
    Entry("workers", WORKERS, "List, pause, resume and drain workers."),
    Entry("server", WORKERS, "Serve the queue over HTTP, until told to stop."),
    Entry("top", WORKERS, "Watch queue, workers and events live."),
    Entry("run", HERE, "Run one job here and now, without any server."),
    Entry("undo", HERE, "Put back the originals that a job replaced."),
    Entry("quarantine", HERE, "List replaced originals, delete what has expired."),
    Entry("modules", HERE, "List, describe and begin modules."),
    Entry("fonts", HERE, "See which fonts subtitles need, and which are there."),
    Entry(
        "doctor", HERE, "Check this machine and its Redis, and say how to mend them."
    ),
    Entry("demo", HERE, "See it work: a queue, two workers and three films."),
)

EPILOG = """\b
Exit codes:
  0    fine
  1    error, or the job failed
  2    wrong usage, setting or document
  3    not found, or not possible in this state
  4    Redis does not answer, or refuses
  5    the job was cancelled
  130  interrupted
"""


class Commands(TyperGroup):
    """Knows all commands by name and one sentence; loads the one that is used.

    So that ``--help`` and completion answer at once.
    """

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for entry in COMMANDS:
            self.commands[entry.name] = TyperCommand(entry.name, help=entry.help)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands under headings."""
        width = max(len(entry.name) for entry in COMMANDS)
        for heading in (JOBS, WORKERS, HERE):
            rows = [
                (e.name.ljust(width), e.help) for e in COMMANDS if e.heading == heading
            ]
            with formatter.section(heading):
                formatter.write_dl(rows)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Load the command that is asked for."""
        if args and any(entry.name == args[0] for entry in COMMANDS):
            self.commands[args[0]] = load(args[0])
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run it; an error of ours becomes one line and its exit code."""
        try:
            return super().invoke(ctx)
        except SisyphusError as error:
            # Here, so that the start does not wait for what only errors need.
            from sisyphus.cli.failure import explain

            raise typer.Exit(explain(error)) from None


def load(name: str) -> Any:
    """Import the file of a command."""
    file = importlib.import_module(f"sisyphus.cli.{name}")
    command = typer.main.get_command(file.app)
    command.name = name
    return command


app = typer.Typer(
    name="sisyphus",
    cls=Commands,
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # prettier help takes a quarter of a second to import
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_show_version,
            is_eager=True,
            help="Print the version and leave.",
        ),
    ] = False,
) -> None:
    """A distributed job worker for media that loses nothing."""


def run() -> None:
    """Run the command line."""
    app()
