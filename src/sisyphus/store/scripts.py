"""The Lua scripts: read once, run by their hash, called with named arguments.

A script's header tells its arguments, in order; a call is checked against it, so nobody
counts positions. The one key handed over is the list of waiting documents; the prelude
derives all others from it, in the same cluster slot.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

_FOLDER = files("sisyphus.store") / "lua"
_ARGUMENT = re.compile(r"^-- ARGV\[(\d+)\]\s+(\w+)", re.MULTILINE)
_REPLY = re.compile(r"\{'(\w+)'")

Argument = bytes | str | int | float


@dataclass(frozen=True, slots=True)
class Script:
    """One transition: its name, its text with the prelude, its hash, its arguments."""

    name: str
    text: str
    sha: str
    arguments: tuple[str, ...]
    replies: frozenset[str]

    def call(self, queue: str, **given: Argument) -> tuple[Argument, ...]:
        """Build the command that runs the script by its hash."""
        if tuple(given) != self.arguments:
            raise TypeError(f"{self.name} takes {self.arguments}, got {tuple(given)}")
        return ("EVALSHA", self.sha, 1, queue, *given.values())


@cache
def script(name: str) -> Script:
    """Read a script and what its header says of it."""
    body = (_FOLDER / f"{name}.lua").read_text()
    text = f"{_prelude()}\n{body}"
    header = body.split("\n\n", 1)[0]
    numbers_and_names = _ARGUMENT.findall(header)
    if [int(number) for number, _ in numbers_and_names] != list(
        range(1, len(numbers_and_names) + 1)
    ):
        raise ValueError(f"{name}.lua: its arguments are not numbered 1, 2, 3 ...")
    return Script(
        name=name,
        text=text,
        sha=hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest(),
        arguments=tuple(argument for _, argument in numbers_and_names),
        replies=frozenset(_REPLY.findall(header)),
    )


def script_names() -> list[str]:
    """List all scripts, in alphabetical order."""
    names = (entry.name for entry in _FOLDER.iterdir())
    return sorted(
        name.removesuffix(".lua")
        for name in names
        if name.endswith(".lua") and not name.startswith("_")
    )


@cache
def _prelude() -> str:
    return (_FOLDER / "_prelude.lua").read_text()
