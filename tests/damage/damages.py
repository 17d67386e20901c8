"""What can go wrong with a film while a task works on it, and what each module says.

A damage is done to a real film, to the tool, or to the disk. ``report`` runs one task
under one damage and gives what the job's record would say.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from sisyphus.errors import JobError
from sisyphus.modules import ffmpeg, mkvmerge
from sisyphus.testing import TaskRun, fake_tool, run_module

COMPLETED = "completed"
SECONDS = 12


@dataclass
class Scene:
    """One task about to run: its film, its tools, where it writes."""

    folder: Path
    column: Column
    film: Path
    output: Path
    original: Path | None = None
    """What is replaced; default: a whole copy of the film."""
    tools: dict[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Column:
    """One kind of task: module, tool, and its data for a source and an output."""

    title: str
    module: str
    tool: str | None
    data: Callable[[Scene], Mapping[str, Any]]


@dataclass(frozen=True)
class Damage:
    """One thing that goes wrong; ``do`` prepares it."""

    title: str
    do: Callable[[Scene], Any]
    needs_tool: bool = False


# The tasks


def _ffmpeg(codecs: Mapping[str, Any]) -> Callable[[Scene], Mapping[str, Any]]:
    def data(scene: Scene) -> Mapping[str, Any]:
        return {
            "sources": [str(scene.film)],
            "source_maps": [{"source": 0}],
            "output_maps": [
                {"specifier": kind, "stream": 0, "options": options}
                for kind, options in codecs.items()
            ],
            "output_file": str(scene.output),
            "overwrite": True,
        }

    return data


def _mkvmerge(scene: Scene) -> Mapping[str, Any]:
    return {
        "sources": [{"filename": str(scene.film)}],
        "tracks": [{"source": 0, "track": number} for number in range(3)],
        "output_file": str(scene.output),
    }


def _handbrake(scene: Scene) -> Mapping[str, Any]:
    return {
        "source": str(scene.film),
        "output_file": str(scene.output),
        "video_options": {"encoder": "x264", "encoder_preset": "ultrafast"},
    }


def _mkvextract(scene: Scene) -> Mapping[str, Any]:
    tracks = [
        {"id": 0, "filename": str(scene.output.with_suffix(".h264"))},
        {"id": 1, "filename": str(scene.output.with_suffix(".ac3"))},
    ]
    return {"source": str(scene.film), "tracks": tracks}


def _replace(scene: Scene) -> Mapping[str, Any]:
    original = scene.original or scene.folder / "original.mkv"
    if scene.original is None:
        shutil.copyfile(whole_film(scene.folder.parent), original)
    return {"replace": [{"original": str(original), "with": str(scene.film)}]}


_X264 = {"codec": "libx264", "preset": "ultrafast"}
COLUMNS = (
    Column(
        "ffmpeg, copying",
        "ffmpeg",
        "ffmpeg",
        _ffmpeg({kind: {"codec": "copy"} for kind in "vas"}),
    ),
    Column(
        "ffmpeg, encoding",
        "ffmpeg",
        "ffmpeg",
        _ffmpeg({"v": _X264, "a": {"codec": "aac"}, "s": {"codec": "copy"}}),
    ),
    Column("handbrake", "handbrake", "HandBrakeCLI", _handbrake),
    Column("mkvmerge", "mkvmerge", "mkvmerge", _mkvmerge),
    Column("mkvextract", "mkvextract", "mkvextract", _mkvextract),
    Column("cleanup, replacing", "cleanup", None, _replace),
)


# The damages


def _cut(scene: Scene) -> None:
    whole = scene.film.read_bytes()
    scene.film.write_bytes(whole[: len(whole) * 6 // 10])


def _hole(scene: Scene) -> None:
    """Put zeroes in the place of a tenth, at the start of nothing in particular."""
    content = bytearray(scene.film.read_bytes())
    start, length = len(content) * 4 // 10, len(content) // 10
    content[start : start + length] = bytes(length)
    scene.film.write_bytes(content)


def _killed(scene: Scene) -> None:
    _wrap(scene, "os.kill(os.getpid(), signal.SIGKILL)")


def _nothing_written(scene: Scene) -> None:
    _wrap(scene, "for part in parts(): part.unlink()")


def _another_film(scene: Scene) -> None:
    other = scene.folder / "other.mkv"
    make_film(other, seconds=3)
    _wrap(scene, f"for part in parts(): shutil.copyfile({str(other)!r}, part)")


def _stream_missing(scene: Scene) -> None:
    silent = scene.folder / "silent.mkv"
    streams = ("-map", "0", "-map", "-0:a", "-c", "copy")
    _ffmpeg_quietly("-i", str(scene.film), *streams, str(silent))
    _wrap(
        scene,
        f"""
for part in parts():
    if part.suffix == ".mkv":
        shutil.copyfile({str(silent)!r}, part)
    elif part.suffix == ".ac3":
        part.unlink()
