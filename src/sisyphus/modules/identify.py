"""What is in a file, as mkvmerge sees it: the ids that mkvmerge and mkvextract use."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sisyphus.errors import InvalidSettings, Problem
from sisyphus.modules.mkvtoolnix import sayable
from sisyphus.modules.options import words
from sisyphus.modules.task import Task

MATROSKA = "Matroska"
"""The container's name; WebM is one, too."""


_BY_TWO_NAMES = words(
    "bod:tib ces:cze cym:wel deu:ger ell:gre eus:baq fas:per fra:fre hye:arm isl:ice"
    " kat:geo mkd:mac mri:mao msa:may mya:bur nld:dut ron:rum slk:slo sqi:alb zho:chi"
)
"""ISO 639-2 has two names for some languages; mkvmerge uses the second."""
_MKVMERGES = dict(pair.split(":") for pair in _BY_TWO_NAMES)


@dataclass(frozen=True, slots=True)
class Track:
    """One track of a file."""

    id: int
    kind: str
    """``video``, ``audio``, ``subtitles`` or ``buttons``."""
    codec_id: str = ""
    """Such as ``S_TEXT/ASS``; empty for files that are not Matroska."""
    language: str = ""
    """ISO 639-2, such as ``jpn``; empty when it is not known."""


@dataclass(frozen=True, slots=True)
class Attached:
    """One attachment of a Matroska file."""

    id: int
    """Matroska counts them from 1."""
    name: str = ""
    size: int = 0
    """Bytes."""
    mimetype: str = ""


@dataclass(frozen=True, slots=True)
class Identified:
    """What mkvmerge finds in a file."""

    path: Path
    container: str
    """Such as ``Matroska``."""
    tracks: tuple[Track, ...]
    attachments: tuple[Attached, ...] = ()
    chapters: int = 0
    """How many, in all editions."""

    @property
    def kinds(self) -> Mapping[int, str]:
        """The tracks: id to kind."""
        return {track.id: track.kind for track in self.tracks}


def identify(task: Task, path: Path, field: str) -> Identified:
    """Ask mkvmerge what is in a file; ``field`` is the setting that named it.

    Raises:
        InvalidSettings: mkvmerge cannot read it, or it is outside the roots.
        ToolMissing: mkvmerge is not installed.
    """
    task.check_path(path, field)
    answer = task.workdir / "identified.json"
    # Into a file: a codec's private data makes lines longer than a log's may be.
    argv = ["mkvmerge", "-J", sayable(task, str(path))]
    argv += ["--redirect-output", str(answer)]
    task.tool(argv, ok=(0, 1, 2))
    facts = json.loads(answer.read_text(encoding="utf-8-sig"))
    errors = facts.get("errors") or []
    container = facts.get("container", {})
    if errors or not container.get("supported"):
        expected = errors[0] if errors else "is no file that mkvmerge can read"
        raise InvalidSettings.of(Problem(task.field(field), str(path), expected))
    return Identified(
        path,
        str(container.get("type", "")),
        tuple(map(_track, facts.get("tracks", ()))),
        tuple(map(_attached, facts.get("attachments", ()))),
        sum(int(row.get("num_entries", 0)) for row in facts.get("chapters", ())),
    )


def sure_language(text: str) -> str:
    """Give a language as mkvmerge will name it; nothing if that is not sure."""
    # It also reads "en", "en-GB" and "English".
    return _MKVMERGES.get(text, text) if re.fullmatch("[a-z]{3}", text) else ""


def tracks_of(task: Task, path: Path, field: str) -> Sequence[Track] | None:
    """Give the tracks of a source, also of one that an earlier task will have made.

    ``None``: that cannot be known before it is there.

    Raises:
        InvalidSettings: mkvmerge cannot read it.
        ToolMissing: mkvmerge is not installed.
    """
    if path in task.made_before:
        # What lies there now, if anything, is not what will be read.
        return task.before.tracks.get(path)
    return identify(task, path, field).tracks if path.is_file() else None


def _track(row: Mapping[str, Any]) -> Track:
    facts = row.get("properties", {})
    return Track(
        id=int(row["id"]),
        kind=str(row["type"]),
        codec_id=str(facts.get("codec_id", "")),
        language=str(facts.get("language", "")),
    )


def _attached(row: Mapping[str, Any]) -> Attached:
    return Attached(
        id=int(row["id"]),
        name=str(row.get("file_name", "")),
        size=int(row.get("size", 0)),
        mimetype=str(row.get("content_type", "")),
    )
