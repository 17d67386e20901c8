"""The states of a job and the transitions between them, as data.

The diagram and the table in ARCHITECTURE.md, the Lua scripts and the tests are checked
against this file.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class JobState(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    """May be taken now: its document lies in a list."""
    DELAYED = "delayed"
    """May be taken later: it waits for a time."""
    RUNNING = "running"
    """A worker holds it under a lease and a token."""
    COMPLETED = "completed"
    """Ended well."""
    FAILED = "failed"
    """Given up."""
    CANCELLED = "cancelled"
    """Called off by a person."""


ENDED = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED})
"""The end states: a job in one of them never runs again unless a person says so."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One way a job changes: the name is also the script's and the method's."""

    name: str
    before: frozenset[JobState | None]
    """``None``: nobody knows the job yet."""
    after: frozenset[JobState | None]
    """``None``: nothing is known of it any more."""
    what: str


_Q, _D, _R = JobState.QUEUED, JobState.DELAYED, JobState.RUNNING
_C, _F, _X = JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED


def _row(
    name: str, before: set[JobState | None], after: set[JobState | None], what: str
) -> Transition:
    return Transition(name, frozenset(before), frozenset(after), what)


TRANSITIONS: tuple[Transition, ...] = (
    _row("submit", {None, _F, _X}, {_Q, _D}, "a checked document is put in its list"),
    _row(
        "take",
        {None, _Q, _F, _X},
        {_R, _Q, _D},
        "a worker gets a document and a token, or it is put off or set aside",
    ),
    _row("checkpoint", {_R}, {_R}, "a finished task is recorded with its outputs"),
    _row("complete", {_R}, {_C}, "all tasks are done"),
    _row("retry", {_R}, {_D, _X}, "it failed and will be tried again after a while"),
    _row("fail", {_R}, {_F}, "it failed for good"),
    _row("stop", {_R}, {_X}, "the worker obeyed a cancel"),
    _row("release", {_R}, {_Q, _X}, "handed back unharmed, to the front"),
    _row("recover", {_R}, {_Q, _D, _F, _X}, "its owner is gone"),
    _row("promote", {_D}, {_Q}, "its time has come"),
    _row("cancel", {None, _Q, _D, _R}, {_X, _R}, "a person calls it off"),
    _row("requeue", {_C, _F, _X}, {_Q}, "a person wants a new attempt"),
    _row("remove", {_C, _F, _X}, {None}, "a person drops it"),
    _row("trim", {_C, _F, _X}, {None}, "the history's bounds drop it"),
)
