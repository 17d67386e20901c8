"""The board: a piece of shared memory between a supervisor and one worker process.

The worker process writes what it is doing, the latest value wins; the supervisor reads it
on its beat, also after the process was killed. Nobody is woken by a write, so a job that
lasts a millisecond costs the supervisor nothing. In the other direction the supervisor
writes how long tools may go on, for the guards of the tools to read.

Owned by the supervisor: the two deadlines. Owned by the worker process: all the rest,
between two steps of ``sequence`` (odd while it writes).
"""

from __future__ import annotations

import math
import mmap
import os
import struct
import threading
import time
from dataclasses import dataclass
from enum import IntEnum
from typing import Self

SIZE = 4096
STRICT_PART = 0.7
"""Part of a lease for which work may go on without hearing that it was renewed."""
CODE_PART = 0.2
"""Part of a lease that a module has after that to come back from a stop."""
STRICT_OFFSET, PATIENT_OFFSET = 0, 8
_SEQUENCE_OFFSET = 16
_TIME = struct.Struct("<q")
_SEQUENCE = struct.Struct("<Q")
_FACTS = struct.Struct("<BBQqHHqqqdqqdddHHH")
_FACTS_OFFSET = 24
_TEXT_OFFSET = _FACTS_OFFSET + _FACTS.size
_TEXT_LIMITS = (800, 1000, 400)
"""Bytes kept of job id, job title and module."""


class Doing(IntEnum):
    """What a worker process is doing."""

    STARTING = 0
    IDLE = 1
    BUSY = 2
    SETTLING = 3
    """Its job is over, but Redis has not yet heard how it ended."""
    PAUSED = 4
    LEAVING = 5


@dataclass(slots=True)
class Activity:
    """What stands on the board; times are CLOCK_BOOTTIME milliseconds, 0 for none."""

    doing: Doing = Doing.STARTING
    patient: bool = False
    token: int = 0
    job_id: str = ""
    job_title: str = ""
    module: str = ""
    task: int = 0
    tasks: int = 0
    started_ms: int = 0
    deadline_ms: int = 0
    stall_ms: int = 0
    """How long it may be without progress; 0: as long as it likes."""
    moved_ms: int = 0
    """When there was progress last."""
    percent: float = math.nan
    frame: int = -1
    total: int = -1
    fps: float = math.nan
    speed: float = math.nan
    eta: float = math.nan


def boot_ms() -> int:
    """Milliseconds since the machine started, sleep included; the same in all processes."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime_ns(clock) // 1_000_000


class Board:
    """One worker's board; ``fd`` can be handed to a child process."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._memory = mmap.mmap(fd, SIZE)
        self._lock = threading.Lock()
        self._sequence: int = _SEQUENCE.unpack_from(self._memory, _SEQUENCE_OFFSET)[0]

    @classmethod
    def create(cls) -> Self:
        """Make an empty board."""
        if hasattr(os, "memfd_create"):
            fd = os.memfd_create("sisyphus-board", os.MFD_CLOEXEC)
        else:  # macOS
            fd = _nameless_file()
        os.ftruncate(fd, SIZE)
        return cls(fd)

    def close(self) -> None:
        """Let go of the memory and its descriptor."""
        self._memory.close()
        os.close(self.fd)

    # The worker process's side

    def write(self, now: Activity) -> None:
        """Show what the worker is doing."""
        texts = [
            text.encode()[:limit]
            for text, limit in zip(
                (now.job_id, now.job_title, now.module), _TEXT_LIMITS, strict=True
            )
        ]
        memory = self._memory
        with self._lock:
            self._sequence += 2 - self._sequence % 2
            _SEQUENCE.pack_into(memory, _SEQUENCE_OFFSET, self._sequence - 1)
            _FACTS.pack_into(
                memory,
                _FACTS_OFFSET,
                now.doing,
                now.patient,
                now.token,
                now.started_ms,
                now.task,
                now.tasks,
                now.deadline_ms,
                now.stall_ms,
                now.moved_ms,
                now.percent,
                now.frame,
                now.total,
                now.fps,
                now.speed,
                now.eta,
                *map(len, texts),
            )
            joined = b"".join(texts)
            memory[_TEXT_OFFSET : _TEXT_OFFSET + len(joined)] = joined
            _SEQUENCE.pack_into(memory, _SEQUENCE_OFFSET, self._sequence)

    # The supervisor's side

    def read(self) -> Activity | None:
        """Read what the worker is doing; nothing if it was killed while it wrote."""
        memory = self._memory
        for _ in range(1000):
            before = _SEQUENCE.unpack_from(memory, _SEQUENCE_OFFSET)[0]
            facts = _FACTS.unpack_from(memory, _FACTS_OFFSET)
            texts = memory[_TEXT_OFFSET:SIZE]
            after = _SEQUENCE.unpack_from(memory, _SEQUENCE_OFFSET)[0]
            if before == after and before % 2 == 0:
                try:
                    return _activity(facts, texts)
                except ValueError:  # something else has written there
                    return None
        return None

    def allow_until(self, strict_ms: int, patient_ms: int) -> None:
        """Say how long strict and patient tools may go on without hearing more."""
        _TIME.pack_into(self._memory, STRICT_OFFSET, strict_ms)
        _TIME.pack_into(self._memory, PATIENT_OFFSET, patient_ms)

    def be_patient_until(self, patient_ms: int) -> None:
        """Let patient tools go on a little longer, though the lease is not renewed."""
        if _read_time(self._memory, PATIENT_OFFSET):
            _TIME.pack_into(self._memory, PATIENT_OFFSET, patient_ms)

    def may_go_on_until(self, *, patient: bool) -> int:
        """Until when a tool may go on; far in the future before the first renewal."""
        offset = PATIENT_OFFSET if patient else STRICT_OFFSET
        return _read_time(self._memory, offset) or 2**62


def _activity(facts: tuple[float, ...], texts: bytes) -> Activity:
    numbers, lengths = facts[:-3], [int(length) for length in facts[-3:]]
    strings, start = [], 0
    for length in lengths:
        strings.append(texts[start : start + length].decode(errors="ignore"))
        start += length
    job_id, job_title, module = strings
    doing, patient, token, started, task, tasks, deadline, stall, moved = map(
        int, numbers[:9]
    )
    percent, frame, total, fps, speed, eta = numbers[9:]
    return Activity(
        doing=Doing(doing),
        patient=bool(patient),
        token=token,
        job_id=job_id,
        job_title=job_title,
        module=module,
        task=task,
        tasks=tasks,
        started_ms=started,
        deadline_ms=deadline,
        stall_ms=stall,
        moved_ms=moved,
        percent=percent,
        frame=int(frame),
        total=int(total),
        fps=fps,
        speed=speed,
        eta=eta,
    )


def _read_time(memory: mmap.mmap, offset: int) -> int:
    value: int = _TIME.unpack_from(memory, offset)[0]
    return value


def _nameless_file() -> int:
    import tempfile  # only where there is no memfd

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
