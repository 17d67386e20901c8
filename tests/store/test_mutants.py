"""The defects that ``python -m mutants`` puts into the scripts fit the scripts."""

from __future__ import annotations

import pytest

from mutants.__main__ import ALL, LUA
from sisyphus.store.scripts import script_names


@pytest.mark.parametrize("number", range(len(ALL)))
def test_a_defect_changes_exactly_one_place(number: int) -> None:
    defect = ALL[number]
    text = (LUA / f"{defect.script}.lua").read_text()

    assert text.count(defect.text) == 1, defect.text
    assert defect.instead != defect.text


def test_every_script_has_a_defect() -> None:
    assert {defect.script for defect in ALL} == {"_prelude", *script_names()}


def test_no_defect_is_listed_twice() -> None:
    changes = [(defect.script, defect.text, defect.instead) for defect in ALL]

    assert len(set(changes)) == len(changes)
    assert len({defect.breaks for defect in ALL}) == len(ALL)
