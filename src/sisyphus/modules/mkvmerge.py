"""The module ``mkvmerge``: put tracks of one or more files into one Matroska file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from sisyphus.errors import (
    InvalidSettings,
    Problem,
    TaskFailed,
    ToolFailed,
    ToolMissing,
)
from sisyphus.media.probe import Film, Unreadable
from sisyphus.media.progress import gui_line
from sisyphus.media.verify import check_container, check_picture, check_source
from sisyphus.modules.base import Module, ModuleSettings, Patience, Step
from sisyphus.modules.mkvmerge_settings import (
    Attachment,
    MkvmergeSettings,
    SourceFile,
    Track,
    files_in,
)
from sisyphus.modules.options import OptionValue, rendered
from sisyphus.modules.probing import check_apart, film_probe
from sisyphus.modules.task import Task

_WARNINGS = 1
"""mkvmerge's exit status for a complete file and something to say about it."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of track: its name, and how mkvmerge's options and jobs spell it."""

    name: str
    none: str
    some: str
    copy_all: tuple[str, ...]


_KINDS = (
    _Kind("video", "--no-video", "--video-tracks", ("_copy-video-tracks",)),
    _Kind("audio", "--no-audio", "--audio-tracks", ("_copy-audio-tracks",)),
    _Kind(
        "subtitles",
        "--no-subtitles",
        "--subtitle-tracks",
        ("_copy-subtitles-tracks", "_copy-subtitle-tracks"),
    ),
    _Kind(
        "buttons",
        "--no-buttons",
        "--button-tracks",
        ("_copy-buttons-tracks", "_copy-button-tracks"),
    ),
)
_SELECTING = frozenset(
    name.removeprefix("--") for kind in _KINDS for name in (kind.none, kind.some)
)

Tracks = Mapping[int, str]
"""A source's tracks: id to kind."""


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
    for kind in _KINDS:
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


class Mkvmerge(Module):
    """Merges with mkvmerge, and checks that everything came along."""

    Settings: ClassVar[type[ModuleSettings]] = MkvmergeSettings
    patience: ClassVar[Patience] = Patience.PATIENT
    reports_progress: ClassVar[bool] = True
    settings: MkvmergeSettings

    def validate(self, task: Task) -> None:
        """Check files, folders and track ids that can be known before the job starts."""
        super().validate(task)
        self._check_option_files(task)
        self._attachments(task)
        try:
            self._kinds(task)
        except ToolMissing:
            # Said when the tool is needed: the plan of a job can be checked without.
            task.log("mkvmerge is not installed: track ids are not checked", "warning")

    def plan(self, task: Task) -> list[Step]:
        """Show the command line, with the output's final name."""
        output = self.settings.output_file
        kinds, attachments = self._kinds(task), self._attachments(task)
        argv = build_argv(self.settings, kinds, attachments, output)
        sources = [source.filename for source in self.settings.files]
        what = f"merge {len(sources)} files into {output.name}"
        unknown = [
            path.name for path, k in zip(sources, kinds, strict=True) if k is None
        ]
        if unknown and self.settings.selects:
            what += f" (tracks are chosen once {', '.join(unknown)} is there)"
        reads = [*sources, *self._option_files(), *(a.filename for a in attachments)]
        return [Step(what, argv, reads=reads, writes=(output,))]

    def run(self, task: Task) -> None:
        """Merge beside the output, check the result, give it its name."""
        for number, source in enumerate(self.settings.files):
            task.input(source.filename, f"sources[{number}]")
            check_apart(task, source.filename, self.settings.output_file)
            check_source(source.filename)
        for path in self._check_option_files(task):
            task.input(path, "options")
        attachments = self._attachments(task)
        for attachment in attachments:
            task.input(attachment.filename, "attachments")
        if any(track.uses_alias for track in self.settings.tracks):
            task.log("a track's title is set by track-name: taken as that", "warning")
        kinds = self._kinds(task)
        warnings: list[str] = []

        def check(part: Path) -> None:
            self._check(task, part, kinds, warned=bool(warnings))

        with task.output(
            self.settings.output_file, overwrite=True, check=check
        ) as part:
            argv = build_argv(self.settings, kinds, attachments, part)
            _merge(task, argv, warnings)
        task.progress(100)

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
        """List what is attached, in order; the place where more could be added."""
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

    # Tracks

    def _kinds(self, task: Task) -> list[Tracks | None]:
        """Identify every source that is there, and check the tracks listed of it."""
        if not self.settings.selects:
            # Nothing is selected, and mkvmerge only warns of an id that is not there.
            return [None] * len(self.settings.sources)
        found: list[Tracks | None] = []
        for number, source in enumerate(self.settings.files):
            known = None
            if source.filename.is_file():
                known = identify(task, source.filename, f"sources[{number}]")
            found.append(known)
        for number, track in enumerate(self.settings.tracks):
            known = found[track.source]
            if known is not None and track.track not in known:
                ids = ", ".join(map(str, known)) or "no tracks"
                name = self.settings.files[track.source].filename.name
                field = task.field(f"tracks[{number}].track")
                expected = f"is not in {name}, which has {ids}"
                raise InvalidSettings.of(Problem(field, track.track, expected))
        return found

    # The result

    def _check(
        self, task: Task, part: Path, kinds: Sequence[Tracks | None], *, warned: bool
    ) -> None:
        check_container(part)
        made = list(identify(task, part, "output_file").values())
        wanted = self._wanted(kinds)
        for kind, count in (wanted or {}).items():
            if made.count(kind) == count:
                continue
            message = f"the output has {made.count(kind)} {kind} tracks, not {count}"
            if not warned:
                raise TaskFailed(message)
            task.log(message, "warning")
        try:
            probe = film_probe(task)
            output = probe.film(part)
            films = [probe.film(source.filename) for source in self.settings.files]
        except (ToolMissing, Unreadable) as error:
            task.log(f"frames are not counted: {error}", "warning")
            return
        source = _only_picture(films)
        for odd in check_picture(output, source, probe) if source else ():
            task.log(odd, "warning")

    def _wanted(self, kinds: Sequence[Tracks | None]) -> dict[str, int] | None:
        """Count the tracks of each kind that must come out, if that is known."""
        files = self.settings.files
        names = set(self.settings.options).union(*(file.options for file in files))
        if not self.settings.selects or names & _SELECTING:
            return None
        counts = dict.fromkeys((kind.name for kind in _KINDS), 0)
        for number, (source, known) in enumerate(zip(files, kinds, strict=True)):
            listed = {t.track for t in self.settings.tracks if t.source == number}
            for track, name in (known or {}).items():
                whole = any(
                    kind.name == name and set(kind.copy_all) & set(source.options)
                    for kind in _KINDS
                )
                if name in counts and (whole or track in listed):
                    counts[name] += 1
        return counts


