"""How thoroughly an ffmpeg task looks at its output, and what it finds."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from films import WHEEL, Films, Tools, either
from sisyphus.errors import InvalidSettings, OutputRefused, Stopped, ToolMissing
from sisyphus.modules.control import Control, StopReason
from sisyphus.modules.ffmpeg import Ffmpeg
from sisyphus.testing import TaskRun, fake_tool, run_module

pytestmark = pytest.mark.tool

FAST = {"codec": "libx264", "preset": "ultrafast"}
COPY = {"codec": "copy"}


def encode(
    source: Path, output: Path, options: dict[str, Any], **changes: Any
) -> dict[str, Any]:
    return {
        "sources": [str(source)],
        "source_maps": [{"source": 0, "specifier": "v"}],
        "output_maps": [{"specifier": "v", "stream": 0, "options": options}],
        "output_file": str(output),
        **changes,
    }


def instead(folder: Path, written: Path, ffmpeg: Path | None = None) -> Tools:
    """An ffmpeg that says that all went well, and has written another film."""
    body = f"""
if "-map" in sys.argv and "null" not in sys.argv:
    pathlib.Path(sys.argv[-1]).write_bytes(pathlib.Path({str(written)!r}).read_bytes())
else:
    os.execv({str(ffmpeg or shutil.which("ffmpeg"))!r}, ["ffmpeg", *sys.argv[1:]])
"""
    return {"ffmpeg": fake_tool(folder, "ffmpeg", body)}


def overwritten(film: Path, size: int = 20_000) -> Path:
    """Spoil a part of the pictures; no packet is missing."""
    with film.open("r+b") as file:
        file.seek(film.stat().st_size // 2)
        file.write(bytes(size))
    return film


def scores(run: TaskRun) -> list[str]:
    return [line for line in run.log if "the picture is like its source" in line]


# decode


@either
@pytest.mark.parametrize("name", ["out.mkv", "out.mp4", "out.ts", "out.webm"])
def test_a_good_film_decodes(tmp_path: Path, tools: Tools, name: str) -> None:
    films = Films(tmp_path)
    source = films.test("in.mkv", "-bf", "2", rate="24000/1001", seconds=1)
    vp9 = {"codec": "libvpx-vp9", "deadline": "realtime", "cpu-used": 8}
    options = vp9 if name.endswith("webm") else FAST
    data = encode(source, tmp_path / name, options, verify="decode")

    run = run_module(Ffmpeg, data, tools=tools)

    # Older ones fill an mp4 file up to a constant rate.
    assert any(re.search("without an error: 2[45] frames", line) for line in run.log)
    checked = [p for p in run.progress if p.info.get("checking") == "decoding"]
    assert checked[-1].frame in (24, 25)


@either
def test_pictures_that_are_spoilt_are_found_by_decoding_only(
    clip: Path, tmp_path: Path, tools: Tools
) -> None:
    source = overwritten(Path(shutil.copy(clip, tmp_path / "in.mp4")))
    output = tmp_path / "out.mp4"

    run_module(Ffmpeg, encode(source, output, COPY), tools=tools)
    output.unlink()
    with pytest.raises(OutputRefused, match=r"the output does not decode: \S"):
        run_module(Ffmpeg, encode(source, output, COPY, verify="decode"), tools=tools)

    assert not output.exists()


@either
def test_sound_is_decoded_too(clip: Path, tmp_path: Path, tools: Tools) -> None:
    films = Films(tmp_path)
    spoilt = overwritten(films.make("s.m4a", "-i", clip, "-vn", "-c", "copy"))
    data = encode(spoilt, tmp_path / "out.mka", COPY, verify="decode")
    data["source_maps"] = [{"source": 0}]
    data["output_maps"] = [{"stream": 0, "options": COPY}]

    with pytest.raises(OutputRefused, match="does not decode"):
        run_module(Ffmpeg, data, tools=tools)


@either
def test_subtitles_alone_have_nothing_to_decode(tmp_path: Path, tools: Tools) -> None:
    lines = tmp_path / "in.srt"
    lines.write_text("1\n00:00:00,100 --> 00:00:00,900\nA line\n")
    data = encode(lines, tmp_path / "out.mkv", COPY, verify="decode")
    data["source_maps"] = [{"source": 0}]
    data["output_maps"] = [{"stream": 0, "options": COPY}]

    run_module(Ffmpeg, data, tools=tools)


def test_a_film_is_decoded_without_ffprobe_too(clip: Path, tmp_path: Path) -> None:
    source = overwritten(Path(shutil.copy(clip, tmp_path / "in.mp4")))
    data = encode(source, tmp_path / "out.mkv", COPY, verify="decode")

    with pytest.raises(OutputRefused, match="does not decode"):
        run_module(Ffmpeg, data, tools={**WHEEL, "ffprobe": tmp_path / "missing"})


def test_a_check_is_stopped_with_its_task(clip: Path, tmp_path: Path) -> None:
    control = Control()
    ffmpeg = shutil.which("ffmpeg")
    reached = tmp_path / "reached"
    body = f"""
