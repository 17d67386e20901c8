"""What a tool may take of the machine, seen from outside while it runs."""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from processes import LONG, Background, python, shell

from sisyphus import limits as machine
from sisyphus.errors import LimitReached, ToolFailed, ToolMissing
from sisyphus.limits import Limits, clear_group
from sisyphus.modules.control import Control, StopReason
from sisyphus.modules.tool import run_tool
from sisyphus.modules.tool_failure import failure_of
from sisyphus.testing import fake_tool, run_module

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")

MIB = 1024**2
HOG = "held = [bytearray(8 << 20) for _ in range(200)]"
TWO_STEPS = f"sleep {LONG} & sleep {LONG}1; true"
"""A tool that leaves its work to others."""


def niceness(pid: int) -> int:
    return os.getpriority(os.PRIO_PROCESS, pid)


def io_priority(pid: int) -> int:
    number = {"x86_64": 252, "aarch64": 31}.get(platform.machine())
    if number is None:
        pytest.skip(
            f"the number of ioprio_get on {platform.machine()} is not known here"
        )
    return int(ctypes.CDLL(None).syscall(number, 1, pid))


def end(running: Background) -> None:
    running.control.stop(StopReason.CANCEL)
    running.ended()


def test_a_tool_and_all_it_starts_are_as_nice_as_the_setting_says() -> None:
    running = Background(shell(TWO_STEPS), limits=Limits(nice=7))
    pids = [running.family.running(f"sleep {LONG}{end}") for end in ("", "1")]

    assert [niceness(pid) for pid in pids] == [7, 7]
    assert niceness(running.family.guard()) == niceness(os.getpid())
    end(running)


def test_niceness_counts_against_other_sessions_too() -> None:
    mine = Path("/proc/self/autogroup")
    before = mine.read_text() if mine.exists() else ""
    running = Background(shell(TWO_STEPS), limits=Limits(nice=7))
    pid = running.family.running(f"sleep {LONG}1")

    group = Path(f"/proc/{pid}/autogroup")
    if not group.exists() or "/" not in group.read_text():
        end(running)
        pytest.skip("this kernel does not group processes by session")
    assert group.read_text().split()[-1] == "7"
    assert mine.read_text() == before
    end(running)


def test_a_worker_that_is_nicer_than_the_setting_keeps_its_tools_so() -> None:
    body = """
os.nice(5)
sys.path[:0] = sys.argv[1:]
from sisyphus.limits import Limits
from sisyphus.modules.control import Control
from sisyphus.modules.tool import run_tool
say = "import os; print(os.nice(0), *open('/proc/self/autogroup'))"
argv = [sys.executable, "-c", say]
run_tool(argv, control=Control(), on_line=print, limits=Limits(nice=2))
"""
    said: list[str] = []

    run_tool([*python(body), *sys.path], control=Control(), on_line=said.append)

    wanted = str(niceness(os.getpid()) + 5)
    [nice, *group] = said[0].split()
    assert nice == wanted
    assert group[-1:] in ([], [wanted])


@pytest.mark.parametrize(
    ("io_class", "number"), [("best-effort", 2 << 13 | 7), ("idle", 3 << 13)]
)
def test_a_tool_and_all_it_starts_have_the_io_class_of_the_setting(
    io_class: str, number: int
) -> None:
    running = Background(shell(TWO_STEPS), limits=Limits(io_class=io_class))
    pids = [running.family.running(f"sleep {LONG}{end}") for end in ("", "1")]

    assert [io_priority(pid) for pid in pids] == [number, number]
    end(running)


def test_a_tool_that_crashes_leaves_no_core_dump() -> None:
    running = Background(shell(f"exec sleep {LONG}"))
    pid = running.family.running(f"sleep {LONG}")

    assert resource.prlimit(pid, resource.RLIMIT_CORE) == (0, 0)
    end(running)


def test_without_limits_a_tool_has_those_of_its_worker() -> None:
    running = Background(shell(f"exec sleep {LONG}"))
    pid = running.family.running(f"sleep {LONG}")

    assert niceness(pid) == niceness(os.getpid())
    assert resource.prlimit(pid, resource.RLIMIT_DATA) == resource.getrlimit(
        resource.RLIMIT_DATA
    )
    assert resource.prlimit(pid, resource.RLIMIT_FSIZE) == resource.getrlimit(
        resource.RLIMIT_FSIZE
    )
    end(running)


# Memory


@pytest.mark.parametrize(
    "argv",
    [python(HOG), shell(f"{sys.executable} -IS -c '{HOG}'; exit $?")],
    ids=["itself", "a grandchild"],
)
def test_a_tool_that_wants_too_much_memory_ends_with_the_settings_name(
    argv: list[str],
) -> None:
    with pytest.raises(LimitReached) as caught:
        run_tool(argv, control=Control(), limits=Limits(memory=64 * MIB))

    assert "needs more memory than tool_memory allows (64M" in str(caught.value)
    assert caught.value.facts()["code"] == "limit_reached"
    assert caught.value.facts()["limit"] == "tool_memory"
    assert not caught.value.retryable


