"""The options of HandBrakeCLI: their names, and which of them take a value.

They are those that HandBrakeCLI 1.6.1 really knows, hidden ones included. It reads what
it does not know as the end of its options, says so, does nothing and ends well; so no
unknown name may ever reach it.
"""

from __future__ import annotations

from collections.abc import Mapping

from sisyphus.modules.options import words
from sisyphus.problems import did_you_mean

_NEGATABLE = words(
    "align-av bwdif chroma-smooth colorspace comb-detect deblock decomb deinterlace"
    " detelecine grayscale hqdn3d inline-parameter-sets ipod-atom itu-par"
    " keep-display-aspect lapsharp markers nlmeans optimize turbo two-pass unsharp"
)
"""Options for which there is a ``--no-NAME``."""

# HandBrake knows --no-pad as well, but makes no film with it.
NO_PAD = "no-pad"

FLAGS = (
    words(
        "align-av all-audio all-subtitles auto-anamorphic cfr custom-anamorphic"
        " disable-hw-decoding disable-qsv-decoding enable-qsv-decoding first-audio"
        " first-subtitle grayscale inline-parameter-sets ipod-atom itu-par json"
        " keep-display-aspect loose-anamorphic main-feature native-dub no-dvdnav"
        " non-anamorphic optimize pfr qsv-baseline turbo two-pass vfr"
    )
    | {f"no-{name}" for name in _NEGATABLE}
    | {NO_PAD}
)
"""Options that stand alone."""

OPTIONAL = words(
    "bwdif chroma-smooth comb-detect deblock decomb deinterlace denoise detelecine"
    " hqdn3d lapsharp markers nlmeans rotate srt-burn srt-default ssa-burn ssa-default"
    " subtitle-burned subtitle-default subtitle-forced unsharp verbose"
)
"""Options that may stand alone; their value stands behind an equals sign."""

NONE = frozenset({"audio", "subtitle"})
"""Options for which nothing is said as ``none``."""

TRUE_IS: Mapping[str, str] = {"enable-hw-decoding": "nvdec", "normalize-mix": "1"}
"""Options that need a value, of which jobs nevertheless write ``true``."""

TRACK_LISTS: Mapping[str, frozenset[str]] = {
    "audio": words(
        "ab ac adither aencoder aname aq arate drc gain mixdown normalize-mix"
    ),
    "subtitle": words("subname"),
}
"""Options with a value for each selected track."""

TRACK_MARKS = words("subtitle-burned subtitle-default subtitle-forced")
"""Options that name selected subtitles by their place, counted from 1."""

LISTS = words(
    "audio audio-copy-mask audio-lang-list srt-codeset srt-file srt-lang srt-offset"
    " ssa-file ssa-lang ssa-offset subtitle subtitle-forced subtitle-lang-list"
).union(*TRACK_LISTS.values())
"""Options with several values, separated by commas."""

TEXTS = words("aname preset preset-export preset-export-description subname")
"""Options whose value is only shown, or looked up by name."""

FILES = words("srt-file ssa-file")
"""Options whose values are files to read."""

NUMBERS = words(
    "ab ac angle aq arate audio crop-threshold-frames crop-threshold-pixels"
    " display-width drc gain height maxHeight maxWidth min-duration modulus quality"
    " rate srt-burn srt-default srt-offset ssa-burn ssa-default ssa-offset"
    " start-at-preview subtitle subtitle-burned subtitle-default subtitle-forced title"
    " vb verbose width"
)
"""Options whose values are numbers; HandBrake takes any other text for a zero."""

WORDS_TOO: Mapping[str, frozenset[str]] = {
    "arate": frozenset({"auto"}),
    "audio": frozenset({"none"}),
    "subtitle": frozenset({"none", "scan"}),
    "subtitle-burned": frozenset({"native", "none"}),
    "subtitle-default": frozenset({"none"}),
}
"""What such a value may be besides a number."""

