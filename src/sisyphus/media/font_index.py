"""All fonts below some folders, and the file that remembers their names.

Opening a thousand font files takes seconds, looking at their sizes and times a moment.
That file holds names only: which fonts there are is looked up in the folders each time,
so whoever could write to it could not have another file taken for a font.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from sisyphus.media.fonts import SUFFIXES, Face, NotAFont, read_faces

_VERSION = 1
_MOST_REMEMBERED = 100_000


@dataclass(frozen=True, slots=True)
class FontIndex:
    """The fonts that were found."""

    faces: tuple[Face, ...] = ()
    broken: Mapping[Path, str] = field(default_factory=dict)
    """Files that are no fonts, and why."""
    new: frozenset[Path] = frozenset()
    """Files that had to be read; the others were remembered."""


@dataclass(frozen=True, slots=True)
class _Found:
    """A file that should be a font."""

    path: Path
    real: Path
    size: int
    changed: int


@dataclass(frozen=True, slots=True)
class _Entry:
    """What is remembered of a file."""

    size: int
    changed: int
    faces: tuple[Face, ...] = ()
    broken: str = ""


@dataclass(frozen=True, slots=True)
class _Memory:
    """What is in the file that remembers."""

    version: int = _VERSION
    files: dict[str, _Entry] = field(default_factory=dict)
    """By real path."""


_MEMORY = TypeAdapter(_Memory)


def default_memory() -> Path | None:
    """Name the file that remembers: in the home folder, if there is one."""
    try:
        return Path.home() / ".cache" / "sisyphus" / "fonts.json"
    except RuntimeError:
        return None


def index_fonts(folders: Iterable[Path], memory: Path | None) -> FontIndex:
    """Read the names of all fonts below the folders; a missing folder counts as empty.

    A file that several names lead to counts once, by the first of them. ``memory`` is
    read and written if that can be done.
    """
    known = _recall(memory)
    faces: list[Face] = []
    broken: dict[Path, str] = {}
    new: set[Path] = set()
    seen: set[str] = set()
    for number, folder in enumerate(folders):
        for found in _below(folder.absolute(), set()):
            key = str(found.real)
            if key in seen:
                continue
            seen.add(key)
            entry = known.get(key)
            facts = (found.size, found.changed)
            if entry is None or (entry.size, entry.changed) != facts:
                entry = known[key] = _read(found)
                new.add(found.path)
            if entry.broken:
                broken[found.path] = entry.broken
            faces += [
                replace(face, path=found.path, folder=number) for face in entry.faces
            ]
    if new and memory is not None:
        _remember(memory, known, seen)
    return FontIndex(tuple(faces), broken, frozenset(new))


def _below(folder: Path, visited: set[tuple[int, int]]) -> Iterator[_Found]:
    """List the files that end like fonts, in the order of their names."""
    try:
        facts = folder.stat()
        if (facts.st_dev, facts.st_ino) in visited:
            return  # a link back up
        visited.add((facts.st_dev, facts.st_ino))
        with os.scandir(folder) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return
    real_folder = folder.resolve()
    for entry in listed:
        path = Path(entry.path)
        with suppress(OSError):
            if entry.is_dir():
                yield from _below(path, visited)
                continue
            if path.suffix.lower() not in SUFFIXES:
                continue
            facts = entry.stat()
            if stat.S_ISREG(facts.st_mode):
                real = path.resolve() if entry.is_symlink() else real_folder / path.name
                yield _Found(path, real, facts.st_size, facts.st_mtime_ns)


def _read(found: _Found) -> _Entry:
    try:
        faces = read_faces(found.real)
    except NotAFont as error:
        return _Entry(found.size, found.changed, broken=error.message)
    return _Entry(found.size, found.changed, faces)


def _recall(memory: Path | None) -> dict[str, _Entry]:
    """Read what is remembered; nothing, when the file is damaged or not ours."""
    if memory is None:
        return {}
    try:
        opened = os.open(memory, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(opened, "rb") as file:
            facts = os.fstat(file.fileno())
            if facts.st_uid != os.geteuid() or facts.st_mode & 0o022:
                return {}
            found = _MEMORY.validate_json(file.read())
    except (OSError, ValidationError):
        return {}
    return found.files if found.version == _VERSION else {}


def _remember(memory: Path, known: dict[str, _Entry], seen: set[str]) -> None:
    """Write the file beside its place, then move it there: others may do the same.

    Other workers of this machine may have other folders: what they know stays, as long
    as it is there.
    """
    kept = {
        path: entry
        for path, entry in known.items()
        if path in seen or (len(known) <= _MOST_REMEMBERED and Path(path).exists())
    }
    with suppress(OSError):
        memory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        opened, name = tempfile.mkstemp(dir=memory.parent, prefix=".fonts-")
        try:
            with os.fdopen(opened, "wb") as file:
                file.write(_MEMORY.dump_json(_Memory(files=kept)))
            Path(name).replace(memory)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
