"""Waiting for other processes, in the tests."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")


def eventually(condition: Callable[[], Value], seconds: float = 30) -> Value:
    """Call ``condition`` until it answers something truthy, and return that."""
    give_up = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > give_up:
            raise AssertionError(f"still {value!r} after {seconds} s")
        time.sleep(0.01)
