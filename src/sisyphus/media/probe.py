"""Facts about a film file, read with ffprobe."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sisyphus.errors import SisyphusError

TRUSTED_DURATIONS = frozenset({"matroska", "webm", "mov", "mp4", "flac", "wav"})
"""Formats whose header says how long the film is; others are estimates."""

_FIELDS = (
    "format=format_name,duration:format_tags=encoder"
    ":stream=index,codec_type,codec_name,duration,nb_frames,avg_frame_rate,field_order"
    ":stream_disposition=attached_pic"
    ":stream_tags"
)
_CLAIM_TOLERANCE = 0.02


@dataclass(frozen=True, slots=True)
class Printed:
    """What a probing tool printed."""

    exit_code: int
    out: str
    err: str


Read = Callable[[Sequence[str]], Printed]
"""Runs a command to its end."""


class Unreadable(SisyphusError):
    """The probe cannot make sense of a file."""


@dataclass(frozen=True, slots=True)
class Stream:
    """One stream of a film."""

    index: int
    kind: str
    """``video``, ``audio``, ``subtitle``, ``data`` or ``attachment``."""
    codec: str = ""
    duration: float | None = None
    """Seconds, by the stream's own header or tag."""
    claimed_frames: int | None = None
    """By the header or a tag: may be stale, is free."""
    fps: float | None = None
    interlaced: bool = False
    picture: bool = False
    """A cover, not a film."""


@dataclass(frozen=True, slots=True)
class Film:
    """What is in a file."""

    path: Path
    formats: frozenset[str]
    duration: float | None
    streams: tuple[Stream, ...]
    writer: str = ""
    """The library that wrote it."""

    def of_kind(self, kind: str) -> tuple[Stream, ...]:
        """List the streams of one kind, covers too."""
        return tuple(stream for stream in self.streams if stream.kind == kind)

    @property
    def trusted(self) -> bool:
        """Whether its duration is more than an estimate."""
        return bool(self.formats & TRUSTED_DURATIONS)


class Probe:
    """Asks ffprobe; ``read`` runs it."""

    def __init__(self, read: Read, ffprobe: str = "ffprobe") -> None:
        self._read = read
        self._ffprobe = ffprobe

    def film(self, path: Path) -> Film:
        """Read the headers of a file.

        Raises:
            Unreadable: ffprobe does not know the format, or the header is damaged.
        """
        printed = self._read(
            self._argv("-of", "json", "-show_entries", _FIELDS, str(path))
        )
        return film_of(path, printed)

    def frames(self, film: Film, stream: Stream) -> int | None:
        """Tell how many frames a video stream has: from the header, else by counting.

        A claim that does not fit the duration is stale (tags survive a cut) and is
        not believed.
        """
        claim = stream.claimed_frames
        if claim and _plausible(film, stream, claim):
            return claim
        return self.packets(film.path, stream)

    def exact_frames(self, film: Film, stream: Stream) -> int | None:
        """Tell how many frames there were when the file was whole, if that is sure.

        mkvmerge counts what it writes; ffmpeg copies such counts from the source.
        """
        claim = stream.claimed_frames
        sure = film.writer.startswith("libebml") and bool(claim)
        return claim if sure and claim and _plausible(film, stream, claim) else None

    def packets(self, path: Path, stream: Stream) -> int | None:
        """Count a stream's packets without those an edit list hides; reads the file."""
        printed = self._read(
            self._argv(
                *("-select_streams", str(stream.index), "-of", "csv=p=0"),
                *("-show_entries", "packet=flags", str(path)),
            )
        )
        if printed.exit_code != 0:
            return None
        flags = [line for line in printed.out.splitlines() if line]
        return sum("D" not in line for line in flags)

    def _argv(self, *rest: str) -> list[str]:
        return [
            self._ffprobe,
            "-v",
            "error",
            "-protocol_whitelist",
            "file,pipe",
            *rest,
        ]


def film_of(path: Path, printed: Printed) -> Film:
    """Make sense of ffprobe's answer.

    Raises:
        Unreadable: it has none.
    """
    if printed.exit_code != 0:
        lines = printed.err.strip().splitlines()
        raise Unreadable(lines[-1] if lines else f"ffprobe: {printed.exit_code}")
    try:
        answer = json.loads(printed.out)
        header = answer["format"]
    except (ValueError, KeyError) as error:
        raise Unreadable(f"ffprobe printed no facts ({error})") from None
    return Film(
        path=path,
        formats=frozenset(str(header.get("format_name", "")).split(",")),
        duration=_number(header.get("duration")),
        streams=tuple(_stream(row) for row in answer.get("streams", ())),
        writer=_tag(header.get("tags", {}), "ENCODER") or "",
    )


def _stream(row: Mapping[str, Any]) -> Stream:
    tags = row.get("tags", {})
    frames = row.get("nb_frames") or _tag(tags, "NUMBER_OF_FRAMES")
    return Stream(
        index=int(row["index"]),
        kind=row.get("codec_type", "unknown"),
        codec=row.get("codec_name", ""),
        duration=_number(row.get("duration")) or _clock(_tag(tags, "DURATION")),
        claimed_frames=int(frames) if frames and str(frames).isdecimal() else None,
        fps=_ratio(row.get("avg_frame_rate", "")),
        interlaced=row.get("field_order", "progressive")
        not in ("progressive", "unknown"),
        picture=bool(row.get("disposition", {}).get("attached_pic")),
    )


def _plausible(film: Film, stream: Stream, claim: int) -> bool:
    duration = stream.duration or film.duration
    if not duration or not stream.fps:
        return True
    by_time = duration * stream.fps
    return abs(claim - by_time) <= max(2.0, _CLAIM_TOLERANCE * by_time)


def _tag(tags: Mapping[str, Any], name: str) -> str | None:
    """Find ``NAME``, else ``NAME-eng``, which may be left from an earlier file."""
    names = sorted((key for key in tags if key.split("-")[0].upper() == name), key=len)
    return str(tags[names[0]]) if names else None


def _number(text: Any) -> float | None:
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return value if value > 0 else None


def _ratio(text: str) -> float | None:
    above, _, below = text.partition("/")
    first, second = _number(above), _number(below or 1)
    return first / second if first and second else None


def _clock(text: str | None) -> float | None:
    found = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", text or "")
    if not found:
        return None
    hours, minutes, seconds = found.groups()
    return 3600 * int(hours) + 60 * int(minutes) + float(seconds)
