"""From settings to mkvextract's arguments: what they name by number is looked up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from sisyphus.errors import Problem
from sisyphus.modules.identify import Attached, Track
from sisyphus.modules.mkvextract_settings import (
    MODES,
    VOBSUB,
    Item,
    TrackItem,
    Wanted,
    twins,
)

MAY_BE_MISSING = ("chapters", "tags")
"""Where there are none, mkvextract writes no file, and is content."""


@dataclass(frozen=True, slots=True)
class Extraction:
    """One thing to take out; what it is in the source has been looked up."""

    key: str
    field: str
    paths: tuple[Path, ...]
    """Two for VobSub subtitles, else one."""
    id: int | None = None
    """``None`` for chapters and tags, which have none, and for what is not known."""
    track: Track | None = None
    size: int | None = None
    """Bytes, of an attachment."""

    @property
    def is_known(self) -> bool:
        """Whether the command can be written down."""
        return self.id is not None or self.key in MAY_BE_MISSING


def build_argv(source: Path, extractions: Sequence[Extraction]) -> list[str]:
    """Build the whole command line."""
    argv = ["mkvextract", str(source), "--gui-mode"]
    for key, group in groupby(extractions, lambda extraction: extraction.key):
        argv.append(MODES[key])
        for one in group:
            start = "" if one.id is None else f"{one.id}:"
            argv.append(f"{start}{one.paths[0]}")
    return argv


class Lookup:
    """Finds what the settings name by number; keeps what is wrong with them.

    ``None`` for tracks or attachments that cannot be known yet.
    """

    def __init__(
        self,
        name: str,
        tracks: Sequence[Track] | None,
        attachments: Sequence[Attached] | None,
        place: Callable[[str], str] = str,
    ) -> None:
        self._name = name
        self._tracks = tracks
        self._attachments = attachments
        self._place = place
        self._taken: dict[tuple[str, int], str] = {}
        self.problems: list[Problem] = []

    def find(self, wanted: Wanted) -> Extraction:
        """Look one thing up."""
        found = Extraction(wanted.key, wanted.field, (wanted.path,))
        match wanted.key, wanted.item:
            case "tracks", TrackItem() as item:
                found = self._track(found, item)
            case "attachments", Item() as item:
                found = self._attachment(found, item)
            case _, Item() as item:
                found = self._by_id(found, item)
        if found.id is not None:
            taken = self._taken.setdefault((found.key, found.id), found.field)
            if taken != found.field:
                expected = f"is the same as {taken}, and can be taken out only once"
                self._refuse(found, "id", wanted.item and wanted.item.id, expected)
        return found

    def _track(self, found: Extraction, item: TrackItem) -> Extraction:
        if self._tracks is None:
            return found
        of_kind = [t for t in self._tracks if item.track_type in (None, t.kind)]
        if item.language and not all(track.language for track in of_kind):
            return found
        matching = [t for t in of_kind if item.language in (None, t.language)]
        if item.id >= len(matching):
            asked = " ".join(filter(None, (item.track_type, item.language)))
            expected = f"is not there: {self._name} has {_listed(self._tracks)}"
            if asked:
                expected = f"of {asked} {expected}"
            self._refuse(found, "id", item.id, expected)
            return found
        track = matching[item.id]
        paths = found.paths
        if track.codec_id == VOBSUB[0]:
            if paths[0].suffix.lower() not in VOBSUB[1]:
                expected = f"must end in {' or '.join(VOBSUB[1])}: VobSub is two files"
                self._refuse(found, "filename", str(paths[0]), expected)
            paths = twins(paths[0])
        return replace(found, id=track.id, track=track, paths=paths)

    def _attachment(self, found: Extraction, item: Item) -> Extraction:
        if self._attachments is None:
            return found
        if item.id >= len(self._attachments):
            names = [f"{n} {a.name}" for n, a in enumerate(self._attachments)]
            listed = ", ".join(names) or "no attachments"
            expected = f"is not there: {self._name} has {listed}"
            self._refuse(found, "id", item.id, expected)
            return found
        attached = self._attachments[item.id]
        return replace(found, id=attached.id, size=attached.size)

    def _by_id(self, found: Extraction, item: Item) -> Extraction:
        if self._tracks is not None and item.id not in [t.id for t in self._tracks]:
            expected = f"is not there: {self._name} has {_listed(self._tracks)}"
            self._refuse(found, "id", item.id, expected)
        return replace(found, id=item.id)

    def _refuse(
        self, found: Extraction, name: str, value: object, expected: str
    ) -> None:
        field = self._place(f"{found.field}.{name}")
        self.problems.append(Problem(field, value, expected))


def _listed(tracks: Sequence[Track]) -> str:
    return (
        ", ".join(f"{t.id} {t.kind} {t.language}".rstrip() for t in tracks)
        or "no tracks"
    )
