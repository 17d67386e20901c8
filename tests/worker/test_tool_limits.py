"""A worker whose tools have limits, from its settings to the job that fails."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sisyphus.cli.doctor_checks import limit_findings
from sisyphus.errors import ConfigError
from sisyphus.limits import Limits, memory_keeper, shown_bytes
from sisyphus.modules.tool import Tools
from sisyphus.settings import Settings
from sisyphus.store.health import Severity
from waiting import eventually
from worker.machines import Site

MODULE = '''
import sys

from sisyphus import Module, ModuleSettings, Task


class Hungry(Module):
    """A tool that takes so many MiB."""

    class Settings(ModuleSettings):
        """How many."""

        mib: int

    def run(self, task: Task) -> None:
        hog = f"print(len(bytearray({self.settings.mib} << 20)))"
        task.tool([sys.executable, "-IS", "-c", hog])
'''


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits memory")
def test_a_job_whose_tool_is_too_hungry_fails_and_the_worker_goes_on(
    site: Site, tmp_path: Path
) -> None:
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "hungry.py").write_text(MODULE)
    machine = site.machine(
        module_folders=[str(folder)], tool_memory="64M", tool_nice=3, log_level="INFO"
    )

    too_much = {"tasks": [{"hungry": {"mib": 500}}], "retries": 3}
    site.push("too-much", **too_much)
    site.push("enough", tasks=[{"hungry": {"mib": 20}}])

    site.until("too-much", "failed")
    site.until("enough", "completed")
    error = site.error("too-much")
    assert error["code"] == "limit_reached"
    assert error["limit"] == "tool_memory"
    assert "tool_memory allows (64M" in error["message"]
    assert len(site.attempts("too-much")) == 1
    eventually(lambda: "tools are limited: nice 3, memory 64M (" in machine.log)


def test_doctor_tells_of_limits_only_where_there_are_some() -> None:
    tools = Tools()
    limited = Settings.load(tool_nice=5, tool_wrapper=["no-such-wrapper"])

    assert list(limit_findings(Settings.load(), tools)) == []
    missing, told = limit_findings(limited, tools)
    assert (missing.severity, told.severity) == (Severity.ERROR, Severity.OK)
    assert "no-such-wrapper is not installed" in missing.what
    assert told.what == "nice 5, started by no-such-wrapper"


# Settings


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("4G", 4 << 30),
        ("4g", 4 << 30),
        ("512 MiB", 512 << 20),
        ("2t", 2 << 40),
        ("134217728", 128 << 20),
    ],
)
def test_sizes_may_have_units(text: str, number: int) -> None:
    assert Settings.load(tool_memory=text).tool_memory == number


@pytest.mark.parametrize("text", ["4X", "much", "-1G", "1.5G", "10M", "", "G"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="tool_memory"):
        Settings.load(tool_memory=text)


@pytest.mark.parametrize("name", ["tool_memory", "tool_file_size"])
def test_a_size_that_the_kernel_cannot_take_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}: .*less than 922337"):
        Settings.load(**{name: "8388608T"})

    assert getattr(Settings.load(**{name: str(2**63 - 1)}), name) == 2**63 - 1


def test_a_wrapper_is_words_as_a_shell_has_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SISYPHUS_TOOL_WRAPPER", "bwrap --ro-bind '/a folder' /films")

    assert Settings.load().tool_wrapper == ("bwrap", "--ro-bind", "/a folder", "/films")


def test_the_limits_are_told_with_what_keeps_them() -> None:
    settings = Settings.load(tool_nice=10, tool_io_class="idle", tool_memory="4G")

    assert Limits.of(Settings.load()).told() == []
    assert Limits.of(settings).told() == [
        "nice 10",
        "io idle",
        f"memory 4G ({memory_keeper()})",
    ]
    assert shown_bytes(100) == "100"
