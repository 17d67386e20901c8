"""Job documents of any size."""

from __future__ import annotations

import json
from typing import Any

MIB = 2**20
LIMIT = 8 * MIB
NOTHING: dict[str, Any] = {"cleanup": {"delete_files": []}}


def document(job_id: str, **members: Any) -> bytes:
    """Write a job that does nothing."""
    job = {"job_id": job_id, "job_title": job_id, "tasks": [NOTHING], **members}
    return json.dumps(job).encode()


def of_size(job_id: str, size: int, member: str = "remark") -> bytes:
    """The same, with one member as long as it takes to have so many bytes."""
    empty = len(document(job_id, **{member: ""}))
    raw = document(job_id, **{member: "x" * (size - empty)})
    assert len(raw) == size
    return raw
