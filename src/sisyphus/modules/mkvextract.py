"""The module ``mkvextract``: tracks and more out of a Matroska file, each into a file."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from sisyphus.errors import InvalidSettings, OutputRefused, Problem, ToolMissing
from sisyphus.media.extracted import (
    check_extracted,
    check_timestamps,
    streams_of_tracks,
)
from sisyphus.media.probe import Unreadable
from sisyphus.media.verify import Expected
from sisyphus.modules.base import Module, ModuleSettings, Patience, Step
from sisyphus.modules.fields import Files
from sisyphus.modules.identify import (
    MATROSKA,
    Attached,
    Identified,
    Track,
    identify,
    tracks_of,
)
from sisyphus.modules.mkvextract_argv import (
    MAY_BE_MISSING,
    Extraction,
    Lookup,
    build_argv,
)
from sisyphus.modules.mkvextract_settings import MkvextractSettings, files_of
from sisyphus.modules.mkvtoolnix import link_to, run_mkvtoolnix
from sisyphus.modules.preflight import check_whole
from sisyphus.modules.probing import check_apart, film_probe
from sisyphus.modules.task import Task
from sisyphus.modules.verifying import VerifiedSettings, Verify, verify_film

_ENDS = {
    "chapters": b"</Chapters>",
    "tags": b"</Tags>",
    "timestamps": b"\n",
    "cues": b"\n",
}
_PROBED_KINDS = {"video": "video", "audio": "audio", "subtitles": "subtitle"}


class Mkvextract(Module):
    """Takes tracks and more out with mkvextract, and checks that they are whole."""

    Settings: ClassVar[type[ModuleSettings]] = MkvextractSettings
    patience: ClassVar[Patience] = Patience.PATIENT
    reports_progress: ClassVar[bool] = True
    settings: MkvextractSettings

    def validate(self, task: Task) -> None:
        """Check files, and all that is named by number if the source is known."""
        super().validate(task)
        self._foreseen(task)

    def files(self) -> Files:
        """Name the source, and every file that may come out of it."""
        writes = [path for one in self.settings.wanted() for path in files_of(one)]
        return Files(frozenset({self.settings.source}), frozenset(writes))

    def plan(self, task: Task) -> list[Step]:
        """Show the command line, with the final names."""
        source = self.settings.source
        extractions = self._foreseen(task)
        writes = [path for one in extractions for path in one.paths]
        count = "1 thing" if len(extractions) == 1 else f"{len(extractions)} things"
        what = f"take {count} out of {source.name}"
        argv: list[str] = []
        if all(one.is_known for one in extractions):
            argv = build_argv(source, extractions)
        else:
            what += f" (ids are looked up once {source.name} is there)"
        return [Step(what, argv, reads=(source,), writes=writes)]

    def foretell(self, task: Task) -> Mapping[Path, Sequence[Track]]:
        """Each track's file holds that track alone."""
        return {
            path: (replace(one.track, id=0, codec_id="", language=""),)
            for one in self._foreseen(task)
            if one.track is not None
            for path in one.paths
        }

    def run(self, task: Task) -> None:
        """Write everything beside its name, check all of it, then give the names."""
        source = self.settings.source
        task.input(source, "source")
        for wanted in self.settings.wanted():
            for path in files_of(wanted):
                check_apart(task, source, path, wanted.path_field)
        check_whole(task, source)
        found = self._identified(task)
        extractions = self._looked_up(task, found.tracks, found.attachments)
        with ExitStack() as stack:
            parts = [_part(task, stack, one) for one in extractions]
            links = [_links(task, n, part) for n, part in enumerate(parts)]
            run_mkvtoolnix(task, build_argv(source, links))
            made = 0
            for one, part in zip(extractions, parts, strict=True):
                if one.key not in MAY_BE_MISSING:
                    _check_written(one, part)
                elif not _publish_later(task, stack, one, part, source):
                    continue
                made += 1
            if not made:
                raise OutputRefused(f"nothing that was asked for is in {source}")
            self._check_tracks(task, found, extractions, parts)
        task.progress(100)

    # Looking up

    def _identified(self, task: Task) -> Identified:
        source = self.settings.source
        found = identify(task, source, "source")
        if found.container != MATROSKA:
            expected = (
                f"must be a Matroska file, is {found.container}:"
                " the module ffmpeg takes streams out of any file"
            )
            problem = Problem(task.field("source"), str(source), expected)
            raise InvalidSettings.of(problem)
        tracks = (replace(t, language=t.language or "und") for t in found.tracks)
        return replace(found, tracks=tuple(tracks))

    def _foreseen(self, task: Task) -> list[Extraction]:
        """Look everything up, as far as that is possible before the task runs."""
        source = self.settings.source
        tracks: Sequence[Track] | None = None
        attachments: Sequence[Attached] | None = None
        try:
            if source in task.made_before:
                tracks = tracks_of(task, source, "source")
            elif source.is_file():
                found = self._identified(task)
                tracks, attachments = found.tracks, found.attachments
        except ToolMissing as missing:
            # mkvmerge comes with mkvextract, so this is said again when it is needed.
            task.log(f"{missing.message}; ids are not looked up", "warning")
        return self._looked_up(task, tracks, attachments)

    def _looked_up(
        self,
        task: Task,
        tracks: Sequence[Track] | None,
        attachments: Sequence[Attached] | None,
    ) -> list[Extraction]:
        lookup = Lookup(self.settings.source.name, tracks, attachments, task.field)
        found = [lookup.find(wanted) for wanted in self.settings.wanted()]
        if lookup.problems:
            raise InvalidSettings.of(*lookup.problems)
        return found

    # The result

    def _check_tracks(
        self,
        task: Task,
        found: Identified,
        extractions: Sequence[Extraction],
        parts: Sequence[Extraction],
    ) -> None:
        verify = Verify(self.settings.verify)
        pairs = zip(extractions, parts, strict=True)
        tracks = [pair for pair in pairs if pair[0].key in ("tracks", "timestamps")]
        if verify is Verify.OFF or not tracks:
            return
        try:
            probe = film_probe(task)
            film = probe.film(found.path)
        except (ToolMissing, Unreadable) as error:
            task.log(f"tracks are not checked: {error}", "warning")
            return
        kinds = [_PROBED_KINDS.get(track.kind, track.kind) for track in found.tracks]
        streams = streams_of_tracks(film, kinds)
        if streams is None:
            task.log("tracks are not checked: ffprobe sees other ones", "warning")
            return
        by_id = dict(zip([t.id for t in found.tracks], streams, strict=True))
        for one, part in tracks:
            path, name = part.paths[0], one.paths[0].name
            assert one.id is not None
            stream, odd = by_id[one.id], None
            try:
                if one.key == "timestamps":
                    check_timestamps(path, film, stream, probe)
                    continue
                odd = check_extracted(path, film, stream, probe)
                if not odd and verify is Verify.DECODE:
                    settings = VerifiedSettings(verify=verify)
                    verify_film(task, path, Expected(), settings)
            except OutputRefused as error:
                raise OutputRefused(f"{name}: {error.message}") from None
            if odd:
                task.log(f"{name}: {odd}", "warning")


