"""Builds with a promise broken on purpose: a proof that a broken promise is seen."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import sisyphus


@dataclass(frozen=True)
class Sabotage:
    """A defect: one place of the source, changed."""

    file: str
    text: str
    instead: str


SABOTAGES = {
    "forget-recovered": Sabotage(
        "store/lua/recover.lua", "    put_back(id, j[5], true)\n", ""
    ),
    "stop-too-late": Sabotage(
        "worker/board.py", "STRICT_PART = 0.7", "STRICT_PART = 3.0"
    ),
    "drop-malformed": Sabotage(
        "store/lua/take.lua",
        "if not readable then return reject(raw, priority, 'not_json') end",
        "if not readable then return nil end",
    ),
    "deaf-guards": Sabotage(
        "modules/guard.py", "        waiting.register(self.life, select.POLLIN)\n", ""
    ),
}


def sabotaged(name: str, folder: Path) -> Path:
    """Copy the package with one defect; gives the folder to put on the path."""
    wanted = SABOTAGES[name]
    build = folder / "build"
    shutil.copytree(Path(sisyphus.__file__).parent, build / "sisyphus")
    file = build / "sisyphus" / wanted.file
    text = file.read_text()
    if text.count(wanted.text) != 1:
        raise ValueError(f"{wanted.text!r} must occur once in {wanted.file}")
    file.write_text(text.replace(wanted.text, wanted.instead))
    return build
