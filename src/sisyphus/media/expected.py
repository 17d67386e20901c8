"""What an output should be like, as far as the settings and the sources tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sisyphus.media.hdr import Color
from sisyphus.media.probe import Film, Stream
from sisyphus.media.quality import AS_IT_IS, Reference

COUNTED_KINDS = ("video", "audio", "subtitle")


@dataclass(frozen=True, slots=True)
class Mapped:
    """One stream of a source that goes into the output."""

    film: Film
    stream: Stream
    copied: bool = False
    """Whether its packets come out as they went in, each of them."""
    color: Color | None = None
    """What the output must say of its colours; ``None``: anything."""
    recolored: frozenset[str] = frozenset()
    """Fields of ``color`` that the settings change on purpose."""

    @property
    def duration(self) -> float | None:
        """Seconds, when they are known for this stream itself.

        The container's duration is that of its longest stream: it counts only when
        there is no other.
        """
        if not self.film.trusted:
            return None
        whole = self.film.duration
        if self.stream.duration is None:
            return whole if len(self.film.streams) == 1 else None
        # Tags survive a cut; nothing lasts longer than its container.
        return min(self.stream.duration, whole or self.stream.duration)


@dataclass(frozen=True, slots=True)
class Expected:
    """What the output should be like, as far as it is known."""

    streams: Sequence[Mapped] | None = None
    """In order of the output's streams; ``None``: not known."""
    keeps_duration: bool = False
    """Whether the settings leave the length alone, but for ``start`` and ``length``."""
    start: float = 0.0
    length: float | None = None
    keeps_frames: bool = False
    repeated: int = 0
    dropped: int = 0
    """Frames that the tool has, by its own report."""
    may_be_unfinished: bool = False
    """Whether the container's size may stay open, as in a live stream."""
    may_lose_color: bool = False
    """Whether lost colour data is only worth a warning."""
    color_hint: str = ""
    """How the job could allow that."""
    reference: Reference = AS_IT_IS
    """What the first picture is compared with, once it is decoded."""

    @property
    def is_whole(self) -> bool:
        """Whether the sources are not cut."""
        return self.length is None and not self.start


Pair = tuple[Stream, Mapped]
"""A stream of the output, and what it was made from."""


def paired(film: Film, sources: Sequence[Mapped]) -> list[Pair] | None:
    """Put the output's streams beside their sources, if they correspond."""
    made = counted(film)
    given = [
        m for m in sources if m.stream.kind in COUNTED_KINDS and not m.stream.picture
    ]
    if [s.kind for s in made] != [m.stream.kind for m in given]:
        return None
    return list(zip(made, given, strict=True))


def counted(film: Film) -> list[Stream]:
    """List the streams that a film is made of, without covers and attachments."""
    return [s for s in film.streams if s.kind in COUNTED_KINDS and not s.picture]
