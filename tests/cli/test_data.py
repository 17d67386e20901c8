"""Option sets and profiles: stored by name, checked before, used by tasks."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import MODULES, Sisyphus

INLINE = {"crf": 30, "tune": "film"}
STORED = {"codec": "libx264", "crf": 22}


def put(sisyphus: Sisyphus, document: Any, *more: str, module: str = "ffmpeg") -> Any:
    typed = json.dumps(document)
    return sisyphus("data", "put", module, "good", "-", *more, typed=typed)


@pytest.mark.tool
@pytest.mark.parametrize("shape", ["settings", "options"])
@pytest.mark.parametrize(
    ("named_as", "expected"),
    [
        # The task's own win, in the order of what is stored.
        ("profile", "-codec:v:0 libx264 -crf:v:0 30 -tune:v:0 film"),
        # What is stored wins, in the order of the task's own.
        ("option_set", "-crf:v:0 22 -tune:v:0 film -codec:v:0 libx264"),
    ],
)
def test_either_shape_may_be_a_profile_or_an_option_set_and_each_has_its_own_rule(
    with_redis: str,
    sisyphus: Sisyphus,
    anywhere: Path,
    shape: str,
    named_as: str,
    expected: str,
) -> None:
    source = ["-f", "lavfi", "-i", "testsrc2=s=160x90:r=5:d=1"]
    subprocess.run(["ffmpeg", "-v", "error", *source, "film.mkv"], check=True)
    entry = {"specifier": "v", "stream": 0, "options": INLINE, named_as: "good"}
    task = {
        "sources": ["film.mkv"],
        "source_maps": [{"source": 0, "specifier": "v"}],
        "output_maps": [entry],
        "output_file": "out.mkv",
    }
    job = {"job_title": "A job", "job_id": "a", "tasks": [{"ffmpeg": task}]}
    (anywhere / "job.json").write_text(json.dumps(job))

    assert put(sisyphus, {"name": "good", shape: STORED}).code == 0
    (found,) = sisyphus("check", "job.json", "--json").json
    assert found["fine"], found

    command = shlex.join(found["tasks"][0]["steps"][0]["argv"])
    assert expected in command


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({}, "needs settings or options"),
        ({"codec": "libx264"}, "codec: is not a known key"),
        ({"option": STORED}, "option: is not a known key; did you mean 'options'?"),
        ({"setings": STORED}, "did you mean 'settings'?"),
        ({"settings": STORED, "options": STORED}, "only one can count"),
        ({"settings": [1]}, "settings: input should be a valid dictionary"),
        ({"options": {"crf": [1]}}, "options.crf"),
        ({"options": {"a b": 1}}, "letters, digits"),
        ({"options": {"crf": 19, "shortest": "now"}}, "shortest"),
    ],
)
def test_what_no_task_could_use_is_not_stored(
    with_redis: str, sisyphus: Sisyphus, document: Any, expected: str
) -> None:
    said = put(sisyphus, document)

    assert said.code == 2
    assert expected in said.err.lower().replace("a valid object", "a valid dictionary")
    assert sisyphus("data", "list", "ffmpeg").out == ""


def test_what_only_some_workers_allow_can_be_stored(
    with_redis: str, sisyphus: Sisyphus
) -> None:
    document = {"options": {"filter_complex": "[0:v]null[v]"}}

    assert put(sisyphus, document).code == 0


def test_what_old_databases_add_is_no_mistake(
    with_redis: str, sisyphus: Sisyphus
) -> None:
    document = {"_id": "5f1e", "name": "good", "settings": STORED}

    assert put(sisyphus, document).code == 0


def test_modules_that_are_not_here_can_have_documents_too(
    with_redis: str, sisyphus: Sisyphus
) -> None:
    said = put(sisyphus, {"any": "thing"}, module="ffmpge")

    assert said.code == 0
    assert "no module ffmpge here" in said.err
    assert "did you mean 'ffmpeg'?" in said.err
    assert sisyphus("data", "show", "ffmpge", "good", "--json").json == {"any": "thing"}


def test_a_module_may_check_what_is_stored_for_it(
    with_redis: str, sisyphus: Sisyphus, anywhere: Path
) -> None:
    (anywhere / "picky.py").write_text(
        """
from sisyphus.errors import InvalidSettings, Problem
from sisyphus.modules.base import Module

class Picky(Module):
    @classmethod
    def check_stored(cls, document):
        if "colour" not in document:
            raise InvalidSettings.of(Problem("colour", None, "is missing"))
"""
    )
    here = ("--modules", str(anywhere))

    assert put(sisyphus, {"color": 1}, *here, module="picky").code == 2
    assert put(sisyphus, {"colour": 1}, *here, module="picky").code == 0


def test_other_modules_take_anything(with_redis: str, sisyphus: Sisyphus) -> None:
    said = put(sisyphus, {"any": 1}, "--modules", str(MODULES), module="note")

    assert said.code == 0
    assert said.err == ""


def test_programs_hear_what_was_stored_and_removed(
    with_redis: str, sisyphus: Sisyphus
) -> None:
    document = {"settings": STORED}
    facts = {"module": "ffmpeg", "name": "good"}

    assert put(sisyphus, document, "--json").json == {**facts, "replaced": False}
    assert put(sisyphus, document, "--json").json == {**facts, "replaced": True}
    assert sisyphus("data", "list", "ffmpeg", "--json").json == ["good"]
    assert sisyphus("data", "remove", "ffmpeg", "good", "--json").json == facts
    assert sisyphus("data", "remove", "ffmpeg", "good").code == 3
