"""The sections of the newer dialect: each with its own options, all of them typed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationInfo,
    model_validator,
)

from sisyphus.modules.base import ModuleSettings
from sisyphus.modules.fields import InputFile
from sisyphus.modules.handbrake_options import check_known, long_name
from sisyphus.modules.handbrake_types import (
    CROP,
    ENCOPTS,
    PIXEL_ASPECT,
    PLACE,
    SELECTED,
    SELECTED_OR_NATIVE,
    SUBTITLES,
    Code,
    Compression,
    Count,
    FilterValue,
    Flag,
    Int,
    Integer,
    Listed,
    ListedTexts,
    Number,
    OneOf,
    Text,
    refuse,
)
from sisyphus.modules.handbrake_values import check_value
from sisyphus.modules.options import Allowed
from sisyphus.problems import did_you_mean


class Section(ModuleSettings):
    """Options of one kind, in the order of the job."""

    aliases: ClassVar[dict[str, str]] = {}
    """Names of old examples."""
    _given: dict[str, Any] = PrivateAttr(default_factory=dict)

    @model_validator(mode="wrap")
    @classmethod
    def _checked(
        cls, data: Any, build: ModelWrapValidatorHandler[Self], info: ValidationInfo
    ) -> Self:
        if not isinstance(data, dict):
            return build(data)
        named: dict[str, Any] = {
            cls.aliases.get(name) or name: value for name, value in data.items()
        }
        allowed = Allowed.in_validation(info)
        wrong: dict[str, tuple[Any, str]] = {}
        for name, value in named.items():
            try:
                cls._check(name, value, allowed)
            except ValueError as error:
                wrong[name] = (value, str(error))
        refuse(cls.__name__, wrong)
        # False means the same for all options, whatever their type.
        on = {name: value for name, value in named.items() if value is not False}
        made = build(on)
        made._given = {
            name: getattr(made, name) if name in on else False for name in named
        }
        return made

    @classmethod
    def _check(cls, name: str, value: Any, allowed: Allowed) -> None:
        if name not in cls.model_fields:
            check_known(name)
            hint = did_you_mean(name, cls.model_fields)
            raise ValueError(f"does not belong into this section{hint}")
        check_value(long_name(name), value, allowed)

    @property
    def given(self) -> Mapping[str, Any]:
        """The options that the job gives, with their values, in its order."""
        return self._given


class SourceOptions(Section):
    """What is read of the source."""

    title: Count = Field(None, description="Title of a disc's image, from 1.")
    min_duration: Number = Field(
        None, description="Titles of fewer seconds are left out."
    )
    main_feature: Flag = Field(None, description="Take the main title.")
    chapters: Code = Field(None, description='Chapters, such as "1-3" or "3".')
    angle: Count = Field(None, description="Angle of a DVD or Blu-ray.")
    previews: Code = Field(None, description="How many pictures the crop is found by.")
    start_at_preview: Count = Field(None, description="Start at this picture.")
    start_at: Annotated[Any, PLACE] = Field(
        None, description="Where to start, in one unit; pts run at 90 kHz."
    )
    stop_at: Annotated[Any, PLACE] = Field(
        None, description="How much to encode, in the unit of start_at."
    )


class DestinationOptions(Section):
    """The container."""

    format: Annotated[str | None, OneOf("format")] = Field(
        None, description="Container; default: by the ending of output_file."
    )
    markers: Flag = Field(None, description="Chapter markers.")
    optimize: Flag = Field(None, description="Index at the front, for the web (mp4).")
    ipod_atom: Flag = Field(None, description="For old iPods (mp4).")
    align_av: Flag = Field(None, description="Let all streams start together.")
    inline_parameter_sets: Flag = Field(
        None, description="Parameter sets before each key frame, for streaming."
    )


class VideoOptions(Section):
    """How the picture is encoded."""

    encoder: Annotated[str | None, OneOf("encoder")] = Field(
        None, description="Encoder of the picture."
    )
    encoder_preset: Code = Field(None, description="The encoder's own preset.")
    encoder_tune: Text = Field(None, description="The encoder's own tuning.")
    encoder_profile: Text = Field(None, description="Profile of the format.")
    encoder_level: Code = Field(None, description='Level of the format, such as "4.1".')
    encopts: Annotated[Any, ENCOPTS] = Field(
        None, description="The encoder's own options; null for a bare name."
    )
    quality: Number = Field(None, description="Constant quality; smaller is better.")
    vb: Count = Field(None, description="Bitrate in kbit/s.")
    two_pass: Flag = Field(None, description="Two passes, to meet a bitrate.")
    turbo: Flag = Field(None, description="A quick first pass (x264, x265).")
    rate: Number = Field(None, description="Frames per second.")
    vfr: Flag = Field(None, description="Keep the source's times.")
    cfr: Flag = Field(None, description="A constant rate.")
    pfr: Flag = Field(None, description="rate as the highest rate.")
    enable_hw_decoding: bool | Text = Field(
        None, description="Decode with this hardware; true is nvdec."
    )
    disable_hw_decoding: Flag = Field(None, description="Decode without hardware.")


class AudioOptions(Section):
    """Which sound is taken, and how it is encoded; one item for each taken track."""

    audio_lang_list: Listed[str] = Field(None, description="Languages to take.")
    all_audio: Flag = Field(None, description="All tracks of these languages.")
    first_audio: Flag = Field(None, description="The first of these languages.")
    audio: Listed[Count | str] = Field(
        None, description="Tracks to take, from 1; null for none."
    )
    aencoder: Listed[Annotated[str | None, OneOf("aencoder")]] = Field(
        None, description="Encoders."
    )
    audio_copy_mask: Listed[str] = Field(
        None, description="Formats that copy may copy, such as aac and ac3."
    )
    audio_fallback: Text = Field(
        None, description="Encoder for what copy cannot copy; none drops the track."
    )
    ab: Listed[Count] = Field(None, description="Bitrates in kbit/s.")
    aq: Listed[Number] = Field(None, description="Qualities, as the encoder counts.")
    ac: Listed[Number] = Field(None, description="Compression levels.")
    mixdown: Listed[Annotated[str | None, OneOf("mixdown")]] = Field(
        None, description="Channels."
    )
    normalize_mix: Listed[Flag] = Field(None, description="Keep mixes from clipping.")
    arate: Listed[Number | str] = Field(
        None, description='Sample rates in kHz, or "auto".'
    )
    drc: Listed[Compression] = Field(
        None, description="Dynamic range compression, 1 to 4; 0 is off."
    )
    gain: Listed[Number] = Field(None, description="Gain in dB.")
    adither: Listed[Annotated[str | None, OneOf("adither")]] = Field(
        None, description="Dithering."
    )
    aname: ListedTexts[str] = Field(None, description="Names.")


class PictureOptions(Section):
    """Size and shape of the picture."""

    width: Count = Field(None, description="Width in pixels, as stored.")
    height: Count = Field(None, description="Height in pixels, as stored.")
    max_width: Count = Field(None, description="Greatest width.")
    max_height: Count = Field(None, description="Greatest height.")
    crop_mode: Annotated[str | None, OneOf("crop-mode")] = Field(
        None, description="How borders are found."
    )
    crop: Annotated[Any, CROP] = Field(
        None, description="Pixels to cut off; 0 for a side that is not named."
    )
    crop_threshold_pixels: Int = Field(None, description="Tolerance of the crop.")
    crop_threshold_frames: Int = Field(None, description="Pictures that must differ.")
    non_anamorphic: Flag = Field(None, description="Square pixels.")
    auto_anamorphic: Flag = Field(None, description="Pixels for the most resolution.")
    loose_anamorphic: Flag = Field(None, description="Pixels much like the source's.")
    custom_anamorphic: Flag = Field(None, description="Pixels as the job says.")
    display_width: Count = Field(None, description="Width when shown.")
    keep_display_aspect: Flag = Field(None, description="Keep the shape when shown.")
    pixel_aspect: Annotated[str | None, PIXEL_ASPECT] = Field(
        None, description='Shape of the pixels, such as "16:15".'
    )
    itu_par: Flag = Field(None, description="Wider pixels by ITU.")
    modulus: Count = Field(None, description="Sizes are multiples of this.")
    color_matrix: Annotated[str | None, OneOf("color-matrix")] = Field(
        None, description="Colour space to signal, without converting."
    )


class FiltersOptions(Section):
    """Filters: true for the default, false for none, a preset, or settings."""

    comb_detect: Annotated[Any, FilterValue("comb-detect")] = Field(
        None, description="Find combed frames; others may then filter only those."
    )
    deinterlace: Annotated[Any, FilterValue("deinterlace")] = Field(
        None, description="Deinterlace with yadif."
    )
    bwdif: Annotated[Any, FilterValue("bwdif")] = Field(
        None, description="Deinterlace with bwdif."
    )
    decomb: Annotated[Any, FilterValue("decomb")] = Field(
        None, description="Deinterlace in several ways."
    )
    detelecine: Annotated[Any, FilterValue("detelecine")] = Field(
        None, description="Take back a telecine; makes fewer frames."
    )
    hqdn3d: Annotated[Any, FilterValue("hqdn3d")] = Field(
        None, description="Denoise, fast."
    )
    nlmeans: Annotated[Any, FilterValue("nlmeans")] = Field(
        None, description="Denoise, well."
    )
    nlmeans_tune: Annotated[str | None, OneOf("nlmeans-tune")] = Field(
        None, description="Kind of film, for presets."
    )
    chroma_smooth: Annotated[Any, FilterValue("chroma-smooth")] = Field(
        None, description="Smooth colours."
    )
    chroma_smooth_tune: Annotated[str | None, OneOf("chroma-smooth-tune")] = Field(
        None, description="Reach, for presets."
    )
    unsharp: Annotated[Any, FilterValue("unsharp")] = Field(
        None, description="Sharpen with an unsharp mask."
    )
    unsharp_tune: Annotated[str | None, OneOf("unsharp-tune")] = Field(
        None, description="Fineness, for presets."
    )
    lapsharp: Annotated[Any, FilterValue("lapsharp")] = Field(
        None, description="Sharpen with a Laplacian."
    )
    lapsharp_tune: Annotated[str | None, OneOf("lapsharp-tune")] = Field(
        None, description="Kind of film, for presets."
    )
    deblock: Annotated[Any, FilterValue("deblock")] = Field(
        None, description="Remove blocks."
    )
    deblock_tune: Annotated[str | None, OneOf("deblock-tune")] = Field(
        None, description="Size of the blocks, for presets."
    )
    rotate: Annotated[Any, FilterValue("rotate")] = Field(
        None, description="Turn by 0, 90, 180 or 270 degrees, or mirror."
    )
    pad: Annotated[Any, FilterValue("pad")] = Field(
        None, description="Put borders around."
    )
    colorspace: Annotated[Any, FilterValue("colorspace")] = Field(
        None, description="Convert the colour space."
    )
    grayscale: Flag = Field(None, description="Without colours.")


class SubtitlesOptions(Section):
    """Which subtitles are taken, and how; files may be added."""

    aliases: ClassVar[dict[str, str]] = {"first_subtitle": "first_subtitles"}

    subtitle_lang_list: Listed[str] = Field(None, description="Languages to take.")
    all_subtitles: Flag = Field(None, description="All tracks of these languages.")
    first_subtitles: Flag = Field(None, description="The first of these languages.")
    subtitle: Annotated[Any, SUBTITLES] = Field(
        None, description='Tracks to take, from 1, or "scan"; false for none.'
    )
    subname: ListedTexts[str] = Field(None, description="Names.")
    subtitle_forced: Annotated[Any, SUBTITLES] = Field(
        None, description="Show forced lines only; true: of the first."
    )
    subtitle_burned: Annotated[Any, SELECTED_OR_NATIVE] = Field(
        None, description="Which of those taken becomes part of the picture."
    )
    subtitle_default: Annotated[Any, SELECTED_OR_NATIVE] = Field(
        None, description="Which of those taken is shown unasked."
    )
    native_language: Text = Field(None, description="Language of the viewer.")
    native_dub: Flag = Field(None, description="Rather sound in it than subtitles.")
    srt_file: ListedTexts[InputFile] = Field(None, description="SRT files to add.")
    srt_codeset: Listed[str] = Field(None, description="Their encodings.")
    srt_offset: Listed[Integer] = Field(None, description="Their delays in ms.")
    srt_lang: Listed[str] = Field(None, description="Their languages.")
    srt_default: Annotated[Any, SELECTED] = Field(
        None, description="Which of them is shown unasked."
    )
    srt_burn: Annotated[Any, SELECTED] = Field(
        None, description="Which of them becomes part of the picture."
    )
    ssa_file: ListedTexts[InputFile] = Field(None, description="ASS files to add.")
    ssa_offset: Listed[Integer] = Field(None, description="Their delays in ms.")
    ssa_lang: Listed[str] = Field(None, description="Their languages.")
    ssa_default: Annotated[Any, SELECTED] = Field(
        None, description="Which of them is shown unasked."
    )
    ssa_burn: Annotated[Any, SELECTED] = Field(
        None, description="Which of them becomes part of the picture."
    )
