"""Any data for any module is refused in order, or makes a command that is ours alone."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fuzz.many import JSON, tried
from sisyphus.errors import InvalidJob, InvalidSettings, JobError, UnknownModule
from sisyphus.job import parse_job
from sisyphus.modules.base import Module
from sisyphus.modules.ffmpeg_options import FLAGS as FFMPEG_FLAGS
from sisyphus.modules.fields import declared_files
from sisyphus.modules.handbrake_options import FLAGS as HANDBRAKE_FLAGS
from sisyphus.modules.handbrake_options import OPTIONAL
from sisyphus.modules.mkvmerge_settings import FLAGS as MKVMERGE_FLAGS
from sisyphus.modules.registry import Registry
from sisyphus.settings import Settings
from sisyphus.testing import plan_module

DOCS = Path(__file__).parents[2] / "docs" / "modules"
SETTINGS = Settings.load(roots=["/films"])
REGISTRY = Registry.load(SETTINGS)
MARK = "zyx"
"""Stands in every value that tries to be more than a value."""

TRICKS = [
    *(
        f"-{MARK}",
        f"--{MARK}",
        f"-y{MARK}",
        f"-i {MARK}",
        f"@{MARK}",
        f"@/films/{MARK}",
    ),
    *(f"/etc/{MARK}", f"../../etc/{MARK}", f"/films/../etc/{MARK}", f"~/{MARK}"),
    *(f"file:/etc/{MARK}", f"http://host/{MARK}", f"HTTP:host/{MARK}", f"pipe:{MARK}"),
    *(f"concat:/etc/{MARK}|/x", f"subfile,,:/etc/{MARK}", f"data:{MARK}", f"fd:{MARK}"),
    *(
        f"/films/-{MARK}",
        f"/films/%d{MARK}.png",
        f"/films/a\n-{MARK}",
        f"/films/{MARK}",
    ),
    *(
        f"{MARK}\n--x",
        f"{MARK}\0",
        f"x={MARK}",
        f"'{MARK}",
        f"${MARK}",
        f"{MARK}:;,[]=",
    ),
    *(f"/films/\udce9{MARK}.mkv", f"movie=/etc/{MARK}", f"(|{MARK}", f")/{MARK}", "="),
]
VALUES = st.one_of(st.sampled_from(TRICKS), JSON)
ALONE = (
    FFMPEG_FLAGS
    | MKVMERGE_FLAGS
    | HANDBRAKE_FLAGS
    | OPTIONAL
    | {"nostdin", "hide_banner", "y", "n", "gui-mode"}
)
"""Options that take no value."""
FILE_OPTIONS = ("-i", "--input", "--output", "-o", "--attach-file")
HEARD = (InvalidSettings, InvalidJob, UnknownModule)


def bases() -> dict[str, list[dict[str, Any]]]:
    """The examples of the documentation, by module."""
    found: dict[str, list[dict[str, Any]]] = {}
    for page in sorted(DOCS.glob("*.md")):
        for block in re.findall(r"```json\n(.*?)```", page.read_text(), re.DOTALL):
            job = {"job_id": "a", "job_title": "t", "tasks": [json.loads(block)]}
            (spec,) = parse_job(json.dumps(job)).tasks
            found.setdefault(spec.module, []).append(spec.data)
    return found


BASES = bases()


def known_keys(module: str) -> list[str]:
    schema = json.dumps(REGISTRY.get(module).Settings.model_json_schema())
    names: set[str] = set()

    def look(part: Any) -> None:
        if isinstance(part, dict):
            names.update(part.get("properties", {}))
        for inner in part.values() if isinstance(part, dict) else part:
            if isinstance(inner, dict | list):
                look(inner)

    look(json.loads(schema))
    return sorted(names)


KEYS = {module: known_keys(module) for module in BASES}


def places(data: Any) -> Iterator[Any]:
    """Give every object and list in some data."""
    if isinstance(data, dict | list):
        yield data
        for inner in data.values() if isinstance(data, dict) else data:
            yield from places(inner)


def texts_in(data: Any) -> Iterator[tuple[Any, Any]]:
    """Give every place where a text stands: its container and its key there."""
    for place in places(data):
        rows = place.items() if isinstance(place, dict) else enumerate(place)
        yield from ((place, key) for key, value in rows if isinstance(value, str))


@st.composite
def tasks(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """Take an example of the documentation and make something else of it."""
    module = draw(st.sampled_from(sorted(BASES)))
    data = copy.deepcopy(draw(st.sampled_from(BASES[module])))
    texts = list(texts_in(data))
    for _ in range(draw(st.integers(0, 2))):
        place, key = draw(st.sampled_from(texts))
        place[key] = draw(st.sampled_from(TRICKS))
    if draw(st.booleans()):
        disturb(draw, module, data)
    return module, data


def disturb(draw: st.DrawFn, module: str, data: Any) -> None:
    place: Any = draw(st.sampled_from(list(places(data))))
    if isinstance(place, list):
        changes = draw(st.booleans())
        if place and changes:
            place[draw(st.integers(0, len(place) - 1))] = draw(VALUES)
        else:
            place.append(draw(VALUES))
        return
    new = st.sampled_from([*KEYS[module], *TRICKS]) | st.text(max_size=4)
    old = st.sampled_from(sorted(place)) if place else new
    key: str = draw(st.one_of(old, new))
    if draw(st.integers(0, 4)) == 0:
        place.pop(key, None)
    else:
        place[key] = draw(VALUES)


def built(module: str, data: Any) -> Module | None:
    try:
        return REGISTRY.build(module, data, "tasks[0]")
    except HEARD as error:
        assert error.problems
        assert all(problem.field.startswith("tasks[0]") for problem in error.problems)
        return None


def test_every_module_has_examples_to_begin_with() -> None:
    assert sorted(BASES) == ["cleanup", "ffmpeg", "handbrake", "mkvextract", "mkvmerge"]
    assert all(built(module, data) for module, rows in BASES.items() for data in rows)


ODD = "/films/\udce9.mkv"


@example(("mkvextract", {"source": ODD, "chapters": ODD}))
@example(("ffmpeg", {"sources": [ODD, ODD], "output_maps": [], "output_file": "x"}))
@tried(150)
@given(tasks())
def test_any_data_is_settings_or_is_refused_in_order(
    task: tuple[str, dict[str, Any]],
) -> None:
    built(*task)


@tried(100)
@given(st.sampled_from(sorted(BASES)), JSON)
def test_what_is_nothing_like_settings_is_refused_in_order(
    module: str, data: Any
) -> None:
    built(module, data if isinstance(data, dict) else {"x": data})


@tried(200)
@given(tasks())
def test_no_value_becomes_an_option_or_another_file(
    task: tuple[str, dict[str, Any]],
) -> None:
    module, data = task
    made = built(module, data)
    if made is None:
        return
    declared = {str(file.path) for file in declared_files(made.settings)}
    files = made.files()
    declared |= {str(path) for path in (*files.reads, *files.writes)}
    try:
        steps = plan_module(module, data, roots=[Path("/films")])
    except JobError:
        return

    for step in steps:
        for path in (*step.reads, *step.writes, *step.deletes):
            assert Path(path).is_absolute()
        check_command([str(word) for word in step.argv], declared)


def check_command(argv: Sequence[str], declared: set[str]) -> None:
    before = ""
    for word in argv[1:]:
        is_value = takes_a_value(before)
        assert "\0" not in word
        if before in FILE_OPTIONS:
            assert word.removeprefix("file:") in declared, (before, word, argv)
        if MARK in word and not is_value:
            assert not word.startswith(("-", "@")), (before, word, argv)
            plain = word.removeprefix("file:")
            assert plain in declared or word in "()", (before, word, argv)
        before = "" if is_value else word


def takes_a_value(word: str) -> bool:
    """Whether the tool takes what follows for this option's value."""
    if not word.startswith("-") or MARK in word or "=" in word:
        return False
    name = word.lstrip("-").split(":")[0]
    return name not in ALONE and not word.startswith("--no-")


@pytest.mark.parametrize("module", sorted(BASES))
@example("x")
@tried(30)
@given(st.text(max_size=9))
def test_an_unknown_key_is_named(module: str, name: str) -> None:
    data = BASES[module][0]
    if name in data or name in KEYS[module]:
        return

    with pytest.raises(InvalidSettings) as caught:
        REGISTRY.build(module, {**data, f"{name}{MARK}": 1}, "tasks[0]")

    assert any(problem.field.endswith(MARK) for problem in caught.value.problems)


def test_very_many_sources_are_refused_without_comparing_each_with_each() -> None:
    data = {**BASES["ffmpeg"][0], "sources": [f"/films/{n}" for n in range(100_000)]}

    with pytest.raises(InvalidSettings, match="sources"):
        REGISTRY.build("ffmpeg", data, "tasks[0]")
