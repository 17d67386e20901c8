"""Job documents as people keep them: files and folders, JSON and YAML, standard input."""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from sisyphus.cli.render import json_text
from sisyphus.errors import ConfigError, InvalidJob, Problem

STDIN = "-"
YAML = (".yaml", ".yml")
SUFFIXES = (".json", *YAML)


@dataclass(frozen=True, slots=True)
class Document:
    """One job document and where it was found."""

    place: str
    raw: bytes


def read_documents(
    places: Sequence[str], *, set_id: bool = False
) -> Iterator[Document]:
    """Read all documents in files, folders and standard input (``-``), in order.

    A JSON file with one job is given as it is, byte for byte. A job without an id gets
    one; with ``set_id`` every job gets a new one.

    Raises:
        ConfigError: a file cannot be read, or a folder has no document.
        InvalidJob: a file holds neither JSON nor YAML.
    """
    for place in places:
        for name, raw in _files(place):
            yield from _split(name, raw, set_id)


def _files(place: str) -> Iterator[tuple[str, bytes]]:
    if place == STDIN:
        yield "standard input", sys.stdin.buffer.read()
        return
    path = Path(place)
    if path.is_dir():
        found = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES)
        if not found:
            raise ConfigError(f"{path} holds no .json, .yaml or .yml file")
    else:
        found = [path]
    for file in found:
        try:
            yield str(file), file.read_bytes()
        except OSError as error:
            raise ConfigError(f"{file} cannot be read: {error.strerror}") from None


def _split(name: str, raw: bytes, set_id: bool) -> Iterator[Document]:
    """Cut a file into its jobs."""
    values = _load(name, raw)
    several = len(values) > 1
    for number, value in enumerate(values, 1):
        place = f"{name}, job {number}" if several else name
        if not isinstance(value, dict):
            problem = Problem("document", value, "must be an object: a job")
            raise InvalidJob.of(Problem(place, problem.value, problem.expected))
        if set_id or "job_id" not in value:
            value = {**value, "job_id": str(uuid.uuid4())}
        elif not several and raw.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
            yield Document(place, raw)
            continue
        yield Document(place, json_text(value, default=_as_text).encode())


def _load(name: str, raw: bytes) -> list[Any]:
    if Path(name).suffix.lower() in YAML:
        return _yaml(name, raw)
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        if name == "standard input":
            return _yaml(name, raw)
        expected = f"is not JSON: {error}"
        raise InvalidJob.of(Problem(name, _beginning(raw), expected)) from None
    return value if isinstance(value, list) else [value]


def _yaml(name: str, raw: bytes) -> list[Any]:
    try:
        found = [value for value in yaml.safe_load_all(raw) if value is not None]
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        said = " ".join(str(error).split())
        problem = Problem(name, _beginning(raw), f"is neither JSON nor YAML: {said}")
        raise InvalidJob.of(problem) from None
    values: list[Any] = []
    for value in found:
        values += value if isinstance(value, list) else [value]
    if not values:
        raise InvalidJob.of(Problem(name, _beginning(raw), "is empty"))
    return values


def as_text(document: bytes) -> str:
    """Show a document indented, if it is JSON."""
    try:
        return json_text(json.loads(document), indent=2)
    except ValueError:
        return document.decode("utf-8", "backslashreplace")


def _beginning(raw: bytes) -> str:
    return raw[:60].decode("utf-8", "replace")


def _as_text(value: Any) -> str:
    """Write what YAML knows and JSON does not."""
    if isinstance(value, date):
        return value.isoformat()
    raise InvalidJob.of(Problem("document", value, "must be something JSON can hold"))
