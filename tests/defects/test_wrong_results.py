"""Defects 15 to 26 of the original workers: success was told, or shown, and was none."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from farm import Farm
from sisyphus.errors import (
    InvalidJob,
    InvalidSettings,
    JobError,
    OutputRefused,
    TaskFailed,
    ToolFailed,
)
from sisyphus.job import parse_job
from sisyphus.machine import worker_id
from sisyphus.media.handbrake import HandbrakeProgress
from sisyphus.store.replies import Activity
from sisyphus.testing import fake_tool, plan_module, run_module
from waiting import eventually
from worker.machines import Site

NO_CODE = re.compile(r"True|False|None|.*[{}'].*")
"""What Python prints of its own values."""


def argv_of(module: str, **data: Any) -> list[str]:
    return list(plan_module(module, data)[0].argv)


def encode(source: Path, output: Path, **options: Any) -> dict[str, Any]:
    return {
        "sources": [str(source)],
        "source_map": [{"source": 0, "stream_type": "v", "stream": 0}],
        "output_map": [{"stream_type": "v", "stream": 0, "options": options}],
        "output_file": str(output),
    }


def merge(source: Path, output: Path, **changes: Any) -> dict[str, Any]:
    tracks = [{"source": 0, "track": 0}]
    data = {"sources": [str(source)], "tracks": tracks, "output_file": str(output)}
    return {**data, **changes}


def follows(argv: list[str], *words: str) -> bool:
    """Tell whether these arguments stand side by side."""
    places = range(len(argv) - len(words) + 1)
    return any(argv[at : at + len(words)] == list(words) for at in places)


def test_defect_15_what_is_said_to_exist_is_looked_for(tmp_path: Path) -> None:
    """`exists` was written without a call, which is always true; in three places."""
    gone, kept = tmp_path / "gone", tmp_path / "kept"
    kept.touch()

    with pytest.raises(TaskFailed, match="gone does not exist"):
        data = {"verify_exists": [str(gone)], "delete_files": [str(kept)]}
        run_module("cleanup", data)
    with pytest.raises(InvalidSettings, match="gone"):
        run_module("mkvmerge", merge(gone, tmp_path / "o.mkv"))
    assert kept.exists()


def test_defect_16_copy_files_copies(tmp_path: Path) -> None:
    """It did nothing, and said that all was well."""
    source, copy = tmp_path / "a", tmp_path / "b"
    source.write_text("A")

    pair = {"source": str(source), "destination": str(copy)}
    run_module("cleanup", {"copy_files": [pair]})

    assert copy.read_text() == "A"


def test_defect_17_nothing_is_dropped_in_silence(tmp_path: Path) -> None:
    """Of a task that named two modules the first ran; unknown keys were passed over."""
    task: dict[str, Any] = {"ffmpeg": {}, "mkvmerge": {}}
    with pytest.raises(InvalidJob, match="exactly one module, names ffmpeg, mkvmerge"):
        parse_job(json.dumps({"job_title": "t", "job_id": "1", "tasks": [task]}))
    with pytest.raises(InvalidSettings, match=r"optoins.*options"):
        plan_module("mkvmerge", merge(tmp_path / "a", tmp_path / "b", optoins={}))


def test_defect_18_objects_become_arguments_wherever_they_stand(
    clip: Path, tmp_path: Path
) -> None:
    """Only stored objects were joined; one in the job was printed as Python code."""
    params = {"limit-sao": 1, "bframes": 8, "no-scenecut": None}
    options = {"codec": "libx265", "x265-params": params}

    argv = argv_of("ffmpeg", **encode(clip, tmp_path / "o.mkv", **options))

    assert follows(argv, "-x265-params:v:0", "limit-sao=1:bframes=8:no-scenecut")
    assert not any(NO_CODE.fullmatch(word) for word in argv)


@pytest.mark.tool
def test_defect_19_a_value_is_one_argument_whatever_is_in_it(
    clip: Path, tmp_path: Path
) -> None:
    """The command was one text, split as a shell does; flags were printed as False."""
    source = tmp_path / """my "best" $(touch pwned) in 'quotes' \\ ö.mp4"""
    source.symlink_to(clip)
    output = tmp_path / "it's; out & about.mkv"
    data = encode(source, output, codec="mpeg4", filter="scale=80:60, crop=40:40")
    data["input_options"] = {"copyts": False, "accurate_seek": True}

    run = run_module("ffmpeg", data)

    argv = next(argv for argv in run.argv if "-map" in argv)
    assert follows(argv, "-i", str(source))
    assert follows(argv, "-filter:v:0", "scale=80:60, crop=40:40")
    assert not {"True", "False", "None", "-copyts"} & set(argv)
    assert output.stat().st_size > 1000
    assert not list(tmp_path.glob("**/pwned"))


@pytest.mark.tool
def test_defect_20_mkvmerge_is_told_what_the_job_says(
    clip: Path, tmp_path: Path
) -> None:
    """Types came too late, empty values ate the next argument, warnings were failures."""
    font, output = tmp_path / "a.ttf", tmp_path / "o.mkv"
    font.write_text("f")
    tracks = [
        {"source": 0, "track": 0, "options": {"track-title": "Picture"}},
        {"source": 0, "track": 9, "options": {"language": "eng"}},
    ]
    attached = [{"filename": str(font), "mimetype": "font/x"}]
    options = {"title": "", "no-date": True, "no-cues": False, "cluster-length": 500}
    data = merge(clip, output, tracks=tracks, attachments=attached, options=options)

    argv = argv_of("mkvmerge", **data)
    run = run_module("mkvmerge", data)

    assert follows(argv, "--title", "", "--no-date", "--cluster-length", "500")
    assert follows(argv, "--attachment-mime-type", "font/x", "--attach-file", str(font))
    assert follows(argv, "--track-name", "0:Picture")
    assert any(tool.exit_code == 1 for tool in run.tools)
    assert output.stat().st_size > 1000
    with pytest.raises(InvalidSettings, match="source 3"):
        plan_module("mkvmerge", merge(clip, output, tracks=[{"source": 3, "track": 0}]))


@pytest.mark.tool
def test_defect_21_handbrake_must_leave_a_film(clip: Path, tmp_path: Path) -> None:
    """It exits with 0 for most failures, and passes over values behind a blank."""
    output = tmp_path / "o.mkv"
    data = {"source": str(clip), "output_file": str(output)}
    idle = fake_tool(tmp_path, "HandBrakeCLI", "print('unknown option')")
    with pytest.raises((OutputRefused, ToolFailed)):
        run_module("handbrake", data, tools={"HandBrakeCLI": idle})
    assert not output.exists()
    with pytest.raises(JobError, match="gone"):
        run_module("handbrake", {**data, "source": str(tmp_path / "gone.mkv")})


def test_defect_21_handbrake_gets_the_options_that_it_has(
    clip: Path, tmp_path: Path
) -> None:
    """-h printed the help, --no- was put before anything, None was a value."""
    argv = argv_of(
        "handbrake",
        source=str(clip),
        output_file=str(tmp_path / "o.mkv"),
        picture_options={"w": 128, "h": 96},
        source_options={"main_feature": False},
        video_options={"encoder": "x264", "encopts": {"no_deblock": None, "ref": 1}},
        filters_options={
            "bwdif": {"preset": "bob"},
            "grayscale": True,
            "deblock": False,
            "pad": {"width": 192, "color": "black"},
            "detelecine": {"skip_left": 1, "strict_breaks": True},
        },
    )

    assert "-h" not in argv
    assert follows(argv, "--height", "96") or follows(argv, "-l", "96")
    assert "--no-main-feature" not in argv
    assert {"--bwdif=bob", "--grayscale", "--no-deblock"} <= set(argv)
    assert "--detelecine=skip-left=1:strict-breaks=1" in argv
    assert follows(argv, "--pad", "width=192:color=black")
    assert follows(argv, "--encopts", "no-deblock:ref=1")
    assert not any(NO_CODE.fullmatch(word) for word in argv)


@pytest.mark.parametrize("total", [None, 5000])
def test_defect_21_handbrakes_progress_is_read_as_a_number(total: int | None) -> None:
    """A small share was read 100 times too large; without a total nothing was told."""
    reader = HandbrakeProgress(total=total)
    said = {"State": "WORKING", "Working": {"Progress": 1.5e-05}}
    lines = ["Progress: {", *json.dumps(said, indent=4).splitlines()[1:]]

    readings = [reading for line in lines if (reading := reader.feed(line))]

    assert [reading.percent for reading in readings] == [pytest.approx(0.0015)]


@pytest.mark.tool
def test_defect_22_mkvextract_counts_from_zero_and_checks_its_entries(
    clip: Path, tmp_path: Path
) -> None:
    """The module did not load; attachment 0 failed, -1 was the last one."""
    note, source, taken = tmp_path / "n.txt", tmp_path / "i.mkv", tmp_path / "t.txt"
    note.write_text("attached")
    attached = [{"filename": str(note), "mimetype": "text/plain"}]
    run_module("mkvmerge", merge(clip, source, attachments=attached))

    entry: dict[str, Any] = {"id": 0, "filename": str(taken)}
    run_module("mkvextract", {"source": str(source), "attachments": [entry]})

    assert taken.read_text() == "attached"
    for wrong in ({**entry, "id": -1}, {"id": 0}, {"filename": str(taken)}, "0:a"):
        with pytest.raises(InvalidSettings, match="tracks"):
            plan_module("mkvextract", {"source": str(source), "tracks": [wrong]})
    # A source of another kind has tracks that lack what a Matroska file tells of them.
    with pytest.raises(JobError):
        run_module("mkvextract", {"source": str(clip), "attachments": [entry]})


def test_defect_23_the_text_of_a_job_is_taken_literally(farm: Farm) -> None:
    """Entities in the whole text were replaced: other paths, and broken JSON."""
    title, file = "say &quot;hi&quot; &amp; go", farm.path("a &amp; b")
    file.touch()
    tasks = [{"cleanup": {"delete_files": [str(file)]}}]
    job = {"job_title": title, "job_id": "&lt;1&gt;", "tasks": tasks}
    farm.push_raw(json.dumps(job))

    assert farm.ends("&lt;1&gt;") == "completed"

    assert farm.client.job("&lt;1&gt;").title == title
    assert not file.exists()


@pytest.mark.tool
@pytest.mark.parametrize("part", ["sound", "copy", "trimmed"])
def test_defect_24_progress_reaches_100_percent(
    clip: Path, tmp_path: Path, part: str
) -> None:
    """There was none for sound or without a count of frames; half a film ended at 50."""
    data = encode(clip, tmp_path / "o.mkv", codec="copy")
    match part:
        case "sound":
            stream = {"stream_type": "a", "stream": 0}
            data["source_map"] = [{"source": 0, **stream}]
            data["output_map"] = [{**stream, "options": {"codec": "flac"}}]
        case "trimmed":
            data["input_options"] = {"t": "1.5"}
            data["output_map"][0]["options"] = {"codec": "mpeg4"}

    run = run_module("ffmpeg", data)

    percents = [now.percent for now in run.progress if now.percent is not None]
    assert percents == sorted(percents)
    assert percents[-2:][0] > 90
    assert percents[-1] == 100


def test_defect_25_the_heartbeat_names_the_task_that_runs(farm: Farm) -> None:
    """It named the last task's module, and left the job out for moments."""
    flag = farm.path("waits")
    tasks = [
        {"scripted": {"do": "wait", "file": str(flag)}},
        {"cleanup": {"delete": []}},
    ]
    (worker,) = farm.client.workers()

    def busy() -> Any:
        shown = farm.shown("worker", worker.worker_id)
        return shown if shown["status"] == "in_progress" else None

    farm.push_raw(json.dumps({"job_title": "t", "job_id": "j", "tasks": tasks}))
    first = eventually(busy)
    eventually(flag.exists)
    second = eventually(lambda: (now := busy())["task"] == "scripted" and now)

    assert (first["job_id"], first["job_title"]) == ("j", "t")
    assert (second["job_id"], second["job_title"]) == ("j", "t")
    flag.with_suffix(".go").touch()
    assert farm.ends("j") == "completed"


def test_defect_26_a_worker_is_known_again_after_a_restart(site: Site) -> None:
    """Ids were random: after a restart its switch belonged to nobody."""
    # Paused in an earlier life: all that is known of that is its id.
    site.store.steer(worker_id("encode001"), Activity.PAUSE)
    site.push("j", {"do": "nothing"})

    site.machine()

    (worker,) = eventually(lambda: [w for w in shown(site) if w["status"] == "idle"])
    assert worker["worker_id"] == worker_id("encode001")
    assert site.state("j") is None
    site.store.steer(worker_id("encode001"), Activity.WORK)
    site.until("j", "completed")


def shown(site: Site) -> list[dict[str, Any]]:
    values: Any = map(site.redis.get, site.redis.keys("worker:*"))
    return [json.loads(value) for value in values if value]


def test_defect_26_two_workers_of_a_host_do_not_share_an_id() -> None:
    """The other way round, ids that come from the host's name could collide."""
    names = [worker_id("encode001", number) for number in (1, 2, 3)]

    assert len(set(names)) == 3
