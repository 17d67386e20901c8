"""Which tracks and attachments of its sources an mkvmerge task puts into its output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sisyphus.modules.identify import Attached, Identified, sure_language
from sisyphus.modules.identify import Track as Found
from sisyphus.modules.mkvmerge_settings import MkvmergeSettings
from sisyphus.modules.options import OptionValue, rendered


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of track: its name, and how mkvmerge's options and jobs spell it."""

    name: str
    none: str
    some: str
    copy_all: tuple[str, ...]


KINDS = (
    Kind("video", "--no-video", "--video-tracks", ("_copy-video-tracks",)),
    Kind("audio", "--no-audio", "--audio-tracks", ("_copy-audio-tracks",)),
    Kind(
        "subtitles",
        "--no-subtitles",
        "--subtitle-tracks",
        ("_copy-subtitles-tracks", "_copy-subtitle-tracks"),
    ),
    Kind(
        "buttons",
        "--no-buttons",
        "--button-tracks",
        ("_copy-buttons-tracks", "_copy-button-tracks"),
    ),
)
SELECTING = frozenset(
    name.removeprefix("--") for kind in KINDS for name in (kind.none, kind.some)
)

Tracks = Mapping[int, str]
"""A source's tracks: id to kind."""


def chosen_tracks(
    settings: MkvmergeSettings, kinds: Sequence[Tracks | None]
) -> list[tuple[int, int]] | None:
    """List the tracks of the output in order, each as source and id there.

    ``None`` when options choose as well. Of a source that is not known, only what is
    listed is.
    """
    names = set(settings.options).union(*(file.options for file in settings.files))
    if names & SELECTING:
        return None
    chosen = dict.fromkeys((track.source, track.track) for track in settings.tracks)
    for number, source in enumerate(settings.files):
        whole = {
            kind.name
            for kind in KINDS
            if not settings.selects or set(kind.copy_all) & set(source.options)
        }
        known = kinds[number] or {}
        chosen |= dict.fromkeys(
            (number, t) for t, kind in known.items() if kind in whole
        )
    return list(chosen)


def made_tracks(
    settings: MkvmergeSettings, found: Sequence[Sequence[Found] | None]
) -> list[Found] | None:
    """Foretell the output's tracks from those of the sources, if that is sure."""
    if any(tracks is None for tracks in found) or "split" in settings.options:
        return None
    of_source = [{track.id: track for track in tracks or ()} for tracks in found]
    kinds = [{t.id: t.kind for t in tracks.values()} for tracks in of_source]
    chosen = chosen_tracks(settings, kinds)
    if chosen is None:
        return None
    languages = {
        (track.source, track.track): track.named_options.get("language")
        for track in settings.tracks
    }
    made = []
    for number, (source, track) in enumerate(chosen):
        if track not in of_source[source]:
            return None
        found_there = of_source[source][track]
        given = languages.get((source, track))
        language = found_there.language if given is None else sure_language(str(given))
        made.append(replace(found_there, id=number, language=language))
    return made


# Source by source


def is_taken(settings: MkvmergeSettings, number: int, track: Found) -> bool:
    """Tell whether a track of a source is copied; if that is not clear, it is."""
    kind = next((kind for kind in KINDS if kind.name == track.kind), None)
    if kind is None:
        return True
    options = options_for(settings, number)
    if settings.selects and not set(kind.copy_all) & set(options):
        listed = {(t.source, t.track) for t in settings.tracks}
        if (number, track.id) not in listed:
            return False
    if _is_set(options, kind.none):
        return False
    return _is_picked(options, kind.some, {str(track.id), track.language})


def attachments_taken(
    settings: MkvmergeSettings, number: int, found: Identified
) -> list[Attached]:
    """List the attachments of a source that are copied."""
    options = options_for(settings, number)
    if _is_set(options, "--no-attachments"):
        return []
    return [
        attached
        for attached in found.attachments
        if _is_picked(options, "--attachments", {str(attached.id)})
    ]


def takes_chapters(settings: MkvmergeSettings, number: int) -> bool:
    """Tell whether a source's chapters are copied, if it has any."""
    return not _is_set(options_for(settings, number), "--no-chapters")


def options_for(settings: MkvmergeSettings, number: int) -> Mapping[str, OptionValue]:
    """Give the options that hold for a source.

    Those of the whole file stand before the first source, and mkvmerge takes those that
    only sources can have for that one's.
    """
    own = settings.files[number].options
    return {**settings.options, **own} if number == 0 else own


def _is_set(options: Mapping[str, OptionValue], flag: str) -> bool:
    return options.get(flag.removeprefix("--"), False) is not False


def _is_picked(
    options: Mapping[str, OptionValue], option: str, names: set[str]
) -> bool:
    """Tell whether an option such as ``1,3``, ``!2`` or ``eng`` picks one of the names."""
    wanted = options.get(option.removeprefix("--"), False)
    if wanted is False or wanted is None:
        return True
    text = rendered(wanted).strip()
    listed = {part.partition(":")[0].strip() for part in text.lstrip("!").split(",")}
    if any(not name.isdecimal() and not sure_language(name) for name in listed):
        return True  # a language has many names: only mkvmerge knows
    return bool(listed & names) is not text.startswith("!")
