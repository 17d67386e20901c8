"""What onlookers read of a worker: the 2021 worker's two values, and a few facts more."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

from sisyphus.version import VERSION
from sisyphus.worker.board import Activity, Doing

_STATUS = {Doing.STARTING: "startup", Doing.BUSY: "in_progress"}


def heartbeat(
    now: Activity, worker_id: str, hostname: str, online_since: datetime
) -> str:
    """Write the value of ``worker:<worker_id>``."""
    status = _STATUS.get(now.doing, "idle")
    value: dict[str, Any] = {"status": status, "hostname": hostname}
    if now.doing is Doing.BUSY:
        value |= {"job_id": now.job_id, "job_title": now.job_title}
        value["task"] = now.module or "preparing"
        if not math.isnan(now.percent):
            value["progress"] = round(now.percent, 2)
        if info := _info(now):
            value["info"] = info
    else:
        value["task"] = status
    value |= {
        "version": VERSION,
        "worker_id": worker_id,
        "online_at": str(online_since.astimezone(UTC)),
    }
    return json.dumps(value, ensure_ascii=False)


def progress(now: Activity) -> str | None:
    """Write the value of ``progress:<worker_id>``; nothing while no task reports any."""
    if now.doing is not Doing.BUSY or math.isnan(now.percent):
        return None
    value = {
        "current_frame": max(now.frame, 0),
        "total_frames": max(now.total, 0),
        "percent_complete": f"{now.percent:.2f}",
    }
    return json.dumps(value)


def _info(now: Activity) -> dict[str, Any]:
    frames = {"current_frame": now.frame, "total_frames": now.total}
    speeds = {"fps": now.fps, "speed": now.speed, "eta_seconds": now.eta}
    return {name: number for name, number in frames.items() if number >= 0} | {
        name: round(number, 2)
        for name, number in speeds.items()
        if not math.isnan(number)
    }
