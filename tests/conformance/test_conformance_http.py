"""The cases of the HTTP server, tried on the app with a real store behind it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from httpx import Client

from conformance.casebook import of_kind
from conformance.materials import fill_in
from serving import serving
from sisyphus.settings import Settings


@pytest.fixture
def server(redis_url: str) -> Iterator[Client]:
    with serving(Settings.load(redis_url=redis_url)) as client:
        yield client


def holds(body: Any, wanted: Any) -> bool:
    """Tell whether all that is wanted is in the body; it may hold more."""
    match wanted:
        case {"re": str(pattern)}:
            return isinstance(body, str) and bool(re.fullmatch(pattern, body))
        case dict():
            return isinstance(body, dict) and all(
                name in body and holds(body[name], value)
                for name, value in wanted.items()
            )
        case list():
            return (
                isinstance(body, list)
                and len(body) == len(wanted)
                and all(map(holds, body, wanted))
            )
        case _:
            return type(body) is type(wanted) and bool(body == wanted)


@pytest.mark.parametrize("case", of_kind("http"), indirect=True)
def test_requests_are_answered_as_they_should_be(case: Any, server: Client) -> None:
    saved: dict[str, str] = {}
    for step in case["steps"]:
        asked = fill_in(step, saved)

        answer = server.request(asked["method"], asked["path"], json=asked.get("json"))

        assert answer.status_code == asked["status"], (asked, answer.text)
        if "has" in asked:
            assert holds(answer.json(), asked["has"]), (asked, answer.text)
        for name, member in asked.get("save", {}).items():
            saved[name] = answer.json()[member]