def _part(task: Task, stack: ExitStack, one: Extraction) -> Extraction:
    """Give the extraction with temporary names."""
    if one.key in MAY_BE_MISSING:
        return replace(one, paths=(task.workdir / f"{one.key}.xml",))
    parts = [
        stack.enter_context(task.output(path, overwrite=True)) for path in one.paths
    ]
    return replace(one, paths=tuple(parts))


def _links(task: Task, number: int, part: Extraction) -> Extraction:
    """Give the extraction with names that mkvextract takes for nothing else.

    It cuts "id:name" at line breaks, and names the second of two files by the first.
    """
    if part.key in MAY_BE_MISSING:
        return part
    links = [link_to(task, path, f"made-{number}") for path in part.paths]
    return replace(part, paths=tuple(links))


def _check_written(one: Extraction, part: Extraction) -> None:
    for target, path in zip(one.paths, part.paths, strict=True):
        size = path.stat().st_size if path.exists() else 0
        if not size:
            what = f"track {one.id} may be empty" if one.track else one.field
            raise OutputRefused(f"nothing was written for {target}: {what}")
        _check_end(one, path)
        if one.size is not None and size != one.size:
            said = f"{target} has {size} bytes, the attachment has {one.size}"
            raise OutputRefused(said)


def _check_end(one: Extraction, path: Path) -> None:
    """Refuse a text of which the end is missing: a full disk is no error to mkvextract."""
    end = _ENDS.get(one.key, b"")
    with path.open("rb") as file:
        file.seek(-min(len(end) + 2, path.stat().st_size), os.SEEK_END)
        if end not in file.read():
            raise OutputRefused(f"{one.paths[0]} was not written to its end")


def _publish_later(
    task: Task, stack: ExitStack, one: Extraction, part: Extraction, source: Path
) -> bool:
    """Put a file that there may be none of beside its name; tell if there is one."""
    (written,), (target,) = part.paths, one.paths
    if written.exists():
        _check_end(one, written)
        shutil.copyfile(
            written, stack.enter_context(task.output(target, overwrite=True))
        )
        return True
    if target.exists():
        # It would be taken for what this task has made.
        raise OutputRefused(
            f"{source} has no {one.key}, but {target} is there from before:"
            f" leave {one.key} out, or delete the file first"
        )
    task.log(f"{source.name} has no {one.key}: {target} is not written", "warning")
    return False
