"""The house rules: the map tells the truth, and no room grows too large."""

from __future__ import annotations

import ast
import json
import re
import runpy
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sisyphus.cli.main import COMMANDS, load
from sisyphus.job import parse_job
from sisyphus.lifecycle import TRANSITIONS
from sisyphus.modules.identify import Attached, Track
from sisyphus.modules.mkvextract_argv import Lookup
from sisyphus.modules.mkvextract_argv import build_argv as build_extraction
from sisyphus.modules.mkvextract_settings import MkvextractSettings
from sisyphus.modules.mkvmerge import build_argv
from sisyphus.modules.mkvmerge_settings import MkvmergeSettings
from sisyphus.modules.registry import Registry
from sisyphus.settings import Settings
from sisyphus.store.keys import Keys
from sisyphus.store.scripts import script_names
from sisyphus.store.store import Store
from sisyphus.testing import plan_module

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "sisyphus"
MAP = (ROOT / "ARCHITECTURE.md").read_text()
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAPERS = [
    *DOCS,
    *(ROOT / name for name in ("ARCHITECTURE.md", "CONTRIBUTING.md")),
    ROOT / "CHANGELOG.md",
]
MOST_LINES = 400
# Programs that tests run, and the one place that waits, may sleep.
MAY_SLEEP = {"waiting.py", "scripted.py"}


def tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / name for name in listed.stdout.splitlines()]


