"""The HandBrake module with the real HandBrakeCLI."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sisyphus.errors import (
    InvalidSettings,
    OutputRefused,
    Stopped,
    ToolFailed,
    ToolMissing,
)
from sisyphus.modules.control import Control, StopReason
from sisyphus.modules.handbrake import Handbrake
from sisyphus.testing import TaskRun, fake_tool, plan_module, run_module

pytestmark = [pytest.mark.tool, pytest.mark.timeout(120)]

FAST = {"encoder": "x264", "encoder_preset": "ultrafast", "quality": 40}
LINES = """1
00:00:00,100 --> 00:00:00,900
First line

2
00:00:01,000 --> 00:00:01,800
Second line
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds: a picture, sound in Japanese and English, subtitles; 20 frames."""
    folder = tmp_path_factory.mktemp("films")
    (folder / "lines.srt").write_text(LINES)
    film = folder / "film.mkv"
    inputs = ["-f", "lavfi", "-i", "testsrc2=s=160x90:r=10:d=2"]
    for tone in (400, 500):
        inputs += ["-f", "lavfi", "-i", f"sine={tone}:d=2"]
    inputs += ["-i", str(folder / "lines.srt")]
    streams = [word for n in range(4) for word in ("-map", str(n))]
    languages = ["-metadata:s:1", "language=jpn", "-metadata:s:2", "language=eng"]
    codecs = ["-c:v", "libx264", "-preset", "ultrafast", "-c:a", "ac3", "-c:s", "srt"]
    quiet = ["ffmpeg", "-nostdin", "-v", "error", "-y"]
    subprocess.run(
        [*quiet, *inputs, *streams, *languages, *codecs, str(film)], check=True
    )
    return film


@pytest.fixture
def film(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copy(made, tmp_path / "film.mkv"))


@pytest.fixture(autouse=True)
def temporary(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Where HandBrake has its temporary folder, which it leaves when it is killed."""
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def task(source: Path, output: Path, **sections: Any) -> dict[str, Any]:
    return {
        "source": str(source),
        "output_file": str(output),
        "video_options": FAST,
        **sections,
    }


def kinds(film: Path) -> list[str]:
    """The kinds of a film's streams, in order."""
    show = ["-show_entries", "stream=codec_type", "-of", "json"]
    printed = subprocess.check_output(["ffprobe", "-v", "error", *show, film])
    return [stream["codec_type"] for stream in json.loads(printed)["streams"]]


def titles(film: Path) -> list[str | None]:
    """The names of a film's streams."""
    show = ["-show_entries", "stream_tags=title", "-of", "json"]
    printed = subprocess.check_output(["ffprobe", "-v", "error", *show, film])
    streams = json.loads(printed)["streams"]
    return [stream.get("tags", {}).get("title") for stream in streams]


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


# What comes out


