"""How long a failed job waits before it is tried again."""

from __future__ import annotations

import random

BASE_SECONDS = 10.0
CAP_SECONDS = 3600.0


def backoff_seconds(failures: int) -> float:
    """Double with each failure from 10 s to an hour, less up to half at random.

    The random part keeps jobs that failed together from coming back together.
    """
    longest = min(CAP_SECONDS, BASE_SECONDS * 2.0 ** min(failures, 16))
    return longest * random.uniform(0.5, 1.0)
