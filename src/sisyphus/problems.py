"""Turn pydantic's findings into problems that name field, value and what is right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from sisyphus.errors import ABSENT, Problem


def problems_of(
    error: ValidationError, prefix: str = "", known: Sequence[str] = ()
) -> tuple[Problem, ...]:
    """List what pydantic found, each under ``prefix``; at most twenty.

    ``known`` holds the names that would have been right on the top level.
    """
    rows = error.errors(include_url=False)
    return tuple(
        Problem(_path(prefix, row["loc"]), _value(row), _expected(row, known))
        for row in rows[:20]
        if not (row["type"] == "too_short" and _has_worse(row, rows))
    )


def _value(row: Any) -> Any:
    return ABSENT if row["type"] == "missing" else row.get("input")


def _has_worse(row: Any, rows: Sequence[Any]) -> bool:
    """Tell if a list is only "too short" because its items were wrong."""
    depth = len(row["loc"])
    return any(
        len(other["loc"]) > depth and other["loc"][:depth] == row["loc"]
        for other in rows
    )


def _path(prefix: str, location: Iterable[int | str]) -> str:
    path = prefix
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif path:
            path += f".{part}"
        else:
            path = part
    return path or "document"


def _expected(row: Any, known: Sequence[str]) -> str:
    if row["type"] == "missing":
        return "is missing"
    if row["type"] == "extra_forbidden":
        name = str(row["loc"][-1])
        return f"is not a known key{did_you_mean(name, known)}"
    if row["type"] in ("value_error", "assertion_error"):
        return str(row["ctx"]["error"])
    message: str = row["msg"]
    message = message[:1].lower() + message[1:]
    for theirs, ours in (("tuple", "list"), ("dictionary", "object")):
        message = message.replace(theirs, ours)
    return message


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Name the nearest known name, or list them when they are few."""
    names = sorted(known)
    near = get_close_matches(name, names, n=1, cutoff=0.6)
    if near:
        return f"; did you mean {near[0]!r}?"
    if names and len(names) <= 12:
        return f"; known are {', '.join(names)}"
    return ""
