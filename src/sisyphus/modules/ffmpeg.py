"""The module ``ffmpeg``: streams of one or more sources become one output."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from sisyphus.errors import InvalidSettings, Problem, ToolFailed, ToolMissing
from sisyphus.media.counts import Rhythm
from sisyphus.media.probe import Film, Probe, Unreadable
from sisyphus.media.progress import EncodingProgress
from sisyphus.media.verify import check_length
from sisyphus.modules.base import Module, ModuleSettings, Patience, Step
from sisyphus.modules.ffmpeg_argv import Resolved, build_argv, merged, trim_of
from sisyphus.modules.ffmpeg_color import carrying, with_colors
from sisyphus.modules.ffmpeg_expected import expected_output
from sisyphus.modules.ffmpeg_options import (
    INPUT_FORMATS_REFUSED,
    MAY_ALLOW,
    check_options,
)
from sisyphus.modules.ffmpeg_preflight import (
    check_comparable,
    check_losses,
    check_readable,
    check_tool,
    needed_bytes,
)
from sisyphus.modules.ffmpeg_progress import duration_in, progress_of, rest_of
from sisyphus.modules.ffmpeg_settings import FfmpegSettings
from sisyphus.modules.ffmpeg_stored import stored_options
from sisyphus.modules.ffmpeg_streams import Made, streams_of
from sisyphus.modules.ffmpeg_tracks import film_to_come, made_tracks
from sisyphus.modules.identify import Track
from sisyphus.modules.options import Allowed
from sisyphus.modules.playlists import refuse_playlist
from sisyphus.modules.preflight import check_space, check_whole
from sisyphus.modules.probing import check_apart, film_probe, formats_of
from sisyphus.modules.task import Task
from sisyphus.modules.telling import tell
from sisyphus.modules.verifying import verify_film

_SEGFAULT_RETRIES = 2


class Ffmpeg(Module):
    """Encodes or copies with ffmpeg, and checks that the whole film came out."""

    Settings: ClassVar[type[ModuleSettings]] = FfmpegSettings
    patience: ClassVar[Patience] = Patience.PATIENT
    reports_progress: ClassVar[bool] = True
    may_allow: ClassVar[frozenset[str]] = MAY_ALLOW
    settings: FfmpegSettings

    def validate(self, task: Task) -> None:
        """Check files, stored options and what filters read, before the job starts."""
        super().validate(task)
        options = self._options(task)
        self._filter_files(task, options)
        overwrite = self.settings.overwrite
        task.check_free(self.settings.output_file, overwrite=overwrite)
        check_tool(task, self.settings, options)
        for number, source in enumerate(self.settings.sources):
            if _is_there(task, source):
                refuse_playlist(task, source, f"sources[{number}]")
                if self._reads_to_the_end:
                    check_length(source)
        self._checked(task, self._probe(task), options, warn=True)

    def plan(self, task: Task) -> list[Step]:
        """Show the command line, with the output's final name."""
        options = self._options(task)
        files = self._filter_files(task, options)
        output = self.settings.output_file
        probe = self._probe(task)
        streams = self._streams(probe, options, self._films(task, probe))
        argv = self._argv(carrying(streams or (), options), output)
        reads = (*self.settings.sources, *files)
        return [Step(f"make {output.name}", argv, reads=reads, writes=(output,))]

    def foretell(self, task: Task) -> Mapping[Path, Sequence[Track]]:
        """The output's tracks are the mapped streams, in their order."""
        options, probe = self._options(task), self._probe(task)
        films: list[Film | None] = []
        for number, source in enumerate(self.settings.sources):
            if source in task.made_before:
                tracks = task.before.tracks.get(source)
                films.append(None if tracks is None else film_to_come(source, tracks))
            else:
                films.append(self._film(task, probe, number))
        output = self.settings.output_file
        found = streams_of(self.settings, options, films)
        streams = None if found is None else [made.source for made in found]
        made = made_tracks(output, options, streams)
        return {} if made is None else {output: made}

    def run(self, task: Task) -> None:
        """Encode beside the output, check the result, give it its name."""
        options = self._options(task)
        for path in self._filter_files(task, options):
            if not path.is_dir():  # fonts
                task.input(path, "output_maps")
                refuse_playlist(task, path, "output_maps")
        self._check_sources(task)
        probe = self._probe(task)
        if probe is None:
            said = "ffprobe is not installed: the output is hardly checked"
            task.log(said, "warning")
        streams = self._checked(task, probe, options, warn=False)
        progress = progress_of(self.settings, options, streams, probe)
        expected = expected_output(self.settings, options, streams)
        argv_options = carrying(streams or (), options)
        output = self.settings.output_file
        check_space(task, output, needed_bytes(self.settings, streams))
        rhythm = Rhythm()

        def check(part: Path) -> None:
            known = replace(expected, repeated=rhythm.repeated, dropped=rhythm.dropped)
            verify_film(task, part, known, self.settings)

        with task.output(
            output, overwrite=self.settings.overwrite, check=check
        ) as part:
            argv = self._argv(argv_options, part)
            self._encode(task, argv, part, progress, rhythm, options)
        self._tell(task, progress, None)

    # Options

    def _argv(self, options: Resolved, output: Path) -> list[str]:
        overwrite = self.settings.overwrite
        return build_argv(self.settings, options, output, overwrite=overwrite)

    def _options(self, task: Task) -> list[dict[str, Any]]:
        """Put each output map's inline and stored options together."""
        found = []
        for number, entry in enumerate(self.settings.output_maps):
            field = f"output_maps[{number}]"
            profile = self._stored(task, entry.profile, f"{field}.profile")
            option_set = self._stored(task, entry.option_set, f"{field}.option_set")
            found.append(merged(entry, profile, option_set))
        return found

    def _stored(self, task: Task, name: str | None, field: str) -> Mapping[str, Any]:
        if name is None:
            return {}
        document = task.stored(name, field)
        try:
            return stored_options(document, Allowed.of(task.settings, self.name))
        except InvalidSettings as error:
            expected = f"is stored with wrong options: {error.problems[0]}"
            problem = Problem(task.field(field), name, expected)
            raise InvalidSettings.of(problem) from None

    @classmethod
    def check_stored(cls, document: Mapping[str, Any]) -> None:
        """Check a profile or an option set; what some workers allow may be in it."""
        stored_options(document, Allowed.only("ffmpeg", "*"), strict=True)

    def _filter_files(self, task: Task, options: Resolved) -> list[Path]:
        """List the files that filters read, all below the roots."""
        found: list[Path] = []
        allowed = Allowed.of(task.settings, self.name)
        for number, chosen in enumerate(options):
            for path in check_options(chosen, allowed=allowed):
                task.check_path(path, f"output_maps[{number}].options")
                found.append(path)
        return found

    # Sources

    def _check_sources(self, task: Task) -> None:
        for number, source in enumerate(self.settings.sources):
            task.input(source, f"sources[{number}]")
            refuse_playlist(task, source, f"sources[{number}]")
            check_apart(task, source, self.settings.output_file)
            if self._reads_to_the_end:
                check_whole(task, source)

    @property
    def _reads_to_the_end(self) -> bool:
        """Whether a source's end matters: one may well cut off what is damaged."""
        trim = trim_of(self.settings)
        return trim is None or trim[1] is None

    def _films(self, task: Task, probe: Probe | None) -> list[Film | None]:
        return [
            self._film(task, probe, n) if _is_there(task, source) else None
            for n, source in enumerate(self.settings.sources)
        ]

    def _streams(
        self, probe: Probe | None, options: Resolved, films: Sequence[Film | None]
    ) -> list[Made] | None:
        """Find out what goes into the output; ``None`` if a source is not known."""
        streams = streams_of(self.settings, options, films)
        return with_colors(streams, probe) if streams and probe else streams

    def _checked(
        self, task: Task, probe: Probe | None, options: Resolved, *, warn: bool
    ) -> list[Made] | None:
        """Find out what goes into the output, and whether it can come out well.

        Raises:
            InvalidSettings: a source cannot be read, or would lose HDR data, or the
                output could not be verified as the settings want.
        """
        films = self._films(task, probe)
        there = [_is_there(task, source) for source in self.settings.sources]
        unknown = [n for n, film in enumerate(films) if film is None and there[n]]
        check_readable(task, self.settings, unknown, probed=probe is not None)
        streams = self._streams(probe, options, films)
        if all(there):
            check_losses(task, self.settings, streams, warn=warn)
            expected = expected_output(self.settings, options, streams)
            check_comparable(task, self.settings, expected)
        return streams

    @staticmethod
    def _probe(task: Task) -> Probe | None:
        try:
            return film_probe(task)
        except ToolMissing:
            return None

    def _film(self, task: Task, probe: Probe | None, number: int) -> Film | None:
        """Probe a source; what cannot be probed is left to ffmpeg to judge."""
        source = self.settings.sources[number]
        task.check_path(source, f"sources[{number}]")
        try:
            film = probe.film(source) if probe else None
        except Unreadable as error:
            # With the option f, ffmpeg does not look which format it is.
            if "f" not in self.settings.input_options:
                self._check_formats(task, number, formats_of(task, source))
            task.log(f"{source} cannot be probed: {error}", "warning")
            return None
        self._check_formats(task, number, film.formats if film else frozenset())
        return film

    def _check_formats(self, task: Task, number: int, formats: frozenset[str]) -> None:
        source = self.settings.sources[number]
        allowed = Allowed.of(task.settings, self.name)
        for kind in formats & INPUT_FORMATS_REFUSED:
            if not allowed.has(f"format.{kind}"):
                expected = f"is a {kind} script, which could open other files"
                field = task.field(f"sources[{number}]")
                raise InvalidSettings.of(Problem(field, str(source), expected))

    # Progress

    @staticmethod
    def _tell(task: Task, progress: EncodingProgress, line: str | None) -> bool:
        """Pass one line of ffmpeg's report on; ``None`` means that all is done."""
        reading = progress.finished() if line is None else progress.feed(line)
        if reading is not None:
            tell(task, reading)
        return True

    # The tool

    def _encode(
        self,
        task: Task,
        argv: list[str],
        part: Path,
        progress: EncodingProgress,
        rhythm: Rhythm,
        options: Resolved,
    ) -> None:
        def follow(line: str) -> bool:
            rhythm.hear(line)
            return self._tell(task, progress, line)

        def hear(line: str) -> bool:
            whole = duration_in(line) if progress.duration is None else None
            if whole is not None:
                progress.duration = rest_of(self.settings, options, whole)
            return False

        for retries_left in reversed(range(_SEGFAULT_RETRIES + 1)):
            try:
                task.tool(
                    argv,
                    on_line=follow,
                    on_stderr_line=hear,
                    stop_signal=signal.SIGINT,
                    # Relative names in options lead nowhere else.
                    cwd=task.workdir,
                )
            except ToolFailed as error:
                if error.exit_code != -signal.SIGSEGV or not retries_left:
                    raise
                task.log("ffmpeg crashed (SIGSEGV): starting it again", "warning")
                part.unlink(missing_ok=True)
            else:
                return


def _is_there(task: Task, source: Path) -> bool:
    """Tell whether a source can be looked into, and is the one that will be read."""
    return source not in task.made_before and source.is_file()
