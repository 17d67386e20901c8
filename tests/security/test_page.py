"""What the page on security shows: programs that sign, files, a systemd unit."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from security.users import PAGE
from sisyphus.job import parse_job
from sisyphus.signatures import check

ROOT = PAGE.parent.parent
KEY = "0123456789abcdef" * 4


def block(language: str, word: str) -> str:
    """The first block of the page in this language that has the word in it."""
    blocks: list[str] = re.findall(
        rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL
    )
    return next(text for text in blocks if word in text)


PROGRAMS = {
    "sh": ("sh", "script.sh", "dgst"),
    "python": (sys.executable, "script.py", "hmac"),
    "js": ("node", "script.cjs", "createHmac"),
    "go": ("go", "script.go", "crypto/hmac"),
}


@pytest.mark.parametrize("language", PROGRAMS)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_every_program_of_the_page_makes_a_good_signature(
    language: str, tmp_path: Path
) -> None:
    program, name, word = PROGRAMS[language]
    if not shutil.which(program) or (language == "sh" and not shutil.which("openssl")):
        pytest.skip(f"{program} is not here")
    (tmp_path / "signing.key").write_text(f"{KEY}\nan older key\n")
    (tmp_path / name).write_text(block(language, word))

    words = [program, "run", name] if program == "go" else [program, name]
    subprocess.run(words, cwd=tmp_path, check=True, timeout=50)

    raw = (tmp_path / "signed.json").read_bytes()
    check(raw, [KEY.encode()])
    assert parse_job(raw).job_id == "film-1"


def test_files_that_the_page_names_are_there() -> None:
    named = set(re.findall(r"`([\w/]+\.(?:py|lua))`", PAGE.read_text()))
    assert named
    places = (ROOT, ROOT / "src" / "sisyphus")
    assert not {one for one in named if not any((p / one).exists() for p in places)}


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")
def test_the_unit_is_one(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "deployment.md").read_text()
    found = re.search(r"```ini\n(# /etc/systemd.*?)```", page, re.DOTALL)
    assert found is not None
    unit = tmp_path / "sisyphus.service"
    unit.write_text(re.sub(r"ExecStart=\S+", f"ExecStart={sys.executable}", found[1]))

    said = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit],
        capture_output=True,
        text=True,
        timeout=50,
    )

    ours = [line for line in said.stderr.splitlines() if "sisyphus.service" in line]
    assert ours == []
