"""The one clock of the witnesses: microseconds since the machine started."""

from __future__ import annotations

import time


def now_us() -> int:
    """Read it; the same in all processes, and no fault changes it."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000
