"""The fonts that an mkvmerge task attaches: those that its subtitles need."""

from __future__ import annotations

import filecmp
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from sisyphus.errors import InvalidSettings, Problem
from sisyphus.media.fonts import Face, Fit
from sisyphus.modules.font_search import Finding, FontSearch, FontSource
from sisyphus.modules.identify import Attached, Identified, Track
from sisyphus.modules.mkvmerge_settings import Attachment, MkvmergeSettings
from sisyphus.modules.mkvmerge_tracks import attachments_taken, is_taken
from sisyphus.modules.task import Task

MIME_TYPE, COLLECTION_TYPE = "font/sfnt", "font/collection"
_COLLECTIONS = frozenset({".ttc", ".otc"})


def fonts_for(
    task: Task, settings: MkvmergeSettings, attached: Sequence[Path]
) -> list[Attachment]:
    """Find the fonts for the subtitles in the sources that are there already.

    ``attached`` are files that the task attaches anyway.

    Raises:
        InvalidSettings: a font is missing, and the worker does not take that lightly;
            or mkvmerge cannot read a source.
        ToolMissing: a source is a Matroska file, and a tool for it is missing.
    """
    search = FontSearch(task)
    findings = search.find(_sources(task, settings), attached)
    missing = [finding for finding in findings if finding.missing]
    if missing and task.settings.missing_font == "error":
        raise InvalidSettings.of(
            *(
                Problem(_field(task, one), str(one.path), search.said_of(one))
                for one in missing
            )
        )
    for one in missing:
        task.log(f"{one.path.name} {search.said_of(one)}", "warning")
    for level, remark in _remarks(findings):
        task.log(remark, level)
    fonts = _attachments(findings)
    if fonts:
        names = ", ".join(str(font.filename) for font in fonts)
        task.log(f"fonts of the subtitles: {names}")
    return fonts


def _field(task: Task, finding: Finding) -> str:
    return task.field(f"sources[{finding.source}]")


def _sources(task: Task, settings: MkvmergeSettings) -> Iterator[FontSource]:
    for number, source in enumerate(settings.files):
        field = f"sources[{number}]"
        if source.filename in task.made_before or not source.filename.is_file():
            continue
        task.check_path(source.filename, field)

        def takes(track: Track, number: int = number) -> bool:
            return is_taken(settings, number, track)

        def keeps(found: Identified, number: int = number) -> Sequence[Attached]:
            return attachments_taken(settings, number, found)

        charset = next(
            (
                str(track.options["sub-charset"])
                for track in settings.tracks
                if track.source == number and "sub-charset" in track.options
            ),
            None,
        )
        yield FontSource(number, source.filename, field, takes, keeps, charset)


def _attachments(findings: Iterable[Finding]) -> list[Attachment]:
    """List the fonts to attach, each once, in the order of first use."""
    faces: dict[Path, Face] = {}
    for finding in findings:
        if (face := finding.attached) is not None:
            faces.setdefault(face.path.resolve(), face)
    return [
        Attachment.model_construct(
            filename=path,
            name=face.path.name,
            mimetype=COLLECTION_TYPE
            if path.suffix.lower() in _COLLECTIONS
            else MIME_TYPE,
        )
        for path, face in faces.items()
    ]


def _remarks(findings: Iterable[Finding]) -> Iterator[tuple[str, str]]:
    """Say where the choice was not the only one: level, text."""
    for finding in findings:
        need, choice = finding.need, finding.choice
        if finding.attached is None or choice is None:
            continue
        if choice.fit is Fit.NEAREST and not finding.missing:
            yield (
                "info",
                f"{need}: there is only {choice.face.path}, {choice.face.style}",
            )
        if choice.by_larger and need.used:
            yield (
                "warning",
                f"{need}: {choice.face.path} belongs to that family, but is named"
                f" {choice.face.family}: not every player finds it",
            )
        others = [
            str(face.path)
            for face in choice.rivals
            if not filecmp.cmp(face.path, choice.face.path, shallow=False)
        ]
        if others:
            yield (
                "warning",
                f"{need}: {choice.face.path} is attached, but {', '.join(others)}"
                " would suit as well",
            )
