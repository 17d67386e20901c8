"""The cases: what jobs that people have may count on, one small file each.

``says`` is the rule, ``kind`` selects how it is tried, ``files`` are made first; ``${W}``
stands for the folder of the case, wherever it is written.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

CASES: dict[str, Any] = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((Path(__file__).parent / "cases").glob("*.json"))
}


def of_kind(kind: str) -> list[str]:
    """Name all cases of a kind."""
    return [name for name, case in CASES.items() if case["kind"] == kind]