def test_a_tool_that_crashes_for_lack_of_memory_is_told_of_the_limit() -> None:
    with pytest.raises(
        ToolFailed, match=r"SIGABRT \(out of memory\? tool_memory is 64M"
    ):
        run_tool(
            python("os.abort()"), control=Control(), limits=Limits(memory=64 * MIB)
        )


def said_at_the_end(*lines: str) -> list[str]:
    """A tool that fails with these as its last words."""
    return python(f"print(*{lines!r}, sep='\\n', file=sys.stderr); sys.exit(1)")


@pytest.mark.parametrize(
    "lines",
    [
        ("    title           : Out of Memory", "Invalid data found"),
        ("                    : Cannot allocate memory",),
        ("Cannot allocate memory", "more", "was", "said", "after", "it"),
        ("/films/Out of Memory.mkv: Invalid data found",),
        ("[in#0] Error opening 'Out of Memory.mkv'",),
    ],
)
def test_words_that_a_film_chooses_are_no_limit(lines: tuple[str, ...]) -> None:
    argv = [*said_at_the_end(*lines), "file:/films/Out of Memory.mkv"]

    with pytest.raises(ToolFailed) as caught:
        run_tool(argv, control=Control(), limits=Limits(memory=64 * MIB))

    assert type(caught.value) is ToolFailed
    assert caught.value.retryable


def test_a_title_is_no_size_of_a_file() -> None:
    argv = said_at_the_end("    title           : File too large")

    with pytest.raises(ToolFailed) as caught:
        run_tool(argv, control=Control(), limits=Limits(file_size=MIB))

    assert type(caught.value) is ToolFailed


def test_a_tool_that_names_its_file_and_the_lack_of_memory_is_believed() -> None:
    argv = [*said_at_the_end("/films/a.mkv: Cannot allocate memory"), "/films/a.mkv"]

    with pytest.raises(LimitReached):
        run_tool(argv, control=Control(), limits=Limits(memory=64 * MIB))


@pytest.mark.parametrize(
    ("word_of_the_kernel", "kind"),
    [(False, ToolFailed), (True, LimitReached), (None, LimitReached)],
)
def test_where_the_kernel_tells_of_memory_no_words_count(
    word_of_the_kernel: bool | None, kind: type[ToolFailed]
) -> None:
    said = ["Cannot allocate memory"]

    error = failure_of(["x"], 1, said, Limits(memory=64 * MIB), word_of_the_kernel)

    assert type(error) is kind


def test_a_tool_that_stays_below_its_limit_is_left_alone() -> None:
    said: list[str] = []

    run_tool(
        python("held = bytearray(30 << 20); print(len(held))"),
        control=Control(),
        on_line=said.append,
        limits=Limits(memory=64 * MIB),
    )

    assert said == [str(30 * MIB)]


def test_no_limit_is_put_above_the_one_that_the_worker_has() -> None:
    body = f"""
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, ({MIB}, {MIB}))
sys.path[:0] = sys.argv[1:]
from sisyphus.limits import Limits
from sisyphus.modules.control import Control
from sisyphus.modules.tool import run_tool
say = "import resource; print(resource.getrlimit(resource.RLIMIT_FSIZE))"
argv = [sys.executable, "-c", say]
run_tool(argv, control=Control(), on_line=print, limits=Limits(file_size=2**40))
"""
    said: list[str] = []

    run_tool([*python(body), *sys.path], control=Control(), on_line=said.append)

    assert said == [str((MIB, MIB))]


# Control groups

