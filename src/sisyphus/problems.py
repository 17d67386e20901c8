"""Turn pydantic's findings into problems that name field, value and what is right."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import AliasChoices, BaseModel, ValidationError
from pydantic.fields import FieldInfo

from sisyphus.errors import ABSENT, Problem


def problems_of(
    error: ValidationError,
    prefix: str = "",
    known: Sequence[str] = (),
    model: type[BaseModel] | None = None,
) -> tuple[Problem, ...]:
    """List what pydantic found, each under ``prefix``; at most twenty.

    ``model`` is what was checked: by it an unknown key is told the nearest known one,
    however deep it stands. ``known`` holds names for the top level instead.
    """
    rows = error.errors(include_url=False)
    return tuple(
        Problem(
            _path(prefix, row["loc"]),
            _value(row),
            _expected(row, _known_at(row["loc"], model) if model else known),
        )
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


def _known_at(location: Sequence[int | str], model: type[BaseModel]) -> list[str]:
    """List the keys of the object in which the last part of a location stands."""
    models = [model]
    for part in location[:-1]:
        if isinstance(part, int):
            continue
        fields = [
            info
            for one in models
            for name, info in one.model_fields.items()
            if part in _names(name, info)
        ]
        if fields:
            models = [one for info in fields for one in _models(info.annotation)]
        else:
            # Where several models may stand, the location names the one that was tried.
            models = [one for one in models if one.__name__ == part] or models
    return [
        key
        for one in models
        for name, info in one.model_fields.items()
        for key in _names(name, info)[:1]
    ]


def _names(name: str, info: FieldInfo) -> list[str]:
    """List the keys under which a field may be given, the preferred one first."""
    alias = info.validation_alias
    if isinstance(alias, AliasChoices):
        return [choice for choice in alias.choices if isinstance(choice, str)]
    return [alias] if isinstance(alias, str) else [info.alias or name]


def _models(annotation: Any) -> list[type[BaseModel]]:
    """List the models that may stand where a type is wanted."""
    annotation = getattr(annotation, "__value__", annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [one for inner in get_args(annotation) for one in _models(inner)]


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
    near = near or [known for known in names if known.startswith(name) and name[2:]]
    if near:
        return f"; did you mean {near[0]!r}?"
    if names and len(names) <= 12:
        return f"; known are {', '.join(names)}"
    return ""
