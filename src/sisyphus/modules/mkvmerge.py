"""The module ``mkvmerge``: put tracks of one or more files into one Matroska file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from sisyphus.errors import (
    InvalidSettings,
    Problem,
    ToolMissing,
)
from sisyphus.modules.base import Module, ModuleSettings, Patience, Step
from sisyphus.modules.identify import Track as Found
from sisyphus.modules.identify import tracks_of
from sisyphus.modules.mkvmerge_check import check_merged
from sisyphus.modules.mkvmerge_fonts import fonts_for
from sisyphus.modules.mkvmerge_series import merge_series
from sisyphus.modules.mkvmerge_settings import (
    MAY_ALLOW,
    PLAYLISTS,
    Attachment,
    MkvmergeSettings,
    SourceFile,
    Track,
    files_in,
)
from sisyphus.modules.mkvmerge_tracks import (
    KINDS,
    Tracks,
    made_tracks,
)
from sisyphus.modules.mkvtoolnix import run_mkvtoolnix
from sisyphus.modules.options import OptionValue, rendered
from sisyphus.modules.playlists import refuse_playlist
from sisyphus.modules.preflight import check_space, check_whole, least_copied
from sisyphus.modules.probing import check_apart
from sisyphus.modules.task import Task

# The command line


def build_argv(
    settings: MkvmergeSettings,
    kinds: Sequence[Tracks | None],
    attachments: Sequence[Attachment],
    output: Path,
) -> list[str]:
    """Build the whole command line.

    ``kinds`` holds each source's tracks; where they are not known, nothing is selected.
    """
    argv = ["mkvmerge", "--gui-mode", "--output", str(output)]
    argv += _options(settings.options)
    for number, source in enumerate(settings.files):
        tracks = [track for track in settings.tracks if track.source == number]
        known = kinds[number]
        if settings.selects and known is not None:
            argv += _selection(source, tracks, known)
        argv += _options(source.options)
        for track in tracks:
            argv += _options(track.named_options, f"{track.track}:")
        argv += ["(", str(source.filename), ")"]
    for attachment in attachments:
        argv += _attach(attachment)
    order = ",".join(f"{track.source}:{track.track}" for track in settings.tracks)
    return [*argv, "--track-order", order]


def _options(options: Mapping[str, OptionValue], start: str = "") -> Iterator[str]:
    for name, value in options.items():
        if name.startswith("_") or value is False:
            continue
        yield f"--{name}"
        if value is not None and value is not True:
            yield start + rendered(value)


def _selection(
    source: SourceFile, tracks: Sequence[Track], known: Tracks
) -> Iterator[str]:
    for kind in KINDS:
        if any(name in source.options for name in kind.copy_all):
            continue
        chosen = [str(t.track) for t in tracks if known.get(t.track) == kind.name]
        yield from (kind.some, ",".join(chosen)) if chosen else (kind.none,)


def _attach(attachment: Attachment) -> Iterator[str]:
    # Both belong before the file: after it they would mean the next one.
    yield from ("--attachment-name", attachment.name or attachment.filename.name)
    if attachment.mimetype:
        yield from ("--attachment-mime-type", attachment.mimetype)
    yield from ("--attach-file", str(attachment.filename))


# The module

_State = tuple[frozenset[Path], list[tuple[Path, int, int]]]
"""The sources that are still to be made, and what the files are like now."""


class Mkvmerge(Module):
    """Merges with mkvmerge, and checks that everything came along."""

    Settings: ClassVar[type[ModuleSettings]] = MkvmergeSettings
    patience: ClassVar[Patience] = Patience.PATIENT
    reports_progress: ClassVar[bool] = True
    may_allow: ClassVar[frozenset[str]] = MAY_ALLOW
    settings: MkvmergeSettings

    def __init__(self, settings: ModuleSettings) -> None:
        super().__init__(settings)
        self._known_fonts: tuple[_State, list[Attachment]] | None = None

    def validate(self, task: Task) -> None:
        """Check files, tracks and fonts, as far as they are there before the job starts."""
        super().validate(task)
        self._check_option_files(task)
        self._kinds(task)
        self._all_attachments(task)

    def plan(self, task: Task) -> list[Step]:
        """Show the command line, with the output's final name."""
        output = self.settings.output_file
        kinds, attachments = self._kinds(task), self._all_attachments(task)
        argv = build_argv(self.settings, kinds, attachments, output)
        sources = [source.filename for source in self.settings.files]
        named = sources[0].name if len(sources) == 1 else f"{len(sources)} files"
        what = f"merge {named} into {output.name}"
        unknown = [
            path.name for path, k in zip(sources, kinds, strict=True) if k is None
        ]
        if unknown and self.settings.selects:
            what += f" (tracks are chosen once {', '.join(unknown)} is there)"
        reads = [*sources, *self._option_files(), *(a.filename for a in attachments)]
        return [Step(what, argv, reads=reads, writes=(output,))]

    def foretell(self, task: Task) -> Mapping[Path, Sequence[Found]]:
        """The output's tracks are those chosen, in their order."""
        files = enumerate(self.settings.files)
        found = [tracks_of(task, f.filename, f"sources[{n}]") for n, f in files]
        made = made_tracks(self.settings, found)
        return {} if made is None else {self.settings.output_file: made}

    def run(self, task: Task) -> None:
        """Merge beside the output, check the result, give it its name."""
        for number, source in enumerate(self.settings.files):
            task.input(source.filename, f"sources[{number}]")
            refuse_playlist(task, source.filename, f"sources[{number}]", PLAYLISTS)
            check_apart(task, source.filename, self.settings.output_file)
            check_whole(task, source.filename)
        for path in self._check_option_files(task):
            task.input(path, "options")
        for attachment in self._attachments(task):
            task.input(attachment.filename, "attachments")
        attachments = self._all_attachments(task, lenient=False)
        if any(track.uses_alias for track in self.settings.tracks):
            task.log("a track's title is set by track-name: taken as that", "warning")
        kinds = self._kinds(task)
        if "split" in self.settings.options:
            output = self.settings.output_file
            merge_series(
                task,
                output,
                lambda to: build_argv(self.settings, kinds, attachments, to),
            )
            task.progress(100)
            return
        check_space(task, self.settings.output_file, self._needed(kinds))
        warnings: list[str] = []

        def check(part: Path) -> None:
            check_merged(task, part, self.settings, attachments, warned=bool(warnings))

        with task.output(
            self.settings.output_file, overwrite=True, check=check
        ) as part:
            argv = build_argv(self.settings, kinds, attachments, part)
            warnings += run_mkvtoolnix(task, argv)
        task.progress(100)

    def _needed(self, kinds: Sequence[Tracks | None]) -> int:
        """Tell what the sources take of which every track is merged, in bytes."""
        files = self.settings.files
        names = set(self.settings.options).union(*(source.options for source in files))
        if any(name.startswith("no-") or name.endswith("-tracks") for name in names):
            return 0
        total = 0
        for number, (source, known) in enumerate(zip(files, kinds, strict=True)):
            listed = {t.track for t in self.settings.tracks if t.source == number}
            if not self.settings.selects or (known and known.keys() <= listed):
                total += least_copied(source.filename)
        return total

    # Files

    def _option_files(self) -> list[Path]:
        """List the files that options read."""
        groups = [self.settings.options]
        groups += [source.options for source in self.settings.files]
        groups += [track.options for track in self.settings.tracks]
        return [path for options in groups for path in files_in(options)]

    def _check_option_files(self, task: Task) -> list[Path]:
        files = self._option_files()
        for path in files:
            task.check_path(path, "options")
        return files

    def _attachments(self, task: Task) -> list[Attachment]:
        """List what the task says is attached, in order."""
        found = list(self.settings.attachments)
        for number, folder in enumerate(self.settings.attachment_directories):
            field = f"attachment_directories[{number}]"
            task.check_path(folder, field)
            if not folder.is_dir():
                problem = Problem(task.field(field), str(folder), "is not a folder")
                raise InvalidSettings.of(problem)
            for path in sorted(folder.iterdir()):
                if path.is_file():
                    task.check_path(path, field)
                    found.append(Attachment(filename=path))
        return found

    def _all_attachments(self, task: Task, *, lenient: bool = True) -> list[Attachment]:
        """List what is attached, and then the fonts that subtitles need.

        ``lenient``: without the tools for it, fonts are not looked for.
        """
        given = self._attachments(task)
        if not task.settings.font_attachments:
            return given
        attached = [*(a.filename for a in given), *self._option_files()]
        sources = [file.filename for file in self.settings.files]
        waiting = task.made_before.intersection(sources)
        state = waiting, _state([*sources, *attached])
        if self._known_fonts is None or self._known_fonts[0] != state:
            try:
                fonts = fonts_for(task, self.settings, attached)
            except ToolMissing as missing:
                if not lenient:
                    raise
                # Said again when the tool is needed.
                task.log(f"{missing.message}; fonts are not looked for", "warning")
                return given
            self._known_fonts = state, fonts
        return [*given, *self._known_fonts[1]]

    # Tracks

    def _kinds(self, task: Task) -> list[Tracks | None]:
        """Identify every source that is there, and check the tracks listed of it."""
        if not self.settings.selects:
            # Nothing is selected, and mkvmerge only warns of an id that is not there.
            return [None] * len(self.settings.sources)
        found = [
            self._tracks(task, number) for number in range(len(self.settings.files))
        ]
        for number, track in enumerate(self.settings.tracks):
            known = found[track.source]
            if known is not None and track.track not in known:
                ids = ", ".join(map(str, known)) or "no tracks"
                name = self.settings.files[track.source].filename.name
                field = task.field(f"tracks[{number}].track")
                expected = f"is not in {name}, which has {ids}"
                raise InvalidSettings.of(Problem(field, track.track, expected))
        return found

    def _tracks(self, task: Task, number: int) -> Tracks | None:
        path = self.settings.files[number].filename
        try:
            found = tracks_of(task, path, f"sources[{number}]")
        except ToolMissing:
            # Said when the tool is needed: the plan of a job can be checked without.
            task.log("mkvmerge is not installed: track ids are not checked", "warning")
            return None
        return None if found is None else {track.id: track.kind for track in found}


def _state(paths: Sequence[Path]) -> list[tuple[Path, int, int]]:
    """Tell whether files are there, and whether they are still the same."""
    found = []
    for path in paths:
        try:
            facts = path.stat()
            found.append((path, facts.st_size, facts.st_mtime_ns))
        except OSError:
            found.append((path, -1, -1))
    return found
