"""The films and jobs of the demo: prepared before, judged after."""

from __future__ import annotations

import json
import shutil
import subprocess
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sisyphus.errors import ConfigError, SisyphusError
from sisyphus.media.probe import Film, Printed, Probe, Unreadable
from sisyphus.modules.tool import Tools

TRAILER, SCENE = "big_buck_bunny_trailer.mp4", "big_buck_bunny_5s.mp4"
RAW_SECONDS = 12
TOLERANCE_SECONDS = 0.5
TOOL_SECONDS = 120
SUBTITLES = """\
1
00:00:01,000 --> 00:00:04,500
Once upon a time a job was pushed into a list.

2
00:00:06,000 --> 00:00:10,000
A worker took it, and nobody else did.

3
00:00:10,500 --> 00:00:11,800
When the film was whole, it got its name.
"""


@dataclass(frozen=True, slots=True)
class DemoJob:
    """A document to be pushed."""

    job_id: str
    title: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Expected:
    """A film that has to be there at the end."""

    path: str
    codecs: tuple[str, ...]
    seconds: float


FILMS = (
    Expected("out/big_buck_bunny.mkv", ("hevc", "opus", "subrip"), RAW_SECONDS),
    Expected("out/trailer_web.mp4", ("h264", "aac"), 55.1),
    Expected("out/scene_stereo.mkv", ("h264", "opus"), 5.3),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a film; ``wrong`` is empty when all is well."""

    path: Path
    wrong: str = ""
    streams: str = ""
    seconds: float | None = None
    bytes: int | None = None


def find_samples(given: Path | None) -> Path:
    """Find the folder with the clips and the jobs.

    Raises:
        ConfigError: it is not there.
    """
    source_tree = Path(__file__).parents[3]
    places = [given] if given else [Path("samples"), source_tree / "samples"]
    for place in places:
        if (place / TRAILER).is_file() and (place / "jobs").is_dir():
            return place.absolute()
    raise ConfigError(
        "the sample clips are not here: run the demo in the source tree, or name the"
        " folder that holds them, --samples DIR"
    )


def prepare(samples: Path, folder: Path, tools: Tools) -> None:
    """Lay out the folder: sources in ``in``, nothing yet in ``out`` and ``work``."""
    for name in ("in", "work", "out"):
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir(parents=True)
    sources = folder / "in"
    shutil.copyfile(samples / TRAILER, sources / "trailer.mp4")
    shutil.copyfile(samples / SCENE, sources / "scene.mp4")
    (sources / "subtitles.srt").write_text(SUBTITLES)
    _make_raw(sources, tools)


def _make_raw(sources: Path, tools: Tools) -> None:
    """Make a film with two sound tracks and subtitles; nothing is encoded."""
    argv: list[str] = [tools.find("ffmpeg"), "-v", "error", "-nostdin", "-y"]
    argv += ["-i", str(sources / "trailer.mp4"), "-i", str(sources / "subtitles.srt")]
    argv += ["-map", "0:v:0", "-map", "0:a:0", "-map", "0:a:0", "-map", "1:s:0"]
    argv += ["-c", "copy", "-t", str(RAW_SECONDS)]
    for stream, language in (("a:0", "eng"), ("a:1", "und"), ("s:0", "eng")):
        argv += [f"-metadata:s:{stream}", f"language={language}"]
    argv.append(str(sources / "raw.mkv"))
    printed = _read(argv)
    if printed.exit_code != 0:
        raise SisyphusError(f"ffmpeg cannot prepare a source: {printed.err.strip()}")


def documents(samples: Path) -> list[DemoJob]:
    """Read the sample jobs; each gets a new id, as a producer would give it."""
    found = []
    for path in sorted((samples / "jobs").glob("*.json")):
        job = json.loads(path.read_bytes())
        job["job_id"] = str(uuid.uuid4())
        raw = json.dumps(job, ensure_ascii=False).encode()
        found.append(DemoJob(job["job_id"], job["job_title"], raw))
    return found


def judge(expected: Expected, folder: Path, tools: Tools) -> Verdict:
    """Look into a finished film with ffprobe."""
    path = folder / expected.path
    if not path.is_file():
        return Verdict(path, wrong="is not there")
    try:
        film = Probe(_read, tools.find("ffprobe")).film(path)
    except Unreadable as error:
        return Verdict(path, wrong=f"cannot be read: {error}")
    return Verdict(
        path,
        _what_is_wrong(film, expected),
        ", ".join(stream.codec for stream in film.streams),
        film.duration,
        path.stat().st_size,
    )


def _what_is_wrong(film: Film, expected: Expected) -> str:
    codecs = tuple(stream.codec for stream in film.streams)
    if codecs != expected.codecs:
        return f"has {', '.join(codecs)}, should have {', '.join(expected.codecs)}"
    off = abs((film.duration or 0.0) - expected.seconds)
    if off > TOLERANCE_SECONDS:
        return f"lasts {film.duration} s, should last {expected.seconds:g} s"
    return ""


def _read(argv: Sequence[str]) -> Printed:
    done = subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=TOOL_SECONDS,
    )
    return Printed(done.returncode, done.stdout, done.stderr)
