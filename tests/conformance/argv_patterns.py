"""Compare a command line with the patterns of a case.

A pattern is a word, a list (its parts follow each other directly), ``{"any": [...]}``
(one of these) or ``{"re": ...}`` (one word that matches wholly).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any


def mismatches(argv: Sequence[str], expect: dict[str, Any]) -> list[str]:
    """Say what is wrong with a command line; nothing if it is right."""
    wrong = []
    binary = expect.get("binary")
    if binary and argv[0].rpartition("/")[2] != binary:
        wrong.append(f"runs {argv[0]}, not {binary}")
    position = 0
    for pattern in expect.get("argv_contains_in_order", ()):
        end = _end_of(pattern, argv, position)
        if end is None:
            wrong.append(f"{pattern} is missing or out of order")
            break
        position = end
    wrong += [
        f"{pattern} is missing"
        for pattern in expect.get("argv_contains", ())
        if _end_of(pattern, argv, 0) is None
    ]
    wrong += [
        f"{pattern} is there"
        for pattern in expect.get("argv_excludes", ())
        if _end_of(pattern, argv, 0) is not None
    ]
    wrong += [
        f"{word} is there {argv.count(word)} times"
        for word in expect.get("argv_once", ())
        if argv.count(word) != 1
    ]
    return wrong


def _end_of(pattern: Any, argv: Sequence[str], start: int) -> int | None:
    """Find the first place at or after ``start``; give where it ends."""
    for position in range(start, len(argv) + 1):
        length = _length_at(pattern, argv[position:])
        if length is not None:
            return position + length
    return None


def _length_at(pattern: Any, rest: Sequence[str]) -> int | None:
    """Tell how many words the pattern covers right here."""
    if isinstance(pattern, list):
        covered = 0
        for part in pattern:
            length = _length_at(part, rest[covered:])
            if length is None:
                return None
            covered += length
        return covered
    if isinstance(pattern, dict) and "any" in pattern:
        found = (_length_at(choice, rest) for choice in pattern["any"])
        return next((length for length in found if length is not None), None)
    if not rest:
        return None
    if isinstance(pattern, dict):
        return 1 if re.fullmatch(pattern["re"], rest[0]) else None
    return 1 if pattern == rest[0] else None
