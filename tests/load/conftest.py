"""A site for each test, whose machines have a module that talks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from worker.machines import Machine, Site

MODULES = str(Path(__file__).parent / "modules")

Start = Callable[[], Machine]


@pytest.fixture
def site(redis_url: str, tmp_path: Path) -> Iterator[Site]:
    made = Site(redis_url, tmp_path)
    yield made
    made.close()


@pytest.fixture
def worker(site: Site) -> Start:
    """Start a machine with one worker."""
    return lambda: site.machine(module_folders=[MODULES], lease=12.0)
