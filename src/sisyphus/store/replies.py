"""What goes into the transitions and what they answer, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sisyphus.store.scripts import Script
from sisyphus.store.wire import Command


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to one running job: every write about it carries this."""

    session: str
    job_id: str
    token: int


@dataclass(frozen=True, slots=True)
class Taken:
    """A job in hand: its raw document and what earlier attempts left."""

    lease: Lease
    raw: bytes
    attempt: int
    failures: int
    crashes: int
    checkpoint: str


@dataclass(frozen=True, slots=True)
class Empty:
    """Nothing waits; ``due_in`` seconds until a delayed job may, if there is one."""

    due_in: float | None


@dataclass(frozen=True, slots=True)
class Paused:
    """The queue or this worker is paused."""


@dataclass(frozen=True, slots=True)
class Gone:
    """This session has ended: others may have its job."""


TakeReply = Taken | Empty | Paused | Gone


@dataclass(frozen=True, slots=True)
class Settlement:
    """How an attempt ended, ready to be told; may be told again."""

    lease: Lease
    script: Script
    command: Command


class Verdict(StrEnum):
    """What a renewal says of the job in a session's hand."""

    KEEP = "keep"
    CANCEL = "cancel"
    LOST = "lost"
    GONE = "gone"


class Activity(StrEnum):
    """What a renewal asks of a worker."""

    WORK = "work"
    PAUSE = "pause"
    DRAIN = "drain"


@dataclass(frozen=True, slots=True)
class Held:
    """A session and the job that its worker says it works on."""

    session: str
    job_id: str = ""
    token: int = 0


@dataclass(frozen=True, slots=True)
class Renewal:
    """The answer to one renewal."""

    recover: bool
    promote: bool
    orders: tuple[tuple[Verdict, Activity], ...]
    shown: bool = False
    """Whether there was something to show to onlookers."""
    refused: str = ""
    """Why it was not written, if it was not."""


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """Who a session is, for people and for recovery."""

    worker_id: str
    host: str
    machine: str
    """Names one boot of one machine: what died there is known to be dead."""
    node: str
    """The supervisor's own id: where its orders go."""
    pid: int
    version: str
    modules: tuple[str, ...]
    labels: tuple[str, ...]
