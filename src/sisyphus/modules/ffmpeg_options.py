"""Which options of ffmpeg a job may use, and with which values.

ffmpeg's options can open any file, connect to any host and start further outputs. Three
nets keep a job inside its roots: names that do such things are refused, options without
a value may not take one (the next argument would become an output), and a value that
looks like a path or an address is refused wherever it stands. Relative names lead into
the task's own empty folder, for that is where the tool runs. An operator may cut holes
into the first net and the last, see ``Allowed``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sisyphus.modules import ffmpeg_filters
from sisyphus.modules.ffmpeg_filters import check_filters
from sisyphus.modules.options import (
    NOTHING_ALLOWED,
    Allowed,
    OptionValue,
    check_name,
    check_text,
    rendered,
    words,
)

ALWAYS_ON = words("autorotate autoscale")
"""What ffmpeg does unless told not to. Older ones want a value here, newer ones none, so
only the other form, such as ``-noautorotate``, is safe to write."""

_PLAIN_FLAGS = words(
    "accurate_seek an auto_conversion_filters bitexact copy_unknown copyinkf copyts"
    " display_hflip display_vflip dn find_stream_info fix_sub_duration"
    " fix_sub_duration_heartbeat force_fps ignore_unknown re recast_media shortest sn"
    " start_at_zero vn xerror"
)
_REFUSED_FLAGS = words("print_graphs vstats")
FLAGS = (
    _PLAIN_FLAGS
    | ALWAYS_ON
    | _REFUSED_FLAGS
    | frozenset(f"no{name}" for name in _PLAIN_FLAGS | ALWAYS_ON)
)
"""All options that stand alone."""

_FILES = words(
    "apre attach dump_attachment filter_complex filter_complex_script filter_script"
    " fpre lavfi mkvtimestamp_v2 passlogfile pattern_type pre print_graphs"
    " print_graphs_file sdp_file spre stats_enc_post stats_enc_pre stats_mux_pre"
    " strftime strftime_mkdir sub_name vpre vstats vstats_file"
)
_CONTROL = words(
    "benchmark benchmark_all bsfs buildconf codecs colors cpuflags debug_ts decoders"
    " demuxers devices dispositions dump encoders filters formats h help hex"
    " hide_banner hwaccels i L layouts license loglevel max_alloc muxers n pix_fmts"
    " print_graphs_format progress protocols psnr qphist report sample_fmts sinks"
    " sources stats stats_period stdin v version vstats_version y"
)
_OPENING = words(
    "allowed_extensions allowed_segment_extensions codec_whitelist enable_drefs"
    " extension_picky format_whitelist protocol_blacklist protocol_whitelist safe"
    " use_absolute_path"
)
_MAPPING = words("map map_channel")
_REASONS: Mapping[str, str] = {
    **dict.fromkeys(_FILES, "names other files or streams, which jobs may not"),
    **dict.fromkeys(
        _CONTROL, "controls the program itself, which is the worker's part"
    ),
    **dict.fromkeys(
        _OPENING, "decides what a file may open, which is the worker's part"
    ),
    **dict.fromkeys(_MAPPING, "is made from source_maps"),
}
_CODEC_TEXTS = words(
    "aom-params aribb24-base-path ifo_palette kvazaar-params oapv-params qsv_params"
    " rav1e-params svtav1-params vvenc-params x264-params x264opts x265-params"
    " x265-stats xavs2-params xeve-params"
)
"""Options of codecs that could hold paths among other things."""

_DEVICES = words(
    "alsa android_camera audiotoolbox avfoundation bktr caca decklink dshow fbdev"
    " gdigrab iec61883 jack kmsgrab libcdio libdc1394 openal opengl oss pulse sdl sdl2"
    " sndio v4l2 vfwcap video4linux2 x11grab xcbgrab xv"
)
_PLAYLISTS = words(
    "avisynth concat concatf dash dvdvideo hls imf lavfi libgme rtp rtsp sap sdp"
    " vapoursynth webm_dash_manifest"
)
_MANY_FILES = words(
    "dash fifo hds hls ismv_split rtp rtp_mpegts rtsp sap segment smoothstreaming"
    " ssegment stream_segment streamhash_tee tee uncodedframecrc webm_chunk"
    " webm_dash_manifest whip"
)
INPUT_FORMATS_REFUSED = _DEVICES | _PLAYLISTS
"""Formats whose files name other files, run code, or are no files."""
_OUTPUT_FORMATS_REFUSED = _DEVICES | _MANY_FILES

PICTURES = frozenset(
    f".{name}"
    for name in words(
        "avif bmp dpx exr hdr im1 im24 im8 j2c j2k jls jp2 jpeg jpg jxl jxs ljpg pam"
        " pbm pcx pfm pgm pgmyuv phm pix png ppm qoi ras rs sgi sun sunras tga tif tiff"
        " vbn wbmp webp xbm xface xwd y"
    )
)
"""Endings of names in which ffmpeg takes ``%d`` for the number of a picture."""

_DEVICE_OPTIONS = frozenset(
    {"hwaccel_device", "init_hw_device", "qsv_device", "vaapi_device"}
)
_DEVICE = re.compile(r"[a-z0-9=_@,-]*:?(/dev/dri/(card|renderD)\d+)?")

_FILTER_OPTIONS = frozenset({"filter", "vf", "af"})
_FREE_TEXT = frozenset({"metadata", "program"})

MAY_ALLOW = (
    _FILES
    | _OPENING
    | _MAPPING
    | _CODEC_TEXTS
    | _DEVICE_OPTIONS
    | _FILTER_OPTIONS
    | ffmpeg_filters.MAY_ALLOW
    | frozenset(
        f"format.{name}"
        for name in INPUT_FORMATS_REFUSED | _OUTPUT_FORMATS_REFUSED | {"mpls"}
    )
)
"""What stands after ``ffmpeg.`` in ``allowed_options``."""


def check_option(
    name: str, value: OptionValue, *, is_input: bool, allowed: Allowed = NOTHING_ALLOWED
) -> list[Path]:
    """Check one option; list the files that its filters read.

    Raises:
        ValueError: a job may not use it, or not like this; says why.
    """
    check_name(name)
    _check_refused(name, allowed)
    if name in FLAGS:
        if flag_is_set(value) is None:
            raise ValueError(f"the option {name!r} takes no value: write true or null")
        return []
    if value is None or (value is True and is_input):
        raise ValueError(f"the option {name!r} needs a value")
    text = rendered(value)
    if allowed.has(name):
        return []
    if name in ("f", "format"):
        _check_format(text, is_input, allowed)
    if name in _DEVICE_OPTIONS and _DEVICE.fullmatch(text):
        return []
    if name in _FREE_TEXT and re.match(r"[A-Za-z]", text):
        return []
    if name in _FILTER_OPTIONS:
        return check_filters(name, text, allowed)
    check_text(name, text, allowed)
    return []


def _check_refused(name: str, allowed: Allowed) -> None:
    known = _known_as(name)
    if known not in _REASONS:
        return
    refusal = f"the option {name!r} {_REASONS[known]}"
    if known in _CONTROL:
        raise ValueError(refusal)
    allowed.check(known, refusal)


def _known_as(name: str) -> str:
    """Find the name under which an option is refused, for ffmpeg takes others as well.

    ``-noX`` switches X off. ``-vX``, ``-aX`` and ``-sX`` set X of a codec.
    """
    if name in _REASONS or name in FLAGS:
        return name
    if name.startswith("no") and name[2:] in _REASONS:
        return name[2:]
    if name[0] in "vas" and name[1:] in _FILES | _OPENING:
        return name[1:]
    return name


def flag_is_set(value: OptionValue) -> bool | None:
    """Read the value of an option that stands alone; ``None`` if it is none."""
    if isinstance(value, dict):
        return None
    if value is None or value == 1 or value == "1":
        return True
    return False if value == 0 or value == "0" else None


def _check_format(text: str, is_input: bool, allowed: Allowed) -> None:
    refused = INPUT_FORMATS_REFUSED if is_input else _OUTPUT_FORMATS_REFUSED
    for name in re.split(r"[,\s]+", text.lower()):
        if name in refused:
            check_format(name, f"the format {name!r} opens", allowed)


def check_format(name: str, what: str, allowed: Allowed) -> None:
    """Refuse a format by which one file stands for many; ``what`` begins the refusal.

    Raises:
        ValueError: the operator does not allow it.
    """
    refusal = f"{what} other files, devices or connections"
    allowed.check(f"format.{name}", refusal)


def check_options(
    options: Mapping[str, Any],
    *,
    is_input: bool = False,
    allowed: Allowed = NOTHING_ALLOWED,
) -> list[Path]:
    """Check all options of one group; list the files that their filters read.

    Raises:
        ValueError: one of them is refused.
    """
    return [
        path
        for name, value in options.items()
        for path in check_option(name, value, is_input=is_input, allowed=allowed)
    ]
