"""What looking at the store gives, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sisyphus.lifecycle import ENDED, JobState


@dataclass(frozen=True, slots=True)
class JobView:
    """A job as it stands; all times are in UTC.

    ``job_id`` is empty for an element of the list that is no job document: the next
    worker that takes it puts it among the rejected ones.
    """

    job_id: str
    state: JobState
    title: str = ""
    priority: int = 0
    attempts: int = 0
    """How often it was taken."""
    failures: int = 0
    crashes: int = 0
    duplicates: int = 0
    """How often the same document came again and was not run."""
    submitted_at: datetime | None = None
    """Not known for a document that was pushed in the list past ``submit``."""
    started_at: datetime | None = None
    """Of the running or the last attempt."""
    ended_at: datetime | None = None
    worker_id: str | None = None
    """Of the running or the last attempt."""
    cancel_asked: bool = False
    """It runs and is being stopped."""
    error: dict[str, Any] | None = None
    """Of the last attempt that failed: code, message, task, module ..."""
    result: dict[str, Any] | None = None
    checkpoint: list[dict[str, Any]] = field(default_factory=list)
    """One entry for each finished task."""
    needs: str | None = None
    """What it waits for, such as ``label:gpu module:ffmpeg``: it was set aside."""
    due_at: datetime | None = None
    """When a delayed job may be taken, by the server's clock."""

    @property
    def ended(self) -> bool:
        """Whether it is over: completed, failed or cancelled."""
        return self.state in ENDED


@dataclass(frozen=True, slots=True)
class JobUpdate:
    """One look at a job that is watched.

    ``progress`` is its worker's heartbeat (members ``task``, ``progress`` in percent,
    ``info`` with ``fps``, ``eta_seconds`` ...), only while it runs.
    """

    view: JobView
    progress: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class QueueView:
    """What lies where."""

    name: str
    paused: bool
    waiting: dict[int, int]
    """Documents in the lists, by priority; priority 0 is always there."""
    staged: int
    """Documents on their way from the list to a worker."""
    delayed: int
    """Jobs that wait for a time, or for their next attempt."""
    aside: dict[str, int]
    """What jobs need that no free worker had -> how many were set aside."""
    running: int
    ended: int
    """Jobs in the history, however they ended."""
    rejected: int
    workers: int

    @property
    def queued(self) -> int:
        """All documents that could be taken now if there were enough workers."""
        return sum(self.waiting.values()) + self.staged + sum(self.aside.values())


@dataclass(frozen=True, slots=True)
class Rejected:
    """A document that is no job, as it came."""

    entry: str
    """Its id among the rejected documents."""
    at: datetime
    list: str
    """The Redis list in which it lay."""
    reason: str
    """A sentence for people."""
    raw: bytes


class WorkerActivity(StrEnum):
    """What a worker is at."""

    STARTING = "starting"
    IDLE = "idle"
    BUSY = "busy"
    PAUSED = "paused"
    """Free, and takes no job: it or the whole queue is paused."""
    DRAINING = "draining"
    """It ends after the job in its hand."""


@dataclass(frozen=True, slots=True)
class WorkerView:
    """A live worker."""

    worker_id: str
    host: str
    pid: int
    version: str
    session: str
    modules: tuple[str, ...]
    labels: tuple[str, ...]
    activity: WorkerActivity
    paused: bool
    """It takes no further job, though it may still be busy."""
    job_id: str | None
    job_title: str | None
    task: str | None
    """The module of the running task, or ``preparing``."""
    percent: float | None
    info: dict[str, Any]
    """Of the running task: ``current_frame``, ``total_frames``, ``fps``, ``speed``,
    ``eta_seconds``, as far as known."""
    since: datetime | None
    """When its session began."""
    lease_ends_in: float
    """Seconds on the fleet clock; below 0 when it is about to be recovered."""


@dataclass(frozen=True, slots=True)
class WorkerSign:
    """What a worker shows of itself, and what was asked of it alone."""

    heartbeat: dict[str, Any] | None
    paused: bool
    """Asked of it, not of the whole queue."""


@dataclass(frozen=True, slots=True)
class SessionView:
    """One life of one worker, and what is in its hand."""

    name: str
    worker_id: str
    job_id: str
    """Empty when it holds none."""
    token: int


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a job's log."""

    entry: str
    at: datetime
    task: str
    """Number and module, such as ``2 mkvmerge``; empty for the job as a whole."""
    level: str
    text: str


@dataclass(frozen=True, slots=True)
class Event:
    """One change: of a job's state, of a worker, of the queue."""

    entry: str
    at: datetime
    event: str
    """A state's name, or ``cancel_asked``, ``aside``, ``duplicate``, ``swallowed``,
    ``rejected``, ``removed``, ``queue_pause``, ``worker_drain`` ..."""
    job_id: str
    """Empty when it is not about one job."""
    facts: dict[str, str]


class Profile(StrEnum):
    """How well a server keeps what it has said yes to."""

    STRICT = "strict"
    """On its disk before it says yes: a power cut loses nothing."""
    STANDARD = "standard"
    """On its disk within the next seconds."""
    NONE = "none"
    """Kept in memory, or on the disk now and then."""
    UNKNOWN = "unknown"
    """It may not be asked."""


@dataclass(frozen=True, slots=True)
class ServerView:
    """The server behind the store."""

    product: str
    """``redis`` or ``valkey``."""
    version: str
    role: str
    """``master`` or ``slave``, as it says itself."""
    aof_enabled: bool
    appendfsync: str | None
    """Not known where ``CONFIG`` is refused."""
    maxmemory: int
    """Bytes; 0 for no limit."""
    maxmemory_policy: str
    used_memory: int
    """Bytes."""
    uptime: float
    """Seconds."""
    round_trip_ms: float
    clock_offset_ms: float
    """How much its clock is ahead of ours."""
    rests_on_rewrite: bool | None = None
    """``no-appendfsync-on-rewrite``: no fsync while the file is written anew."""
    min_replicas: int | None = None
    """``min-replicas-to-write``: without so many it takes no writes."""
    replicas: int = 0
    """Replicas that are connected."""
    databases: tuple[int, ...] = ()
    """Numbers of those that hold anything."""
    profile: Profile = Profile.UNKNOWN

    @property
    def version_numbers(self) -> tuple[int, ...]:
        """The version, to be compared."""
        parts = self.version.split(".")
        return tuple(int(part) for part in parts if part.isdecimal())