def test_a_film_is_encoded_with_progress_up_to_a_hundred(
    clip: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.mkv"

    run = run_module(Handbrake, task(clip, output))

    assert kinds(output) == ["video", "audio"]
    percents = [p.percent for p in run.progress if p.percent is not None]
    assert percents == sorted(percents)
    assert (run.progress[-1].percent, run.progress[-1].total) == (100.0, 132)
    assert leftovers(tmp_path) == []
    assert not any("ETASeconds" in line for line in run.log)


def test_both_dialects_choose_and_name_tracks(film: Path, tmp_path: Path) -> None:
    older = {
        "audio_tracks": [
            {"track": 2, "options": {"aencoder": "opus", "aname": "A, and B"}},
            {"track": 1, "aencoder": "ac3"},
        ],
        "subtitle_tracks": [{"track": 1, "subname": "Lines"}],
    }
    newer = {
        "audio_options": {
            "audio": [2, 1],
            "aencoder": ["opus", "ac3"],
            "aname": ["A, and B", None],
        },
        "subtitles_options": {"subtitle": [1], "subname": "Lines"},
    }
    for name, sections in (("older.mkv", older), ("newer.mkv", newer)):
        run_module(Handbrake, task(film, tmp_path / name, **sections))

        assert kinds(tmp_path / name) == ["video", "audio", "audio", "subtitle"]
        assert titles(tmp_path / name)[1] == "A, and B"
        assert titles(tmp_path / name)[3] == "Lines"


@pytest.mark.parametrize(
    ("name", "sections", "expected"),
    [
        ("a.mp4", {}, "video audio"),
        ("a.mkv", {"audio_options": {"audio": None}}, "video"),
        ("a.mkv", {"audio_options": {"all_audio": True}}, "video audio audio"),
        ("a.mkv", {"audio_options": {"audio": [1, 1]}}, "video audio audio"),
        ("a.mkv", {"audio_options": {"aencoder": "none"}}, "video"),
        ("a.mp4", {"subtitles_options": {"subtitle": [1]}}, "video audio subtitle"),
        (
            "a.mkv",
            {"subtitles_options": {"subtitle": [1], "subtitle_burned": 1}},
            "video audio",
        ),
        ("a.mkv", {"subtitles_options": {"native_language": "eng"}}, ""),
        ("a.mkv", {"subtitles_options": {"subtitle": ["scan"]}}, "video audio"),
        ("a.mkv", {"filters_options": {"bwdif": "bob", "rotate": True}}, "video audio"),
        ("a.mkv", {"filters_options": {"detelecine": True}}, "video audio"),
        ("a.mkv", {"video_options": {**FAST, "rate": 5, "cfr": True}}, "video audio"),
        ("a.mkv", {"general_options": {"Z": "Very Fast 480p30"}}, "video audio"),
        (
            "a.mkv",
            {"video_options": {"encoder": "x265", "encoder_preset": "ultrafast"}},
            "video audio",
        ),
        ("a.mkv", {"video_options": {**FAST, "encopts": {"ref": 2}}}, "video audio"),
    ],
)
def test_what_settings_change_on_purpose_passes_the_check(
    name: str, sections: dict[str, Any], expected: str, film: Path, tmp_path: Path
) -> None:
    run_module(Handbrake, task(film, tmp_path / name, **sections))

    found = kinds(tmp_path / name)
    assert found == expected.split() or (not expected and found[0] == "video")


@pytest.mark.parametrize(
    ("options", "total"),
    [
        ({"stop_at": {"frames": 8}}, 8),
        ({"start_at": {"seconds": 1}}, 10),
        ({"start_at": {"seconds": 0.5}, "stop_at": {"seconds": 1}}, 10),
        ({"stop_at": {"pts": 90000}}, 10),
        ({"chapters": 1}, None),
    ],
)
def test_of_a_part_the_frames_are_those_of_the_part(
    options: Any, total: int | None, film: Path, tmp_path: Path
) -> None:
    run = run_module(
        Handbrake, task(film, tmp_path / "out.mkv", source_options=options)
    )

    assert (run.progress[-1].total, run.progress[-1].percent) == (total, 100.0)


def test_two_passes_are_one_way_up(film: Path, tmp_path: Path) -> None:
    video = {"encoder": "x264", "two_pass": True, "turbo": True, "vb": 100}

    run = run_module(Handbrake, task(film, tmp_path / "out.mkv", video_options=video))

    percents = [p.percent for p in run.progress if p.percent is not None]
    assert percents == sorted(percents)
    assert percents[0] <= 50 < percents[-1] == 100


def test_files_of_subtitles_are_added(film: Path, tmp_path: Path) -> None:
    lines = tmp_path / "more, and more.srt"
    lines.write_text(LINES)
    options = {"srt_file": [str(lines)], "srt_lang": ["eng"], "srt_default": True}

    run_module(Handbrake, task(film, tmp_path / "out.mkv", subtitles_options=options))

    assert kinds(tmp_path / "out.mkv") == ["video", "audio", "subtitle"]


def test_an_existing_output_is_replaced(film: Path, tmp_path: Path) -> None:
    (tmp_path / "out.mkv").write_text("older")

    run_module(Handbrake, task(film, tmp_path / "out.mkv"))

    assert (tmp_path / "out.mkv").stat().st_size > 1000


def test_names_with_all_kinds_of_signs_are_safe(film: Path, tmp_path: Path) -> None:
    source = film.rename(tmp_path / '-i it\'s; a "film" ö.mkv')
    output = tmp_path / "--json=ö.mkv"

    run_module(Handbrake, task(source, output))

    assert output.stat().st_size > 1000


def test_a_picture_is_compared_with_what_was_not_cropped_off(
    film: Path, tmp_path: Path
) -> None:
    sections = {
        "picture_options": {"crop": {"top": 10, "left": 20}},
        "video_options": {**FAST, "quality": 20},
        "verify": "quality",
    }

    run = run_module(Handbrake, task(film, tmp_path / "out.mkv", **sections))

    assert any("the picture is like its source" in line for line in run.log)


def test_of_a_discs_image_the_tracks_are_those_that_handbrake_chose(
    film: Path, tmp_path: Path
) -> None:
    image = film.rename(tmp_path / "disc.iso")
    sound = {"all_audio": True}

    run = run_module(Handbrake, task(image, tmp_path / "out.mkv", audio_options=sound))

    assert kinds(tmp_path / "out.mkv") == ["video", "audio", "audio"]
    assert (run.progress[-1].percent, run.progress[-1].total) == (100.0, None)


# What must not pass


def test_a_plan_needs_no_file_and_no_tool(tmp_path: Path) -> None:
    tools = {"HandBrakeCLI": tmp_path / "missing"}

    (step,) = plan_module(
        Handbrake, task(Path("/no/film"), Path("/o.mkv")), tools=tools
    )

    assert step.argv[:3] == ["HandBrakeCLI", "--input", "/no/film"]
    assert (step.reads, step.writes) == ([Path("/no/film")], (Path("/o.mkv"),))


def test_a_missing_tool_is_told_before_the_job_starts(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ToolMissing, match="install handbrake-cli"):
        run_module(Handbrake, task(film, tmp_path / "out.mkv"))


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({"video_options": {"e": "x999"}}, r"Invalid video encoder \(x999\)"),
        ({"general_options": {"mixdown": "loud"}}, "Invalid audio mixdown"),
        ({"general_options": {"Z": "No such preset"}}, "Invalid preset No such"),
        ({"video_options": {"encoder-preset": "bad"}}, "initialise thread"),
        ({"source_options": {"chapters": 7}}, "Invalid chapter"),
        (
            {"subtitles_options": {"subtitle": [1], "all_subtitles": True}},
            "Incompatible options",
        ),
    ],
)
def test_what_handbrake_cannot_do_fails_with_its_own_words(
    sections: dict[str, Any], expected: str, film: Path, tmp_path: Path
) -> None:
    with pytest.raises(ToolFailed, match=expected) as caught:
        run_module(Handbrake, {**task(film, tmp_path / "out.mkv"), **sections})

    assert "HandBrakeCLI" in caught.value.message
    assert not (tmp_path / "out.mkv").exists()
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("sections", "field", "value"),
    [
        ({"audio_options": {"audio": [1, 5]}}, "audio_options.audio", "5"),
        ({"audio_tracks": [{"track": 3}]}, "audio_tracks", "3"),
        ({"subtitle_tracks": [{"track": 2}]}, "subtitle_tracks", "2"),
        ({"general_options": {"E": "bogus", "a": 1}}, "general_options.E", "bogus"),
        (
            {"source_options": {"start_at": {"seconds": 1}, "stop_at": {"frames": 5}}},
            "source_options.stop_at",
            "frames",
        ),
    ],
)
def test_what_handbrake_would_leave_out_fails_the_task(
    sections: dict[str, Any], field: str, value: str, film: Path, tmp_path: Path
) -> None:
    with pytest.raises(InvalidSettings) as caught:
        run_module(Handbrake, task(film, tmp_path / "out.mkv", **sections))

    (problem,) = caught.value.problems
    assert problem.field == f"tasks[0].handbrake.{field}"
    assert value in str(problem.value)
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("name", ["film.mkv", "disc.iso"])
def test_a_track_that_cannot_be_copied_is_missed(
    name: str, film: Path, tmp_path: Path
) -> None:
    sound = {"audio": [1], "aencoder": ["copy:dts"]}  # it is AC-3
    source = film.rename(tmp_path / name)

    with pytest.raises(OutputRefused, match="0 audio streams instead of 1"):
        run_module(Handbrake, task(source, tmp_path / "out.mkv", audio_options=sound))


