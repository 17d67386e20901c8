"""The fonts of subtitles: what scripts need, what comes along, what is in the folders."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sisyphus.media.font_index import FontIndex, default_memory, index_fonts
from sisyphus.media.fonts import (
    ALL_STYLES,
    SUFFIXES,
    Choice,
    Face,
    Fit,
    NotAFont,
    choose,
    read_faces,
)
from sisyphus.media.matroska import segment_size
from sisyphus.media.progress import gui_line
from sisyphus.media.subtitles import (
    FontNeed,
    Script,
    looks_like_script,
    read_script,
    spellings,
)
from sisyphus.modules.identify import Attached, Identified, Track, identify
from sisyphus.modules.task import Task

_SCRIPTS = frozenset({".ass", ".ssa"})
_CODECS = frozenset({"S_TEXT/ASS", "S_TEXT/SSA", "S_ASS", "S_SSA"})
_MOST_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one font that a script needs."""

    source: int
    path: Path
    track: int | None
    """In which track of a Matroska file the script is."""
    need: FontNeed
    choice: Choice | None
    inside: bool = False
    """Whether the font comes along with the sources or the attachments."""

    @property
    def missing(self) -> bool:
        """Whether text would be shown in another font than it should."""
        if self.inside or not self.need.used:
            return False
        if self.choice is None:
            return True
        # A style names its font; what tags change, players can do themselves.
        return self.choice.fit is Fit.NEAREST and not self.need.by_tag

    @property
    def attached(self) -> Face | None:
        """The font to attach, if one suits."""
        if self.inside or self.choice is None:
            return None
        if self.choice.fit is Fit.NEAREST and not self.need.used:
            return None
        return self.choice.face


@dataclass(frozen=True, slots=True)
class _Subtitles:
    source: int
    path: Path
    track: int | None
    script: Script


@dataclass(frozen=True, slots=True)
class FontSource:
    """A file that may hold scripts, and fonts."""

    number: int
    path: Path
    field: str
    takes: Callable[[Track], bool] = lambda track: True
    """Which of its tracks matter."""
    keeps: Callable[[Identified], Sequence[Attached]] = lambda found: found.attachments
    """Which of its attachments come along."""
    charset: str | None = None


