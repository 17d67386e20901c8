"""Where the defects are looked for: machines of a test's own, and one that all share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from farm import Farm, farming, unharmed
from worker import machines
from worker.machines import Site

MODULES = (
    Path(__file__).parent / "modules",
    Path(machines.__file__).parent / "modules",
)


@pytest.fixture
def site(redis_url: str, tmp_path: Path) -> Iterator[Site]:
    made = Site(redis_url, tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="session")
def _farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    folder, root = tmp_path_factory.mktemp("farm"), tmp_path_factory.getbasetemp()
    with farming(folder, root, MODULES) as farm:
        yield farm


@pytest.fixture
def farm(_farm: Farm) -> Iterator[Farm]:
    """A machine with all modules; its worker must outlive the test."""
    with unharmed(_farm) as lent:
        yield lent
