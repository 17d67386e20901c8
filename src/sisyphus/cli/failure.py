"""How an error ends a command: what it says, what to do about it, the exit code."""

from __future__ import annotations

from sisyphus.cli.render import complain
from sisyphus.errors import (
    ConfigError,
    InvalidJob,
    InvalidSettings,
    SisyphusError,
    StoreUnavailable,
    UnknownModule,
)
from sisyphus.lifecycle import JobState

CANCELLED = 5
WRONG_INPUT = ConfigError.exit_status
INTERRUPTED = 130


def explain(error: SisyphusError) -> int:
    """Say what went wrong in red, and give the exit code."""
    if isinstance(error, InvalidJob | InvalidSettings | UnknownModule):
        problems = list(map(str, error.problems)) or [error.message]
        if len(problems) == 1:
            complain(problems[0])
        else:
            complain(f"{len(problems)} things are wrong:", *problems)
        return WRONG_INPUT
    message = error.message
    if isinstance(error, StoreUnavailable):
        message = (
            message.rstrip(".")
            + "; start it, or name another: --redis-url URL or SISYPHUS_REDIS_URL"
        )
    complain(message)
    return error.exit_status


def exit_code(state: JobState) -> int:
    """Give the exit code for how a job ended."""
    codes = {JobState.COMPLETED: 0, JobState.CANCELLED: CANCELLED}
    return codes.get(state, 1)
