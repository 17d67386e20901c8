"""What a supervisor tells a worker process: at its start, and while it runs.

At the start one line of JSON on standard input (not on the command line: it holds the
address of Redis, perhaps with a password). Then one order a line. The end of the input
means that the supervisor is gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

LEFT_IN_ORDER = 0
SESSION_GONE = 75
ID_TAKEN = 76
SUPERVISOR_GONE = 77
WRONG_SETTINGS = 78
LEASE_OVER = 79
"""Exit codes of a worker process; all others, and signals, are crashes."""


class Start(BaseModel):
    """All that a worker process needs to know."""

    model_config = ConfigDict(frozen=True)

    settings: dict[str, Any]
    session: str
    worker_id: str
    machine: str
    node: str
    board_fd: int


class Word(StrEnum):
    """What an order asks for."""

    STOP = "stop"
    """Stop the job with this token: ``stop <token> <reason>``."""
    WAKE = "wake"
    """Look for work again: something has changed."""
    GONE = "gone"
    """The server does not know this session any more: ``gone 0 <session>``."""
    DRAIN = "drain"
    """Take no further job; leave when the one at hand has ended."""


@dataclass(frozen=True, slots=True)
class Order:
    """One line of the supervisor."""

    word: Word
    token: int = 0
    reason: str = ""

    def line(self) -> bytes:
        """Write it down."""
        return f"{self.word} {self.token} {self.reason}\n".encode()

    @classmethod
    def read(cls, line: bytes) -> Order:
        """Read it."""
        word, token, reason = line.decode().rstrip("\n").split(" ", 2)
        return cls(Word(word), int(token), reason)
