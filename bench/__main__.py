"""``python -m bench``: measure, and print tables."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench import (
    crowd,
    encode,
    experiments,
    idle,
    memory,
    pickup,
    recovery,
    scale,
    throughput,
)
from bench.conditions import machine, watched
from bench.fleet import compile_modules
from bench.report import Result, show

WIDTH = 100
"""Where the output is no terminal."""
PARTS = (
    *("throughput", "pickup", "memory", "idle", "encode", "recovery"),
    *("experiments", "scale", "crowd"),
)


def main(
    quick: Annotated[bool, typer.Option(help="Fewer jobs and rounds.")] = False,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Jobs in the queue that is drained.")
    ] = None,
    pushes: Annotated[
        int | None, typer.Option(min=1, help="Jobs pushed at a pace for pickup.")
    ] = None,
    rounds: Annotated[
        int | None, typer.Option(min=1, help="Rounds of throughput, encode, recovery.")
    ] = None,
    only: Annotated[str, typer.Option(help="Parts, with commas.")] = ",".join(PARTS),
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the figures here as well.")
    ] = None,
) -> None:
    """Measure Sisyphus on this machine, against a server of its own."""
    parts: dict[str, Callable[[], Result]] = {
        "throughput": lambda: throughput.measure(
            jobs or (2_000 if quick else 10_000), rounds or (3 if quick else 5)
        ),
        "pickup": lambda: pickup.measure(pushes or (200 if quick else 1_000)),
        "memory": memory.measure,
        "idle": lambda: idle.measure(10 if quick else 60),
        "encode": lambda: encode.measure(rounds or (3 if quick else 7)),
        "recovery": lambda: recovery.measure(rounds or (2 if quick else 5)),
        "experiments": lambda: experiments.measure(rounds or (1 if quick else 5)),
        "scale": lambda: scale.measure(jobs or (100_000 if quick else 1_000_000)),
        "crowd": lambda: crowd.measure(10 if quick else 1),
    }
    wanted = [name.strip() for name in only.split(",") if name.strip()]
    if unknown := [name for name in wanted if name not in parts]:
        raise typer.BadParameter(f"no part {unknown[0]!r}: {', '.join(PARTS)}")
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    about = machine()
    for name, value in about.items():
        console.print(f"{name:9} {value}", highlight=False)
    console.print()
    figures: dict[str, object] = {"machine": about, "quick": quick}
    compile_modules()
    for name in wanted:
        with watched() as conditions:
            result = parts[name]()
        result.conditions = conditions
        show(console, result)
        figures[name] = result.as_json()
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    typer.run(main)
