"""Types for settings models: files that a task reads or writes, and lengths of time."""

from __future__ import annotations

import math
import os
import re
import types
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, WithJsonSchema


@dataclass(frozen=True, slots=True)
class FileUse:
    """The mark of a file type: what a task does with the file."""

    use: Literal["read", "write"]


@dataclass(frozen=True, slots=True)
class DeclaredFile:
    """One file that settings name: in which field, where, and what for."""

    field: str
    path: Path
    use: Literal["read", "write"]


def _as_path(value: Any) -> Path:
    if not isinstance(value, str | os.PathLike):
        raise ValueError("must be a path, as text")
    text = os.fspath(value)
    if not isinstance(text, str) or not text.strip():
        raise ValueError("must be a path, is empty")
    if "\0" in text:
        raise ValueError("must be a path without NUL")
    try:
        # Bytes that are no UTF-8 stand in the text as U+DC80 to U+DCFF; there and back,
        # so that one file has one name.
        text = os.fsdecode(os.fsencode(text))
    except UnicodeEncodeError:
        raise ValueError("must be a path that a file system can hold") from None
    # Links stay as they are, so that commands show the path that the job gave.
    return Path(os.path.abspath(text))  # noqa: PTH100 - Path.resolve follows links


def _schema(description: str) -> WithJsonSchema:
    return WithJsonSchema(
        {"type": "string", "format": "path", "minLength": 1, "description": description}
    )


InputFile = Annotated[
    Path,
    BeforeValidator(_as_path),
    FileUse("read"),
    _schema("Path of a file that the task reads."),
]
"""A file that the task reads; made absolute, links not resolved."""

OutputFile = Annotated[
    Path,
    BeforeValidator(_as_path),
    FileUse("write"),
    _schema("Path of a file that the task writes."),
]
"""A file that the task writes; made absolute, links not resolved."""

_CLOCK = re.compile(r"(?:(\d+):)?(\d+):(\d{1,2}(?:\.\d*)?)")
_UNITS = re.compile(
    r"(?=.)(?:(\d+(?:\.\d+)?)\s*h)?\s*(?:(\d+(?:\.\d+)?)\s*m(?!s))?\s*"
    r"(?:(\d+(?:\.\d+)?)\s*s)?\s*(?:(\d+(?:\.\d+)?)\s*ms)?"
)


def seconds_of(value: Any) -> float:
    """Read a length of time: ``90``, ``"90"``, ``"1:30"``, ``"0:01:30.5"``, ``"1h5m"``.

    Raises:
        ValueError: it is none.
    """
    wrong = 'must be seconds, or text such as "90", "1:30", "0:00:01.5" or "5m"'
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(wrong)
    if isinstance(value, str):
        value = _seconds_of_text(value.strip().lower(), wrong)
    seconds = float(value)
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError("must be a length of time, not negative")
    return seconds


def _seconds_of_text(text: str, wrong: str) -> float:
    if found := _CLOCK.fullmatch(text):
        hours, minutes, seconds = found.groups()
        return 3600 * int(hours or 0) + 60 * int(minutes) + float(seconds)
    if found := _UNITS.fullmatch(text):
        parts = zip(found.groups(), (3600.0, 60.0, 1.0, 0.001), strict=True)
        return sum(float(number) * unit for number, unit in parts if number)
    try:
        return float(text)
    except ValueError:
        raise ValueError(wrong) from None


Seconds = Annotated[
    float,
    BeforeValidator(seconds_of),
    WithJsonSchema(
        {
            "anyOf": [{"type": "number", "minimum": 0}, {"type": "string"}],
            "description": 'Seconds, or text such as "1:30", "0:00:01.5" or "5m".',
        }
    ),
]
"""A length of time in seconds, as a number or as people write it."""


@dataclass(frozen=True, slots=True)
class Files:
    """The files that a task reads, writes and takes away, as far as its settings tell."""

    reads: frozenset[Path]
    writes: frozenset[Path]
    deletes: frozenset[Path] = frozenset()


def declared_paths(settings: BaseModel) -> tuple[list[Path], list[Path]]:
    """List the files that settings name: those read, and those written."""
    found = list(declared_files(settings))
    return (
        [file.path for file in found if file.use == "read"],
        [file.path for file in found if file.use == "write"],
    )


def shown(path: Any) -> str:
    """Write a path for the message of a validator, which must be UTF-8."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def declared_files(settings: BaseModel, field: str = "") -> Iterator[DeclaredFile]:
    """List the files that settings name, each with its field below ``field``."""
    for name, info in type(settings).model_fields.items():
        place = f"{field}.{name}" if field else name
        value = getattr(settings, name)
        yield from _files(info.annotation, tuple(info.metadata), value, place)


def _files(
    annotation: Any, metadata: tuple[Any, ...], value: Any, field: str
) -> Iterator[DeclaredFile]:
    """Walk value and type together: only the type knows what a path is for."""
    annotation = getattr(annotation, "__value__", annotation)
    if isinstance(value, BaseModel):
        yield from declared_files(value, field)
        return
    if get_origin(annotation) is Annotated:
        annotation, *inner = get_args(annotation)
        yield from _files(annotation, (*metadata, *inner), value, field)
        return
    if isinstance(value, Path):
        for mark in metadata:
            if isinstance(mark, FileUse):
                yield DeclaredFile(field, value, mark.use)
                return
    yield from _files_inside(annotation, value, field)


def _files_inside(annotation: Any, value: Any, field: str) -> Iterator[DeclaredFile]:
    arguments = get_args(annotation)
    if get_origin(annotation) in (Union, types.UnionType):
        for argument in arguments:
            found = list(_files(argument, (), value, field))
            if found:
                yield from found
                return
    elif isinstance(value, Mapping) and len(arguments) == 2:
        for key, item in value.items():
            yield from _files(arguments[1], (), item, f"{field}.{key}")
    elif isinstance(value, Sequence | Set) and not isinstance(value, str | bytes):
        for number, item in enumerate(value):
            fixed = len(arguments) == len(value) and Ellipsis not in arguments
            argument = arguments[number if fixed else 0] if arguments else None
            yield from _files(argument, (), item, f"{field}[{number}]")