@pytest.mark.parametrize(
    ("name", "sections", "expected"),
    [
        ("film.mkv", {"filters_options": {"rotate": True}}, "rotate changes the pict"),
        ("film.mkv", {"source_options": {"chapters": 1}}, "which part of it was taken"),
        ("disc.iso", {}, "the image of a disc"),
    ],
)
def test_what_cannot_be_compared_is_told_before_the_work(
    name: str, sections: dict[str, Any], expected: str, film: Path, tmp_path: Path
) -> None:
    data = task(film.rename(tmp_path / name), tmp_path / "out.mkv", **sections)
    run = TaskRun()

    with pytest.raises(InvalidSettings, match=expected):
        run_module(Handbrake, {**data, "verify": "quality"}, run=run)

    assert run.argv == []


def test_a_source_that_is_no_film_fails(tmp_path: Path) -> None:
    source = tmp_path / "text.mkv"
    source.write_text("no film")

    with pytest.raises(ToolFailed, match="exit status 2: No title found") as caught:
        run_module(Handbrake, task(source, tmp_path / "out.mkv"))

    assert caught.value.exit_code == 2


def test_a_source_that_is_not_there_is_told_first(tmp_path: Path) -> None:
    run = TaskRun()

    with pytest.raises(InvalidSettings, match=r"handbrake\.source: cannot be read"):
        run_module(Handbrake, task(tmp_path / "no.mkv", tmp_path / "o.mkv"), run=run)

    assert run.argv == []


