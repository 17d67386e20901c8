"""What an mkvmerge task's data looks like: the 2021 dialect and the newer one.

Sources that are plain paths make it the older one: everything in the sources is copied,
``tracks`` only adds options. If any source is an object, only listed tracks are copied.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)

from sisyphus.modules.base import ModuleSettings
from sisyphus.modules.fields import InputFile, OutputFile
from sisyphus.modules.options import (
    Allowed,
    OptionValue,
    check_name,
    check_text,
    rendered,
    words,
)

FLAGS = words(
    "abort-on-warnings clusters-in-meta-seek disable-lacing disable-language-ietf"
    " disable-track-statistics-tags enable-durations enable-legacy-font-mime-types"
    " flush-on-close no-attachments no-audio no-buttons no-chapters no-cues no-date"
    " no-global-tags no-subtitles no-track-tags no-video webm"
)
"""Options that stand alone."""
_STAND_ALONE = FLAGS | {"link"}

_FREE_TEXT = words(
    "attachment-description attachment-name cue-chapter-name-format"
    " generate-chapters-name-template title track-name"
)
_FILES = words("attach-file attach-file-once chapters global-tags segmentinfo")
_TRACK_FILES = words("tags timecodes timestamps")

_ELSEWHERE = words("append-mode append-to output track-order")
_SERIES = words("split split-max-files link link-to-next link-to-previous")
_CONTROL = words(
    "capabilities command-line-charset debug engage gui-mode help identification-format"
    " identify identify-for-gui identify-for-mmg identify-verbose"
    " list-audio-emphasis list-languages list-stereo-modes list-types output-charset"
    " quiet redirect-output verbose version"
)
_REFUSED: dict[str, str] = {
    **dict.fromkeys(_ELSEWHERE, "is made from the other settings"),
    **dict.fromkeys(_SERIES, "makes more than one file, which a task may not"),
    **dict.fromkeys(
        _CONTROL, "controls the program itself, which is the worker's part"
    ),
}
PLAYLISTS = frozenset({"mpls"})
"""Sources by which mkvmerge opens other files."""
MAY_ALLOW = _SERIES | words("append-mode append-to format.mpls")
"""What stands after ``mkvmerge.`` in ``allowed_options``."""

_ALIASES = ("track-title", "title")
"""Not options of tracks, but written in old examples for ``track-name``."""


def files_in(options: dict[str, OptionValue]) -> list[Path]:
    """List the files that options read."""
    return [
        Path(_file_of(name, value)[1])
        for name, value in options.items()
        if isinstance(value, str) and name in _FILES | _TRACK_FILES
    ]


def _file_of(name: str, value: str) -> tuple[str, str]:
    """Split off what may stand in front of a path: a track's id, with its colon."""
    if name in _TRACK_FILES and ":" in value.split("/")[0]:
        track, colon, path = value.partition(":")
        return track + colon, path
    return "", value


def _absolute_file(name: str, value: OptionValue) -> OptionValue:
    if not isinstance(value, str) or name not in _FILES | _TRACK_FILES:
        return value
    start, path = _file_of(name, value)
    if not path.strip() or "\0" in path:
        raise ValueError(f"{name} needs a path, got {value!r}")
    return f"{start}{Path(path).absolute()}"


def _checked_options(
    options: dict[str, OptionValue], info: ValidationInfo
) -> dict[str, OptionValue]:
    allowed = Allowed.in_validation(info)
    for name, value in options.items():
        if not name.startswith("_"):
            _check_option(name, value, allowed)
    # The tool runs in another folder, from which a relative path would lead elsewhere.
    return {name: _absolute_file(name, value) for name, value in options.items()}


def _check_option(name: str, value: OptionValue, allowed: Allowed) -> None:
    check_name(name)
    if name in _REFUSED:
        refusal = f"the option {name!r} {_REFUSED[name]}"
        if name not in MAY_ALLOW:
            raise ValueError(refusal)
        allowed.check(name, refusal)
    is_flag = value is None or isinstance(value, bool)
    # Either mistake would turn a later argument into the name of a source.
    if name in _STAND_ALONE and not is_flag:
        raise ValueError(f"the option {name!r} takes no value: write null or true")
    if name not in _STAND_ALONE and (value is None or value is True):
        raise ValueError(f"the option {name!r} needs a value")
    if name in _FILES | _TRACK_FILES:
        if not isinstance(value, str | bool):
            raise ValueError(f"{name} needs a path, as text")
    elif not is_flag and name not in _FREE_TEXT:
        check_text(name, rendered(value), allowed)


def _track_options(
    options: dict[str, OptionValue], info: ValidationInfo
) -> dict[str, OptionValue]:
    checked = _checked_options(_without_aliases(options), info)
    return {name: checked.get(name, value) for name, value in options.items()}


