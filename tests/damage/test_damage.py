"""No damage to source, tool or disk ends as a success; docs/damage.md says as what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from damages import COLUMNS, COMPLETED, DAMAGES, Column, Damage, report
from table import PAGE, cells_of

pytestmark = pytest.mark.tool


def cells() -> list[Any]:
    return [
        pytest.param(column, damage, id=f"{damage.title} - {column.title}")
        for damage in DAMAGES
        for column in COLUMNS
        if column.tool or not damage.needs_tool
    ]


@pytest.mark.parametrize(("column", "damage"), cells())
def test_a_damage_is_never_taken_for_a_success(
    column: Column, damage: Damage, tmp_path: Path
) -> None:
    folder = tmp_path / "scene"
    folder.mkdir()

    found = report(column, damage, folder)

    assert found.code != COMPLETED
    written = cells_of(PAGE.read_text())[damage.title, column.title]
    assert written.kind == found.kind, "run scripts/write-docs"