LANGUAGES = words(
    "audio-lang-list native-language srt-lang ssa-lang subtitle-lang-list"
)
"""Options whose values are languages; HandBrake drops what is none."""

_VALUED = words(
    "audio-fallback chapters color-matrix colorspace crop crop-mode"
    " chroma-smooth-tune deblock-tune enable-hw-decoding encoder encoder-level"
    " encoder-preset encoder-profile encoder-tune encopts format h264-level"
    " h264-profile h265-level h265-profile lapsharp-tune native-language nlmeans-tune"
    " pad pixel-aspect preset previews qsv-adapter qsv-async-depth qsv-implementation"
    " qsv-preset start-at stop-at unsharp-tune x264-preset x264-profile x264-tune"
    " x265-preset x265-tune"
)

_ELSEWHERE = {"input": "source", "output": "output_file"}
_NO_FILM = words(
    "describe encoder-level-list encoder-preset-list encoder-profile-list"
    " encoder-tune-list help preset-list scan version"
)
MAY_ALLOW = words(
    "preset-export preset-export-description preset-export-file preset-import-file"
    " preset-import-gui queue-import-file"
)
"""Options that read or write files of their own choice."""

KNOWN = FLAGS | OPTIONAL | LISTS | NUMBERS | _VALUED | MAY_ALLOW

_SHORT = {
    # -h would print the help; old examples mean the height.
    "h": "height",
    "2": "two-pass",
    "5": "decomb",
    "6": "mixdown",
    "7": "deblock",
    "8": "hqdn3d",
    "9": "detelecine",
    "A": "aname",
    "B": "ab",
    "C": "ac",
    "D": "drc",
    "E": "aencoder",
    "F": "subtitle-forced",
    "I": "ipod-atom",
    "M": "color-matrix",
    "N": "native-language",
    "O": "optimize",
    "Q": "aq",
    "R": "arate",
    "S": "subname",
    "T": "turbo",
    "X": "maxWidth",
    "Y": "maxHeight",
    "Z": "preset",
    "a": "audio",
    "b": "vb",
    "c": "chapters",
    "d": "deinterlace",
    "e": "encoder",
    "f": "format",
    "g": "grayscale",
    "i": "input",
    "l": "height",
    "m": "markers",
    "n": "crop",
    "o": "output",
    "q": "quality",
    "r": "rate",
    "s": "subtitle",
    "t": "title",
    "v": "verbose",
    "w": "width",
    "x": "encopts",
    "z": "preset-list",
}
_SPELLED = {
    "max-height": "maxHeight",
    "max-width": "maxWidth",
    "first-subtitles": "first-subtitle",
}


def long_name(name: str) -> str:
    """Give the name that HandBrake knows an option by, whatever a job calls it."""
    name = _SHORT.get(name, name).replace("_", "-")
    return _SPELLED.get(name, name)


def shown_name(long: str) -> str:
    """Write a long name as jobs do."""
    for spelled, name in _SPELLED.items():
        if name == long:
            return spelled.replace("-", "_")
    return long.replace("-", "_")


def word_for(name: str) -> str:
    """Write an option's name as an argument, short where the job has it short."""
    return f"-{name}" if name in _SHORT and name != "h" else f"--{long_name(name)}"


def negative_of(name: str) -> str | None:
    """Give the option that takes back another one, if there is one."""
    long = long_name(name)
    return f"--no-{long}" if long in _NEGATABLE else None


def check_known(name: str) -> str:
    """Give an option's long name.

    Raises:
        ValueError: it has none, or no job may use it; says why.
    """
    long = long_name(name)
    if long in _ELSEWHERE:
        raise ValueError(f"belongs into {_ELSEWHERE[long]}, beside the sections")
    if long in _NO_FILM:
        raise ValueError("makes HandBrake print something instead of a film")
    if long not in KNOWN:
        hint = did_you_mean(name.replace("-", "_"), map(shown_name, KNOWN))
        raise ValueError(f"is not an option of HandBrakeCLI{hint}")
    return long
