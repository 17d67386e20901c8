"""Facts about a film file, read with ffprobe."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sisyphus.errors import SisyphusError
from sisyphus.media.hdr import NO_COLOR, Color, color_of

TRUSTED_DURATIONS = frozenset({"matroska", "webm", "mov", "mp4", "flac", "wav"})
"""Formats whose header says how long the film is; others are estimates."""

_COLORS = "pix_fmt,color_primaries,color_transfer,color_space,color_range"
_FIELDS = (
    "format=format_name,duration:format_tags=encoder"
    ":stream=index,codec_type,codec_name,duration,nb_frames,avg_frame_rate,field_order"
    f",bit_rate,width,height,display_aspect_ratio,{_COLORS}"
    ":stream_disposition=attached_pic"
    ":stream_tags:stream_side_data"
)
_CLAIM_TOLERANCE = 0.02
_COUNT = re.compile(r"\d{1,15}")
_PACKET = re.compile(r"(\d+),([A-Z_]*)")
_FIRST_PACKETS = ("%+#2", "%+#300")
"""A film that begins in the middle of a scene shows nothing for a while."""


@dataclass(frozen=True, slots=True)
class Printed:
    """What a probing tool printed."""

    exit_code: int
    out: str
    err: str


Read = Callable[[Sequence[str]], Printed]
"""Runs a command to its end."""
ReadLines = Callable[[Sequence[str], Callable[[str], None]], int]
"""Runs a command, passes on each line that it prints, and gives its exit status."""


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
    size: int | None = None
    """Bytes, by its header or a tag."""
    width: int | None = None
    height: int | None = None
    aspect: float | None = None
    """Width to height, as it is to be shown."""
    color: Color = NO_COLOR
    language: str = ""
    """As its tag says."""


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


@dataclass
class Count:
    """How many packets a stream has, without those that an edit list hides."""

    packets: int = 0
    from_key: int = 0
    """Those from the first key frame on: nobody can decode the others."""

    def add(self, flags: str) -> None:
        """Count one packet."""
        if "D" in flags:
            return
        self.packets += 1
        self.from_key += bool(self.from_key or "K" in flags)


State = tuple[Path, int, int]
"""A file as it was: its path, size and time of change."""


@dataclass
class Memory:
    """What a probe has found out, so that no file is read twice for the same."""

    films: dict[State, Film] = field(default_factory=dict)
    colors: dict[tuple[State, int], Color] = field(default_factory=dict)
    counts: dict[State, Mapping[int, Count] | None] = field(default_factory=dict)


class Probe:
    """Asks ffprobe; ``read`` runs it. What is in ``memory`` is not asked again."""

    def __init__(
        self,
        read: Read,
        ffprobe: str = "ffprobe",
        read_lines: ReadLines | None = None,
        memory: Memory | None = None,
    ) -> None:
        self._read = read
        self._read_lines = read_lines or _lines_of(read)
        self._ffprobe = ffprobe
        self._memory = memory or Memory()

    def film(self, path: Path) -> Film:
        """Read the headers of a file.

        Raises:
            Unreadable: ffprobe does not know the format, or the header is damaged.
        """
        known, state = self._memory.films, _state(path)
        if state not in known:
            entries = ("-of", "json", "-show_entries", _FIELDS)
            known[state] = film_of(path, self._read(self._argv(*entries, str(path))))
        return known[state]

    def frames(self, film: Film, stream: Stream) -> int | None:
        """Tell how many frames a video stream has: from the header, else by counting.

        A claim that does not fit the duration is stale (tags survive a cut) and is
        not believed.
        """
        claim = stream.claimed_frames
        if claim and _plausible(film, stream, claim):
            return claim
        counts = self.counts(film.path)
        return None if counts is None else counts.get(stream.index, Count()).from_key

    def exact_frames(self, film: Film, stream: Stream) -> int | None:
        """Tell how many frames there were when the file was whole, if that is sure.

        mkvmerge counts what it writes; ffmpeg copies such counts from the source.
        """
        claim = stream.claimed_frames
        sure = film.writer.startswith("libebml") and bool(claim)
        return claim if sure and claim and _plausible(film, stream, claim) else None

    def packets(self, path: Path, stream: Stream) -> int | None:
        """Count a stream's packets without those an edit list hides; reads the file."""
        counts = self.counts(path)
        return None if counts is None else counts.get(stream.index, Count()).packets

    def counts(self, path: Path) -> Mapping[int, Count] | None:
        """Count the packets of all streams, by their indices; reads the file once."""
        known, state = self._memory.counts, _state(path)
        if state not in known:
            known[state] = self._count(path)
        return known[state]

    def _count(self, path: Path) -> Mapping[int, Count] | None:
        counts: dict[int, Count] = {}

        def take(line: str) -> None:
            # Side data of packets leaves empty lines between them.
            if found := _PACKET.match(line):
                counts.setdefault(int(found[1]), Count()).add(found[2])

        entries = ("-of", "csv=p=0", "-show_entries", "packet=stream_index,flags")
        status = self._read_lines(self._argv(*entries, str(path)), take)
        return counts if status == 0 else None

    def color(self, film: Film, stream: Stream) -> Color:
        """Read what a picture says of its colours, also in its first frame."""
        known, key = self._memory.colors, (_state(film.path), stream.index)
        if key not in known:
            known[key] = self._color(film, stream)
        return known[key]

    def _color(self, film: Film, stream: Stream) -> Color:
        for packets in _FIRST_PACKETS:
            printed = self._read(
                self._argv(
                    *("-select_streams", str(stream.index), "-read_intervals", packets),
                    *("-show_entries", f"frame={_COLORS}:frame_side_data"),
                    *("-of", "json", str(film.path)),
                )
            )
            if frames := _frames(printed):
                # The decoder's word counts: it is what an encoder is given.
                return stream.color.in_frame(frames[0])
        return stream.color

    def _argv(self, *rest: str) -> list[str]:
        return [
            self._ffprobe,
            "-v",
            "error",
            "-protocol_whitelist",
            "file,pipe",
            *rest,
        ]