""",
    )


def _no_room_before(scene: Scene) -> AbstractContextManager[None]:
    return _small_disk(scene)


@contextmanager
def _no_room_meanwhile(scene: Scene) -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(_small_disk(scene))
        stack.enter_context(patch("sisyphus.modules.output.FREE_BYTES", 0))
        for module in (ffmpeg, mkvmerge):
            stack.enter_context(patch.object(module, "check_space"))
        yield


DAMAGES = (
    Damage("source cut at 60 %", _cut),
    Damage("hole in the source", _hole),
    Damage("tool killed", _killed, needs_tool=True),
    Damage("tool ends well, writes nothing", _nothing_written, needs_tool=True),
    Damage("another film in the output's place", _another_film, needs_tool=True),
    Damage("a stream is missing", _stream_missing, needs_tool=True),
    Damage("disk full before", _no_room_before),
    Damage("disk full meanwhile", _no_room_meanwhile),
)


# Doing it


@dataclass(frozen=True)
class Report:
    """How a task ended under a damage."""

    code: str
    message: str

    @property
    def kind(self) -> str:
        """What does not depend on versions of tools: our own words, up to a number."""
        return f"{self.code}: {re.split(r'[:0-9]', self.message)[0].strip()}"


def report(column: Column, damage: Damage, folder: Path) -> Report:
    """Run one task under one damage."""
    film = folder / "film.mkv"
    shutil.copyfile(whole_film(folder.parent), film)
    scene = Scene(folder, column, film, folder / "out" / "made.mkv")
    scene.output.parent.mkdir()
    run = TaskRun()
    with ExitStack() as stack:
        if (context := damage.do(scene)) is not None:
            stack.enter_context(context)
        data = column.data(scene)
        before = _files(scene)
        try:
            run_module(column.module, data, tools=scene.tools, run=run)
        except JobError as error:
            assert _files(scene) == before
            return Report(error.code, _without_paths(error.message, folder))
    return Report(COMPLETED, "")


def _files(scene: Scene) -> dict[str, str]:
    """What lies where the task writes, with the hash of its content."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in (scene.folder, scene.output.parent)
        for path in folder.iterdir()
        if path.is_file()
    }


def whole_film(folder: Path) -> Path:
    """Make the film that is damaged, once: 300 frames, sound, subtitles."""
    path = folder / "whole.mkv"
    if not path.exists():
        made = path.with_name(f"{os.getpid()}.mkv")
        make_film(made, SECONDS)
        made.rename(path)
    return path


def make_film(path: Path, seconds: int) -> None:
    """Encode a film with noise, so that every part of it has some size."""
    texts = path.with_suffix(".srt")
    texts.write_text(
        "".join(
            f"{n + 1}\n00:00:{n:02},000 --> 00:00:{n:02},900\nLine {n}\n\n"
            for n in range(seconds)
        )
    )
    picture = f"testsrc2=s=160x90:r=25:d={seconds},noise=alls=20:allf=t"
    _ffmpeg_quietly(
        *("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", f"sine=d={seconds}"),
        *("-i", str(texts), "-map", "0", "-map", "1", "-map", "2", "-c:v", "libx264"),
        *("-preset", "ultrafast", "-g", "25", "-c:a", "ac3", "-c:s", "srt", str(path)),
    )
    texts.unlink()


def _wrap(scene: Scene, body: str) -> None:
    """Put a program in the tool's place that runs the tool, then does the damage."""
    name = scene.column.tool
    assert name is not None
    tool = fake_tool(
        scene.folder,
        name,
        f"""
import shutil, signal, subprocess
def parts():
    return [p for p in pathlib.Path({str(scene.output.parent)!r}).glob(".sisyphus-*")]
code = subprocess.run([{shutil.which(name)!r}, *sys.argv[1:]]).returncode
if parts():  # else it was only asked for something
{textwrap.indent(body.strip(), "    ")}
sys.exit(code)
""",
    )
    scene.tools[name] = tool


@contextmanager
def _small_disk(scene: Scene) -> Iterator[None]:
    """Put the output on a file system with hardly any room left."""
    disk = scene.folder / "disk"
    disk.mkdir()
    options = ("mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(disk))
    if os.geteuid() != 0 or subprocess.run(options, capture_output=True).returncode:
        pytest.skip("may not mount a file system of its own")
    try:
        original = disk / "original.mkv"
        shutil.copyfile(scene.film, original)
        with (disk / "filler").open("wb") as filler:
            free = shutil.disk_usage(disk).free
            filler.write(bytes(max(0, free - 32 * 1024)))
        scene.output = disk / "made.mkv"
        scene.original = original
        yield
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def _ffmpeg_quietly(*arguments: str) -> None:
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", *arguments], check=True)


def _without_paths(message: str, folder: Path) -> str:
    message = re.sub(r"\.sisyphus-[\w-]+?-\d+-", "", message)
    return message.replace(f"{folder}/", "").replace(str(folder), ".")
