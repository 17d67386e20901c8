"""The chaos suite itself: it is repeatable, and it sees a broken promise."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from chaos.driver import schedule
from chaos.faults import FAULTS
from chaos.sabotage import SABOTAGES, sabotaged
from chaos.witness import is_whole, read_runs


def run_chaos(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "chaos", *words]
    variables = {**os.environ, "TMPDIR": str(folder)}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=variables
    )


def test_the_same_seed_draws_the_same_faults() -> None:
    kinds = sorted(FAULTS)

    assert schedule(kinds, 3, 7, 600) == schedule(kinds, 3, 7, 600)
    assert schedule(kinds, 3, 7, 600) != schedule(kinds, 3, 8, 600)


def test_no_kind_of_fault_is_left_to_chance() -> None:
    kinds = sorted(FAULTS)

    drawn = Counter(step.kind for step in schedule(kinds, 3, 1, 600))

    assert set(drawn) == set(kinds)
    assert max(drawn.values()) - min(drawn.values()) <= 1


@pytest.mark.parametrize("name", SABOTAGES)
def test_every_sabotage_still_finds_its_place(name: str, tmp_path: Path) -> None:
    build = sabotaged(name, tmp_path)

    wanted = SABOTAGES[name]
    assert wanted.text not in (build / "sisyphus" / wanted.file).read_text()


@pytest.mark.timeout(300)
def test_a_build_that_breaks_a_promise_is_found_out(tmp_path: Path) -> None:
    words = ["--seconds", "12", "--peace", "12", "--seed", "3"]

    ended = run_chaos(tmp_path, *words, "--sabotage", "forget-recovered")

    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "BROKEN: lost: " in ended.stdout
    assert "seed 3" in ended.stdout
    assert "are kept in " in ended.stdout


def test_executions_are_told_apart_by_their_tokens(tmp_path: Path) -> None:
    lines = ["S 5 100 77 0 chaotic", "T 5 120 9", "E 5 130 0", "S 5 140 77 1 chaotic"]
    lines += ["T 9 90 8", "S 9 80 78 0 chaotic", "T 9"]  # killed while it wrote
    (tmp_path / "job").write_text("\n".join(lines))

    first, second = read_runs(tmp_path)["job"]

    assert (first.token, first.first_us, first.last_us) == (5, 100, 140)
    assert (first.supervisor, first.tasks, first.done) == (77, [0, 1], [0])
    assert (second.token, second.first_us, second.signs) == (9, 80, [90])


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("7 1\n7 2\n7 whole 2\n", True),
        ("7 1\n7 2\n", False),
        ("7 1\n8 2\n7 whole 2\n", False),
        ("7 2\n7 whole 2\n", False),
        ("", False),
    ],
)
def test_half_a_file_and_two_in_one_are_seen(
    tmp_path: Path, text: str, whole: bool
) -> None:
    output = tmp_path / "output"
    output.write_text(text)

    assert is_whole(output) == whole
