"""Where one experiment runs: a film, machines, a queue, and the watch over all encoders."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.encoders import Encoder, Watch, size_of
from bench.fleet import KEYS, Machine, Site, sisyphus

FRAMES_PER_SECOND = 10


@dataclass(slots=True)
class Outcome:
    """What one run of an experiment has shown."""

    gone: float | None = None
    """Seconds from the blow until no encoder ran; ``None``: none had to go."""
    again: float | None = None
    """Seconds until an encoder ran that had not run before."""
    taken: float | None = None
    """Seconds until a worker had taken the job again, by the server's clock."""
    most: int = 0
    """Encoders of one film that were seen at once, at most."""
    grown: int = 0
    """Bytes that a file without an encoder grew by."""
    state: str = ""
    code: str = ""
    """The error's, if the job failed."""
    attempts: int = 0
    crashes: int = 0
    left: list[str] = field(default_factory=list)
    """All files in the output's folder at the end."""
    published: int = 0
    """How many different files were seen under the final name."""
    whole: bool = False
    """Whether the film is there with all frames of its source."""
    longest_pause: float = 0.0
    """Seconds between two looks, at worst."""


class Scene:
    """One experiment: what it needs, and what it has shown."""

    def __init__(self, site: Site, watch: Watch, folder: Path, seconds: int) -> None:
        self.site, self.watch, self.folder = site, watch, folder
        self.frames = seconds * FRAMES_PER_SECOND
        self.source = site.folder / "source.mp4"
        picture = f"testsrc2=s=320x180:r={FRAMES_PER_SECOND}:d={seconds}"
        quiet = ["ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", picture]
        fast = ["-c:v", "libx264", "-preset", "ultrafast", "-threads", "1"]
        subprocess.run([*quiet, *fast, str(self.source)], check=True)

    @classmethod
    @contextmanager
    def open(cls, seconds: int) -> Iterator[Scene]:
        """Begin with a source of so many seconds and an empty folder for outputs."""
        with Site.open() as site:
            folder = site.folder / "out"
            folder.mkdir()
            with Watch(folder) as watch:
                scene = cls(site, watch, folder, seconds)
                try:
                    yield scene
                finally:
                    for machine in site.machines:
                        machine.lose_power()

    def document(self, film: str, task: dict[str, Any], **envelope: Any) -> str:
        """Write a job that encodes the source with x264, as fast as it would be played.

        So it takes long without keeping a processor busy, and how long is known.
        """
        options = {"codec": "libx264", "preset": "veryfast", "threads": 1}
        data = {
            "sources": [str(self.source)],
            "input_options": {"re": None},
            "source_maps": [{"source": 0, "specifier": "v", "stream": 0}],
            "output_maps": [
                {
                    "specifier": "v",
                    "stream": 0,
                    # Written picture by picture, so that a growing file is seen to grow.
                    "options": {**options, "tune": "zerolatency", "crf": 1},
                }
            ],
            "output_file": str(self.folder / film),
        }
        job = {"job_title": film, "job_id": film, "tasks": [{"ffmpeg": data, **task}]}
        return json.dumps({**job, **envelope})

    def push(self, film: str, task: dict[str, Any] | None = None, **more: Any) -> None:
        """Submit a job; its id is the film's name."""
        self.site.push(self.document(film, task or {}, **more))

    def machines(self, *names: str, **variables: str) -> list[Machine]:
        """Start machines with one worker each, and wait until all are idle."""
        made = [self.site.start(name, 1, **variables) for name in names]
        self.site.until(lambda: self.site.idle() == len(made), "all are idle", 40)
        return made

    def encoding(self, film: str) -> Encoder:
        """Wait until a film is being written, and give its encoder."""
        found: list[Encoder] = []

        def writes() -> bool:
            found[:] = [e for e in self.watch.running(film) if size_of(e.part)]
            return bool(found)

        self.site.until(writes, f"{film} is being written", 30)
        return found[0]

    def until_gone(self, encoder: Encoder) -> float:
        """Wait until an encoder is gone; when that was."""
        self.site.until(lambda: encoder.gone is not None, "the encoder is gone", 40)
        assert encoder.gone is not None
        return encoder.gone

    def until_again(self, film: str, before: Encoder) -> float:
        """Wait until another encoder runs for a film; when it was first seen."""

        def others() -> list[Encoder]:
            mine = [each for each in self.watch.encoders if each.film == film]
            return [each for each in mine if each is not before]

        self.site.until(lambda: bool(others()), f"{film} is encoded again", 40)
        return others()[0].seen

    def until_ended(self, film: str) -> None:
        """Wait for the end of a job, however it ends."""
        self.site.until(lambda: "ended_ms" in self.site.record(film), "it ended", 40)

    def began(self, film: str) -> float:
        """Tell when the last recorded attempt at a job began, by ``time.monotonic``."""
        entry = self.site.redis.lrange(KEYS.attempts(film), -1, -1)
        wall = json.loads(entry[0])["started_ms"] / 1000
        return float(wall - time.time() + time.monotonic())

    def taken(self, film: str) -> float:
        """Tell when a job was taken last, by ``time.monotonic``: its token says so."""
        wall = int(self.site.record(film)["token"]) / 1e6
        return wall - time.time() + time.monotonic()

    def outcome(self, film: str, **measured: float | None) -> Outcome:
        """Sum up: what the store says of the job, what the watch has seen, the files."""
        self.watch.end()
        record = self.site.record(film)
        return Outcome(
            most=self.watch.most[film],
            grown=self.watch.grown,
            state=record.get("state", ""),
            code=json.loads(record.get("error") or "{}").get("code", ""),
            attempts=int(record.get("attempts", 0)),
            crashes=int(record.get("crashes", 0)),
            left=sorted(path.name for path in self.folder.iterdir()),
            published=len(self.watch.published[film]),
            whole=_frames(self.folder / film) == self.frames,
            longest_pause=self.watch.longest_pause,
            **measured,
        )

    def command(self, *words: str) -> subprocess.Popen[bytes]:
        """Start another ``sisyphus`` command beside the workers."""
        return sisyphus(self.site.folder, *words)


def _frames(film: Path) -> int:
    if not film.is_file():
        return 0
    count = ["ffprobe", "-v", "error", "-count_packets", "-select_streams", "v:0"]
    show = ["-show_entries", "stream=nb_read_packets", "-of", "csv=p=0"]
    told = subprocess.run([*count, *show, str(film)], capture_output=True, text=True)
    return int(told.stdout.strip() or 0)
