"""Every error that Sisyphus raises, and the record a failed job keeps of it.

::

    SisyphusError
    ├── ConfigError             a setting is wrong; says which, and what would be right
    ├── StoreError
    │   ├── StoreUnavailable    Redis does not answer
    │   ├── StoreRefused        Redis answers, but will not do it (password, memory ...)
    │   ├── JobNotFound         nobody knows that job id
    │   └── WrongState          the transition is not allowed from here
    └── JobError                what ends an attempt at a job
        ├── InvalidJob          the document is not a job
        ├── UnknownModule       no such module here, or not allowed
        ├── InvalidSettings     a task's settings are wrong
        ├── NotSigned           the document bears no signature, and has to
        ├── BadSignature        its signature does not fit it
        ├── TaskFailed          what a module raises
        │   ├── ToolFailed      the tool's exit code and its last lines
        │   │   └── LimitReached  it wanted more than the worker's limits allow
        │   ├── ToolMissing     the tool is not installed
        │   └── OutputRefused   the result is there, but is not whole or may not stay
        ├── TaskTimeout         it took longer than the task or the job may
        ├── TaskStalled         no progress for too long
        ├── CleanupFailed       the module's cleanup failed after a good run
        └── ModuleBroken        any other exception, with its traceback

    Stopped (BaseException)     the running task has been asked to stop

A class's docstring is its default message.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final


class _Absent:
    """The value of what is missing."""

    def __repr__(self) -> str:
        return "nothing"


ABSENT: Final = _Absent()


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with an input.

    ``field`` is a path such as ``tasks[0].ffmpeg.sources``, ``value`` what stood there
    (shortened), ``expected`` what would be right.
    """

    field: str
    value: Any
    expected: str

    def __str__(self) -> str:
        said = f"{self.field}: {self.expected}"
        return said if self.value is ABSENT else f"{said} (got {shortened(self.value)})"


def shortened(value: Any, limit: int = 120) -> str:
    """Show a value of a job in one line of at most ``limit`` characters."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


class SisyphusError(Exception):
    """Something went wrong in Sisyphus."""

    exit_status: ClassVar[int] = 1
    """What a command that ends with this error answers to its shell."""

    def __init__(self, message: str | None = None) -> None:
        self.message = message or (type(self).__doc__ or "").split("\n", 1)[0]
        super().__init__(self.message)


class ConfigError(SisyphusError):
    """A setting is wrong."""

    exit_status = 2


class StoreError(SisyphusError):
    """The store could not do what was asked."""


class StoreUnavailable(StoreError):
    """Redis does not answer."""

    exit_status = 4


class StoreRefused(StoreError):
    """Redis answered, but refused.

    ``passes``: it may end without a change of our settings, so waiting makes sense.
    ``every_call``: whatever is asked meets it, not only what this user may not do.
    """

    exit_status = 4

    def __init__(
        self,
        message: str | None = None,
        *,
        passes: bool = False,
        every_call: bool = False,
    ) -> None:
        self.passes, self.every_call = passes, every_call
        super().__init__(message)


class JobNotFound(StoreError):
    """No job with this id is known."""

    exit_status = 3

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id
        super().__init__(
            f"no job {job_id!r} is known (a raw document that still waits in the list"
            " is known only once a worker has taken it)"
        )


class WrongState(StoreError):
    """The job's state does not allow that."""

    exit_status = 3


class JobError(SisyphusError):
    """The job could not be done."""

    code: ClassVar[str] = "job_error"
    retryable: ClassVar[bool] = True

    def facts(self) -> dict[str, Any]:
        """What the job's record keeps of this error, as JSON values."""
        return {"code": self.code, "message": self.message}


class _Invalid(JobError):
    """Something in the document is wrong."""

    retryable = False

    def __init__(self, message: str, problems: tuple[Problem, ...] = ()) -> None:
        self.problems = problems
        super().__init__(message)

    @classmethod
    def of(cls, *problems: Problem) -> Any:
        """Make the error whose message lists these problems."""
        return cls("; ".join(map(str, problems)), problems)

    def facts(self) -> dict[str, Any]:
        """Add the problems."""
        found = [
            {"field": p.field, "value": shortened(p.value), "expected": p.expected}
            for p in self.problems
        ]
        return {**super().facts(), "problems": found}


class InvalidJob(_Invalid):
    """The document is not a job."""

    code = "invalid_job"


class UnknownModule(_Invalid):
    """No such module here."""

    code = "unknown_module"


class InvalidSettings(_Invalid):
    """A task's settings are wrong."""

    code = "validation_error"


class NotSigned(JobError):
    """The document bears no signature."""

    code = "not_signed"
    retryable = False


class BadSignature(JobError):
    """The document's signature does not fit it."""

    code = "bad_signature"
    retryable = False


class TaskFailed(JobError):
    """The task failed."""

    code = "run_error"


class ToolFailed(TaskFailed):
    """A tool did not end well.

    ``exit_code`` is negative for a signal, ``tail`` its last lines, ``argv`` the command.
    """

    def __init__(
        self, message: str, *, argv: list[str], exit_code: int | None, tail: list[str]
    ) -> None:
        self.argv, self.exit_code, self.tail = argv, exit_code, tail
        super().__init__(message)

    def facts(self) -> dict[str, Any]:
        """Add the command and how it ended."""
        return {
            **super().facts(),
            "argv": self.argv,
            "exit_code": self.exit_code,
            "tail": self.tail,
        }


class LimitReached(ToolFailed):
    """A tool wanted more than the worker's limits allow.

    Not tried again: it would want as much. ``limit`` is the setting.
    """

    code = "limit_reached"
    retryable = False

    def __init__(self, message: str, *, limit: str, **facts: Any) -> None:
        self.limit = limit
        super().__init__(message, **facts)

    def facts(self) -> dict[str, Any]:
        """Add the setting."""
        return {**super().facts(), "limit": self.limit}


class ToolMissing(TaskFailed):
    """A tool is not installed."""

    code = "tool_missing"
    retryable = False


class OutputRefused(TaskFailed):
    """The output is not whole, or may not be put in its place."""

    code = "output_refused"


class TaskTimeout(JobError):
    """The task took longer than it may."""

    code = "timeout"


class TaskStalled(JobError):
    """The task made no progress for too long."""

    code = "stalled"


class CleanupFailed(JobError):
    """The module's cleanup failed."""

    code = "cleanup_error"


class ModuleBroken(JobError):
    """The module raised something that no module should raise."""

    code = "module_error"

    def __init__(self, message: str, traceback: str) -> None:
        self.traceback = traceback
        super().__init__(message)

    def facts(self) -> dict[str, Any]:
        """Add the traceback."""
        return {**super().facts(), "traceback": self.traceback[-4000:]}


class Stopped(BaseException):
    """The running task has been asked to stop.

    Not an ``Exception``, so that a module's ``except Exception`` does not swallow it.
    """
