"""Files that are no films, but tell a tool which other files or addresses to open."""

from __future__ import annotations

import re
from pathlib import Path
from typing import BinaryIO

from sisyphus.errors import InvalidSettings, Problem
from sisyphus.modules.options import Allowed
from sisyphus.modules.task import Task

_HEAD_BYTES = 64 * 1024
_ID3_BYTES = 10
"""Of a tag's header, and of its footer."""
_STARTS = {b"#EXTM3U": "hls", b"ffconcat version": "concat", b"MPLS0": "mpls"}
_INSIDE = (
    # What ffmpeg looks for anywhere near the beginning of a text.
    (re.compile(rb"<MPD[\s>]|urn:mpeg:dash:", re.IGNORECASE), "dash"),
    (re.compile(rb"<(\w+:)?CompositionPlaylist[\s>]"), "imf"),
    (re.compile(rb"(^|\n)(c=IN |m=(audio|video|text|application) )"), "sdp"),
)
_SCRIPTS = {".avs": "avisynth", ".vpy": "vapoursynth"}
"""Endings that are enough for ffmpeg to run a text as a program."""

FORMATS = (
    frozenset(_STARTS.values()) | {kind for _, kind in _INSIDE} | {*_SCRIPTS.values()}
)


def playlist_in(path: Path) -> str | None:
    """Tell which kind of playlist or script a file is; ``None`` for all others."""
    with path.open("rb") as file:
        whole = file.read(_HEAD_BYTES)
        _skip_id3(file)
        behind = file.read(_HEAD_BYTES)
    # A tag that claims too much is no tag for ffmpeg.
    return _kind_of(behind, path) or _kind_of(whole, path)


def _kind_of(head: bytes, path: Path) -> str | None:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    for sign, kind in _STARTS.items():
        if start.startswith(sign):
            return kind
    if b"\0" in head[:4096]:
        return None
    if path.suffix.lower() in _SCRIPTS:
        return _SCRIPTS[path.suffix.lower()]
    return next((kind for sign, kind in _INSIDE if sign.search(head)), None)


def refuse_playlist(
    task: Task, path: Path, field: str, kinds: frozenset[str] = FORMATS
) -> None:
    """Refuse a source that would make a tool open what the job does not name.

    ``kinds`` are those that the tool reads.

    Raises:
        InvalidSettings: it would, and the worker's ``allowed_options`` has no
            ``<module>.format.<kind>``.
    """
    kind = playlist_in(path)
    if kind not in kinds:
        return
    refusal = f"is a {kind} playlist or script, which could open other files"
    try:
        Allowed.of(task.settings, task.module).check(f"format.{kind}", refusal)
    except ValueError as error:
        problem = Problem(task.field(field), str(path), str(error))
        raise InvalidSettings.of(problem) from None


def _skip_id3(file: BinaryIO) -> None:
    """Go past the tags that may stand before anything, as ffmpeg does."""
    start = 0
    while True:
        file.seek(start)
        head = file.read(_ID3_BYTES)
        if head[:3] != b"ID3" or len(head) < _ID3_BYTES:
            file.seek(start)
            return
        size = 0
        for seven_bits in head[6:]:
            size = size << 7 | seven_bits & 0x7F
        has_footer = head[5] & 0x10
        start += _ID3_BYTES + size + (_ID3_BYTES if has_footer else 0)
