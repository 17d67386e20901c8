"""Files and lengths of time in settings."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from sisyphus.job import parse_job
from sisyphus.modules.base import ModuleSettings
from sisyphus.modules.fields import (
    InputFile,
    OutputFile,
    Seconds,
    declared_files,
    declared_paths,
)


class Source(ModuleSettings):
    filename: InputFile
    language: str = ""


class Wanted(ModuleSettings):
    sources: list[Source | InputFile]
    fonts: tuple[InputFile, ...] = ()
    chapters: InputFile | None = None
    tracks: dict[str, OutputFile] = Field(default_factory=dict)
    pair: tuple[InputFile, OutputFile] | None = None
    folder: Path | None = None
    at: Seconds = 0
    output_file: OutputFile


def test_every_declared_file_is_found(tmp_path: Path) -> None:
    wanted = Wanted.model_validate(
        {
            "sources": [{"filename": "/a/1.mkv"}, "/a/2.mkv"],
            "fonts": ["/a/font.ttf"],
            "chapters": "/a/chapters.xml",
            "tracks": {"1": "/b/1.aac"},
            "pair": ["/a/in", "/b/out"],
            "folder": "/neither",
            "output_file": "/b/film.mkv",
        }
    )

    inputs, outputs = declared_paths(wanted)

    names = ["1.mkv", "2.mkv", "font.ttf", "chapters.xml", "in"]
    assert inputs == [Path("/a", name) for name in names]
    assert outputs == [Path("/b", name) for name in ("1.aac", "out", "film.mkv")]


def test_a_declared_file_knows_its_field() -> None:
    wanted = Wanted.model_validate(
        {
            "sources": ["/1", {"filename": "/2"}],
            "tracks": {"x": "/3"},
            "output_file": "/4",
        }
    )

    fields = [file.field for file in declared_files(wanted, "tasks[0].mux")]

    assert fields == [
        "tasks[0].mux.sources[0]",
        "tasks[0].mux.sources[1].filename",
        "tasks[0].mux.tracks.x",
        "tasks[0].mux.output_file",
    ]


def test_a_path_is_made_absolute_but_links_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to("/etc")
    monkeypatch.chdir(tmp_path)

    found = Source.model_validate({"filename": "link/../film.mkv"}).filename

    assert found == tmp_path / "film.mkv"
    assert Source(filename=Path("link/x")).filename == tmp_path / "link" / "x"


@pytest.mark.parametrize(
    "value", ["", " ", "a\0b", "\ud800", "a\udc7f", "\udfff", 3, None, ["a"]]
)
def test_what_is_no_path_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError, match="must be a path"):
        Source.model_validate({"filename": value})


@given(
    st.lists(
        st.binary(min_size=1, max_size=20).filter(lambda name: not {*name} & {*b"\0/"}),
        min_size=1,
        max_size=3,
    )
)
def test_every_name_that_a_file_system_can_hold_comes_through_a_job(
    names: list[bytes],
) -> None:
    path = b"/" + b"/".join(names)
    data = {"filename": os.fsdecode(path)}
    document = {"job_id": "j", "job_title": "t", "tasks": [{"module": data}]}

    job = parse_job(json.dumps(document).encode())
    found = Source.model_validate(job.tasks[0].data).filename

    assert os.fsencode(found) == os.path.abspath(path)  # noqa: PTH100 - of bytes


def test_one_file_has_one_name_however_its_bytes_are_written() -> None:
    as_bytes = Source.model_validate({"filename": "/\udcc3\udca9"})

    assert as_bytes == Source.model_validate({"filename": "/é"})


def test_the_schema_says_that_it_is_a_path() -> None:
    schema = Source.model_json_schema()["properties"]["filename"]

    assert (schema["type"], schema["format"]) == ("string", "path")
    assert schema["description"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (0, 0),
        (1.5, 1.5),
        ("90", 90),
        ("1:30", 90),
        ("0:00:01.5", 1.5),
        ("01:02:03", 3723),
        ("5m", 300),
        ("1h5m", 3900),
        ("1h 5m 2.5s", 3902.5),
        ("250ms", 0.25),
        (" 2 s ", 2),
        (".5", 0.5),
    ],
)
def test_a_length_of_time_is_read_as_people_write_it(text: Any, seconds: float) -> None:
    wanted = Wanted.model_validate({"sources": [], "output_file": "/x", "at": text})

    assert wanted.at == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "soon", "1:2:3:4", "5x", "-1", -1, "nan", "inf", True, None, "1:"]
)
def test_what_is_no_length_of_time_is_refused(text: Any) -> None:
    with pytest.raises(ValidationError, match=r"must be (seconds|a length)"):
        Wanted.model_validate({"sources": [], "output_file": "/x", "at": text})


def test_a_path_object_with_bytes_is_refused() -> None:
    class Odd(os.PathLike[bytes]):
        def __fspath__(self) -> bytes:
            return b"/x"

    with pytest.raises(ValidationError):
        Source.model_validate({"filename": Odd()})