UNIFIED = [Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified")]


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A control group below which tools may get theirs."""
    root = next((p for p in UNIFIED if (p / "cgroup.controllers").exists()), None)
    if root is None:
        pytest.skip("no control groups of version 2 here")
    below = root / f"sisyphus-test-{os.getpid()}"
    try:
        below.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error}")
    monkeypatch.setattr(machine, "tool_groups", lambda: below)
    yield below
    clear_group("x", below)
    below.rmdir()


def needs_memory(groups: Path) -> None:
    try:
        (groups / "cgroup.subtree_control").write_text("+memory")
    except OSError as error:
        pytest.skip(f"memory cannot be shared out by control groups here: {error}")


def test_in_a_control_group_the_kernel_ends_all_of_a_tool_for_its_memory(
    groups: Path,
) -> None:
    needs_memory(groups)
    hog = f"(setsid sleep {LONG} &) ; {sys.executable} -IS -c '{HOG}'; sleep {LONG}"

    with pytest.raises(LimitReached, match="kept by cgroup"):
        run_tool(shell(hog), control=Control(), limits=Limits(memory=64 * MIB))

    assert list(groups.glob("tool-*")) == []


def test_where_a_control_group_cannot_limit_memory_each_process_is_limited(
    groups: Path,
) -> None:
    if "memory" in (groups / "cgroup.controllers").read_text():
        pytest.skip("control groups can limit memory here")

    with pytest.raises(LimitReached):
        run_tool(python(HOG), control=Control(), limits=Limits(memory=64 * MIB))

    assert list(groups.glob("tool-*")) == []


def test_what_a_killed_guard_left_in_a_control_group_is_ended(groups: Path) -> None:
    group = groups / "tool-x"
    group.mkdir()
    with subprocess.Popen(["sleep", LONG], start_new_session=True) as process:
        (group / "cgroup.procs").write_text(str(process.pid))

        clear_group("x", groups)

        assert process.wait(10) == -signal.SIGKILL
    assert not group.exists()


# Sizes of files


def test_a_tool_that_writes_too_large_a_file_ends_with_the_settings_name(
    tmp_path: Path,
) -> None:
    writes = ["/bin/dd", "if=/dev/zero", f"of={tmp_path / 'x'}", "bs=1M", "count=3"]

    with pytest.raises(LimitReached) as caught:
        run_tool(writes, control=Control(), limits=Limits(file_size=2 * MIB))

    assert "a file larger than tool_file_size allows (2M)" in str(caught.value)
    assert caught.value.facts()["limit"] == "tool_file_size"
    assert (tmp_path / "x").stat().st_size == 2 * MIB


@pytest.mark.tool
@pytest.mark.parametrize("module", ["ffmpeg", "mkvmerge"])
def test_a_module_passes_on_that_a_limit_was_reached(
    clip: Path, tmp_path: Path, module: str
) -> None:
    made: dict[str, dict[str, Any]] = {
        "ffmpeg": {
            "source_maps": [{"source": 0, "specifier": "v", "stream": 0}],
            "output_maps": [{"stream": 0, "options": {"codec": "rawvideo"}}],
        },
        "mkvmerge": {"tracks": [{"source": 0, "track": 0}]},
    }
    output = tmp_path / "out.mkv"
    data = {"sources": [str(clip)], "output_file": str(output), **made[module]}

    with pytest.raises(LimitReached, match="tool_file_size allows"):
        run_module(module, data, settings={"tool_file_size": 1024})

    assert not output.exists()


@pytest.mark.tool
def test_ffmpeg_itself_says_that_it_was_the_memory(clip: Path, tmp_path: Path) -> None:
    data = {
        "sources": [str(clip)],
        "source_maps": [{"source": 0, "specifier": "v", "stream": 0}],
        "output_maps": [
            {"stream": 0, "options": {"codec": "libx264", "vf": "scale=8000:8000"}}
        ],
        "output_file": str(tmp_path / "out.mkv"),
        "verify": "off",
    }

    with pytest.raises(LimitReached, match="tool_memory allows"):
        run_module("ffmpeg", data, settings={"tool_memory": 300 * MIB})


# A wrapper


def test_a_wrapper_stands_before_every_command_and_ends_with_it(tmp_path: Path) -> None:
    wrapper = fake_tool(
        tmp_path,
        "wrapper",
        "print('wrapped'); sys.stdout.flush(); os.execv(sys.argv[2], sys.argv[2:])",
    )
    running = Background(
        shell(f"echo begun; exec sleep {LONG}"),
        limits=Limits(wrapper=(str(wrapper), "--flag")),
    )
    running.has_said("begun")

    assert running.lines == ["wrapped", "begun"]
    end(running)
    assert not running.family.alive()


def test_nothing_outlives_a_wrapper_that_does_not_pass_signals_on(
    tmp_path: Path,
) -> None:
    wrapper = fake_tool(
        tmp_path,
        "wrapper",
        "import subprocess; subprocess.run(sys.argv[1:], start_new_session=True)",
    )
    running = Background(
        shell(f"echo begun; exec sleep {LONG}"),
        limits=Limits(wrapper=(str(wrapper),)),
        grace=0.2,
    )
    running.has_said("begun")

    end(running)

    assert not running.family.alive()


def test_a_failure_under_a_wrapper_names_the_tool(tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match=r"^sh ended with exit status 3") as caught:
        run_tool(
            shell("exit 3"), control=Control(), limits=Limits(wrapper=("/usr/bin/env",))
        )

    assert caught.value.argv == shell("exit 3")


def test_a_wrapper_that_is_not_there_is_missing_like_a_tool(
    clip: Path, tmp_path: Path
) -> None:
    data = {
        "sources": [str(clip)],
        "tracks": [{"source": 0, "track": 0}],
        "output_file": str(tmp_path / "out.mkv"),
    }

    with pytest.raises(ToolMissing, match="no-such-wrapper is not installed"):
        run_module("mkvmerge", data, settings={"tool_wrapper": ("no-such-wrapper",)})
