"""The record of one replaced original: enough to finish, or to undo, without Redis."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from sisyphus.errors import SisyphusError
from sisyphus.modules.attributes import Attributes, Fingerprint
from sisyphus.modules.output import sync

VERSION = 1
_PATHS = ("original", "successor", "final", "returned")


class Unreadable(SisyphusError):
    """A record in a quarantine cannot be understood."""


class State(StrEnum):
    """How far a replacement is: each is on the disk before the next step begins."""

    INTENT = "intent"
    """Nothing is promised: whatever has been done is taken back."""
    STAGED = "staged"
    """The new file is whole in the quarantine."""
    ASIDE = "aside"
    """The original is in the quarantine, too, and keeps its name until ..."""
    PLACED = "placed"
    """... the new file has taken its place."""
    DONE = "done"
    UNDOING = "undoing"
    UNDONE = "undone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One replaced original; ``number`` tells it from others of the same job."""

    number: int
    state: State
    job_id: str
    job_title: str
    original: Path
    successor: Path
    """Where the new file was before."""
    final: Path
    """Where it is now: the original's folder and stem, the new file's ending."""
    was: Fingerprint
    """Of the original."""
    came: Fingerprint
    """Of the new file, before it took over times and permissions."""
    had: Attributes
    """Of the new file, before that."""
    new: Fingerprint | None = None
    """Of the new file, since it is staged."""
    copied: bool = False
    """Whether the new file came from another file system."""
    keep_days: float
    began: float
    """Seconds since 1970."""
    expires: float | None = None
    """When what the quarantine keeps may be deleted; ``None``: not before it is done."""
    returned: Path | None = None
    """Where undoing puts the new file."""

    @property
    def renames(self) -> bool:
        """Whether the new file has another name than the original."""
        return self.final != self.original

    def to(self, state: State, **changes: Any) -> Self:
        """Give the entry as it is after a step."""
        return dataclasses.replace(self, state=state, **changes)

    def text(self, place: Path) -> str:
        """Write it as JSON; paths below ``place`` relative to it, for it may move."""
        facts = {"version": VERSION, **dataclasses.asdict(self)}
        for name in _PATHS:
            path = facts[name]
            if path is not None:
                below = path.is_relative_to(place)
                facts[name] = str(path.relative_to(place) if below else path)
        return json.dumps(facts, indent=1) + "\n"

    @classmethod
    def of(cls, text: str, place: Path) -> Self:
        """Read it.

        Raises:
            Unreadable: it is no entry, or one of another version.
        """
        try:
            facts = json.loads(text)
            if facts.pop("version") != VERSION:
                raise ValueError("it is of another version")
            for name in _PATHS:
                given = facts[name]
                # Normalised, so that no ".." leads where no check looks.
                facts[name] = given and Path(os.path.abspath(place / given))  # noqa: PTH100
            facts["state"] = State(facts["state"])
            for name, kind in (
                ("was", Fingerprint),
                ("came", Fingerprint),
                ("had", Attributes),
                ("new", Fingerprint),
            ):
                facts[name] = facts[name] and kind(**facts[name])
            return cls(**facts)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise Unreadable(f"it cannot be understood: {error}") from None


def write_durably(path: Path, text: str) -> None:
    """Put a text into a file in one step that survives a power cut."""
    fresh = path.with_name(f".{path.name}")
    with fresh.open("w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    sync(path.parent)
