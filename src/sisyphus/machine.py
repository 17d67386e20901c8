"""Who this machine and this worker are, and what of it others may look into."""

from __future__ import annotations

import ctypes
import platform
import resource
import sys
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


def hide_memory() -> None:
    """Let no other process of this user read this one's memory or first environment.

    So a tool that a hostile film has taken over cannot read the password of Redis out of
    its worker; Linux only. And where a process dies, no image of it is left on a disk: that
    holds for the tools as well.
    """
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, most))
    if sys.platform == "linux":
        pr_set_dumpable = 4
        ctypes.CDLL(None).prctl(pr_set_dumpable, 0, 0, 0, 0)
