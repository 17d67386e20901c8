"""Who this machine and this worker are."""

from __future__ import annotations

import platform
from pathlib import Path
from uuid import UUID, uuid5

NAMESPACE = UUID("0067f190-fa1e-461f-9115-6193c804c883")
"""Of worker ids, since the 2021 worker: they survive restarts."""

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def worker_id(hostname: str, number: int = 1) -> str:
    """Derive the id of a host's first, second ... worker."""
    name = hostname if number == 1 else f"{hostname}/{number}"
    return str(uuid5(NAMESPACE, name))


def machine_id(hostname: str) -> str:
    """Name one boot of one machine."""
    try:
        return f"{hostname} {_BOOT_ID.read_text().strip()}"
    except OSError:
        return f"{hostname} {platform.node()}"