def _state(path: Path) -> State:
    try:
        facts = path.stat()
    except OSError:  # the tool says it better
        return path, -1, -1
    return path, facts.st_size, facts.st_mtime_ns


def _lines_of(read: Read) -> ReadLines:
    def read_lines(argv: Sequence[str], take: Callable[[str], None]) -> int:
        printed = read(argv)
        for line in printed.out.splitlines():
            take(line)
        return printed.exit_code

    return read_lines


def film_of(path: Path, printed: Printed) -> Film:
    """Make sense of ffprobe's answer.

    Raises:
        Unreadable: it has none.
    """
    if printed.exit_code != 0:
        lines = printed.err.strip().splitlines()
        raise Unreadable(lines[-1] if lines else f"ffprobe: {printed.exit_code}")
    try:
        return _film(path, json.loads(printed.out))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Unreadable(f"ffprobe printed no facts ({error})") from None


def _film(path: Path, answer: Any) -> Film:
    header = answer["format"]
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
    duration = _number(row.get("duration")) or _clock(_tag(tags, "DURATION"))
    return Stream(
        index=int(row["index"]),
        kind=row.get("codec_type", "unknown"),
        codec=row.get("codec_name", ""),
        duration=duration,
        claimed_frames=int(str(frames)) if _COUNT.fullmatch(str(frames)) else None,
        fps=ratio(row.get("avg_frame_rate", "")),
        interlaced=row.get("field_order", "progressive")
        not in ("progressive", "unknown"),
        picture=bool(row.get("disposition", {}).get("attached_pic")),
        size=_size(row, tags, duration),
        width=row.get("width"),
        height=row.get("height"),
        aspect=_aspect(row),
        color=color_of(row),
        language=_tag(tags, "LANGUAGE") or "",
    )


def _frames(printed: Printed) -> list[Mapping[str, Any]]:
    try:
        return list(json.loads(printed.out)["frames"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return []


def _size(
    row: Mapping[str, Any], tags: Mapping[str, Any], duration: float | None
) -> int | None:
    written = _number(_tag(tags, "NUMBER_OF_BYTES"))
    if written is None:
        rate = _number(row.get("bit_rate"))
        written = rate * duration / 8 if rate and duration else None
    return None if written is None else int(written)


def _aspect(row: Mapping[str, Any]) -> float | None:
    shown = ratio(str(row.get("display_aspect_ratio", "")).replace(":", "/"))
    width, height = _number(row.get("width")), _number(row.get("height"))
    return shown or (width / height if width and height else None)


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
    except (TypeError, ValueError, OverflowError):
        return None
    return value if 0 < value < math.inf else None


def ratio(text: str) -> float | None:
    """Read a rate such as ``24000/1001``; ``None`` if it is none."""
    above, _, below = text.partition("/")
    first, second = _number(above), _number(below or 1)
    return first / second if first and second else None


def _clock(text: str | None) -> float | None:
    found = re.fullmatch(r"(\d{1,6}):(\d\d):(\d\d(?:\.\d+)?)", text or "")
    if not found:
        return None
    hours, minutes, seconds = found.groups()
    return 3600 * int(hours) + 60 * int(minutes) + float(seconds)
