"""Which tracks mkvmerge will find in what ffmpeg makes, as far as that is sure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sisyphus.media.probe import Film, Stream
from sisyphus.media.verify import Mapped
from sisyphus.modules.ffmpeg_argv import Resolved
from sisyphus.modules.identify import Track, sure_language
from sisyphus.modules.options import words

_MATROSKA = frozenset({".mkv", ".mka", ".mks", ".mk3d", ".webm"})
_MP4 = frozenset({".mp4", ".m4v", ".m4a", ".mov"})
_KINDS = {"video": "video", "audio": "audio", "subtitle": "subtitles"}
_ADDS_OR_DROPS = words("an attach dn f filter_complex lavfi map sn vn")
_CHANGES_LANGUAGE = words("map_metadata metadata")


def film_to_come(path: Path, tracks: Sequence[Track]) -> Film:
    """Give a film that is not there yet, by its tracks."""
    kinds = {kind: name for name, kind in _KINDS.items()}
    streams = tuple(
        Stream(n, kinds.get(track.kind, track.kind), language=track.language)
        for n, track in enumerate(tracks)
    )
    return Film(path, frozenset(), None, streams)


def made_tracks(
    output: Path, options: Resolved, streams: Sequence[Mapped] | None
) -> list[Track] | None:
    """Foretell the tracks of an output into which these streams go."""
    names = {name for chosen in options for name in chosen}
    if streams is None or names & _ADDS_OR_DROPS:
        return None
    # Attachments are not tracks; where a cover ends up depends on ffmpeg's version.
    chosen = [mapped.stream for mapped in streams if mapped.stream.kind != "attachment"]
    kinds = [_KINDS.get(stream.kind, "") for stream in chosen]
    if not all(kinds) or any(stream.picture for stream in chosen):
        return None
    suffix = output.suffix.lower()
    keeps_language = suffix in _MATROSKA and not names & _CHANGES_LANGUAGE
    if suffix in _MP4 and "subtitles" in kinds:
        return None
    if suffix not in _MATROSKA | _MP4 and len(kinds) != 1:
        return None
    return [
        Track(n, kind, language=_language(stream) if keeps_language else "")
        for n, (stream, kind) in enumerate(zip(chosen, kinds, strict=True))
    ]


def _language(stream: Stream) -> str:
    return sure_language(stream.language or "und")