def test_a_truncated_source_is_refused_before_the_work(
    film: Path, tmp_path: Path
) -> None:
    os.truncate(film, film.stat().st_size * 6 // 10)
    run = TaskRun()

    with pytest.raises(OutputRefused, match="cut short"):
        run_module(Handbrake, task(film, tmp_path / "out.mkv"), run=run)

    assert run.argv == []


def test_frames_that_could_not_be_read_are_missed(clip: Path, tmp_path: Path) -> None:
    source = tmp_path / "film.mp4"
    content = bytearray(clip.read_bytes())
    start = len(content) // 3
    content[start : start + 300_000] = bytes(300_000)
    source.write_bytes(content)
    # A rate of its own: the number of frames that come out proves nothing.
    video = {**FAST, "rate": 25, "cfr": True}

    with pytest.raises(OutputRefused, match=r"HandBrake could read \d+ of the 132"):
        run_module(Handbrake, task(source, tmp_path / "out.mkv", video_options=video))

    assert not (tmp_path / "out.mkv").exists()


def test_a_playlist_in_the_clothes_of_a_film_is_refused(
    film: Path, tmp_path: Path
) -> None:
    script = tmp_path / "list.mkv"
    script.write_text(f"ffconcat version 1.0\nfile {film}\n")

    with pytest.raises(InvalidSettings, match="could open other files"):
        run_module(Handbrake, task(script, tmp_path / "out.mkv"))


def test_files_of_subtitles_must_lie_below_the_roots(
    film: Path, tmp_path: Path
) -> None:
    for sections in (
        {"subtitles_options": {"srt_file": ["/etc/passwd"]}},
        {"general_options": {"srt-file": "/etc/passwd"}},
        {"general_options": {"markers": "/etc/passwd"}},
    ):
        data = task(film, tmp_path / "out.mkv", **sections)
        with pytest.raises(InvalidSettings, match="outside the allowed roots"):
            run_module(Handbrake, data, roots=[tmp_path])


def test_an_output_that_leads_to_the_source_is_refused(film: Path) -> None:
    link = film.with_name("link.mkv")
    link.symlink_to(film)

    with pytest.raises(InvalidSettings, match="one of the sources"):
        run_module(Handbrake, task(film, link))


def wrapped(folder: Path, after: str) -> dict[str, Path]:
    """A HandBrakeCLI that does something at its end."""
    real = shutil.which("HandBrakeCLI")
    body = f"""
import subprocess
code = subprocess.run([{real!r}, *sys.argv[1:]]).returncode
part = pathlib.Path(sys.argv[sys.argv.index("--output") + 1])
{after}
sys.exit(code)
"""
    return {"HandBrakeCLI": fake_tool(folder, "HandBrakeCLI", body)}


@pytest.mark.parametrize(
    ("after", "error", "expected"),
    [
        ("part.unlink()", ToolFailed, "ended well, but made no film"),
        ("os.truncate(part, 0)", ToolFailed, "ended well, but made no film"),
        ("os.truncate(part, 9000)", OutputRefused, "cut short"),
        ("os.kill(os.getpid(), 9)", ToolFailed, "killed by SIGKILL"),
        (
            """print('Progress: {\\n"State": "WORKDONE", "WorkDone": {"Error": 4}\\n}')""",
            ToolFailed,
            "the encoding failed .error 4",
        ),
    ],
)
def test_a_good_exit_status_is_not_enough(
    after: str, error: type[Exception], expected: str, film: Path, tmp_path: Path
) -> None:
    with pytest.raises(error, match=expected):
        run_module(
            Handbrake,
            task(film, tmp_path / "out.mkv"),
            tools=wrapped(tmp_path, after),
        )

    assert not (tmp_path / "out.mkv").exists()
    assert leftovers(tmp_path) == []


def test_a_stopped_task_leaves_nothing(
    clip: Path, tmp_path: Path, temporary: Path
) -> None:
    control = Control()

    run = TaskRun(log=_StopAt(control, "Starting Task"))
    video = {"encoder": "x264", "encoder_preset": "placebo", "two_pass": True}
    with pytest.raises(Stopped):
        run_module(
            Handbrake,
            task(clip, tmp_path / "out.mkv", video_options=video),
            control=control,
            run=run,
        )

    assert not (tmp_path / "out.mkv").exists()
    assert leftovers(tmp_path) == []
    assert list(temporary.glob("hb.*")) == []


class _StopAt(list[str]):
    """A log that stops the task at a certain line."""

    def __init__(self, control: Control, text: str) -> None:
        super().__init__()
        self._control = control
        self._text = text

    def append(self, line: str) -> None:
        super().append(line)
        if self._text in line:
            self._control.stop(StopReason.CANCEL)


def test_without_ffprobe_there_is_still_a_film_and_percent(
    film: Path, tmp_path: Path
) -> None:
    tools = {"ffprobe": tmp_path / "missing"}

    run = run_module(Handbrake, task(film, tmp_path / "out.mkv"), tools=tools)

    assert any("ffprobe is not installed" in line for line in run.log)
    assert (run.progress[-1].percent, run.progress[-1].total) == (100.0, None)
