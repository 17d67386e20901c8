"""``sisyphus fonts``: which fonts subtitles need, and which are there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from sisyphus.cli import render
from sisyphus.cli.options import AsJson, group, settings_of
from sisyphus.errors import ConfigError, InvalidSettings
from sisyphus.media.font_index import default_memory, index_fonts
from sisyphus.media.fonts import Face, Fit, fold
from sisyphus.modules.base import Module, NoSettings
from sisyphus.modules.control import Control
from sisyphus.modules.font_search import Finding, FontSearch, FontSource
from sisyphus.modules.task import Surroundings, Task
from sisyphus.modules.tool import Tools
from sisyphus.settings import Settings

app = group("See which fonts subtitles need, and which are there.")

FontFolders = Annotated[
    list[Path] | None,
    typer.Option(
        "--font-folder",
        metavar="DIR",
        help="Look here instead; may be repeated.",
        show_default="the setting font_folders",
    ),
]


@app.command()
def check(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="ASS, SSA or Matroska files."),
    ],
    folders: FontFolders = None,
    as_json: AsJson = False,
) -> None:
    """Say which style of some subtitles needs which font, and where it is.

    Looks where mkvmerge tasks look here. Ends with 1 if a font is missing.
    """
    settings = settings_of(font_folders=_given(folders))
    for file in files:
        if not file.is_file():
            raise ConfigError(f"{file} is not a file")
    with _task(settings) as task:
        search = FontSearch(task)
        sources = [
            FontSource(number, file.absolute(), file.name)
            for number, file in enumerate(files)
        ]
        try:
            findings = [found for one in sources for found in search.find([one])]
        except InvalidSettings as error:
            problem = error.problems[0]
            raise ConfigError(f"{problem.value}: {problem.expected}") from None
    if as_json:
        render.emit_json([_as_json(files, finding) for finding in findings])
    else:
        _show(files, findings)
        for finding in findings:
            if finding.missing:
                render.complain(f"{files[finding.source]} {search.said_of(finding)}")
    raise typer.Exit(1 if any(finding.missing for finding in findings) else 0)


@app.command("list")
def list_fonts(
    family: Annotated[
        str | None, typer.Argument(metavar="FAMILY", help="Only fonts with this name.")
    ] = None,
    folders: FontFolders = None,
    as_json: AsJson = False,
) -> None:
    """List the fonts that subtitles can get here."""
    settings = settings_of(font_folders=_given(folders))
    index = index_fonts(settings.font_folders, default_memory())
    faces = [face for face in index.faces if family is None or _has_name(face, family)]
    faces.sort(key=lambda face: (fold(face.family), face.weight, face.italic))
    if as_json:
        members = ("family", "style", "weight", "italic", "families", "path")
        render.emit_json(
            [{name: getattr(face, name) for name in members} for face in faces]
        )
    else:
        table = render.table("FAMILY", "STYLE", "WEIGHT", "FILE", right="WEIGHT")
        for face in faces:
            table.add_row(
                render.plain(face.family),
                render.plain(face.style),
                str(face.weight),
                render.plain(face.path),
            )
        render.show(table)
    for said in index.broken.values():
        render.warn(said)


def _given(folders: list[Path] | None) -> list[Path] | None:
    for folder in folders or ():
        if not folder.is_dir():
            raise ConfigError(f"--font-folder: {folder} is not a folder")
    return [folder.absolute() for folder in folders] if folders else None


def _has_name(face: Face, family: str) -> bool:
    names = face.families | face.typographic | face.full_names
    return fold(family) in names


@contextmanager
def _task(settings: Settings) -> Iterator[Task]:
    """Lend what runs tools, and clears up behind them."""
    around = Surroundings(
        settings=settings,
        tools=Tools.of(settings),
        control=Control(),
        on_progress=lambda progress: None,
        on_log=_warning,
        confirm=lambda: None,
        stored=lambda module, name: None,
    )
    nothing = Module(NoSettings())
    with Task(
        around, job_id="fonts", job_title="fonts", token=1, index=0, module=nothing
    ) as task:
        yield task


def _warning(level: str, text: str) -> None:
    if level != "info":
        render.warn(text)


# Showing


def _show(files: list[Path], findings: list[Finding]) -> None:
    if not findings:
        render.note("No subtitles in these files need a font.")
        return
    table = render.table("FILE", "STYLE", "FONT", "FOUND", flexible="STYLE")
    for finding in findings:
        place = str(files[finding.source])
        if finding.track is not None:
            place += f" track {finding.track}"
        table.add_row(
            render.plain(place),
            render.cut(", ".join(finding.need.styles)),
            render.plain(finding.need),
            _found(finding),
        )
    render.show(table)


def _found(finding: Finding) -> Text:
    face = finding.choice.face if finding.choice else None
    if finding.missing:
        said = f"missing; there is {face.path.name}" if face else "missing"
        return render.plain(said, "red")
    if finding.inside and face:
        return render.plain(f"comes along: {face.name}")
    if finding.attached and finding.choice:
        said = str(finding.attached.path)
        nearest = finding.choice.fit is Fit.NEAREST
        return render.plain(f"{said} (as near as there is)" if nearest else said)
    return render.plain("not there, and no text is set in it", render.QUIET)


def _as_json(files: list[Path], finding: Finding) -> dict[str, Any]:
    need, found = finding.need, finding.attached
    return {
        "file": str(files[finding.source]),
        "track": finding.track,
        "styles": list(need.styles),
        "family": need.family,
        "weight": need.weight,
        "italic": need.italic,
        "used": need.used,
        "by_tag": need.by_tag,
        "missing": finding.missing,
        "comes_along": finding.inside,
        "font": str(found.path) if found and not finding.missing else None,
    }