def _without_aliases(options: dict[str, OptionValue]) -> dict[str, OptionValue]:
    return {
        "track-name" if name in _ALIASES else name: value
        for name, value in options.items()
        if name not in _ALIASES or "track-name" not in options
    }


Options = Annotated[
    dict[str, OptionValue],
    AfterValidator(_checked_options),
    Field(
        description="Options by name, without '--'; null or true for those without a"
        " value, false for none.",
        examples=[{"title": "A film", "no-global-tags": None}],
    ),
]
TrackOptions = Annotated[
    dict[str, OptionValue],
    AfterValidator(_track_options),
    Field(
        description="Options of this track by name, without '--' and without its id.",
        examples=[{"language": "eng", "track-name": "Stereo"}],
    ),
]


class SourceFile(ModuleSettings):
    """A source with options of its own."""

    filename: InputFile
    options: Options = Field(default_factory=dict)


class Track(ModuleSettings):
    """One track of the output."""

    source: int = Field(ge=0, strict=True, description="Which source, counted from 0.")
    track: int = Field(ge=0, strict=True, description="The track's id in that source.")
    options: TrackOptions = Field(default_factory=dict)

    @property
    def named_options(self) -> dict[str, OptionValue]:
        """The options under the names that mkvmerge knows."""
        return _without_aliases(self.options)

    @property
    def uses_alias(self) -> bool:
        """Whether a name of old examples stands among the options."""
        return any(name in self.options for name in _ALIASES)


class Attachment(ModuleSettings):
    """A file to attach."""

    filename: InputFile
    name: str | None = Field(None, description="Default: the file's name.")
    mimetype: str | None = Field(
        None, description="Default: what mkvmerge takes it for; also mime_type."
    )

    @model_validator(mode="before")
    @classmethod
    def _other_name(cls, data: Any) -> Any:
        if isinstance(data, dict) and "mime_type" in data and "mimetype" not in data:
            return {("mimetype" if k == "mime_type" else k): data[k] for k in data}
        return data


def _form(value: Any) -> str:
    return "object" if isinstance(value, dict | SourceFile) else "path"


Source = Annotated[
    Annotated[InputFile, Tag("path")] | Annotated[SourceFile, Tag("object")],
    Discriminator(_form),
]


class MkvmergeSettings(ModuleSettings):
    """Put tracks of one or more files into one Matroska file."""

    sources: tuple[Source, ...] = Field(
        min_length=1,
        max_length=1000,
        description="Files to read. Plain paths: all their tracks are copied. Objects:"
        " only listed tracks are.",
    )
    tracks: tuple[Track, ...] = Field(
        min_length=1, description="Tracks in the order of the output."
    )
    output_file: OutputFile
    options: Options = Field(default_factory=dict)
    attachments: tuple[Attachment, ...] = Field((), description="Files to attach.")
    attachment_directories: tuple[Path, ...] = Field(
        (),
        description="Folders of which every file is attached, without those below.",
        json_schema_extra={"items": {"type": "string", "format": "path"}},
    )
    verify: Literal["quick", "decode", "off"] = Field(
        "quick", description="How thoroughly the output is checked."
    )

    @field_validator("verify", mode="before")
    @classmethod
    def _no_quality(cls, verify: Any) -> Any:
        if verify == "quality":
            raise ValueError(
                "must be quick, decode or off: merging changes no picture, so there is"
                " nothing to compare"
            )
        return verify

    @field_validator("attachment_directories")
    @classmethod
    def _absolute(cls, folders: tuple[Path, ...]) -> tuple[Path, ...]:
        if any(not str(folder).strip() or "\0" in str(folder) for folder in folders):
            raise ValueError("must be paths")
        return tuple(folder.absolute() for folder in folders)

    @field_validator("tracks")
    @classmethod
    def _known_sources(cls, tracks: tuple[Track, ...], info: Any) -> Any:
        count = len(info.data.get("sources", ())) or None
        for number, track in enumerate(tracks):
            if count is not None and track.source >= count:
                raise ValueError(
                    f"entry {number} names source {track.source}, but there are only"
                    f" {count}, counted from 0"
                )
        return tracks

    @field_validator("output_file")
    @classmethod
    def _not_a_source(cls, path: Path, info: Any) -> Path:
        if path in [_path(source) for source in info.data.get("sources", ())]:
            raise ValueError("must not be one of the sources")
        return path

    @property
    def selects(self) -> bool:
        """Whether only listed tracks are copied."""
        return any(isinstance(source, SourceFile) for source in self.sources)

    @property
    def files(self) -> tuple[SourceFile, ...]:
        """All sources in the newer form."""
        return tuple(
            source
            if isinstance(source, SourceFile)
            else SourceFile.model_construct(filename=source, options={})
            for source in self.sources
        )


def _path(source: Path | SourceFile) -> Path:
    return source.filename if isinstance(source, SourceFile) else source
