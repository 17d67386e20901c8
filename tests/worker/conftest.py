"""A site for each test: an empty store, a folder, and the machines that it starts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from worker.machines import Site, is_alive


@pytest.fixture
def site(redis_url: str, tmp_path: Path) -> Iterator[Site]:
    made = Site(redis_url, tmp_path)
    yield made
    made.close()


@pytest.fixture
def alive() -> Callable[[int], bool]:
    return is_alive
