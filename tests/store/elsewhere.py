"""Scripts from another folder than the package's: changed ones, or with another clock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sisyphus.store import scripts

CLOCK = ("worker:seconds", "worker:micros")
"""The fake clock: two keys that look like heartbeats, so nobody takes them for ours."""


@contextmanager
def scripts_in(folder: Path) -> Iterator[None]:
    """Let all stores of this process run the scripts of this folder."""
    before, scripts._FOLDER = scripts._FOLDER, folder
    scripts.script.cache_clear()
    scripts._prelude.cache_clear()
    try:
        yield
    finally:
        scripts._FOLDER = before
        scripts.script.cache_clear()
        scripts._prelude.cache_clear()


def with_fake_clock(folder: Path) -> Path:
    """Copy the scripts that are in use; theirs is a clock that tests can set."""
    for name in ("_prelude", *scripts.script_names()):
        text = (scripts._FOLDER / f"{name}.lua").read_text()
        text = text.replace(
            "redis.call('TIME')", f"redis.call('MGET', '{CLOCK[0]}', '{CLOCK[1]}')"
        )
        (folder / f"{name}.lua").write_text(text)
    return folder
