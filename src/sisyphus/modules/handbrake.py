"""The module ``handbrake``: one title of a source becomes one film."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from sisyphus.errors import (
    InvalidSettings,
    OutputRefused,
    Problem,
    ToolFailed,
    ToolMissing,
)
from sisyphus.media.counts import FRAME_FORMATS, FRAME_SLACK
from sisyphus.media.expected import Expected
from sisyphus.media.handbrake import HandbrakeLog, HandbrakeProgress, left_out
from sisyphus.media.hdr import Color
from sisyphus.media.probe import Film, Probe, Unreadable
from sisyphus.media.verify import check_length
from sisyphus.modules.base import Module, ModuleSettings, Patience, Step
from sisyphus.modules.fields import Files
from sisyphus.modules.handbrake_argv import build_argv
from sisyphus.modules.handbrake_expected import (
    WHOLE,
    expected_output,
    foretold_audio,
    obstacle_of,
    part_of,
    picture_of,
    total_frames,
)
from sisyphus.modules.handbrake_options import MAY_ALLOW
from sisyphus.modules.handbrake_settings import HandbrakeSettings
from sisyphus.modules.identify import Track, tracks_of
from sisyphus.modules.mkvtoolnix import sayable
from sisyphus.modules.playlists import FORMATS, refuse_playlist
from sisyphus.modules.preflight import check_whole
from sisyphus.modules.probing import check_apart, film_probe
from sisyphus.modules.task import Task
from sisyphus.modules.telling import tell
from sisyphus.modules.verifying import Verify, verify_film

_TOOL = "HandBrakeCLI"
_IMAGES = frozenset({".img", ".iso"})
_DECODED_SHARE = 0.005
_NOISE = re.compile(r"\*|libdvd")
"""What libraries for discs print of every film that is none."""


@dataclass
class _Run:
    """One run of HandBrake: what it told."""

    progress: HandbrakeProgress
    log: HandbrakeLog = field(default_factory=HandbrakeLog)


class Handbrake(Module):
    """Encodes with HandBrakeCLI, and checks that the whole film came out."""

    Settings: ClassVar[type[ModuleSettings]] = HandbrakeSettings
    patience: ClassVar[Patience] = Patience.PATIENT
    reports_progress: ClassVar[bool] = True
    may_allow: ClassVar[frozenset[str]] = (
        MAY_ALLOW | {"encopts"} | {f"format.{kind}" for kind in FORMATS}
    )
    settings: HandbrakeSettings

    def validate(self, task: Task) -> None:
        """Check the files and what can be known before the job starts."""
        super().validate(task)
        task.find_tool(_TOOL)
        for name, path in self.settings.files:
            if path in task.made_before:
                task.check_path(path, name)
            else:
                task.input(path, name)
        source = self.settings.source
        if source.is_file():
            refuse_playlist(task, source, "source")
            if self._reads_to_the_end:
                check_length(source)
        obstacle = obstacle_of(self.settings.options)
        if self._is_image:
            obstacle = "its source is the image of a disc"
        if self.settings.verify is Verify.QUALITY and obstacle:
            said = f"cannot compare the output with its source: {obstacle}"
            problem = Problem(task.field("verify"), "quality", said)
            raise InvalidSettings.of(problem)

    def files(self) -> Files:
        """Name the source, the files of options, and the output."""
        reads = {path for _, path in self.settings.files}
        output = self.settings.output_file
        return Files(frozenset({self.settings.source, *reads}), frozenset({output}))

    def plan(self, task: Task) -> list[Step]:
        """Show the command line, with the output's final name."""
        output = self.settings.output_file
        argv = build_argv(self.settings, output)
        reads = [self.settings.source, *(path for _, path in self.settings.files)]
        what = f"make {output.name} of {self.settings.source.name}"
        return [Step(what, argv, reads=reads, writes=(output,))]

    def foretell(self, task: Task) -> Mapping[Path, Sequence[Track]]:
        """One picture and the chosen sound, where no subtitles come along."""
        found = tracks_of(task, self.settings.source, "source")
        sound = None if found is None else sum(t.kind == "audio" for t in found)
        count = foretold_audio(self.settings.options, sound)
        if count is None:
            return {}
        made = [Track(0, "video"), *(Track(n, "audio") for n in range(1, count + 1))]
        return {self.settings.output_file: made}

    def run(self, task: Task) -> None:
        """Encode beside the output, check the result, give it its name."""
        self._check_source(task)
        for name, path in self.settings.files:
            task.input(path, name)
        probe = self._probe(task)
        film = self._film(task, probe)
        run = _Run(self._progress(probe, film))

        def check(part: Path) -> None:
            if self.settings.verify is not Verify.OFF:
                self._check_read(task, probe, film, run.log)
            expected = self._expected(probe, film, part, run.log)
            verify_film(task, part, expected, self.settings)

        with task.output(
            self.settings.output_file, overwrite=True, check=check
        ) as part:
            self._encode(task, part, run)
        tell(task, run.progress.finished())

    # The source

    @property
    def _reads_to_the_end(self) -> bool:
        """Whether a source's end matters: one may well cut off what is damaged."""
        part = part_of(self.settings.options)
        return part is not None and part.length is None and part.frames is None

    @property
    def _is_image(self) -> bool:
        """Whether the source is the image of a disc."""
        return self.settings.source.suffix.lower() in _IMAGES

    def _check_source(self, task: Task) -> None:
        source = self.settings.source
        task.input(source, "source")
        refuse_playlist(task, source, "source")
        check_apart(task, source, self.settings.output_file)
        if self._reads_to_the_end:
            check_whole(task, source)

    def _probe(self, task: Task) -> Probe | None:
        try:
            return film_probe(task)
        except ToolMissing:
            task.log(
                "ffprobe is not installed: the output is hardly checked", "warning"
            )
            return None

    def _film(self, task: Task, probe: Probe | None) -> Film | None:
        """Probe the source; what cannot be probed is left to HandBrake to judge."""
        if self._is_image:
            return None  # its titles are not what ffprobe sees
        try:
            return probe.film(self.settings.source) if probe else None
        except Unreadable as error:
            task.log(f"{self.settings.source} cannot be probed: {error}", "warning")
            return None

    def _progress(self, probe: Probe | None, film: Film | None) -> HandbrakeProgress:
        picture = picture_of(film)
        if probe is None or film is None or picture is None:
            return HandbrakeProgress()
        options = self.settings.options
        whole = picture.duration or film.duration
        part = part_of(options)
        frames = probe.frames(film, picture) if part is not None else None
        return HandbrakeProgress(
            total=total_frames(options, frames, whole),
            duration=part.seconds_of(whole) if part else None,
        )

    # The tool

    def _encode(self, task: Task, part: Path, run: _Run) -> None:
        def hear(line: str) -> bool:
            if reading := run.progress.feed(line):
                tell(task, reading)
            return run.progress.inside or bool(_NOISE.match(line))

        try:
            result = task.tool(
                [sayable(task, word) for word in build_argv(self.settings, part)],
                on_line=hear,
                on_stderr_line=self._hearing(task, run.log),
                # At SIGTERM it would leave its temporary folder behind.
                stop_signal=signal.SIGINT,
                # Relative names in options of encoders lead nowhere else.
                cwd=task.workdir,
            )
        except ToolFailed as error:
            if error.exit_code is None or not run.log.reasons:
                raise
            how, reasons = error.message.partition(":")[0], "; ".join(run.log.reasons)
            error.message = f"{how}: {reasons}"
            error.args = (error.message,)
            raise
        # It ends well, too, when it understood nothing, or when the encoding failed.
        wrong = ""
        if run.progress.error:
            wrong = f"the encoding failed (error {run.progress.error})"
        elif not part.exists() or not part.stat().st_size:
            wrong = "ended well, but made no film"
        if wrong:
            reasons = "; ".join(run.log.reasons)
            raise ToolFailed(
                f"{_TOOL}: {reasons or wrong}",
                argv=list(result.argv),
                exit_code=result.exit_code,
                tail=list(result.tail),
            )

    def _hearing(self, task: Task, log: HandbrakeLog) -> Callable[[str], bool]:
        def hear(line: str) -> bool:
            known = log.job
            log.feed(line)
            self._refuse_left_out(task, line)
            if known is None and log.job is not None:
                self._check_stop(task, log)
            return False

        return hear

    def _refuse_left_out(self, task: Task, line: str) -> None:
        """Stop at once when HandBrake goes on without something that the job names."""
        if found := left_out(line):
            option, value = found
            name = task.field(self.settings.field_of(option))
            expected = f"would be left out: HandBrake says {line!r}"
            raise InvalidSettings.of(Problem(name, value, expected))

    def _check_stop(self, task: Task, log: HandbrakeLog) -> None:
        """Stop at once when HandBrake leaves ``stop_at`` out."""
        stop = self.settings.options.get("stop-at")
        with suppress(KeyError, TypeError):
            if stop and "End" not in (log.job or {})["Source"]["Range"]:
                expected = (
                    "must be in the unit of start_at: HandBrake would leave it out"
                )
                field = task.field(self.settings.field_of("stop-at"))
                raise InvalidSettings.of(Problem(field, stop, expected))

    # The result

    def _check_read(
        self, task: Task, probe: Probe | None, film: Film | None, log: HandbrakeLog
    ) -> None:
        """Refuse the output of a source that HandBrake could not read whole.

        Its own guess of the number of frames is no measure: for some films it is twice
        as many.

        Raises:
            OutputRefused: frames are missing.
        """
        picture = picture_of(film)
        if probe is None or film is None or picture is None or log.frames is None:
            return
        if part_of(self.settings.options) != WHOLE or picture.interlaced:
            return
        if not film.formats & FRAME_FORMATS:
            return
        wanted = probe.frames(film, picture)
        if wanted is None or log.frames >= _enough(wanted):
            return
        # A header's claim is rarely enough to refuse a film: count for sure.
        sure = probe.exact_frames(film, picture) or probe.packets(film.path, picture)
        if sure is not None and log.frames < _enough(sure):
            raise OutputRefused(
                f"HandBrake could read {log.frames} of the {sure} frames of"
                f" {film.path.name}"
            )
        task.log(
            f"{log.frames} frames were read, the header of {film.path.name} says"
            f" {wanted}",
            "warning",
        )

    def _expected(
        self, probe: Probe | None, film: Film | None, part: Path, log: HandbrakeLog
    ) -> Expected:
        if probe is None:
            return Expected()
        try:
            made = probe.film(part)
        except Unreadable:
            return Expected()
        picture = picture_of(film)
        color: Color | None = None
        if film is not None and picture is not None and picture.color.is_hdr:
            color = probe.color(film, picture)
        return expected_output(
            self.settings.options,
            film,
            made,
            log.job,
            color=color,
            dropped=log.dropped,
        )


def _enough(frames: int) -> float:
    return frames - FRAME_SLACK - _DECODED_SHARE * frames
