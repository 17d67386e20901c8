"""The module ``ffmpeg``: streams of one or more sources become one output."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pydantic import TypeAdapter, ValidationError

from sisyphus.errors import InvalidSettings, Problem, ToolFailed, ToolMissing
from sisyphus.media.probe import Film, Probe, Unreadable
from sisyphus.media.progress import EncodingProgress
from sisyphus.media.verify import Expected, check_container, check_output, check_source
from sisyphus.modules.base import Module, ModuleSettings, Patience, Step
from sisyphus.modules.ffmpeg_argv import (
    Resolved,
    build_argv,
    duration_in,
    expected_length,
    expected_output,
    first_video,
    mapped_streams,
    merged,
    trim_of,
    trimmed_frames,
)
from sisyphus.modules.ffmpeg_options import INPUT_FORMATS_REFUSED, check_options
from sisyphus.modules.ffmpeg_settings import FfmpegSettings, Options
from sisyphus.modules.probing import check_apart, film_probe
from sisyphus.modules.task import Task

_SEGFAULT_RETRIES = 2
_OPTIONS: TypeAdapter[dict[str, Any]] = TypeAdapter(Options)


class Ffmpeg(Module):
    """Encodes or copies with ffmpeg, and checks that the whole film came out."""

    Settings: ClassVar[type[ModuleSettings]] = FfmpegSettings
    patience: ClassVar[Patience] = Patience.PATIENT
    reports_progress: ClassVar[bool] = True
    settings: FfmpegSettings

    def validate(self, task: Task) -> None:
        """Check files, stored options and what filters read, before the job starts."""
        super().validate(task)
        self._filter_files(task, self._options(task))

    def plan(self, task: Task) -> list[Step]:
        """Show the command line, with the output's final name."""
        options = self._options(task)
        files = self._filter_files(task, options)
        output = self.settings.output_file
        argv = self._argv(options, output)
        reads = (*self.settings.sources, *files)
        return [Step(f"make {output.name}", argv, reads=reads, writes=(output,))]

    def run(self, task: Task) -> None:
        """Encode beside the output, check the result, give it its name."""
        options = self._options(task)
        for path in self._filter_files(task, options):
            task.input(path, "output_maps")
        self._check_sources(task)
        probe = self._probe(task)
        films = [self._film(task, probe, n) for n in range(len(self.settings.sources))]
        progress = self._progress(probe, films)
        expected = expected_output(self.settings, options, films)

        def check(part: Path) -> None:
            self._check(task, probe, part, expected)

        output = self.settings.output_file
        with task.output(
            output, overwrite=self.settings.overwrite, check=check
        ) as part:
            self._encode(task, self._argv(options, part), part, progress)
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
        options = document.get("settings", document.get("options"))
        try:
            return _OPTIONS.validate_python(options)
        except ValidationError as error:
            row = error.errors(include_url=False)[0]
            place = ".".join(map(str, row["loc"]))
            expected = f"is stored with wrong options: {place} {row['msg']}"
            problem = Problem(task.field(field), name, expected)
            raise InvalidSettings.of(problem) from None

    def _filter_files(self, task: Task, options: Resolved) -> list[Path]:
        """List the files that filters read, all below the roots."""
        found: list[Path] = []
        for number, chosen in enumerate(options):
            for path in check_options(chosen):
                task.check_path(path, f"output_maps[{number}].options")
                found.append(path)
        return found

    # Sources

    def _check_sources(self, task: Task) -> None:
        trim = trim_of(self.settings)
        for number, source in enumerate(self.settings.sources):
            task.input(source, f"sources[{number}]")
            check_apart(task, source, self.settings.output_file)
            if trim is None or trim[1] is None:
                check_source(source)

    def _probe(self, task: Task) -> Probe | None:
        try:
            return film_probe(task)
        except ToolMissing:
            task.log(
                "ffprobe is not installed: the output is hardly checked", "warning"
            )
            return None

    def _film(self, task: Task, probe: Probe | None, number: int) -> Film | None:
        """Probe a source; what cannot be probed is left to ffmpeg to judge."""
        source = self.settings.sources[number]
        try:
            film = probe.film(source) if probe else None
        except Unreadable as error:
            task.log(f"{source} cannot be probed: {error}", "warning")
            return None
        refused = film.formats & INPUT_FORMATS_REFUSED if film else frozenset()
        if refused:
            expected = f"is a {min(refused)} script, which could open other files"
            field = task.field(f"sources[{number}]")
            raise InvalidSettings.of(Problem(field, str(source), expected))
        return film

    # Progress

    def _progress(
        self, probe: Probe | None, films: Sequence[Film | None]
    ) -> EncodingProgress:
        streams = mapped_streams(self.settings.source_maps, films)
        length = expected_length(self.settings, streams)
        video = first_video(streams)
        if video is None or probe is None:
            return EncodingProgress(duration=length)
        total = probe.frames(video.film, video.stream)
        if total and trim_of(self.settings) != (0.0, None):
            whole = video.stream.duration or video.film.duration
            total = trimmed_frames(total, whole, length)
        return EncodingProgress(total=total, duration=length)

    @staticmethod
    def _tell(task: Task, progress: EncodingProgress, line: str | None) -> bool:
        """Pass one line of ffmpeg's report on; ``None`` means that all is done."""
        reading = progress.finished() if line is None else progress.feed(line)
        if reading is not None:
            task.progress(
                reading.percent,
                frame=reading.frame,
                total=reading.total,
                fps=reading.fps,
                speed=reading.speed,
                eta=reading.eta,
            )
        return True

    # The tool

    def _encode(
        self, task: Task, argv: list[str], part: Path, progress: EncodingProgress
    ) -> None:
        def hear(line: str) -> bool:
            if progress.duration is None and trim_of(self.settings) == (0.0, None):
                progress.duration = duration_in(line)
            return False

        for retries_left in reversed(range(_SEGFAULT_RETRIES + 1)):
            try:
                task.tool(
                    argv,
                    on_line=lambda line: self._tell(task, progress, line),
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

    @staticmethod
    def _check(task: Task, probe: Probe | None, part: Path, expected: Expected) -> None:
        if probe is None:
            check_container(part, expected.may_be_unfinished)
            return
        for odd in check_output(part, expected, probe):
            task.log(odd, "warning")
