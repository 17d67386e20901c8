"""Jobs without a server: what they would do, and doing it."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import MODULES, Sisyphus
from sisyphus.cli.demo_films import documents, find_samples, prepare
from sisyphus.modules.registry import Registry
from sisyphus.modules.tool import Tools
from sisyphus.settings import Settings
from sisyphus.testing import fake_tool
from sisyphus.worker.local import plan_job

HERE = ("--modules", MODULES)
NOBODY = ("--redis-url", "redis://127.0.0.1:1")
FFMPEG = {
    "sources": ["film.mkv"],
    "source_maps": [{"source": 0, "specifier": "v"}],
    "output_file": "out.mkv",
}

JobFile = Callable[..., Path]


def write(folder: Path, *tasks: dict[str, Any]) -> Path:
    path = folder / "job.json"
    job = {"job_title": "A job", "job_id": "a-job", "tasks": list(tasks)}
    path.write_text(json.dumps(job))
    return path


# check


def test_check_shows_commands_that_can_be_copied_and_the_files(
    sisyphus: Sisyphus, job_file: JobFile, anywhere: Path
) -> None:
    said = sisyphus("check", job_file(), *HERE)

    assert said.code == 0
    (line,) = [line.strip() for line in said.lines if "tee" in line]
    wanted = ["tee", str(anywhere / "note.txt"), "a word with 'quotes'"]
    assert shlex.split(line) == wanted
    assert f"writes  {anywhere / 'note.txt'}" in said.out
    assert not (anywhere / "note.txt").exists()


def test_check_finds_everything_that_is_wrong_at_once(
    sisyphus: Sisyphus, anywhere: Path
) -> None:
    path = write(
        anywhere,
        {"note": {"output_file": "/elsewhere/a.txt"}},
        {"note": {"output_file": "b.txt", "txt": "b"}},
        {"nte": {}},
    )

    said = sisyphus("check", path, *HERE)

    assert said.code == 2
    assert "3 things are wrong" in said.out
    assert "tasks[0].note.output_file: is outside the allowed roots" in said.out
    assert "tasks[1].note.txt: is not a known key; did you mean 'text'?" in said.out
    assert "tasks[2]: is not a module of this worker; did you mean 'note'?" in said.out


def test_check_knows_what_earlier_tasks_make(
    sisyphus: Sisyphus, anywhere: Path
) -> None:
    tasks = [
        {"note": {"output_file": "a.txt"}},
        {"note": {"source": "a.txt", "output_file": "b.txt"}},
    ]

    assert sisyphus("check", write(anywhere, *tasks), *HERE).code == 0
    assert sisyphus("check", write(anywhere, *tasks[::-1]), *HERE).code == 2


def test_check_gives_the_same_as_json(sisyphus: Sisyphus, job_file: JobFile) -> None:
    (found,) = sisyphus("check", job_file(), *HERE, "--json").json

    assert found["fine"] is True
    assert found["tasks"][0]["steps"][0]["argv"][0] == "tee"


@pytest.mark.tool
def test_check_reads_stored_option_sets(
    with_redis: str, sisyphus: Sisyphus, anywhere: Path
) -> None:
    film(anywhere / "film.mkv")
    maps = [{"specifier": "v", "stream": 0, "option_set": "anime"}]
    path = write(anywhere, {"ffmpeg": {**FFMPEG, "output_maps": maps}})
    stored = '{"options": {"codec": "libx265", "crf": 19}}'

    before = sisyphus("check", path)
    sisyphus("data", "put", "ffmpeg", "anime", "-", typed=stored)
    after = sisyphus("check", path)

    assert before.code == 2
    assert "is not stored" in before.out
    assert after.code == 0
    assert "-codec:v:0 libx265 -crf:v:0 19" in after.out


def test_check_needs_redis_only_for_option_sets(
    sisyphus: Sisyphus, anywhere: Path, job_file: JobFile
) -> None:
    (anywhere / "film.mkv").write_text("a film")
    maps = [{"specifier": "v", "stream": 0, "option_set": "anime"}]
    path = write(anywhere, {"ffmpeg": {**FFMPEG, "output_maps": maps}})

    said = sisyphus("check", path, *NOBODY)

    assert said.code == 2
    assert "Redis, which cannot be asked" in said.out
    assert sisyphus("check", job_file(), *HERE, *NOBODY).code == 0


@pytest.mark.tool
def test_the_sample_jobs_are_fine(
    anywhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = find_samples(None)
    prepare(samples, anywhere, Tools())
    settings = Settings.load(roots=[anywhere])
    registry = Registry.load(settings)

    jobs = documents(samples)

    assert len(jobs) == 3
    for job in jobs:
        plan = plan_job(job.raw, settings, registry, lambda module, name: None)
        assert plan.all_problems == []


def test_check_says_which_files_are_written_and_deleted_without_a_command(
    sisyphus: Sisyphus, anywhere: Path
) -> None:
    path = write(
        anywhere,
        {"cleanup": {"verify_exists": ["a"], "delete_files": ["b"]}},
        {"cleanup": {"move": [{"source": "c", "destination": "d"}]}},
    )

    said = sisyphus("check", path)
    (found,) = sisyphus("check", path, "--json").json

    where = str(anywhere)
    for line in ("check that {}/a exists", "delete {}/b", "move {0}/c to {0}/d"):
        assert said.lines.count(f"    {line.format(where)}") == 1
    assert not any(
        line.split()[0] in ("reads", "deletes") for line in said.lines if line
    )
    steps = [step for task in found["tasks"] for step in task["steps"]]
    assert [step["deletes"] for step in steps] == [[], [f"{where}/b"], [f"{where}/c"]]
    assert steps[2]["writes"] == [f"{where}/d"]


def test_check_finds_what_an_earlier_task_takes_away(
    sisyphus: Sisyphus, anywhere: Path
) -> None:
    (anywhere / "a.txt").touch()
    tasks: list[dict[str, Any]] = [
        {"cleanup": {"delete_files": ["a.txt"]}},
        {"note": {"source": "a.txt", "output_file": "b.txt"}},
    ]

    said = sisyphus("check", write(anywhere, *tasks), *HERE)

    assert said.code == 2
    assert "note.source: is deleted or moved away by an earlier task" in said.out
    assert sisyphus("check", write(anywhere, *tasks[::-1]), *HERE).code == 0


@pytest.mark.tool
def test_check_finds_an_output_that_exists_and_may_not_be_replaced(
    sisyphus: Sisyphus, anywhere: Path
) -> None:
    film(anywhere / "film.mkv")
    (anywhere / "out.mkv").write_text("mine")
    task = {"ffmpeg": {**FFMPEG, "output_maps": []}}
    away = {"cleanup": {"delete_files": ["out.mkv"]}}

    said = sisyphus("check", write(anywhere, task))

    assert said.code == 2
    assert 'out.mkv exists already: say "overwrite": true' in said.out
    assert sisyphus("check", write(anywhere, away, task)).code == 0


@pytest.mark.tool
def test_check_names_a_program_by_its_path_where_a_shell_would_find_another(
    sisyphus: Sisyphus, anywhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = fake_tool(anywhere, "ffmpeg", "sys.exit(0)")
    film(anywhere / "film.mkv")
    path = write(anywhere, {"ffmpeg": {**FFMPEG, "output_maps": []}})

    (plain,) = sisyphus("check", path, "--json").json
    monkeypatch.setenv("SISYPHUS_FFMPEG", str(other))
    (set_here,) = sisyphus("check", path, "--json").json

    programs = [f["tasks"][0]["steps"][0]["argv"][0] for f in (plain, set_here)]
    assert programs == ["ffmpeg", str(other)]


def test_check_warns_when_a_tool_is_missing(
    sisyphus: Sisyphus, anywhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SISYPHUS_MKVMERGE", str(anywhere / "missing"))
    (anywhere / "film.mkv").write_text("a film")
    tracks = [{"source": 0, "track": 0}]
    merging = {"sources": ["film.mkv"], "tracks": tracks, "output_file": "o.mkv"}

    (found,) = sisyphus("check", write(anywhere, {"mkvmerge": merging}), "--json").json

    assert any(
        "missing, which is no program" in w for w in found["tasks"][0]["warnings"]
    )
    assert found["tasks"][0]["steps"][0]["argv"][0] == "mkvmerge"


def film(path: Path) -> None:
    """Make a second of film: video, audio jpn, audio eng, subtitles."""
    texts = path.with_suffix(".srt")
    texts.write_text("1\n00:00:00,100 --> 00:00:00,900\nA line\n")
    subprocess.run(
        [
            *("ffmpeg", "-v", "error", "-f", "lavfi", "-i"),
            *(
                "testsrc2=s=160x90:r=10:d=1",
                "-f",
                "lavfi",
                "-i",
                "sine=d=1",
                "-i",
                texts,
            ),
            *("-map", "0", "-map", "1", "-map", "1", "-map", "2", "-c:v", "libx264"),
            *("-preset", "ultrafast", "-c:a", "ac3", "-c:s", "srt"),
            *("-metadata:s:1", "language=jpn", "-metadata:s:2", "language=eng", path),
        ],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    texts.unlink()


def streams(path: Path) -> str:
    """Hash what is in a film: container details, such as random ids, do not count."""
    source = ["-i", str(path), "-map", "0", "-c", "copy"]
    command = ["ffmpeg", "-v", "error", *source, "-f", "streamhash", "-"]
    return str(subprocess.check_output(command, text=True))


def chain(folder: Path) -> list[dict[str, Any]]:
    """Encode, merge, extract: each reads what the one before makes."""
    source, small = str(folder / "it's a film: 1.mkv"), str(folder / "a small one.mkv")
    merged, subs = str(folder / "$(merged).mkv"), str(folder / "subs;.srt")
    options = {"codec": "libx264", "crf": 30, "x264-params": {"bframes": 2}}
    texts = [{"id": 0, "track_type": "subtitles", "filename": subs}]
    return [
        {
            "ffmpeg": {
                "sources": [source],
                "source_map": [
                    {"source": 0, "stream_type": "a", "stream": 1},
                    {"source": 0, "stream_type": "v", "stream": 0},
                ],
                "output_map": [
                    {"stream_type": "v", "stream": 0, "options": options},
                    {"stream_type": "a", "stream": 0, "options": {"codec": "copy"}},
                ],
                "output_file": small,
            }
        },
        {
            "mkvmerge": {
                "sources": [{"filename": small}, {"filename": source}],
                "tracks": [
                    {"source": 0, "track": 1},
                    {"source": 0, "track": 0, "options": {"language": "fin"}},
                    {"source": 1, "track": 3},
                ],
                "output_file": merged,
            }
        },
        {"mkvextract": {"source": merged, "tracks": texts}},
    ]


@pytest.mark.tool
def test_printed_commands_pasted_into_a_shell_make_what_a_worker_makes(
    sisyphus: Sisyphus, anywhere: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    tasks = chain(anywhere)
    film(anywhere / "it's a film: 1.mkv")
    path = write(anywhere, *tasks)
    names = ["a small one.mkv", "$(merged).mkv", "subs;.srt"]

    # Shown before anything of it is there; run somewhere else.
    said = sisyphus("check", path)
    commands = [
        line for line in said.lines if re.match("    (ffmpeg|mkv[a-z]+) ", line)
    ]
    assert (said.code, len(commands)) == (0, 3), said.out
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for command in commands:
        subprocess.run(["bash", "-c", command], cwd=elsewhere, check=True)
    pasted = [streams(anywhere / name) for name in names]
    for name in names:
        (anywhere / name).unlink()
    assert sisyphus("run", path, "--quiet").code == 0

    assert [streams(anywhere / name) for name in names] == pasted
    assert list(elsewhere.iterdir()) == []


@pytest.mark.tool
def test_what_is_left_of_an_earlier_run_does_not_stop_the_job_that_makes_it_anew(
    sisyphus: Sisyphus, anywhere: Path
) -> None:
    source, small = anywhere / "it's a film: 1.mkv", anywhere / "a small one.mkv"
    film(source)
    small.write_text("what a crash left")
    first, *_ = chain(anywhere)
    second = {"ffmpeg": {**first["ffmpeg"], "sources": [str(small)]}}
    second["ffmpeg"]["source_map"] = [{"source": 0, "stream_type": "v", "stream": 0}]
    second["ffmpeg"]["output_file"] = str(anywhere / "smaller.mkv")
    path = write(anywhere, first, second)

    checked = sisyphus("check", path)

    assert checked.code == 0, checked.out
    assert sisyphus("run", path, "--quiet").code == 0


@pytest.mark.tool
@pytest.mark.parametrize(
    ("place", "changes", "expected"),
    [
        (1, {"tracks": [{"source": 0, "track": 2}]}, "mkvmerge.tracks[0].track"),
        (
            2,
            {"tracks": [{"id": 1, "track_type": "video", "filename": "v"}]},
            "has 0 video und, 1 audio fin, 2 subtitles und",
        ),
    ],
)
def test_a_track_that_no_earlier_task_makes_is_found_before_the_first_task(
    sisyphus: Sisyphus, anywhere: Path, place: int, changes: Any, expected: str
) -> None:
    tasks = chain(anywhere)
    film(anywhere / "it's a film: 1.mkv")
    (data,) = tasks[place].values()
    data |= changes
    path = write(anywhere, *tasks)
    before = sorted(anywhere.iterdir())

    checked = sisyphus("check", path)
    ran = sisyphus("run", path)

    assert (checked.code, ran.code) == (2, 1)
    assert expected in checked.out
    assert expected in ran.err
    assert sorted(anywhere.iterdir()) == before


def test_the_start_page_s_job_shows_its_commands_and_all_that_is_missing(
    sisyphus: Sisyphus, anywhere: Path
) -> None:
    page = (Path(__file__).parents[2] / "README.md").read_text()
    (job,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    (anywhere / "job.json").write_text(job)

    said = sisyphus("check", "job.json")

    assert said.code == 2
    assert any(line.startswith("    ffmpeg -nostdin") for line in said.lines)
    assert any(line.startswith("    delete ") for line in said.lines)
    assert "ffmpeg.sources[0]: cannot be read: No such file" in said.out
    assert "ffmpeg.output_file: is in a folder that does not exist" in said.out


def test_check_of_a_job_outside_the_roots_says_so_of_every_field(
    sisyphus: Sisyphus, anywhere: Path
) -> None:
    data = {**FFMPEG, "sources": ["/films/a.mkv"], "output_file": "/films/b.mkv"}
    tidying = {"cleanup": {"delete_files": ["/films/a.mkv"]}}
    path = write(anywhere, {"ffmpeg": {**data, "output_maps": []}}, tidying)

    (found,) = sisyphus("check", path, "--json").json

    problems = [problem for task in found["tasks"] for problem in task["problems"]]
    assert [problem["field"] for problem in problems] == [
        "tasks[0].ffmpeg.sources[0]",
        "tasks[0].ffmpeg.output_file",
        "tasks[1].cleanup.delete_files[0]",
    ]
    assert all("outside the allowed roots" in p["expected"] for p in problems)
    assert found["tasks"][0]["steps"][0]["argv"][-1] == "/films/b.mkv"


# run


def test_run_does_the_job_and_shows_its_log_and_outputs(
    sisyphus: Sisyphus, job_file: JobFile, anywhere: Path
) -> None:
    said = sisyphus("run", job_file(text="hello"), *HERE)

    assert said.code == 0
    assert (anywhere / "note.txt").read_text() == "hello"
    assert "writing hello" in said.out
    assert said.lines[-1].startswith(f"{anywhere / 'note.txt'}  5 B")


def test_a_failed_run_is_code_1_and_says_which_task(
    sisyphus: Sisyphus, anywhere: Path
) -> None:
    path = write(
        anywhere,
        {"note": {"output_file": "a.txt"}},
        {"note": {"output_file": "b.txt", "outcome": "fail"}},
        {"note": {"output_file": "c.txt"}},
    )

    said = sisyphus("run", path, *HERE)

    assert said.code == 1
    assert "task 2 note: the pen broke" in said.err
    assert sorted(p.name for p in anywhere.glob("*.txt")) == ["a.txt"]


def test_a_mistake_of_a_module_is_shown_with_its_traceback(
    sisyphus: Sisyphus, job_file: JobFile
) -> None:
    said = sisyphus("run", job_file(outcome="mistake"), *HERE)

    assert said.code == 1
    assert "KeyError: 'a mistake of the module'" in said.err
    assert "note.py" in said.err


def test_a_run_ends_at_the_task_s_timeout(sisyphus: Sisyphus, anywhere: Path) -> None:
    task = {"note": {"output_file": "a.txt", "tool": ["sleep", "60"]}, "timeout": 0.5}

    said = sisyphus("run", write(anywhere, task), *HERE)

    assert said.code == 1
    assert "longer than its timeout of 0.5 s" in said.err


def test_run_takes_one_job(sisyphus: Sisyphus, anywhere: Path) -> None:
    (anywhere / "two.json").write_text('[{"job_id": "a"}, {"job_id": "b"}]')

    said = sisyphus("run", "two.json")

    assert said.code == 2
    assert "holds 2 jobs" in said.err
