"""Documents of all sorts, each with what is to be understood of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from store.corpus import MAX_BYTES, REJECTED
from store.model import Paper

NEEDS: tuple[tuple[str, str], ...] = (
    *[("ffmpeg", "")] * 3,
    ("mkvmerge", ""),
    ("ffmpeg", "gpu"),
    ("nobody_has_it", ""),
    ("ffmpeg", "nobody_has_it"),
)


def paper_of(
    job_id: str | int,
    needs: tuple[str, str] = NEEDS[0],
    due_ms: int = 0,
    version: int = 1,
    end: bytes = b"",
) -> Paper:
    """Write a document, and what is to be understood of it."""
    module, label = needs
    document: dict[str, object] = {"job_id": job_id, "job_title": f"job {version}"}
    document["tasks"] = [{module: {}}]
    if label:
        document["requires"] = [label]
    if due_ms:
        at = datetime.fromtimestamp(due_ms / 1000, UTC)
        document["not_before"] = due_ms // 1000 if version % 2 else at.isoformat()
    words = sorted([f"module:{module}", *([f"label:{label}"] if label else [])])
    raw = json.dumps(document).encode() + end
    return Paper(raw, str(job_id), f"job {version}", tuple(words), due_ms)


BAD = tuple(
    Paper(raw, reason=reason)
    for reason, raw in REJECTED.values()
    if len(raw) <= 2 * MAX_BYTES
)
