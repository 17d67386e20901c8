"""Which filters of ffmpeg a job may use, and which files they read.

A graph is taken apart as ffmpeg does it, quoting included, so that what is checked here
is what ffmpeg will see.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from sisyphus.modules.options import Allowed, check_text, words

_REFUSED = words(
    "amovie asendcmd asr azmq dnn_classify dnn_detect dnn_processing frei0r"
    " frei0r_src ladspa lv2 movie openclsrc program_opencl sendcmd vapoursynth whisper"
    " zmq"
)
_FILES: Mapping[str, tuple[str, ...]] = {
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
_BARE_FIRST = frozenset(_FILES) - {"drawtext"}
_TEXTS = {"drawtext": "text", "qrencode": "text"}
"""Filter -> its argument that is text to show."""
_OTHER_FILES = words(
    "ametadata cellauto cover_rect curves derain deshake drawvg fieldhint find_rect"
    " firequalizer flite fsync libplacebo libvmaf life loudnorm metadata ocr paletteuse"
    " psnr qrencode selectivecolor showcqt signature sr ssim ssim360 vidstabdetect"
    " vidstabtransform vmafmotion xfade_opencl xpsnr"
)
"""Filters with arguments that name files, which are refused as paths anywhere are."""

_BLANKS = " \n\t\r"

MAY_ALLOW = frozenset(
    f"filter.{name}" for name in _REFUSED | _OTHER_FILES | frozenset(_FILES)
)


def check_filters(option: str, graph: str, allowed: Allowed) -> list[Path]:
    """Check a filter graph; list the files that its filters read.

    Raises:
        ValueError: a job may not use one of the filters, or not like this.
    """
    files: list[Path] = []
    for name, arguments in filters_of(graph):
        rule = f"filter.{name}"
        if allowed.has(rule):
            continue
        if name in _REFUSED:
            allowed.check(rule, f"the filter {name!r} is not allowed in jobs")
        wanted = _FILES.get(name, ())
        for number, argument in enumerate(_split(arguments, ":")):
            key, equals, value = argument.partition("=")
            if not equals and number == 0 and name in _BARE_FIRST:
                key, value = wanted[0], argument
            if key.strip(_BLANKS) in wanted:
                files.append(_file(name, value))
            elif key.strip(_BLANKS) != _TEXTS.get(name):
                check_text(f"{option} {name}", argument, allowed, rule)
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
            _, position = _token(graph, position + 1, "]")
            position += 1
        elif graph[position] in ",;]" + _BLANKS:
            position += 1
        else:
            name, position = _token(graph, position, "=,;[")
            arguments = ""
            if graph[position : position + 1] == "=":
                arguments, position = _token(graph, position + 1, "[],;")
            yield name.split("@")[0].lower(), arguments


def _split(text: str, separator: str) -> Sequence[str]:
    parts, position = [], 0
    while position < len(text):
        part, position = _token(text, position, separator)
        parts.append(part)
        position += 1
    return parts


def _token(text: str, start: int, ends: str) -> tuple[str, int]:
    """Read up to an unquoted sign of ``ends``; give the text unquoted, and where.

    Blanks around it do not count, unless quoted.
    """
    found: list[str] = []
    position, kept = start, 0
    while position < len(text) and text[position] not in ends:
        sign = text[position]
        position += 1
        if sign == "\\" and position < len(text):
            found.append(text[position])
            position, kept = position + 1, len(found)
        elif sign == "'":
            end = text.find("'", position)
            found += text[position : end if end >= 0 else None]
            position, kept = (end + 1, len(found)) if end >= 0 else (len(text), kept)
        elif found or sign not in _BLANKS:
            found.append(sign)
    return "".join(found[:kept]) + "".join(found[kept:]).rstrip(_BLANKS), position