class FontSearch:
    """Looks up the fonts for the scripts in some files."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._folders = [Path(folder) for folder in task.settings.font_folders]
        self._index: FontIndex | None = None
        self._brought: list[Face] = []

    def find(
        self, sources: Iterable[FontSource], attached: Iterable[Path] = ()
    ) -> list[Finding]:
        """Say which fonts are needed, and where they are.

        ``attached`` are further files that come along.

        Raises:
            InvalidSettings: mkvmerge cannot read a source.
            ToolMissing: a source is a Matroska file, and a tool for it is missing.
        """
        self._brought = []
        films: list[tuple[FontSource, Identified]] = []
        scripts: list[_Subtitles] = []
        with _folder(self._task) as folder:
            for source in sources:
                if _is_script(source.path):
                    scripts += self._text(source)
                elif segment_size(source.path) is not None:
                    found = identify(self._task, source.path, source.field)
                    films.append((source, found))
                    scripts += self._tracks(source, found, folder)
            if not scripts:
                return []
            for source, found in films:
                self._take_attachments(source, found, folder)
            for number, one in enumerate(scripts):
                for place, content in enumerate(one.script.embedded.values()):
                    file = folder / f"inside-{number}-{place}"
                    file.write_bytes(content)
                    self._bring(file)
            for path in attached:
                self._bring(path)
        return [
            self._look_up(one, need) for one in scripts for need in one.script.needs
        ]

    def said_of(self, finding: Finding) -> str:
        """Say what a missing font is missing for, and what to do about it."""
        need, choice = finding.need, finding.choice
        whose = "lines of the style" if need.by_tag else "the style"
        track = "" if finding.track is None else f" in track {finding.track}"
        said = f'needs the font "{need}" for {whose} {", ".join(need.styles)}{track}'
        if choice is None:
            places = ", ".join(map(self._place, self._folders)) or "any folder"
            return f"{said}, which is not in {places}: add it there"
        path, style = choice.face.path, choice.face.style
        return (
            f"{said}, but of that family there is only {path} ({style}): add the other,"
            f" or an empty file {path.name}{ALL_STYLES} beside it to have it serve all"
        )

    def _place(self, folder: Path) -> str:
        return f"{folder}" if folder.is_dir() else f"{folder} (not there)"

    # Scripts

    def _text(self, source: FontSource) -> Iterator[_Subtitles]:
        if source.path.stat().st_size > _MOST_BYTES:
            said = f"{source.path.name} is too large to be looked through for fonts"
            self._task.log(said, "warning")
            return
        script = read_script(source.path.read_bytes(), source.charset)
        yield _Subtitles(source.number, source.path, None, script)

    def _tracks(
        self, source: FontSource, found: Identified, folder: Path
    ) -> Iterator[_Subtitles]:
        wanted = {
            track.id: folder / f"track-{source.number}-{track.id}"
            for track in found.tracks
            if track.codec_id in _CODECS and source.takes(track)
        }
        self._extract(source.path, "tracks", wanted)
        for track, file in wanted.items():
            data = file.read_bytes() if file.exists() else b""
            yield _Subtitles(source.number, source.path, track, read_script(data))

    # Fonts that come along

    def _take_attachments(
        self, source: FontSource, found: Identified, folder: Path
    ) -> None:
        wanted = {
            attached.id: folder / f"attached-{source.number}-{attached.id}"
            for attached in source.keeps(found)
            if _may_be_font(attached)
        }
        self._extract(source.path, "attachments", wanted)
        for file in wanted.values():
            self._bring(file)

    def _bring(self, file: Path) -> None:
        with suppress(NotAFont):
            self._brought += read_faces(file)

    def _extract(self, film: Path, what: str, wanted: Mapping[int, Path]) -> None:
        if not wanted:
            return
        places = [f"{number}:{file}" for number, file in wanted.items()]
        argv = ["mkvextract", "--gui-mode", str(film), what, *places]
        self._task.tool(argv, on_line=self._still_there, ok=(0, 1))

    def _still_there(self, text: str) -> bool:
        line = gui_line(text)
        if line is None or line.kind != "progress":
            return False
        self._task.progress()  # no percent: the task itself has not begun
        return True

    # Fonts in the folders

    def _look_up(self, one: _Subtitles, need: FontNeed) -> Finding:
        names = spellings(need.family, one.script.sure)
        own = choose(self._brought, names, need.weight, need.italic)
        found = None
        if own is None or own.fit is not Fit.EXACT:
            found = choose(self._fonts(), names, need.weight, need.italic)
        inside = own is not None and (found is None or found.fit is Fit.NEAREST)
        choice = own if inside else found
        return Finding(one.source, one.path, one.track, need, choice, inside)

    def _fonts(self) -> Sequence[Face]:
        if self._index is None:
            self._index = index_fonts(self._folders, default_memory())
            new = sorted(set(self._index.broken) & self._index.new)
            if new:
                names = ", ".join(map(str, new))
                self._task.log(f"no fonts that can be read: {names}", "warning")
        return self._index.faces


@contextmanager
def _folder(task: Task) -> Iterator[Path]:
    """Lend a folder for what is taken out of films."""
    folder = Path(tempfile.mkdtemp(prefix="fonts-", dir=task.workdir))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _is_script(path: Path) -> bool:
    if path.suffix.lower() in _SCRIPTS:
        return True
    with path.open("rb") as file:
        return looks_like_script(file.read(4096))


def _may_be_font(attached: Attached) -> bool:
    kind = attached.mimetype.lower()
    named = Path(attached.name).suffix.lower() in SUFFIXES
    return named or any(word in kind for word in ("font", "truetype", "opentype"))
