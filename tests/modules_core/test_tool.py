"""What a tool prints, how it ends, what it took, and where it is found."""

from __future__ import annotations

import resource
import signal
import sys
from pathlib import Path

import pytest
from processes import Background, python, shell

from sisyphus.errors import Stopped, TaskFailed, ToolFailed, ToolMissing
from sisyphus.modules.control import Control, StopReason
from sisyphus.modules.environment import tool_environment
from sisyphus.modules.tool import (
    LINE_CHARACTERS,
    TAIL_LINES,
    ToolResult,
    Tools,
    run_tool,
)
from sisyphus.settings import Settings
from sisyphus.testing import fake_tool


def lines_of(argv: list[str]) -> list[str]:
    lines: list[str] = []
    run_tool(argv, control=Control(), on_line=lines.append)
    return lines


def test_output_that_is_not_utf_8_is_read_leniently() -> None:
    assert lines_of(shell(r"printf 'gr\374n\nfine\n'")) == ["gr\ufffdn", "fine"]


def test_a_carriage_return_ends_a_line_too() -> None:
    said = r"printf 'frame=1\rframe=2\r\nlast\n\n\rwithout end'"

    assert lines_of(shell(said)) == ["frame=1", "frame=2", "last", "without end"]


def test_a_letter_may_arrive_in_two_pieces() -> None:
    body = "for b in 'ü\\n'.encode(): os.write(1, bytes([b]))"

    assert lines_of(python(body)) == ["ü"]


def test_the_two_streams_are_told_apart() -> None:
    out: list[str] = []
    err: list[str] = []

    run_tool(
        shell("echo one; echo two >&2"),
        control=Control(),
        on_line=out.append,
        on_stderr_line=err.append,
    )

    assert (out, err) == (["one"], ["two"])


def test_a_very_chatty_tool_neither_blocks_nor_fills_the_memory() -> None:
    body = """
line = b"x" * 79 + b"\\n"
for _ in range(650):
    os.write(1, line * 1000) and os.write(2, line * 1000)
"""
    counted = 0

    def count(line: str) -> None:
        nonlocal counted
        counted += len(line) + 1

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = run_tool(
        python(body), control=Control(), on_line=count, on_stderr_line=count
    )
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before

    assert counted > 50_000_000
    assert len(result.tail) == TAIL_LINES
    assert grown_kib < 20_000


def test_a_line_without_end_is_cut() -> None:
    body = "[os.write(1, b'y' * 100_000) for _ in range(200)]; print('\\nnext')"

    first, second = lines_of(python(body))

    assert first == "y" * LINE_CHARACTERS
    assert second == "next"


def test_the_tail_leaves_out_what_was_consumed() -> None:
    result = run_tool(
        shell("echo progress; echo words"),
        control=Control(),
        on_line=lambda line: line == "progress",
    )

    assert result.tail == ("words",)


def test_the_resources_a_tool_took_are_reported() -> None:
    body = """
held = bytearray(150_000_000)
end = time.process_time() + 0.2
while time.process_time() < end: pass
"""
    script = python(body)

    result = run_tool(["/bin/sh", "-c", '"$@"; true', "sh", *script], control=Control())

    assert result.cpu_seconds >= 0.2
    assert result.peak_bytes >= 150_000_000
    assert result.wall_seconds >= 0.2


def test_an_exit_status_that_is_not_allowed_is_an_error() -> None:
    with pytest.raises(ToolFailed) as caught:
        run_tool(shell("echo started; echo 'no space' >&2; exit 3"), control=Control())

    error = caught.value
    assert str(error) == "sh ended with exit status 3: no space"
    assert error.exit_code == 3
    assert error.tail == ["started", "no space"]
    assert error.facts()["argv"][0] == "/bin/sh"


def test_other_exit_statuses_may_be_allowed() -> None:
    assert run_tool(shell("exit 1"), control=Control(), ok=(0, 1)).exit_code == 1


def test_a_signal_is_named() -> None:
    with pytest.raises(ToolFailed, match="sh was killed by SIGSEGV") as caught:
        run_tool(shell("kill -SEGV $$"), control=Control())

    assert caught.value.exit_code == -signal.SIGSEGV


def test_a_result_is_given_for_a_tool_that_failed(tmp_path: Path) -> None:
    results: list[ToolResult] = []

    with pytest.raises(ToolFailed):
        run_tool(shell("exit 3"), control=Control(), on_result=results.append)

    assert [result.exit_code for result in results] == [3]