if "null" in sys.argv:
    pathlib.Path({str(reached)!r}).touch()
    print("frame=1", flush=True)
    time.sleep(60)
os.execv({ffmpeg!r}, ["ffmpeg", *sys.argv[1:]])
"""

    run = TaskRun()
    run.progress = _StopWhen(control)
    data = encode(clip, tmp_path / "out.mkv", COPY, verify="decode")
    tools = {"ffmpeg": fake_tool(tmp_path, "ffmpeg", body)}

    with pytest.raises(Stopped):
        run_module(Ffmpeg, data, tools=tools, control=control, run=run)

    assert reached.exists()
    assert not (tmp_path / "out.mkv").exists()


class _StopWhen(list[Any]):
    """Progress that ends the task once it tells of the check."""

    def __init__(self, control: Control) -> None:
        super().__init__()
        self.control = control

    def append(self, progress: Any) -> None:
        super().append(progress)
        if progress.info.get("checking") == "decoding":
            self.control.stop(StopReason.CANCEL)


# quality


@either
def test_the_wheel_measures_vmaf_the_system_ssim(
    clip: Path, tmp_path: Path, tools: Tools
) -> None:
    data = encode(clip, tmp_path / "out.mkv", FAST, verify="quality")

    run = run_module(Ffmpeg, data, tools=tools)

    metric = "VMAF" if "imageio" in str(tools["ffmpeg"]) else "SSIM"
    floor = {"VMAF": "70", "SSIM": "90"}[metric]
    (said,) = scores(run)
    assert f"{metric} 9" in said
    assert said.endswith(f"(floor {floor})")
    assert any(p.info.get("checking") == "comparing" for p in run.progress)


@either
def test_a_poor_picture_is_refused(tmp_path: Path, tools: Tools) -> None:
    source = Films(tmp_path).test("in.mkv", seconds=1)
    poor = {**FAST, "crf": 50}
    data = encode(source, tmp_path / "out.mkv", poor, verify="quality")

    with pytest.raises(OutputRefused, match=r"not like its source: (VMAF|SSIM) [\d.]+"):
        run_module(Ffmpeg, data, tools=tools)

    assert not (tmp_path / "out.mkv").exists()


def test_the_floor_is_the_jobs(tmp_path: Path) -> None:
    source = Films(tmp_path).test("in.mkv", seconds=1)
    poor = {**FAST, "crf": 45}
    data = encode(source, tmp_path / "out.mkv", poor, verify="quality")

    run_module(Ffmpeg, {**data, "quality_floor": 50})

    data |= {"overwrite": True, "quality_floor": 99.5}
    with pytest.raises(OutputRefused, match=r"the floor is 99\.5"):
        run_module(Ffmpeg, data)


@either
def test_one_ruined_second_is_refused(tmp_path: Path, tools: Tools) -> None:
    films = Films(tmp_path)
    source = films.test("in.mkv", seconds=8)
    noise = "geq=lum='random(1)*255':cb='random(2)*255':cr=128:enable='between(t,3,4)'"
    ruined = films.make("ruined.mkv", "-i", source, "-an", "-vf", noise)
    maps = {"codec": "libx264"}
    data = encode(source, tmp_path / "out.mkv", maps, verify="quality")
    tools = instead(tmp_path, ruined, tools["ffmpeg"])

    with pytest.raises(OutputRefused, match="a part of the picture is not like"):
        run_module(Ffmpeg, {**data, "quality_floor": 75}, tools=tools)


def test_pictures_of_another_film_are_refused(tmp_path: Path) -> None:
    films = Films(tmp_path)
    source = films.test("in.mkv", seconds=1)
    other = films.make("other.mkv", "-i", source, "-an", "-vf", "hflip")
    data = encode(source, tmp_path / "out.mkv", FAST, verify="quality")

    with pytest.raises(OutputRefused, match="not like its source"):
        run_module(Ffmpeg, data, tools=instead(tmp_path, other))


@pytest.mark.parametrize(
    "changes",
    [
        {"filter": "scale=80:-2"},
        {"s": "96x54"},
        {"filter": "crop=100:60"},
        {"filter": "fps=10"},
        {"filter": "hflip,setpts=2*PTS"},
        {"filter": "split[a][b];[a]crop=50:50[c];[b][c]overlay"},
        {"filter": "yadif=1"},
        {"filter": "trim=0.5:1.5,setpts=PTS-STARTPTS"},
        {"frames": 20},
        {"t": "0.7"},
        {"r": 25},
        {"pix_fmt": "yuv420p10le"},
        {"input_options": {"ss": "0.9"}},
        {"input_options": {"ss": "0:00:00.5", "to": "0:00:01.5"}},
    ],
    ids=str,
)
def test_what_the_job_does_to_the_pictures_is_done_to_the_sources(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    films = Films(tmp_path)
    source = films.test("in.mkv")
    inputs = {k: v for k, v in changes.items() if k == "input_options"}
    options = {**FAST, **{k: v for k, v in changes.items() if k not in inputs}}
    # In mp4, which older ones fill up to a constant rate: the harder case.
    output = tmp_path / "out.mp4"
    data = encode(source, output, options, verify="quality", **inputs)

    run = run_module(Ffmpeg, {**data, "quality_floor": 95})

    assert len(scores(run)) == 1


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"r": 12}, "the option r chooses the pictures"),
        ({"ss": "0.5"}, "the option ss moves the pictures"),
        ({"filter": "[in]hflip[out]"}, "its filters name their own ends"),
        ({"filter": "hwupload,scale_vaapi=w=80:h=46"}, "runs on other hardware"),
    ],
    ids=str,
)
def test_pictures_that_do_not_correspond_are_told_before_the_work(
    clip: Path, tmp_path: Path, options: dict[str, Any], why: str
) -> None:
    data = encode(clip, tmp_path / "out.mkv", {**FAST, **options}, verify="quality")

    with pytest.raises(InvalidSettings, match=f"cannot compare.*{why}"):
        run_module(Ffmpeg, data)


def test_a_copy_has_nothing_to_compare(clip: Path, tmp_path: Path) -> None:
    data = encode(clip, tmp_path / "out.mkv", COPY, verify="quality")

    run = run_module(Ffmpeg, data)

    assert any("nothing to compare" in line for line in run.log)


def test_quality_needs_ffprobe(clip: Path, tmp_path: Path) -> None:
    data = encode(clip, tmp_path / "out.mkv", FAST, verify="quality")

    with pytest.raises((ToolMissing, InvalidSettings)):
        run_module(Ffmpeg, data, tools={"ffprobe": tmp_path / "missing"})


def test_a_floor_belongs_to_quality(clip: Path, tmp_path: Path) -> None:
    data = encode(clip, tmp_path / "out.mkv", FAST, quality_floor=90)

    with pytest.raises(InvalidSettings, match='belongs to "verify": "quality"'):
        run_module(Ffmpeg, data)


# off


def test_off_takes_whatever_is_not_empty(clip: Path, tmp_path: Path) -> None:
    junk = tmp_path / "junk"
    junk.write_bytes(b"no film")
    output = tmp_path / "out.mkv"
    tools = instead(tmp_path, junk)

    run_module(Ffmpeg, encode(clip, output, COPY, verify="off"), tools=tools)
    assert output.read_bytes() == b"no film"

    with pytest.raises(OutputRefused, match="cannot be read"):
        run_module(Ffmpeg, encode(clip, output, COPY, overwrite=True), tools=tools)
    junk.write_bytes(b"")
    empty = encode(clip, output, COPY, verify="off", overwrite=True)
    with pytest.raises(OutputRefused, match="is empty"):
        run_module(Ffmpeg, empty, tools=tools)
    assert output.read_bytes() == b"no film"


# quick


def test_sound_that_was_copied_in_part_is_refused(tmp_path: Path, clip: Path) -> None:
    films = Films(tmp_path)
    # The last packet still stands at the end, so that the length is right.
    drop = "noise=drop=between(n\\,50\\,90)"
    gap = films.make("gap.mkv", "-i", clip, "-c", "copy", "-bsf:a", drop)
    data = encode(clip, tmp_path / "out.mkv", COPY)
    data["source_maps"] = [{"source": 0}]
    data["output_maps"] = [{"stream": n, "options": COPY} for n in (0, 1)]

    with pytest.raises(OutputRefused, match=r"audio stream 1.* has \d+ packets.* 249"):
        run_module(Ffmpeg, data, tools=instead(tmp_path, gap))