def rows_of(heading: str) -> list[list[str]]:
    """The cells of the table below a heading of the map."""
    section = MAP.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def words_in_code(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


@pytest.mark.parametrize(
    "path", sorted(SOURCE.rglob("*.py")), ids=lambda path: path.name
)
def test_no_file_outgrows_its_room(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MOST_LINES


@pytest.mark.parametrize(
    "path", sorted((ROOT / "tests").rglob("*.py")), ids=lambda path: path.name
)
def test_tests_wait_for_events_not_for_time(path: Path) -> None:
    if path.name in MAY_SLEEP:
        return
    calls = [
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute | ast.Name)
        and getattr(node.func, "attr", getattr(node.func, "id", "")) == "sleep"
    ]
    assert not calls


def test_files_that_the_map_names_are_there() -> None:
    named = {
        word for word in words_in_code(MAP) if re.fullmatch(r"[\w/]+\.(py|lua)", word)
    }
    places = (ROOT, SOURCE, SOURCE / "store" / "lua")
    missing = {n for n in named if not any((place / n).exists() for place in places)}
    assert not missing


def test_the_way_of_a_job_names_every_transition_once() -> None:
    named = [
        word
        for row in rows_of("The way of a job")
        for word in words_in_code(row[2])
        if row[2] != "-"
    ]
    assert len(named) == len(set(named))
    assert {row.name for row in TRANSITIONS} <= set(named)
    assert set(named) <= set(script_names())
    assert all(callable(getattr(Store, name)) for name in named)


def test_the_diagram_shows_what_the_table_allows() -> None:
    diagram = MAP.split("```mermaid", 1)[1].split("```", 1)[0]
    table = {row.name: row for row in TRANSITIONS}
    arrows = re.findall(r"(\S+) --> (\w+): (.+)", diagram)
    drawn: dict[str, set[str]] = {}
    assert arrows
    for before, after, names in arrows:
        for name in names.split(", "):
            if name == "LPUSH":  # what producers do needs no script
                continue
            start = None if before == "[*]" else before
            assert start in table[name].before, (name, before)
            assert after in table[name].after, (name, after)
            drawn.setdefault(name, set()).add(after)
    for row in TRANSITIONS:
        # What stays where it is, or is gone, has no arrow.
        assert drawn.get(row.name, set()) | row.before | {None} >= row.after, row.name


def test_the_map_names_every_key() -> None:
    section = MAP.split("\n## Keys\n", 1)[1].split("\n## ", 1)[0]
    own = set(words_in_code(section.split("Our own", 1)[1]))
    keys = {
        name
        for name in vars(Keys)
        if not name.startswith("_")
        and name not in ("queue", "heartbeat_prefix", "progress_prefix")
        and name not in ("waiting", "heartbeat", "progress", "tag", "aside_list")
    }
    assert keys == own & set(vars(Keys))
    assert {word for word in own if re.fullmatch(r"[a-z]+", word)} == keys


def test_nothing_speaks_of_where_it_was_written() -> None:
    folders = (("..", "shared"), ("", "work", ""), ("", "root", ""))
    never = [re.compile(re.escape("/".join(parts))) for parts in folders]
    never.append(re.compile("proto" + "type", re.IGNORECASE))
    said = [
        f"{path.name}: {pattern.pattern}"
        for path in tracked()
        if path.suffix in {".py", ".md", ".lua", ".toml", ".json", ".yml", ""}
        and path.is_file()
        for pattern in never
        if pattern.search(path.read_text(errors="ignore"))
    ]
    assert not said


@pytest.mark.parametrize("paper", PAPERS, ids=lambda path: path.name)
def test_links_lead_somewhere(paper: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", paper.read_text()):
        if target.startswith(("http", "mailto")):
            continue
        name, _, anchor = target.partition("#")
        goal = paper.parent / name if name else paper
        assert goal.exists(), target
        assert not anchor or anchor in anchors_of(goal), target


def anchors_of(paper: Path) -> set[str]:
    """What its headings can be linked by."""
    headings = re.findall(r"^#+ (.+)$", paper.read_text(), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.replace(" ", "-") for heading in plain}


def test_every_paper_is_linked_from_the_start_page() -> None:
    start = (ROOT / "README.md").read_text()
    for paper in (ROOT / "docs").glob("*.md"):
        assert f"docs/{paper.name}" in start
    modules = (ROOT / "docs" / "modules.md").read_text()
    for paper in (ROOT / "docs" / "modules").glob("*.md"):
        assert f"modules/{paper.name}" in modules


def test_the_page_of_settings_names_them_all() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    for name in Settings.model_fields:
        assert f"SISYPHUS_{name.upper()}" in page


def test_the_job_of_the_start_page_is_that_of_the_samples() -> None:
    shown = blocks(ROOT / "README.md", "json")[0]
    assert shown == (ROOT / "samples" / "film.json").read_text()


def examples() -> list[Any]:
    found = []
    for paper in PAPERS:
        for number, block in enumerate(
            re.findall(r"```json\n(.*?)```", paper.read_text(), re.DOTALL)
        ):
            if '"tasks"' in block and "..." not in block and "…" not in block:
                found.append(pytest.param(block, id=f"{paper.name}-{number}"))
    return found


@pytest.mark.parametrize("example", examples())
def test_job_documents_in_the_papers_are_right(example: str) -> None:
    document = {"job_id": "1", "job_title": "t", **json.loads(example)}
    job = parse_job(json.dumps(document))
    registry = Registry.load(Settings())
    for index, spec in enumerate(job.tasks):
        if spec.module in registry.names:
            registry.build(spec.module, spec.data, f"tasks[{index}]")


# What the papers say can be done


def blocks(paper: Path, *languages: str) -> list[str]:
    """The fenced blocks of a paper in one of these languages."""
    found = re.findall(r"```(\w*)\n(.*?)```", paper.read_text(), re.DOTALL)
    return [text for language, text in found if language in languages]


def command_lines(paper: Path) -> list[list[str]]:
    """Every ``sisyphus ...`` that a paper shows, as words."""
    text = "\n".join(blocks(paper, "sh")).replace("\\\n", " ")
    lines = [line.split("#")[0] for line in text.splitlines()]
    prose = re.sub(r"```.*?```", "", paper.read_text(), flags=re.DOTALL)
    lines += [" ".join(word.split()) for word in words_in_code(prose)]
    parts = [part for line in lines for part in re.split(r"[|>&]+", line)]
    runs = r"\s*(?:\S*/sisyphus|sisyphus|\$SISYPHUS) (.*)"
    return [found[1].split() for part in parts if (found := re.match(runs, part))]


def refused(words: list[str]) -> str:
    """What is wrong with a shown command; empty when nothing is."""
    name, *rest = words
    if name in ("COMMAND", "--install-completion", "--help", "--version"):
        return ""
    if name not in {entry.name for entry in COMMANDS}:
        return f"no command {name}"
    command: Any = load(name)
    while hasattr(command, "commands") and rest and rest[0] in command.commands:
        command = command.commands[rest.pop(0)]
    if hasattr(command, "commands"):
        return f"no command {' '.join(words)}" if rest else ""
    known = {"--help"} | {flag for p in command.params for flag in p.opts}
    given = [word.split("=")[0] for word in rest if re.match(r"--?[a-z]", word)]
    return next((f"no option {one} of {name}" for one in given if one not in known), "")


@pytest.mark.parametrize("paper", PAPERS, ids=lambda path: path.name)
def test_commands_in_the_papers_exist(paper: Path) -> None:
    wrong = [
        what for words in command_lines(paper) if words and (what := refused(words))
    ]
    assert not wrong


def test_the_page_of_commands_names_them_all() -> None:
    shown = {" ".join(words) for words in command_lines(ROOT / "docs" / "commands.md")}
    missing = [
        path
        for path in all_commands()
        if not any(line == path or line.startswith(f"{path} ") for line in shown)
    ]
    assert not missing


def all_commands() -> list[str]:
    found: list[str] = []
    waiting: list[tuple[str, Any]] = [(e.name, load(e.name)) for e in COMMANDS]
    while waiting:
        path, command = waiting.pop()
        inner = getattr(command, "commands", None)
        if inner is None:
            found.append(path)
        else:
            waiting += [(f"{path} {name}", below) for name, below in inner.items()]
    return found


@pytest.mark.parametrize("paper", PAPERS, ids=lambda path: path.name)
def test_names_in_the_papers_exist(paper: Path) -> None:
    text = paper.read_text()
    settings = {f"SISYPHUS_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"\bSISYPHUS_[A-Z_]+\b", text)) <= settings
    for name in re.findall(r"`Store\.(\w+)", text):
        assert callable(getattr(Store, name, None)), name
    for name in re.findall(r"\bscripts/([\w-]+)", text):
        assert (ROOT / "scripts" / name).exists(), name
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    code = words_in_code(text) + "\n".join(blocks(paper, "sh")).splitlines()
    for line in code:
        if found := re.match(r"make (?:-C \S+ )?([a-z]+)", line):
            assert found[1] in targets, line


def test_the_table_of_settings_is_that_of_the_code() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    writer = runpy.run_path(str(ROOT / "scripts" / "settings_table.py"))
    assert writer["page"](page) == page, "run scripts/write-docs"


# What comes out of the examples

MODULE_PAGES = sorted((ROOT / "docs" / "modules").glob("*.md"))
EXAMPLE = re.compile(r"```json\n([^`]*)```\n\n```sh\n([^`]*)```")
TRACKS = {0: "video", 1: "audio", 2: "subtitles"}
FILM = [
    Track(number, kind, language=language)
    for number, kind, language in (
        (0, "video", "und"),
        (1, "audio", "jpn"),
        (2, "audio", "eng"),
        (3, "subtitles", "eng"),
    )
]


def examples_of_modules() -> list[Any]:
    page = "\n".join(paper.read_text() for paper in MODULE_PAGES)
    stored = {
        match[2]: json.loads(match[1])
        for match in re.finditer(r"echo '(.+)' \| sisyphus data put ffmpeg (\S+)", page)
    }
    return [
        pytest.param(task, command, stored, id=str(number))
        for number, (task, command) in enumerate(EXAMPLE.findall(page))
    ]


@pytest.mark.parametrize(("task", "command", "stored"), examples_of_modules())
def test_examples_of_modules_make_the_shown_command(
    task: str, command: str, stored: dict[str, Any]
) -> None:
    document = {"job_id": "1", "job_title": "t", "tasks": [json.loads(task)]}
    (spec,) = parse_job(json.dumps(document)).tasks
    if spec.module == "mkvmerge":
        settings = MkvmergeSettings.model_validate(spec.data)
        kinds = [TRACKS] * len(settings.files)
        argv = build_argv(settings, kinds, settings.attachments, settings.output_file)
    elif spec.module == "mkvextract":
        wanted = MkvextractSettings.model_validate(spec.data)
        lookup = Lookup("film.mkv", FILM, [Attached(1)])
        found = [lookup.find(one) for one in wanted.wanted()]
        argv = build_extraction(wanted.source, found)
    else:
        (step,) = plan_module(spec.module, spec.data, stored=stored)
        argv = list(step.argv)
    assert argv == shlex.split(command.replace("\\\n", " "))


@pytest.mark.parametrize("page", MODULE_PAGES, ids=lambda page: page.stem)
def test_examples_of_every_module_are_right(page: Path) -> None:
    registry, seen = Registry.load(Settings()), set()
    for block in blocks(page, "json"):
        document = {"job_id": "1", "job_title": "t", "tasks": [json.loads(block)]}
        (spec,) = parse_job(json.dumps(document)).tasks
        registry.build(spec.module, spec.data)
        seen.add(spec.module)
    assert seen == {page.stem}


def test_every_module_has_its_page() -> None:
    names = Registry.load(Settings()).names
    assert [page.stem for page in MODULE_PAGES] == list(names)
