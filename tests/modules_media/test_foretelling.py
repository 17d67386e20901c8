"""What is foretold of files that are not there yet is what will be in them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from sisyphus.modules.base import Module
from sisyphus.modules.chain import Before, Chain
from sisyphus.modules.control import Control
from sisyphus.modules.identify import Track, sure_language
from sisyphus.modules.registry import Registry
from sisyphus.modules.task import Surroundings, Task
from sisyphus.modules.tool import Tools
from sisyphus.settings import Settings

pytestmark = pytest.mark.tool

LINES = "1\n00:00:00,100 --> 00:00:00,400\nA line\n"

Job = list[tuple[str, dict[str, Any]]]


class Bench:
    """Runs the tasks of a job one by one, told before what comes out of each."""

    def __init__(self, folder: Path, tools: Mapping[str, str] | None = None) -> None:
        self.settings = Settings.model_construct(
            roots=(folder,), font_attachments=False
        )
        self.around = Surroundings(
            settings=self.settings,
            tools=Tools(tools),
            control=Control(),
            on_progress=lambda progress: None,
            on_log=lambda level, line: None,
            confirm=lambda: None,
            stored=lambda module, name: None,
        )

    def tasks(self, job: Job) -> list[tuple[Module, Task, Chain]]:
        """Check a job as a runner does, before its first task."""
        registry = Registry.load(self.settings)
        modules = [registry.build(name, data) for name, data in job]
        chain = Chain([module.files() for module in modules])
        made = []
        for index, module in enumerate(modules):
            task = Task(
                self.around,
                job_id="j",
                job_title="J",
                token=1,
                index=index,
                module=module,
                before=chain.before,
            )
            with task:
                module.validate(task)
                chain.follow(module, task)
            made.append((module, task, chain))
        return made

    def foretold(self, job: Job, path: Path) -> list[tuple[int, str, str]] | None:
        """What is known of a file when the last task of a job is checked."""
        *_, (_, task, _) = self.tasks(
            [*job, ("cleanup", {"verify_exists": [str(path)]})]
        )
        tracks = task.before.tracks.get(path)
        return None if tracks is None else [_facts(track) for track in tracks]

    def run(self, job: Job) -> None:
        for module, task, _ in self.tasks(job):
            task.before = Before()
            with task:
                module.run(task)


def _facts(track: Track) -> tuple[int, str, str]:
    return track.id, track.kind, track.language


def identified(path: Path) -> list[tuple[int, str, str]]:
    answer = json.loads(subprocess.check_output(["mkvmerge", "-J", path]))
    return [
        (row["id"], row["type"], row["properties"].get("language", ""))
        for row in answer["tracks"]
    ]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Streams: video, audio jpn, audio eng, subtitles ger, and an attachment."""
    folder = tmp_path_factory.mktemp("film")
    (folder / "a.srt").write_text(LINES)
    (folder / "note.txt").write_text("A note")
    command = [
        *("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=160x90:r=10:d=1"),
        *("-f", "lavfi", "-i", "sine=d=1", "-i", "a.srt"),
        *("-map", "0", "-map", "1", "-map", "1", "-map", "2", "-attach", "note.txt"),
        *("-metadata:s:t", "mimetype=text/plain", "-c:v", "libx264", "-c:a", "aac"),
        *("-metadata:s:1", "language=jpn", "-metadata:s:2", "language=eng"),
        *("-metadata:s:3", "language=deu", "film.mkv"),
    ]
    subprocess.run(command, cwd=folder, check=True, stdin=subprocess.DEVNULL)
    return folder / "film.mkv"


@pytest.fixture
def film(whole: Path, tmp_path: Path) -> Path:
    path = tmp_path / "film.mkv"
    path.write_bytes(whole.read_bytes())
    return path


def encode(source: Path, output: Path, *maps: str, **options: Any) -> tuple[str, Any]:
    """An ffmpeg task; ``a:1`` maps the second audio stream, ``a`` all, ``:0`` any."""
    source_maps = []
    for entry in maps:
        kind, _, number = entry.partition(":")
        source_map: dict[str, Any] = {"source": 0, "specifier": kind or None}
        if number:
            source_map["stream"] = int(number)
        source_maps.append(source_map)
    data = {
        "sources": [str(source)],
        "source_maps": source_maps,
        "output_maps": [{"stream": 0, "options": {"codec": "copy", **options}}],
        "output_file": str(output),
        "overwrite": True,
    }
    return "ffmpeg", data


def merge(output: Path, *sources: Any, tracks: Any, **more: Any) -> tuple[str, Any]:
    """An mkvmerge task; a track is source, id, and the options if it has any."""
    listed = [
        {"source": track[0], "track": track[1], "options": dict(*track[2:])}
        for track in tracks
    ]
    data = {"sources": sources, "tracks": listed, "output_file": str(output), **more}
    return "mkvmerge", data


def only(path: Path, **options: Any) -> dict[str, Any]:
    return {"filename": str(path), "options": options}


