"""What a HandBrake task's data looks like: the 2021 dialect and the newer one.

In the newer one each section has its own options, and their types are checked. In the
older one sections are for the eye: any option may stand in any of them, under any of its
names. A section, a name or a place that only the older one knows makes it that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    TypeAdapter,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
    field_validator,
    model_validator,
)

from sisyphus.modules.base import ModuleSettings
from sisyphus.modules.fields import InputFile, OutputFile
from sisyphus.modules.handbrake_options import (
    FILES,
    KNOWN,
    MAY_ALLOW,
    TRACK_LISTS,
    TRACK_MARKS,
    check_known,
    long_name,
)
from sisyphus.modules.handbrake_sections import (
    AudioOptions,
    DestinationOptions,
    FiltersOptions,
    PictureOptions,
    Section,
    SourceOptions,
    SubtitlesOptions,
    VideoOptions,
)
from sisyphus.modules.handbrake_types import refuse
from sisyphus.modules.handbrake_values import check_value
from sisyphus.modules.options import Allowed
from sisyphus.modules.verifying import VerifiedSettings

_SECTIONS: Mapping[str, type[Section]] = {
    "source_options": SourceOptions,
    "destination_options": DestinationOptions,
    "video_options": VideoOptions,
    "audio_options": AudioOptions,
    "picture_options": PictureOptions,
    "filters_options": FiltersOptions,
    "subtitles_options": SubtitlesOptions,
}
_ONLY_OLDER = frozenset({"general_options", "audio_tracks", "subtitle_tracks"})
_ONLY_NEWER = frozenset({"audio_options", "subtitles_options"})
_OLDER_ORDER = (
    "general_options",
    "source_options",
    "destination_options",
    "video_options",
    "audio_tracks",
    "audio_options",
    "picture_options",
    "filters_options",
    "subtitle_tracks",
    "subtitles_options",
)
_PATHS: TypeAdapter[tuple[Path, ...]] = TypeAdapter(tuple[InputFile, ...])


# The older dialect


class _Older(dict[str, Any]):
    """A section that is to be read as the older dialect means it."""


def _any_options(options: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
    allowed = Allowed.in_validation(info)
    checked: dict[str, Any] = {}
    wrong: dict[str, tuple[Any, str]] = {}
    for name, value in options.items():
        try:
            checked[name] = _checked(name, value, allowed)
        except ValueError as error:
            wrong[name] = (value, str(error))
    refuse("options", wrong)
    return checked


def _checked(name: str, value: Any, allowed: Allowed) -> Any:
    """Check an option; give its value, files as absolute paths."""
    long = check_known(name)
    if long in MAY_ALLOW:
        name = long.replace("-", "_")
        allowed.check(name, "reads or writes files of its own choice")
    check_value(long, value, allowed)
    if long in FILES and value is not False:
        return _PATHS.validate_python(
            value.split(",") if isinstance(value, str) else value
        )
    if long == "markers" and isinstance(value, str):
        return _PATHS.validate_python([value])[0]
    return value


AnyOptions = Annotated[
    dict[str, Any],
    AfterValidator(_any_options),
    WithJsonSchema(
        {
            "type": "object",
            "title": "Any options",
            "description": "Any options of HandBrakeCLI by name, long or short.",
            "examples": [{"preset": "Fast 1080p30", "q": 22}],
        }
    ),
]
_ANY: TypeAdapter[dict[str, Any]] = TypeAdapter(AnyOptions)


def _by_dialect(
    value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo
) -> Any:
    if isinstance(value, _Older):
        return _ANY.validate_python(value, context=info.context)
    section = _SECTIONS[str(info.field_name)]
    return section.model_validate(value, context=info.context)


_ByDialect = WrapValidator(_by_dialect)


class Track(ModuleSettings):
    """One track to take, with options of its own, also without the word options."""

    model_config = ConfigDict(json_schema_extra={"additionalProperties": True})

    of: ClassVar[Literal["audio", "subtitle"]]

    track: int = Field(ge=1, description="Its number, from 1.")
    options: dict[str, Any] = Field(
        default_factory=dict, description="Its options by name."
    )

    @model_validator(mode="before")
    @classmethod
    def _gathered(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not isinstance(data.get("options", {}), dict):
            return data
        beside = {k: v for k, v in data.items() if k not in ("track", "options")}
        gathered = {"options": {**data.get("options", {}), **beside}}
        return {"track": data["track"], **gathered} if "track" in data else gathered

    @field_validator("options")
    @classmethod
    def _of_a_track(cls, options: dict[str, Any]) -> dict[str, Any]:
        wrong: dict[str, tuple[Any, str]] = {}
        for name, value in options.items():
            try:
                cls._check(name, value)
            except ValueError as error:
                wrong[name] = (value, str(error))
        refuse("options", wrong)
        return options

    @classmethod
    def _check(cls, name: str, value: Any) -> None:
        long = check_known(name)
        if cls.of == "subtitle" and long in TRACK_MARKS:
            if value is not None and not isinstance(value, bool):
                raise ValueError("must be true or false")
        elif long not in TRACK_LISTS[cls.of]:
            raise ValueError(f"is not an option of a single {cls.of} track")
        elif isinstance(value, list | dict) or (
            value is True and long != "normalize-mix"
        ):
            raise ValueError("must be a single value")
        else:
            check_value(long, [value])


class AudioTrack(Track):
    """One audio track to take."""

    of = "audio"


class SubtitleTrack(Track):
    """One subtitle track to take."""

    of = "subtitle"

    track: int | Literal["scan"] = Field(  # type: ignore[assignment]
        description='Its number, from 1, or "scan".'
    )


# Both


class HandbrakeSettings(VerifiedSettings):
    """Encode a film, or one title of a disc's image, with HandBrakeCLI."""

    source: InputFile
    output_file: OutputFile
    general_options: AnyOptions = Field(
        default_factory=dict, description="Options of any kind (2021)."
    )
    source_options: Annotated[SourceOptions | AnyOptions, _ByDialect] = Field(
        default_factory=SourceOptions, description="What is read of the source."
    )
    destination_options: Annotated[DestinationOptions | AnyOptions, _ByDialect] = Field(
        default_factory=DestinationOptions, description="The container."
    )
    video_options: Annotated[VideoOptions | AnyOptions, _ByDialect] = Field(
        default_factory=VideoOptions, description="How the picture is encoded."
    )
    audio_options: Annotated[AudioOptions | AnyOptions, _ByDialect] = Field(
        default_factory=AudioOptions, description="Which sound is taken, and how."
    )
    audio_tracks: tuple[AudioTrack, ...] = Field(
        (), description="Audio tracks to take, in order (2021)."
    )
    picture_options: Annotated[PictureOptions | AnyOptions, _ByDialect] = Field(
        default_factory=PictureOptions, description="Size and shape of the picture."
    )
    filters_options: Annotated[FiltersOptions | AnyOptions, _ByDialect] = Field(
        default_factory=FiltersOptions, description="Filters of the picture."
    )
    subtitles_options: Annotated[SubtitlesOptions | AnyOptions, _ByDialect] = Field(
        default_factory=SubtitlesOptions, description="Which subtitles are taken."
    )
    subtitle_tracks: tuple[SubtitleTrack, ...] = Field(
        (), description="Subtitle tracks to take, in order (2021)."
    )
    _order: tuple[str, ...] = PrivateAttr(())

    @model_validator(mode="wrap")
    @classmethod
    def _dialect(cls, data: Any, build: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(data, dict):
            return build(data)
        order = tuple(name for name in data if name in _OLDER_ORDER)
        if _is_older(data):
            order = tuple(name for name in _OLDER_ORDER if name in data)
            data = {name: _as_older(name, value) for name, value in data.items()}
        made = build(data)
        made._order = order
        return made

    @field_validator("subtitle_tracks")
    @classmethod
    def _one_at_most(cls, tracks: tuple[SubtitleTrack, ...]) -> Any:
        for long in ("subtitle-burned", "subtitle-default"):
            if sum(_of_track(track, long) for track in tracks) > 1:
                name = long.replace("-", "_")
                raise ValueError(f"only one track may have {name}")
        return tracks

    @field_validator("output_file")
    @classmethod
    def _not_its_own_source(cls, path: Path, info: ValidationInfo) -> Path:
        if path == info.data.get("source"):
            raise ValueError("must not be the source")
        return path

    @property
    def groups(self) -> Iterator[tuple[str, Sequence[tuple[str, Any]]]]:
        """The sections that the job has, in order: each one's name and its options."""
        for name in self._order:
            section = getattr(self, name)
            if isinstance(section, Section):
                yield name, list(section.given.items())
            elif isinstance(section, dict):
                yield name, list(section.items())
            else:
                yield name, list(_lists(section))

    @property
    def options(self) -> Mapping[str, Any]:
        """All options by their long names; of a name that stands twice, the last."""
        return {
            long_name(name): value
            for _, options in self.groups
            for name, value in options
        }

    def field_of(self, long: str) -> str:
        """Name the field that holds an option, for what is said about it."""
        for group, options in self.groups:
            for name, _ in options:
                if long_name(name) == long:
                    return group if group.endswith("_tracks") else f"{group}.{name}"
        return "source"

    @property
    def files(self) -> Sequence[tuple[str, Path]]:
        """The files that options read, each with the field that names it."""
        return [
            (f"{group}.{name}", path)
            for group, options in self.groups
            for name, value in options
            for path in (value if isinstance(value, tuple) else (value,))
            if isinstance(path, Path)
        ]


def _is_older(data: Mapping[str, Any]) -> bool:
    """Tell whether anything in a task's data is of the older dialect only."""
    if _ONLY_OLDER & data.keys():
        return True
    return not _ONLY_NEWER & data.keys() and any(
        _is_older_name(section, str(name))
        for key, section in _SECTIONS.items()
        if isinstance(data.get(key), dict)
        for name in data[key]
    )


def _is_older_name(section: type[Section], name: str) -> bool:
    if name in section.model_fields or name in section.aliases:
        return False
    return "-" in name or len(name) == 1 or long_name(name) in KNOWN


def _as_older(name: str, value: Any) -> Any:
    return _Older(value) if name in _SECTIONS and isinstance(value, dict) else value


def _lists(tracks: Sequence[Track]) -> Iterator[tuple[str, Any]]:
    """Turn tracks into options: each a list with one item for each track."""
    if not tracks:
        return
    names: dict[str, str] = {}
    for track in tracks:
        for name in track.options:
            names.setdefault(long_name(name), name)
    for long, name in names.items():
        values = [_of_track(track, long) for track in tracks]
        if long in TRACK_MARKS:
            marked = [n for n, value in enumerate(values, 1) if value is not False]
            yield name, marked or False
        elif any(value is not None for value in values):
            yield name, values
    yield tracks[0].of, [track.track for track in tracks]


def _of_track(track: Track, long: str) -> Any:
    """Give a track's value; without one ``False`` for marks, ``None`` for others."""
    marks = long in TRACK_MARKS
    for name, value in track.options.items():
        if long_name(name) == long:
            if marks:
                return value is not False
            return None if value is False and long != "normalize-mix" else value
    return False if marks else None
