"""What an mkvextract task's data looks like: what to take out, and into which files.

What to take out is done in the order of the keys in the data.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import (
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    model_validator,
)

from sisyphus.modules.base import ModuleSettings
from sisyphus.modules.fields import InputFile, OutputFile, shown

MODES = {
    "tracks": "tracks",
    "attachments": "attachments",
    "chapters": "chapters",
    "tags": "tags",
    "timestamps": "timestamps_v2",
    "cues": "cues",
}
"""The keys, and how mkvextract calls them."""

VOBSUB = ("S_VOBSUB", (".idx", ".sub"))
"""The one kind of track that becomes two files: its codec id, their endings."""


class Item(ModuleSettings):
    """One thing to take out, by its number."""

    id: int = Field(ge=0, strict=True, description="Which one, counted from 0.")
    filename: OutputFile


class TrackItem(Item):
    """One track to take out."""

    id: int = Field(
        ge=0,
        strict=True,
        description="Which one, counted from 0, of the tracks that match the rest.",
    )
    track_type: Literal["video", "audio", "subtitles", "buttons"] | None = Field(
        None, description="Count tracks of this kind only."
    )
    language: str | None = Field(
        None,
        min_length=1,
        description="Count tracks in this language only, such as jpn.",
    )


class TrackId(Item):
    """Something of one track to take out."""

    id: int = Field(
        ge=0, strict=True, description="The track's id, as mkvmerge -i shows it."
    )


@dataclass(frozen=True, slots=True)
class Wanted:
    """One thing to take out of the source."""

    key: str
    """``tracks`` or any other of the keys."""
    field: str
    """Such as ``tracks[0]``."""
    path: Path
    item: Item | None = None

    @property
    def path_field(self) -> str:
        """Such as ``tracks[0].filename``."""
        return self.field if self.item is None else f"{self.field}.filename"


class MkvextractSettings(ModuleSettings):
    """Take tracks, attachments and more out of a Matroska file, each into one file."""

    source: InputFile
    tracks: tuple[TrackItem, ...] = Field((), description="Tracks.")
    attachments: tuple[Item, ...] = Field((), description="Attachments, such as fonts.")
    chapters: OutputFile | None = Field(None, description="The chapters, as XML.")
    tags: OutputFile | None = Field(None, description="The tags, as XML.")
    timestamps: tuple[TrackId, ...] = Field(
        (), description="Timestamps of a track's frames, as mkvmerge reads them."
    )
    cues: tuple[TrackId, ...] = Field((), description="The index entries of a track.")
    verify: Literal["quick", "decode", "off"] = Field(
        "quick", description="How thoroughly the tracks are checked."
    )

    _order: tuple[str, ...] = PrivateAttr(())

    @model_validator(mode="wrap")
    @classmethod
    def _keep_order(cls, data: Any, build: ModelWrapValidatorHandler[Self]) -> Self:
        made = build(data)
        if isinstance(data, dict):
            made._order = tuple(key for key in data if key in MODES)
        made._check_files()
        return made

    def wanted(self) -> Iterator[Wanted]:
        """List what is to be taken out, in order."""
        for key in self._order:
            value = getattr(self, key)
            if isinstance(value, Path):
                yield Wanted(key, key, value)
            for number, item in enumerate(value if isinstance(value, tuple) else ()):
                yield Wanted(key, f"{key}[{number}]", item.filename, item)

    def _check_files(self) -> None:
        taken = {self.source: "the source"}
        for wanted in self.wanted():
            for path in files_of(wanted):
                if path in taken:
                    said = f"{wanted.path_field} is also {taken[path]}: {shown(path)}"
                    raise ValueError(said)
                taken[path] = wanted.path_field
        if len(taken) == 1:
            raise ValueError(f"needs at least one of {', '.join(MODES)}")


def files_of(wanted: Wanted) -> tuple[Path, ...]:
    """Give the files that may be written, by the name alone."""
    path = wanted.path
    if wanted.key == "tracks" and path.suffix.lower() in VOBSUB[1]:
        return twins(path)
    return (path,)


def twins(path: Path) -> tuple[Path, Path]:
    """Give the index and the pictures of VobSub subtitles, named by either of them."""
    return path.with_suffix(".idx"), path.with_suffix(".sub")
