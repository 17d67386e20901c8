"""Files of strangers: each reader ends soon, and says what it may say or nothing."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from font_files import font
from fuzz.many import JSON, SCALARS, mutated, tried
from sisyphus.media.fonts import NotAFont, read_faces
from sisyphus.media.hdr import lost, svtav1_params, x265_params
from sisyphus.media.matroska import segment_size
from sisyphus.media.mp4 import missing_bytes
from sisyphus.media.probe import Film, Printed, Probe, Unreadable, film_of
from sisyphus.media.structure import first_gap
from sisyphus.media.subtitles import looks_like_script, read_script, spellings
from sisyphus.modules.playlists import playlist_in
from sisyphus.testing import run_module

SOON_SECONDS = 10.0
"""Generous: each of these takes milliseconds, or, with a mistake, minutes."""


@contextmanager
def soon() -> Iterator[None]:
    started = time.process_time()
    yield
    assert time.process_time() - started < SOON_SECONDS


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "film.mkv"


# Matroska and MP4

IDENTIFIERS = st.sampled_from(
    [
        *(0x1A45DFA3, 0x18538067, 0xEC, 0x1F43B675, 0x114D9B74, 0x1549A966, 0xBF),
        *(0xE7, 0xA3, 0xA0, 0x5854, 0x4286, 0x81),
    ]
)
LENGTHS = st.one_of(
    st.integers(0, 30).map(lambda n: bytes([0x80 | n])),
    st.integers(0, 2**56 - 1).map(lambda n: b"\x01" + n.to_bytes(7, "big")),
    st.sampled_from([b"\xff", b"\x01" + b"\xff" * 7, b"\x01" + b"\xff" * 6 + b"\xfe"]),
)


@st.composite
def elements(draw: st.DrawFn, inside: st.SearchStrategy[bytes]) -> bytes:
    identifier = draw(IDENTIFIERS)
    name = identifier.to_bytes((identifier.bit_length() + 7) // 8, "big")
    body = draw(inside)
    length = draw(st.one_of(st.just(bytes([0x80 | min(len(body), 126)])), LENGTHS))
    return name + length + body


BODIES = st.recursive(
    st.binary(max_size=20),
    lambda inner: st.lists(elements(inner), max_size=4).map(b"".join),
    max_leaves=8,
)
HEADS = st.sampled_from(
    [
        bytes.fromhex("1A45DFA380 18538067 01FFFFFFFFFFFFFF"),
        bytes.fromhex("1A45DFA380 18538067 A0"),
        bytes.fromhex("1A45DFA380"),
        b"",
    ]
)
MATROSKA = mutated(st.tuples(HEADS, BODIES).map(b"".join))
FAR = bytes.fromhex("01FFFFFFFFFFFFFE")
BOXES = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 40), st.integers(0, 2**32 - 1)),
        st.sampled_from([b"ftyp", b"moov", b"mdat", b"moof", b"free", b"abcd"]),
        st.one_of(
            st.binary(max_size=40),
            st.integers(0, 2**64 - 1).map(lambda n: n.to_bytes(8, "big")),
        ),
    ).map(lambda box: box[0].to_bytes(4, "big") + box[1] + box[2]),
    max_size=5,
).map(b"".join)


@example(bytes.fromhex("1A45DFA3") + FAR + b"abc")
@example(bytes.fromhex("1A45DFA380 18538067") + FAR + bytes.fromhex("1549A966") + FAR)
@example(bytes.fromhex("1A45DFA380 EC") + FAR + b"abc")
@tried(150)
@given(MATROSKA)
def test_a_matroska_file_of_any_bytes_is_walked_to_its_end(
    file: Path, data: bytes
) -> None:
    file.write_bytes(data)
    seen: list[None] = []

    with soon():
        gap = first_gap(file, lambda: seen.append(None))
        size = segment_size(file)

    assert gap is None or 0 <= gap < len(data)
    assert len(seen) <= len(data)
    assert size is None or size.file_size == len(data)


@tried(100)
@given(st.one_of(mutated(BOXES), BOXES))
def test_an_mp4_file_of_any_bytes_is_walked_to_its_end(file: Path, data: bytes) -> None:
    file.write_bytes(data)

    with soon():
        assert missing_bytes(file) >= 0


@tried(100)
@given(
    mutated(
        st.sampled_from(
            [
                *(b"#EXTM3U\n", b"ffconcat version 1.0", b"MPLS0200", b"<MPD>"),
                *(
                    b"ID3\x04\0\0\x7f\x7f\x7f\x7fabc",
                    b"v=0\nc=IN IP4",
                    b"<a:Composition",
                ),
            ]
        )
    )
)
def test_any_file_is_looked_at_for_a_playlist(file: Path, data: bytes) -> None:
    file.write_bytes(data)

    with soon():
        playlist_in(file)


@pytest.mark.parametrize("sign", [b"<", b"a", b"\n", b"<a:", b"urn:mpeg"])
def test_a_text_that_is_nearly_a_playlist_is_read_soon(file: Path, sign: bytes) -> None:
    file.write_bytes(sign * (70_000 // len(sign)))

    with soon():
        playlist_in(file)


# What ffprobe says

ODD_TEXT = st.sampled_from(
    [
        *("inf", "nan", "-1", "0", "1e999", "9" * 400, "9" * 4290, "1/0", "0/0", "1/x"),
        *("9" * 400 + ":00:00", "00:00:01.5", "N/A", "", "1:1", "16:9", "٣", "²"),
        *("9" * 400 + "/1", "1/" + "9" * 400, "1e-320/1"),
    ]
)
FACTS = st.one_of(ODD_TEXT, SCALARS, JSON)
TAGS = st.dictionaries(
    st.sampled_from(
        ["NUMBER_OF_FRAMES", "NUMBER_OF_BYTES-eng", "DURATION", "language", "x"]
    ),
    st.one_of(ODD_TEXT, st.text(max_size=6)),
    max_size=4,
)
SIDE_DATA = st.fixed_dictionaries(
    {
        "side_data_type": st.sampled_from(
            ["Mastering display metadata", "Content light level metadata", "DOVI x"]
        )
    },
    optional=dict.fromkeys(
        [
            *("red_x", "red_y", "green_x", "green_y", "blue_x", "blue_y"),
            *("white_point_x", "white_point_y", "min_luminance", "max_luminance"),
            *("max_content", "max_average"),
        ],
        st.one_of(st.sampled_from(["34000/50000", "1/0", "inf", "nan"]), FACTS),
    ),
)
ROWS = st.fixed_dictionaries(
    {"index": st.integers(0, 3)},
    optional={
        "codec_type": st.sampled_from(["video", "audio", "subtitle"]),
        "codec_name": st.text(max_size=5),
        **dict.fromkeys(["duration", "nb_frames", "avg_frame_rate"], ODD_TEXT),
        **dict.fromkeys(["bit_rate", "display_aspect_ratio"], ODD_TEXT),
        **dict.fromkeys(["width", "height"], st.integers(0, 2**31)),
        "pix_fmt": st.sampled_from(["yuv420p10le", "gray", "", "x2rgb10le"]),
        "color_transfer": st.sampled_from(["smpte2084", "unknown"]),
        "disposition": st.fixed_dictionaries({"attached_pic": st.integers(0, 1)}),
        "tags": TAGS,
        "side_data_list": st.lists(SIDE_DATA, max_size=2),
    },
)
ANSWERS = st.fixed_dictionaries(
    {
        "format": st.fixed_dictionaries(
            {}, optional={"format_name": st.text(max_size=9), "duration": ODD_TEXT}
        )
    },
    optional={"streams": st.lists(ROWS, max_size=3)},
)


def with_tag(name: str, value: str) -> dict[str, Any]:
    return {"format": {}, "streams": [{"index": 0, "tags": {name: value}}]}


def probed(text: str) -> Film | None:
    try:
        return film_of(Path("film.mkv"), Printed(0, text, ""))
    except Unreadable:
        return None


@example(with_tag("NUMBER_OF_BYTES", "inf"))
@example(with_tag("DURATION", "9" * 400 + ":00:00"))
@example(with_tag("NUMBER_OF_FRAMES", "9" * 400) | {"format": {"duration": "5"}})
@tried(150)
@given(ANSWERS)
def test_a_film_may_say_anything_of_itself(answer: dict[str, Any]) -> None:
    film = probed(json.dumps(answer))

    assert film is not None
    probe = Probe(lambda argv: Printed(1, "", ""))
    for stream in film.streams:
        assert stream.size is None or stream.size >= 0
        probe.frames(film, stream)
        probe.exact_frames(film, stream)
        x265_params(stream.color)
        svtav1_params(stream.color)
        lost(stream.color, probe.color(film, stream))


@tried(150)
@given(
    st.one_of(
        JSON.map(json.dumps),
        st.text(max_size=30),
        mutated(ANSWERS.map(json.dumps).map(str.encode)).map(
            lambda data: data.decode("utf-8", "replace")
        ),
    )
)
def test_what_is_no_answer_is_unreadable(text: str) -> None:
    probed(text)


# Subtitles and fonts

LINES = st.one_of(
    st.sampled_from(
        [
            *("[Script Info]", "[V4+ Styles]", "[Events]", "[Fonts]", "[", "[a"),
            *("Format: Name, Fontname, Bold", "Format: Text, Style", "Format:"),
            *("Style: Default,Arial,20", "Style: ,", "Style:", "fontname: a.ttf"),
            *("Dialogue: 0,0,0,Default,,0,0,0,,{\\fnBeta\\b900}x{\\r}y", "!!!!"),
            *(
                "Dialogue: ,,,,,,,,,{\\p1}m 0 0{\\p0}{\\i1}{\\b" + "9" * 400,
                "Dialogue:",
            ),
        ]
    ),
    st.text(max_size=20),
)
SCRIPTS = st.tuples(
    st.lists(LINES, max_size=8).map("\n".join),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp932"]),
).map(lambda pair: pair[0].encode(pair[1], "replace"))
CHARSETS = st.one_of(
    st.none(),
    st.sampled_from(
        [
            *(
                "cp1252",
                "idna",
                "undefined",
                "punycode",
                "hex",
                "zlib",
                "rot13",
                "mbcs",
            ),
            *("a\0b", "\udcff", "", "utf-7", "unicode_escape", "UTF-8", "../x", "oem"),
        ]
    ),
    st.text(max_size=8),
)


@example(b"\xff", "idna")
@example(b"\xff", "undefined")
@example(b"\xff", "a\0b")
@example(b"\xff", "\udcff")
@tried(150)
@given(st.one_of(mutated(SCRIPTS), st.binary(max_size=60)), CHARSETS)
def test_a_script_of_any_bytes_is_read(data: bytes, charset: str | None) -> None:
    with soon():
        script = read_script(data, charset)
        looks_like_script(data)

    for need in script.needs:
        assert need.family
        assert 0 <= need.weight <= 1000
        assert spellings(need.family, script.sure)


EVENT = b"[Events]\nDialogue: 0,0,0,Default,,0,0,0,,"


@pytest.mark.parametrize(
    "data",
    [
        b"[" + b"a" * 200_000,
        b"[" + b"a " * 100_000,
        b"[a" + b" " * 200_000,
        b" " * 200_000 + b"[",
        EVENT + b"{" * 200_000,
        EVENT + b"{\\" * 100_000,
        EVENT + b"{" + b"\\fn" * 60_000 + b"}x",
        EVENT + b"{" + b"\\b" * 100_000,
        b"[Events]\nFormat:" + b"," * 200_000 + b"\nDialogue:" + b"," * 200_000,
        b"[Fonts]\nfontname: a\n" + b"!" * 200_000,
        b"\r" * 200_000,
    ],
    ids=range(11),
)
def test_no_script_takes_more_time_than_its_length(data: bytes) -> None:
    with soon():
        read_script(data)
        looks_like_script(data)


@pytest.fixture(scope="session")
def font_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("fonts") / "alpha.ttf"
    font(path, "Alpha")
    return path.read_bytes()


@tried(100)
@given(data=st.data())
def test_a_font_of_any_bytes_is_a_font_or_none(
    file: Path, font_bytes: bytes, data: st.DataObject
) -> None:
    start = st.sampled_from([font_bytes, b"ttcf\0\1\0\0" + struct.pack(">I", 255)])
    file.write_bytes(data.draw(mutated(start)))

    with soon():
        try:
            faces = read_faces(file)
        except NotAFont:
            return

    assert all(face.family and 0 < face.weight <= 1000 for face in faces)


def test_a_collection_that_is_all_one_font_is_read_soon(
    file: Path, font_bytes: bytes
) -> None:
    made = io.BytesIO()
    made.write(b"ttcf\0\1\0\0" + struct.pack(">I", 256))
    made.write(struct.pack(">I", 12 + 4 * 256) * 256)
    made.write(font_bytes)
    file.write_bytes(made.getvalue())

    with soon():
        try:
            read_faces(file)
        except NotAFont:
            return


@pytest.mark.tool
def test_a_film_with_a_tag_longer_than_a_line_of_a_log_is_read(tmp_path: Path) -> None:
    source = tmp_path / "film.mkv"
    picture = ["-f", "lavfi", "-i", "testsrc=d=0.4:s=64x64:r=10", "-c:v", "libx264"]
    tag = ["-metadata:s:v:0", "comment=" + "x" * 6000]
    command = ["ffmpeg", "-v", "error", *picture, *tag, str(source)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    data = {
        "sources": [str(source)],
        "source_maps": [{"source": 0, "specifier": "v", "stream": 0}],
        "output_maps": [{"stream": 0, "options": {"codec": "copy"}}],
        "output_file": str(tmp_path / "out.mkv"),
    }

    run_module("ffmpeg", data)

    assert (tmp_path / "out.mkv").stat().st_size > 0
