"""What the settings of an ffmpeg task let us expect of its output, and no more."""

from __future__ import annotations

from collections.abc import Sequence

from sisyphus.media.expected import Expected
from sisyphus.media.probe import ratio
from sisyphus.media.quality import Reference
from sisyphus.modules.ffmpeg_argv import Resolved, option, trim_of
from sisyphus.modules.ffmpeg_settings import FfmpegSettings
from sisyphus.modules.ffmpeg_streams import Made, names_in
from sisyphus.modules.options import rendered, words

_READING_ONLY = words(
    "hwaccel hwaccel_device hwaccel_output_format re readrate thread_queue_size"
)
_HARMLESS_INPUT = _READING_ONLY | words(
    "autorotate c codec err_detect fflags noautorotate recast_media ss t threads to"
)
"""Input options under which the probe sees what ffmpeg sees."""

_CHANGES_LENGTH = words(
    "aframes apad async bsf copyts dframes frames fs shortest ss start_at_zero t"
    " timestamp to vframes xerror"
)
_CHANGES_FRAMES = words(
    "copyinkf copypriorss f filter force_fps fps_mode fpsmax r tag vf vsync"
)
_KEEPS_LENGTH = words(
    "aformat anull aresample ass bwdif cas channelmap channelsplit colorspace compand"
    " crop cropdetect deband decomb deflicker delogo deshake drawbox drawtext"
    " dynaudnorm eq equalizer format fps gradfun hflip hqdn3d hue hwdownload hwupload"
    " idet kerndeint libplacebo loudnorm lut lut3d minterpolate nlmeans noise null"
    " overlay pad pan pp rotate scale scale_cuda scale_qsv scale_vaapi setdar setfield"
    " setsar subtitles tonemap transpose unsharp vflip volume yadif zscale"
)
_ON_HARDWARE = ("_cuda", "_npp", "_opencl", "_qsv", "_vaapi", "_vulkan", "hwupload")
_MOVES_PICTURES = words("copyts ss start_at_zero timestamp")
_CHOOSES_PICTURES = words("force_fps fpsmax")
_SAME_RATE = 0.001


def expected_output(
    settings: FfmpegSettings, options: Resolved, streams: Sequence[Made] | None
) -> Expected:
    """Say what the settings let us expect of the output."""
    names = names_in(options)
    unfinished = "live" in names
    trim = trim_of(settings)
    # The output's own -f may be anything, also what the probe takes for something else.
    known_input = set(settings.input_options) <= _HARMLESS_INPUT
    if streams is None or trim is None or not known_input:
        return Expected(
            may_be_unfinished=unfinished,
            reference=Reference(obstacle="it is not known what it was made from"),
        )
    keeps_duration = not names & _CHANGES_LENGTH and all(
        made.filter_names <= _KEEPS_LENGTH for made in streams
    )
    return Expected(
        streams=[made.source for made in streams],
        keeps_duration=keeps_duration,
        start=trim[0],
        length=trim[1],
        keeps_frames=keeps_duration and not names & _CHANGES_FRAMES,
        may_be_unfinished=unfinished,
        may_lose_color=settings.may_lose_color,
        color_hint=' ("color_loss": "allow" would permit it)',
        reference=_reference(settings, options, streams),
    )


def _reference(
    settings: FfmpegSettings, options: Resolved, streams: Sequence[Made]
) -> Reference:
    """Say what is done to the first encoded picture before it is encoded."""
    made = next((m for m in streams if m.is_picture and m.codec != "copy"), None)
    if made is None:
        return Reference()
    given = [
        word
        for name, value in settings.input_options.items()
        if name not in _READING_ONLY
        for word in option(f"-{name}", name, value)
    ]
    return Reference(
        input_options=tuple(given),
        filters=made.filters,
        known=True,
        obstacle=_obstacle(made, names_in(options)),
    )


def _obstacle(made: Made, names: set[str]) -> str:
    """Say why nothing can be compared, if so."""
    if moving := names & _MOVES_PICTURES:
        return f"the option {min(moving)} moves the pictures"
    if choosing := made.options.keys() & _CHOOSES_PICTURES:
        return f"the option {min(choosing)} chooses the pictures (the filter fps may)"
    if "r" in made.options and not _keeps_rate(made):
        return "the option r chooses the pictures (the filter fps may)"
    if "[in]" in made.filters or "[out]" in made.filters:
        return "its filters name their own ends"
    hardware = [f for f in made.filter_names if any(end in f for end in _ON_HARDWARE)]
    if hardware:
        return f"the filter {min(hardware)} runs on other hardware"
    return ""


def _keeps_rate(made: Made) -> bool:
    """Tell whether the option ``r`` only says the rate that the source has."""
    wanted = ratio(rendered(made.options["r"]))
    fps = made.source.stream.fps
    return bool(wanted and fps and abs(wanted / fps - 1) < _SAME_RATE)
