"""What ``import sisyphus`` gives, and what it costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import sisyphus


@pytest.mark.parametrize("name", sisyphus.__all__)
def test_every_exported_name_is_there(name: str) -> None:
    value = getattr(sisyphus, name)

    assert value is getattr(sisyphus, name)
    assert name in dir(sisyphus)


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(Path(sisyphus.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    imported = [
        alias.name
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]

    assert sorted([*imported, "__version__"]) == sorted(sisyphus.__all__)


def test_what_type_checkers_see_is_what_is_loaded() -> None:
    tree = ast.parse(Path(sisyphus.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))

    for node in block.body:
        if isinstance(node, ast.ImportFrom):
            home = __import__(str(node.module), fromlist=["x"])
            for alias in node.names:
                assert getattr(sisyphus, alias.name) is getattr(home, alias.name)


def test_an_unknown_name_is_an_error_as_everywhere() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        sisyphus.Nothing  # type: ignore[attr-defined]  # noqa: B018


def test_importing_loads_nothing_else() -> None:
    code = (
        "import sys; before = set(sys.modules); import sisyphus;"
        " print(*sorted(set(sys.modules) - before))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    loaded = run.stdout.decode().split()

    assert [name for name in loaded if name.startswith("sisyphus")] == ["sisyphus"]
    assert not {"redis", "pydantic", "asyncio", "importlib.metadata"} & set(loaded)
