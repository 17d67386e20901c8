"""Whether everything that an mkvmerge task puts together is in its output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from sisyphus.errors import OutputRefused, ToolMissing
from sisyphus.media.expected import Expected, Mapped
from sisyphus.media.probe import Film, Probe, Stream, Unreadable
from sisyphus.media.verify import check_container
from sisyphus.modules.identify import Identified, identify
from sisyphus.modules.mkvmerge_settings import Attachment, MkvmergeSettings
from sisyphus.modules.mkvmerge_tracks import (
    KINDS,
    attachments_taken,
    chosen_tracks,
    takes_chapters,
)
from sisyphus.modules.options import words
from sisyphus.modules.probing import film_probe
from sisyphus.modules.task import Task
from sisyphus.modules.verifying import VerifiedSettings, Verify, verify_film

_PROBED = {"video": "video", "audio": "audio", "subtitles": "subtitle"}
"""The kinds of tracks, as ffprobe names them."""
_FRAMED = frozenset({"matroska", "webm", "mov", "mp4"})
"""Formats whose packets mkvmerge takes as they are."""
_TIMING = words(
    "default-duration fix-bitstream-timing-information split sync timecodes"
    " timestamp-scale timestamps"
)
"""Options after which lengths and numbers of packets are other ones."""
_WHOLE = words("append-to split")
"""Options after which the output holds other tracks than its sources."""


def check_merged(
    task: Task,
    part: Path,
    settings: MkvmergeSettings,
    attachments: Sequence[Attachment],
    *,
    warned: bool,
) -> None:
    """Check the output against all that was to come into it.

    What mkvmerge has ``warned`` of may be missing: that is only said again.

    Raises:
        OutputRefused: something is missing, or the output is damaged.
    """
    verify = Verify(settings.verify)
    if verify is Verify.OFF:
        return
    check_container(part)
    made = identify(task, part, "output_file")
    sources = [
        identify(task, source.filename, f"sources[{number}]")
        for number, source in enumerate(settings.files)
    ]
    chosen = _chosen(settings, sources)
    wrong = list(_wrong_tracks(made, sources, chosen))
    if "webm" not in settings.options and part.suffix.lower() != ".webm":
        wrong += _wrong_extras(made, settings, sources, attachments)
    if wrong and not warned:
        raise OutputRefused("; ".join(wrong))
    for said in wrong:
        task.log(said, "warning")
    expected = Expected()
    if not wrong:
        expected = _expected(task, settings, sources, chosen)
    verify_film(task, part, expected, VerifiedSettings(verify=verify))


_Chosen = Sequence[tuple[int, int]] | None


def _chosen(settings: MkvmergeSettings, sources: Sequence[Identified]) -> _Chosen:
    """List the tracks that must come out, in their order, if that is known."""
    kinds = [source.kinds for source in sources]
    chosen = chosen_tracks(settings, kinds)
    if chosen is None or not _WHOLE.isdisjoint(settings.options):
        return None
    return [(source, track) for source, track in chosen if track in kinds[source]]


def _wrong_tracks(
    made: Identified, sources: Sequence[Identified], chosen: _Chosen
) -> Iterator[str]:
    if chosen is None:
        return
    found = [track.kind for track in made.tracks]
    wanted = [sources[source].kinds[track] for source, track in chosen]
    for kind in KINDS:
        count, right = found.count(kind.name), wanted.count(kind.name)
        if count != right:
            yield f"the output has {count} {kind.name} tracks, not {right}"


def _wrong_extras(
    made: Identified,
    settings: MkvmergeSettings,
    sources: Sequence[Identified],
    attachments: Sequence[Attachment],
) -> Iterator[str]:
    # Of equal ones mkvmerge keeps one.
    wanted = {
        (attached.name, attached.size)
        for number, source in enumerate(sources)
        for attached in attachments_taken(settings, number, source)
    }
    for attachment in attachments:
        path = attachment.filename
        wanted.add((attachment.name or path.name, path.stat().st_size))
    missing = wanted - {(attached.name, attached.size) for attached in made.attachments}
    if missing:
        names = ", ".join(sorted(name for name, _ in missing))
        yield f"the output lacks the attachments {names}"
    for number, source in enumerate(sources):
        if source.chapters and takes_chapters(settings, number) and not made.chapters:
            yield f"the output lacks the chapters of {source.path.name}"


def _expected(
    task: Task,
    settings: MkvmergeSettings,
    sources: Sequence[Identified],
    chosen: _Chosen,
) -> Expected:
    """Say how long each track of the output must be, and how many packets it has."""
    if chosen is None:
        return Expected()
    try:
        probe = film_probe(task)
    except ToolMissing as error:
        task.log(f"packets are not counted: {error}", "warning")
        return Expected()
    films = [_film(probe, source.path) for source in sources]
    keeps_time = not _TIMING & _options(settings)
    streams = []
    for source, track in chosen:
        found = _mapped(films[source], sources[source], track)
        if not keeps_time:
            found = replace(found, copied=False)
        streams.append(found)
    return Expected(streams, keeps_duration=keeps_time)


def _film(probe: Probe, path: Path) -> Film:
    try:
        return probe.film(path)
    except Unreadable:
        return Film(path, frozenset(), None, ())  # mkvmerge reads more formats


def _options(settings: MkvmergeSettings) -> set[str]:
    groups = [settings.options]
    groups += [source.options for source in settings.files]
    groups += [track.options for track in settings.tracks]
    return {
        name for group in groups for name, value in group.items() if value is not False
    }


def _mapped(film: Film, source: Identified, track: int) -> Mapped:
    """Find a track among the streams that ffprobe sees, if both see the same."""
    kind = source.kinds[track]
    name = _PROBED.get(kind, kind)
    ids = [number for number, other in source.kinds.items() if other == kind]
    streams = [s for s in film.of_kind(name) if not s.picture]
    if len(ids) != len(streams):
        return Mapped(Film(film.path, frozenset(), None, ()), Stream(0, name))
    # Texts may lose lines in which nothing is written.
    framed = name != "subtitle" and bool(film.formats & _FRAMED)
    return Mapped(film, streams[ids.index(track)], copied=framed)
