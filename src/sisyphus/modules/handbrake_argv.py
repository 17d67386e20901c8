"""From settings to HandBrake's arguments."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sisyphus.modules.handbrake_options import (
    NO_PAD,
    NONE,
    OPTIONAL,
    TRUE_IS,
    long_name,
    negative_of,
    word_for,
)
from sisyphus.modules.handbrake_settings import HandbrakeSettings
from sisyphus.modules.handbrake_values import text_of


def build_argv(settings: HandbrakeSettings, output: Path) -> list[str]:
    """Build the whole command line."""
    source = ["--input", str(settings.source), "--output", str(output)]
    argv = ["HandBrakeCLI"]
    groups = list(settings.groups)
    if groups and groups[0][0] == "general_options":
        argv += _options(groups.pop(0)[1])
    argv += source
    for _, options in groups:
        argv += _options(options)
    return argv if "--json" in argv else [*argv, "--json"]


def _options(options: Sequence[tuple[str, Any]]) -> Iterator[str]:
    for name, value in options:
        yield from _option(name, value)


def _option(name: str, value: Any) -> Sequence[str]:
    long = long_name(name)
    if long == NO_PAD:
        return []
    if long in NONE and (value is None or value is False):
        return [word_for(name), "none"]
    if value is False:
        negative = negative_of(name)
        return [negative] if negative else []
    if value is True and long in TRUE_IS:
        return [word_for(name), TRUE_IS[long]]
    if value is None or value is True:
        return [word_for(name)]
    text = text_of(long, value)
    # HandBrake takes an optional value from the same argument only.
    return [f"--{long}={text}"] if long in OPTIONAL else [word_for(name), text]