def _only_picture(films: Sequence[Film]) -> Film | None:
    """Find the source of the picture, if only one can be."""
    with_picture = [
        film for film in films if any(not s.picture for s in film.of_kind("video"))
    ]
    return with_picture[0] if len(with_picture) == 1 else None


def identify(task: Task, path: Path, field: str) -> Tracks:
    """Ask mkvmerge for a file's tracks.

    Raises:
        InvalidSettings: mkvmerge cannot read it.
    """
    answer = task.workdir / "identified.json"
    # Into a file: a codec's private data makes lines longer than a log's may be.
    argv = ["mkvmerge", "-J", str(path), "--redirect-output", str(answer)]
    task.tool(argv, ok=(0, 1, 2))
    facts = json.loads(answer.read_text(encoding="utf-8-sig"))
    errors = facts.get("errors") or []
    if errors or not facts.get("container", {}).get("supported"):
        expected = errors[0] if errors else "is no file that mkvmerge can read"
        raise InvalidSettings.of(Problem(task.field(field), str(path), expected))
    return {int(row["id"]): str(row["type"]) for row in facts.get("tracks", ())}


def _merge(task: Task, argv: Sequence[str], warnings: list[str]) -> None:
    """Run mkvmerge with its arguments in a file, where any name is safe."""
    file = task.workdir / "options.json"
    file.write_text(json.dumps(argv[1:]), encoding="utf-8")
    errors: list[str] = []
    command = ["mkvmerge", f"@{file}"]
    try:
        result = task.tool(
            command,
            on_line=_hearing(task, warnings, errors),
            ok=(0, _WARNINGS),
            cwd=task.workdir,
        )
    except ToolFailed as error:
        reason = "; ".join(errors) or error.message
        raise ToolFailed(
            f"mkvmerge: {reason}",
            argv=list(argv),
            exit_code=error.exit_code,
            tail=[*error.tail, *errors],
        ) from None
    if result.exit_code == _WARNINGS:
        task.log(f"mkvmerge is done, with {len(warnings)} warnings", "warning")


def _hearing(
    task: Task, warnings: list[str], errors: list[str]
) -> Callable[[str], bool]:
    def take(text: str) -> bool:
        line = gui_line(text)
        if line is None:
            return False
        if line.kind == "progress":
            task.progress(line.percent)
            return True
        (errors if line.kind == "error" else warnings).append(line.text)
        task.log(line.text, line.kind)
        return True

    return take