@pytest.mark.parametrize("mode", [None, 0o644])
def test_a_program_that_cannot_be_run_is_missing(
    mode: int | None, tmp_path: Path
) -> None:
    program = tmp_path / "program"
    if mode is not None:
        program.write_text("#!/bin/sh\n")
        program.chmod(mode)

    with pytest.raises(ToolMissing, match="program cannot be run"):
        run_tool([str(program)], control=Control())


def test_a_missing_working_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ToolFailed, match="cannot be started"):
        run_tool(shell("true"), control=Control(), cwd=tmp_path / "nowhere")


def test_an_argument_with_a_nul_is_refused() -> None:
    with pytest.raises(TaskFailed, match="NUL"):
        run_tool(["/bin/echo", "a\0b"], control=Control())


def test_arguments_arrive_as_they_were_given() -> None:
    odd = ["", "a b", "--", "-x", "'\"$HOME`", "ü\udcff", "*"]
    body = "print('\\n'.join(ascii(word) for word in sys.argv[1:]))"

    assert lines_of([*python(body), *odd]) == [ascii(word) for word in odd]


def test_a_task_that_is_already_stopping_starts_no_tool(tmp_path: Path) -> None:
    control = Control()
    control.stop(StopReason.CANCEL)

    with pytest.raises(Stopped):
        run_tool(["/usr/bin/touch", str(tmp_path / "file")], control=control)

    assert not list(tmp_path.iterdir())


def test_two_tools_of_one_task_stop_together() -> None:
    control = Control()
    argv = shell("echo ready; exec sleep 300")
    first, second = Background(argv, control), Background(argv, control)
    first.has_said("ready")
    second.has_said("ready")

    control.stop(StopReason.CANCEL)

    assert isinstance(first.ended(), Stopped)
    assert isinstance(second.ended(), Stopped)


def test_a_tool_sees_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SISYPHUS_REDIS_URL", "REDIS_HOST", "AWS_TOKEN", "PYTHONPATH"):
        monkeypatch.setenv(name, "a-secret")
    monkeypatch.setenv("LC_TIME", "C")

    lines = lines_of(shell("env"))

    assert not [line for line in lines if "a-secret" in line]
    assert "LC_TIME=C" in lines


def test_only_allowed_variables_are_passed_on() -> None:
    given = {"PATH": "/bin", "LIBVA_DRIVER_NAME": "x", "LD_PRELOAD": "y", "HOMER": "z"}

    found = tool_environment({"MORE": "1"}, of=given)

    assert found == {"PATH": "/bin", "LIBVA_DRIVER_NAME": "x", "MORE": "1"}


@pytest.mark.parametrize(
    ("given", "wanted"), [("C", "C.UTF-8"), ("POSIX", "C.UTF-8"), ("de_DE.UTF-8",) * 2]
)
def test_a_tool_can_always_open_files_whose_names_are_not_ascii(
    given: str, wanted: str
) -> None:
    assert tool_environment(of={"LC_ALL": given}) == {"LC_ALL": wanted}


def test_a_tool_is_looked_for_in_the_settings_first(tmp_path: Path) -> None:
    mine = fake_tool(tmp_path, "my-ffmpeg", "")
    settings = Settings.model_construct(ffmpeg=str(mine))

    assert Tools.of(settings).find("ffmpeg") == str(mine)


def test_a_tool_is_found_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = fake_tool(tmp_path, "mkvmerge", "")
    monkeypatch.setenv("PATH", str(tmp_path))

    assert Tools().find("mkvmerge") == str(mine)


def test_a_missing_tool_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ToolMissing, match="install mkvtoolnix"):
        Tools().find("mkvmerge")


def test_a_setting_that_leads_nowhere_is_not_replaced_silently() -> None:
    with pytest.raises(ToolMissing, match="ffmpeg is set to /nowhere/ffmpeg"):
        Tools({"ffmpeg": "/nowhere/ffmpeg"}).find("ffmpeg")


def test_ffmpeg_may_come_from_a_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "imageio_ffmpeg.py").write_text(
        "def get_ffmpeg_exe(): return '/wheel/ffmpeg'"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "imageio_ffmpeg", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert Tools().find("ffmpeg") == "/wheel/ffmpeg"
