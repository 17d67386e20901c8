"""What the cases are tried with: a folder with their files, and one worker for all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conformance.casebook import CASES
from conformance.materials import Workshop, fill_in
from farm import Farm, farming, unharmed


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("workshop"))


@pytest.fixture
def case(request: pytest.FixtureRequest, tmp_path: Path, workshop: Workshop) -> Any:
    """The case that the test is parametrized with, its files made."""
    folder = tmp_path / "work here"
    folder.mkdir()
    filled = fill_in(CASES[request.param], {"W": str(folder)})
    for entry in filled.get("files", ()):
        workshop.make(entry)
    return {**filled, "folder": folder}


@pytest.fixture(scope="session")
def _farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    with farming(
        tmp_path_factory.mktemp("farm"), tmp_path_factory.getbasetemp()
    ) as farm:
        yield farm


@pytest.fixture
def farm(_farm: Farm) -> Iterator[Farm]:
    with unharmed(_farm) as lent:
        yield lent