@pytest.mark.parametrize(
    ("name", "maps"),
    [
        ("o.mkv", ["v", "a", "s"]),
        ("o.mkv", ["s", "a:1", "v"]),
        ("o.mkv", [""]),
        ("o.mkv", [":2", ":0"]),
        ("o.mka", ["a"]),
        ("o.mp4", ["a:1", "v"]),
        ("o.h264", ["v"]),
        ("o.aac", ["a:0"]),
    ],
)
def test_of_what_ffmpeg_makes(film: Path, name: str, maps: list[str]) -> None:
    output = film.with_name(name)
    job = [encode(film, output, *maps)]

    told = Bench(film.parent).foretold(job, output)
    Bench(film.parent).run(job)

    made = identified(output)
    assert told is not None
    assert [row[:2] for row in told] == [row[:2] for row in made]
    if output.suffix in (".mkv", ".mka"):
        assert told == made


@pytest.mark.parametrize(
    ("name", "maps", "options"),
    [
        ("o.mkv", ["v", "a"], {"an": True}),
        ("o.bin", ["v", "a"], {"f": "matroska"}),
        ("o.ts", ["v", "a"], {}),
        ("o.mp4", ["v", "s"], {}),
    ],
)
def test_what_is_not_sure_is_not_foretold(
    film: Path, name: str, maps: list[str], options: dict[str, Any]
) -> None:
    output = film.with_name(name)

    job = [encode(film, output, *maps, **options)]

    assert Bench(film.parent).foretold(job, output) is None


def test_of_what_mkvmerge_makes(film: Path, tmp_path: Path) -> None:
    output = tmp_path / "o.mkv"
    jobs = [
        merge(output, only(film), tracks=[(0, 2), (0, 0)]),
        merge(output, str(film), tracks=[(0, 3)]),
        merge(output, only(film), only(film), tracks=[(1, 0), (0, 3), (1, 1)]),
        merge(
            output,
            only(film, **{"_copy-audio-tracks": True}),
            tracks=[(0, 3, {"language": "fin"}), (0, 0)],
        ),
    ]

    for job in jobs:
        told = Bench(tmp_path).foretold([job], output)
        Bench(tmp_path).run([job])
        assert told == identified(output)


@pytest.mark.parametrize("name", ["eng", "deu", "zho", "slk", "mkd", "en", "en-GB"])
def test_a_language_is_foretold_as_mkvmerge_names_it_or_not_at_all(
    film: Path, tmp_path: Path, name: str
) -> None:
    output = tmp_path / "o.mkv"
    job = [merge(output, only(film), tracks=[(0, 0, {"language": name})])]

    told = Bench(tmp_path).foretold(job, output)
    Bench(tmp_path).run(job)

    known = sure_language(name)
    assert told == [(0, "video", known)]
    assert bool(known) == (len(name) == 3)
    assert not known or identified(output) == told


def test_of_what_mkvextract_makes(film: Path, tmp_path: Path) -> None:
    subs = tmp_path / "s.srt"
    tracks = [{"id": 0, "track_type": "subtitles", "filename": str(subs)}]
    job = [("mkvextract", {"source": str(film), "tracks": tracks})]

    assert Bench(tmp_path).foretold(job, subs) == [(0, "subtitles", "")]


def test_through_a_whole_chain(film: Path, tmp_path: Path) -> None:
    small, merged, subs = (tmp_path / n for n in ("small.mkv", "merged.mkv", "s.srt"))
    job: Job = [
        encode(film, small, "a:1", "v", "s"),
        merge(merged, only(small), only(film), tracks=[(0, 1), (0, 0), (1, 3)]),
        (
            "mkvextract",
            {
                "source": str(merged),
                "tracks": [{"id": 0, "language": "ger", "filename": str(subs)}],
            },
        ),
    ]
    bench = Bench(tmp_path)

    *_, (module, task, _) = bench.tasks(job)
    (step,) = module.plan(task)
    told = bench.foretold(job[:2], merged)
    bench.run(job)

    assert told == identified(merged)
    assert step.argv[-2:] == ["tracks", f"2:{subs}"]
    assert "A line" in subs.read_text()


def test_a_file_from_before_is_not_taken_for_the_one_to_come(
    film: Path, tmp_path: Path
) -> None:
    small, output = tmp_path / "small.mkv", tmp_path / "o.mkv"
    Bench(tmp_path).run([encode(film, small, "v")])

    later = [
        encode(film, small, "v", "a"),
        merge(output, only(small), tracks=[(0, 2)]),
    ]

    Bench(tmp_path).tasks(later)  # track 2 will be there


def test_a_task_that_may_make_anything_leaves_nothing_foretold(
    film: Path, tmp_path: Path
) -> None:
    small = tmp_path / "small.mkv"
    job: Job = [
        encode(film, small, "v"),
        ("cleanup", {"copy": [{"source": str(film), "destination": str(small)}]}),
    ]

    assert Bench(tmp_path).foretold(job, small) is None


def test_without_tools_nothing_is_foretold_and_nothing_fails(
    film: Path, tmp_path: Path
) -> None:
    small, output = tmp_path / "small.mkv", tmp_path / "o.mkv"
    bench = Bench(tmp_path, {"ffprobe": "missing", "mkvmerge": "missing"})

    job = [encode(film, small, "v"), merge(output, only(small), tracks=[(0, 0)])]

    assert bench.foretold(job, output) is None
