"""Commands about this machine: modules and doctor."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.conftest import MODULES, Sisyphus
from sisyphus.cli.demo_films import Expected, judge
from sisyphus.cli.doctor_checks import (
    folder_finding,
    module_findings,
    tool_finding,
    version_in,
)
from sisyphus.modules.tool import Tools
from sisyphus.settings import Settings
from sisyphus.store.health import Severity
from sisyphus.testing import fake_tool

HERE = ("--modules", MODULES)


def test_modules_are_listed_with_one_sentence(sisyphus: Sisyphus) -> None:
    said = sisyphus("modules", "list", *HERE)

    assert "note" in said.out
    assert "Writes a note." in said.out
    names = [row["name"] for row in sisyphus("modules", "list", "--json").json]
    assert names == ["cleanup", "ffmpeg", "handbrake", "mkvextract", "mkvmerge"]


def test_a_module_that_cannot_be_loaded_is_listed_with_the_reason(
    sisyphus: Sisyphus, anywhere: Path
) -> None:
    (anywhere / "broken.py").write_text("import no_such_package")

    said = sisyphus("modules", "list", "--modules", anywhere)

    assert said.code == 0
    assert "No module named 'no_such_package'" in said.out


def test_a_module_s_keys_are_shown_with_type_and_default(sisyphus: Sisyphus) -> None:
    said = sisyphus("modules", "show", "note", *HERE)

    (line,) = [line for line in said.lines if line.startswith("output_file")]
    assert line.split()[:3] == ["output_file", "path", "required"]
    (line,) = [line for line in said.lines if line.startswith("text")]
    assert line.split()[:4] == ["text", "string", "a", "note"]


@pytest.mark.parametrize("name", ["ffmpeg", "mkvmerge", "cleanup"])
def test_the_installed_modules_can_be_shown(name: str, sisyphus: Sisyphus) -> None:
    assert sisyphus("modules", "show", name).code == 0
    schema = sisyphus("modules", "schema", name).json
    assert schema["type"] == "object"


def test_a_new_module_is_written_and_can_be_listed(
    sisyphus: Sisyphus, anywhere: Path
) -> None:
    said = sisyphus("modules", "new", "thumbnail", "--folder", "mine")

    assert said.code == 0
    assert (anywhere / "mine" / "test_thumbnail.py").exists()
    assert "thumbnail" in sisyphus("modules", "list", "--modules", "mine").out
    assert sisyphus("modules", "new", "thumbnail", "--folder", "mine").code == 2


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("ffmpeg version 5.1.9-0+deb12u1 Copyright", "5.1.9"),
        ("ffmpeg version n7.1 Copyright", "7.1"),
        ("ffmpeg version N-118000-g1234567 Copyright", ""),
        ("mkvmerge v74.0.0 ('You Oughta Know') 64-bit", "74.0.0"),
    ],
)
def test_versions_are_read(said: str, version: str) -> None:
    assert version_in(said) == version


def test_a_missing_tool_is_found_with_what_to_install(tmp_path: Path) -> None:
    found = tool_finding(Tools({"mkvmerge": str(tmp_path / "none")}), "mkvmerge")

    assert found.severity is Severity.WARNING
    assert found.mend


def test_an_old_tool_is_a_warning(tmp_path: Path) -> None:
    old = fake_tool(tmp_path, "ffmpeg", "print('ffmpeg version 3.4 Copyright')")

    found = tool_finding(Tools({"ffmpeg": str(old)}), "ffmpeg")

    assert found.severity is Severity.WARNING
    assert "is old" in found.what


def test_a_broken_tool_is_an_error(tmp_path: Path) -> None:
    broken = fake_tool(tmp_path, "ffmpeg", "sys.exit(1)")

    found = tool_finding(Tools({"ffmpeg": str(broken)}), "ffmpeg")

    assert found.severity is Severity.ERROR


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    found = folder_finding(tmp_path / "none", "--root")

    assert found.severity is Severity.ERROR
    assert "--root" in found.mend


def test_what_is_allowed_is_said_and_a_slip_in_it_is_an_error() -> None:
    allowed = Settings.model_construct(allowed_options=("ffmpeg.filter_complex",))
    slip = Settings.model_construct(allowed_options=("ffmpeg.filter_complx",))

    warning, modules = module_findings(allowed)
    (error,) = module_findings(slip)

    assert warning.severity is Severity.WARNING
    assert "ffmpeg.filter_complex" in warning.what
    assert modules.severity is Severity.OK
    assert error.severity is Severity.ERROR
    assert "did you mean 'filter_complex'" in error.what


@pytest.mark.tool
def test_the_doctor_looks_at_machine_and_redis(
    with_redis: str, sisyphus: Sisyphus
) -> None:
    said = sisyphus("doctor")

    assert said.code == 0
    for word in ("Python", "ffmpeg", "roots", "modules", "Valkey", "workers alive"):
        assert word in said.out


def test_the_doctor_says_how_to_mend_what_is_wrong(sisyphus: Sisyphus) -> None:
    said = sisyphus("doctor", "--redis-url", "redis://:secret@127.0.0.1:1", "--json")

    assert said.code == 1
    assert "secret" not in said.out
    (redis,) = [row for row in said.json if row["topic"] == "redis"]
    assert redis["severity"] == "error"
    assert "--redis-url" in redis["mend"]


@pytest.mark.tool
def test_a_film_is_judged_by_its_streams_and_its_length(clip: Path) -> None:
    good = Expected(clip.name, ("h264", "aac"), 5.3)
    wrong_streams = Expected(clip.name, ("hevc", "aac"), 5.3)
    too_short = Expected(clip.name, ("h264", "aac"), 9.0)
    missing = Expected("none.mkv", (), 0)

    assert judge(good, clip.parent, Tools()).wrong == ""
    assert "should have hevc" in judge(wrong_streams, clip.parent, Tools()).wrong
    assert "should last 9 s" in judge(too_short, clip.parent, Tools()).wrong
    assert judge(missing, clip.parent, Tools()).wrong == "is not there"
