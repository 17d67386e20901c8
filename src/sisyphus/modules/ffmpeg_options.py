"""Which options of ffmpeg a job may use, and with which values.

ffmpeg's options can open any file, connect to any host and start further outputs. Three
nets keep a job inside its roots: names that do such things are refused, options without
a value may not take one (the next argument would become an output), and a value that
looks like a path or an address is refused wherever it stands. Relative names lead into
the task's own empty folder, for that is where the tool runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sisyphus.modules.options import (
    OptionValue,
    check_name,
    check_text,
    rendered,
    words,
)

_PLAIN_FLAGS = words(
    "accurate_seek an auto_conversion_filters autorotate autoscale bitexact"
    " copy_unknown copyinkf copyts display_hflip display_vflip dn find_stream_info"
    " fix_sub_duration fix_sub_duration_heartbeat force_fps ignore_unknown re"
    " recast_media seek_timestamp shortest sn start_at_zero vn xerror"
)
FLAGS = _PLAIN_FLAGS | frozenset(f"no{name}" for name in _PLAIN_FLAGS)
"""All options that stand alone."""

_FILES = words(
    "apre attach dump_attachment filter_complex filter_complex_script filter_script"
    " fpre lavfi mkvtimestamp_v2 passlogfile pre print_graphs print_graphs_file"
    " sdp_file spre stats_enc_post stats_enc_pre stats_mux_pre vpre vstats vstats_file"
)
_CONTROL = words(
    "benchmark benchmark_all bsfs buildconf codecs colors cpuflags debug_ts decoders"
    " demuxers devices dispositions dump encoders filters formats h help hex"
    " hide_banner hwaccels i L layouts loglevel max_alloc muxers n pix_fmts progress"
    " protocols psnr qphist report sample_fmts sinks sources stats stats_period stdin"
    " v version vstats_version y"
)
_OPENING = words(
    "allowed_extensions allowed_segment_extensions codec_whitelist enable_drefs"
    " extension_picky format_whitelist protocol_blacklist protocol_whitelist safe"
    " use_absolute_path"
)
REFUSED: dict[str, str] = {
    **dict.fromkeys(_FILES, "names other files or streams, which jobs may not"),
    **dict.fromkeys(
        _CONTROL, "controls the program itself, which is the worker's part"
    ),
    **dict.fromkeys(
        _OPENING, "decides what a file may open, which is the worker's part"
    ),
    "map": "is made from source_maps",
    "map_channel": "is made from source_maps",
}
REFUSED |= {f"no{name}": REFUSED[name] for name in ("stats", "stdin", "hide_banner")}

_DEVICES = words(
    "alsa android_camera audiotoolbox avfoundation bktr caca decklink dshow fbdev"
    " gdigrab iec61883 jack kmsgrab libcdio libdc1394 openal opengl oss pulse sdl sdl2"
    " sndio v4l2 vfwcap video4linux2 x11grab xcbgrab xv"
)
_PLAYLISTS = words(
    "avisynth concat concatf dash hls imf lavfi libgme rtp rtsp sap sdp vapoursynth"
)
_MANY_FILES = words(
    "dash fifo hds hls ismv_split rtp rtp_mpegts rtsp sap segment smoothstreaming"
    " ssegment stream_segment streamhash_tee tee uncodedframecrc webm_chunk"
    " webm_dash_manifest"
)
INPUT_FORMATS_REFUSED = _DEVICES | _PLAYLISTS
"""Formats whose files name other files, run code, or are no files."""
_OUTPUT_FORMATS_REFUSED = _DEVICES | _MANY_FILES

_DEVICE_OPTIONS = frozenset(
    {"hwaccel_device", "init_hw_device", "qsv_device", "vaapi_device"}
)
_DEVICE = re.compile(r"[a-z0-9=_@,-]*:?(/dev/dri/(card|renderD)\d+)?")

_FILTER_OPTIONS = frozenset({"filter", "vf", "af"})
_FILTERS_REFUSED = words(
    "amovie asendcmd asr azmq dnn_classify dnn_detect dnn_processing frei0r"
    " frei0r_src ladspa lv2 movie openclsrc program_opencl sendcmd vapoursynth whisper"
    " zmq"
)
_FILTER_FILES: Mapping[str, tuple[str, ...]] = {
    # filter -> its arguments that name a file to read; the first may stand bare
    "arnndn": ("model", "m"),
    "ass": ("filename", "f", "fontsdir"),
    "drawtext": ("fontfile", "textfile"),
    "lut1d": ("file",),
    "lut3d": ("file",),
    "nnedi": ("weights",),
    "removelogo": ("filename", "f"),
    "sofalizer": ("sofa",),
    "subtitles": ("filename", "f", "fontsdir"),
}
_BARE_FIRST = frozenset(_FILTER_FILES) - {"drawtext"}

_FREE_TEXT = frozenset({"metadata", "program"})


def check_option(name: str, value: OptionValue, *, is_input: bool) -> list[Path]:
    """Check one option; list the files that its filters read.

    Raises:
        ValueError: a job may not use it, or not like this; says why.
    """
    check_name(name)
    if name in REFUSED:
        raise ValueError(f"the option {name!r} {REFUSED[name]}")
    if name in FLAGS:
        if flag_is_set(value) is None:
            raise ValueError(f"the option {name!r} takes no value: write true or null")
        return []
    if value is None or (value is True and is_input):
        raise ValueError(f"the option {name!r} needs a value")
    text = rendered(value)
    if name in ("f", "format"):
        _check_format(text, is_input)
    if name in _DEVICE_OPTIONS and _DEVICE.fullmatch(text):
        return []
    if name in _FREE_TEXT and re.match(r"[A-Za-z]", text):
        return []
    if name in _FILTER_OPTIONS:
        return _check_filters(name, text)
    check_text(name, text)
    return []


def flag_is_set(value: OptionValue) -> bool | None:
    """Read the value of an option that stands alone; ``None`` if it is none."""
    if isinstance(value, dict):
        return None
    if value is None or value == 1 or value == "1":
        return True
    return False if value == 0 or value == "0" else None


def _check_format(text: str, is_input: bool) -> None:
    refused = INPUT_FORMATS_REFUSED if is_input else _OUTPUT_FORMATS_REFUSED
    for name in re.split(r"[,\s]+", text.lower()):
        if name in refused:
            raise ValueError(
                f"the format {name!r} opens other files, devices or connections"
            )


def _check_filters(option: str, graph: str) -> list[Path]:
    files: list[Path] = []
    for name, arguments in filters_of(graph):
        if name in _FILTERS_REFUSED:
            raise ValueError(f"the filter {name!r} is not allowed in jobs")
        wanted = _FILTER_FILES.get(name, ())
        for number, argument in enumerate(_split(arguments, ":")):
            key, equals, value = argument.partition("=")
            if not equals and number == 0 and name in _BARE_FIRST:
                key, value = wanted[0], argument
            if key.strip() in wanted:
                files.append(_file(name, value))
            else:
                check_text(f"{option} {name}", argument)
    return files


def _file(name: str, text: str) -> Path:
    path = Path(text)
    if not path.is_absolute():
        raise ValueError(f"the filter {name!r} needs an absolute path, got {text!r}")
    return path


def filters_of(graph: str) -> Iterator[tuple[str, str]]:
    """Split a filter graph as ffmpeg does: each filter's name and arguments."""
    position = 0
    while position < len(graph):
        if graph[position] == "[":
            end = graph.find("]", position)
            position = len(graph) if end < 0 else end + 1
        elif graph[position] in ",; \t\n\r":
            position += 1
        else:
            name, position = _token(graph, position, "=,;[")
            arguments = ""
            if graph[position : position + 1] == "=":
                arguments, position = _token(graph, position + 1, "[],;")
            elif position < len(graph) and graph[position] == "]":
                position += 1
            yield name.strip().split("@")[0].lower(), arguments


def _split(text: str, separator: str) -> Sequence[str]:
    parts, position = [], 0
    while position < len(text):
        part, position = _token(text, position, separator)
        parts.append(part)
        position += 1
    return parts


def _token(text: str, start: int, ends: str) -> tuple[str, int]:
    """Read up to an unquoted sign of ``ends``; give the text unquoted, and where."""
    found: list[str] = []
    position, quoted = start, False
    while position < len(text):
        sign = text[position]
        if sign == "'":
            quoted = not quoted
        elif sign == "\\" and not quoted:
            position += 1
            found.append(text[position : position + 1])
        elif sign in ends and not quoted:
            break
        else:
            found.append(sign)
        position += 1
    return "".join(found), min(position, len(text))


def check_options(options: Mapping[str, Any], *, is_input: bool = False) -> list[Path]:
    """Check all options of one group; list the files that their filters read.

    Raises:
        ValueError: one of them is refused.
    """
    return [
        path
        for name, value in options.items()
        for path in check_option(name, value, is_input=is_input)
    ]
