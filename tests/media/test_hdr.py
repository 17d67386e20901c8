"""What a film says of its colours, and what encoders must be told of it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from hdr_films import HLG, dolby_vision_film, hdr10plus_film, hdr_film
from sisyphus.media.hdr import (
    NO_COLOR,
    Color,
    Light,
    Mastering,
    depth_of,
    lost,
    svtav1_params,
    x265_params,
)
from sisyphus.media.probe import Printed, Probe

MASTERING = Mastering(
    green=(0.17, 0.797),
    blue=(0.131, 0.046),
    red=(0.708, 0.292),
    white=(0.3127, 0.329),
    brightest=1000.0,
    darkest=0.0001,
)
HDR10 = Color(
    pix_fmt="yuv420p10le",
    primaries="bt2020",
    transfer="smpte2084",
    space="bt2020nc",
    range="tv",
    mastering=MASTERING,
    light=Light(1000, 400),
)
SDR = Color("yuv420p", "bt709", "bt709", "bt709", "tv")


def really(argv: Sequence[str]) -> Printed:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return Printed(done.returncode, done.stdout, done.stderr)


def color_in(path: Path) -> Color:
    probe = Probe(really)
    film = probe.film(path)
    return probe.color(film, film.streams[0])


# Reading


@pytest.mark.tool
@pytest.mark.parametrize("name", ["hdr.mkv", "hdr.mp4", "hdr.ts", "hdr.hevc"])
def test_static_data_is_read_from_the_first_frame(tmp_path: Path, name: str) -> None:
    assert color_in(hdr_film(tmp_path / name)) == HDR10


@pytest.mark.tool
def test_hlg_has_tags_only(tmp_path: Path) -> None:
    color = color_in(hdr_film(tmp_path / "hlg.mkv", static=False, tags=HLG))

    assert (color.transfer, color.is_hdr, color.static) == ("arib-std-b67", True, False)


@pytest.mark.tool
@pytest.mark.parametrize(
    ("make", "name", "found"),
    [
        (hdr10plus_film, "plus.mkv", {"HDR10+"}),
        (dolby_vision_film, "vision.mp4", {"Dolby Vision"}),
    ],
)
def test_data_for_each_scene_is_noticed(
    tmp_path: Path, make: Callable[[Path], Path], name: str, found: set[str]
) -> None:
    assert color_in(make(tmp_path / name)).dynamic == found


@pytest.mark.tool
def test_an_ordinary_film_says_little(clip: Path) -> None:
    color = color_in(clip)

    assert (color.is_hdr, color.static, color.depth) == (False, False, 8)


@pytest.mark.parametrize(
    ("pix_fmt", "depth"),
    [
        ("yuv420p", 8),
        ("yuv420p10le", 10),
        ("yuv444p12be", 12),
        ("p010le", 10),
        ("gray", 8),
        ("gray10le", 10),
        ("nv12", 8),
        ("gbrp16le", 16),
        ("", 8),
    ],
)
def test_the_name_of_a_pixel_format_tells_its_depth(pix_fmt: str, depth: int) -> None:
    assert depth_of(pix_fmt) == depth


# Telling encoders


def test_x265_wants_integers() -> None:
    assert x265_params(HDR10) == {
        "colorprim": "bt2020",
        "transfer": "smpte2084",
        "colormatrix": "bt2020nc",
        "hdr10": "1",
        "repeat-headers": "1",
        "master-display": "G(8500,39850)B(6550,2300)R(35400,14600)"
        "WP(15635,16450)L(10000000,1)",
        "max-cll": "1000,400",
    }


def test_svtav1_wants_chromaticities() -> None:
    assert svtav1_params(HDR10) == {
        "mastering-display": "G(0.17,0.797)B(0.131,0.046)R(0.708,0.292)"
        "WP(0.3127,0.329)L(1000,0.0001)",
        "content-light": "1000,400",
    }


def test_half_of_the_data_is_told_as_far_as_it_goes() -> None:
    assert svtav1_params(replace(HDR10, mastering=None)) == {
        "content-light": "1000,400"
    }
    assert "max-cll" not in x265_params(replace(HDR10, light=None))


def test_ordinary_films_need_nothing() -> None:
    assert x265_params(SDR) == {}
    assert svtav1_params(SDR) == {}


# Losing


def test_what_is_gone_is_listed() -> None:
    output = replace(
        HDR10, transfer="bt709", primaries=None, mastering=None, light=None
    )

    assert lost(HDR10, output) == [
        "the colour primaries bt2020 (is now not said)",
        "the transfer curve smpte2084 (is now bt709)",
        "the mastering display data",
        "the content light level",
    ]


def test_an_encoders_rounding_is_no_loss() -> None:
    rounded = replace(MASTERING, red=(0.70799, 0.29201), darkest=0.000122)

    assert lost(HDR10, replace(HDR10, mastering=rounded)) == []


def test_other_numbers_are_a_loss() -> None:
    darker = replace(MASTERING, brightest=600.0)

    assert lost(HDR10, replace(HDR10, mastering=darker)) == [
        "the mastering display data"
    ]
    assert lost(HDR10, replace(HDR10, light=Light(0, 0))) == ["the content light level"]


def test_hdr_in_eight_bits_is_a_loss() -> None:
    said = "10 bits a sample (are now 8)"

    assert lost(HDR10, replace(HDR10, pix_fmt="yuv420p")) == [said]
    assert lost(HDR10, replace(HDR10, pix_fmt="p010le")) == []
    assert lost(SDR, replace(SDR, pix_fmt="yuv420p")) == []


def test_a_picture_may_be_converted_to_another_range() -> None:
    full = replace(SDR, range="pc")

    assert lost(full, SDR) == []
    assert lost(SDR, full) == []
    assert lost(full, replace(SDR, range=None)) == ["the range pc (is now not said)"]
    assert lost(SDR, replace(SDR, range=None)) == []


def test_rgb_has_no_matrix_to_lose() -> None:
    rgb = replace(SDR, pix_fmt="gbrp", space="gbr", range="pc")

    assert lost(rgb, replace(SDR, space=None, range=None)) == []


def test_what_the_source_does_not_say_cannot_be_lost() -> None:
    assert lost(NO_COLOR, SDR) == []


def test_what_the_job_changes_is_not_lost() -> None:
    output = replace(HDR10, primaries="bt709", mastering=None)

    assert lost(HDR10, output, {"primaries", "mastering"}) == []


def test_data_for_each_scene_is_lost_by_name() -> None:
    source = replace(HDR10, dynamic=frozenset({"HDR10+", "Dolby Vision"}))

    assert lost(source, HDR10) == ["the Dolby Vision data", "the HDR10+ data"]
