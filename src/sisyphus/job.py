"""The job document: what producers push, and how it is read.

Two forms of a task are understood, in one job if need be: ``{"ffmpeg": {...}}`` and
``{"module": "ffmpeg", "data": {...}}``. Members that nobody knows are ignored.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from sisyphus.errors import InvalidJob, Problem
from sisyphus.problems import problems_of

PRIORITIES = range(10)
"""0 (the default, the list ``queue``) to 9 (first of all)."""

MAX_DEPTH = 64
MAX_ID_BYTES = 200
MAX_SECONDS = 1e9
"""About thirty years."""
_TIME = re.compile(
    r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?"
)
_LAST_SECOND = 253_402_300_799
"""The end of the year 9999, in seconds since 1970."""
_BOM = b"\xef\xbb\xbf"
_TASK_MEMBERS = ("timeout", "stall_timeout")


def _as_text(value: Any) -> Any:
    """Take a number for its text; leave everything else to the type check."""
    if isinstance(value, bool):
        raise ValueError("must be text")
    if isinstance(value, int | float):
        return str(value)
    return value


def _as_id(value: Any) -> Any:
    """Read an id as the take script does: text, or a whole number for its digits."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("must be text")
    if isinstance(value, int | float):
        if abs(value) >= 2**53 or not float(value).is_integer():
            raise ValueError("must be text, or a whole number below 2^53")
        return str(int(value))
    if len(value.encode(errors="replace")) > MAX_ID_BYTES:
        raise ValueError(f"must have {MAX_ID_BYTES} bytes at most")
    return value


def _as_time(value: Any) -> Any:
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, str):
        if not _TIME.fullmatch(value):  # the take script reads no other forms
            raise ValueError(
                "must be seconds since 1970 or a time such as 2030-01-31T20:15:00Z"
            )
        moment = datetime.fromisoformat(value)
    elif isinstance(value, int | float) and abs(value) <= _LAST_SECOND:
        moment = datetime.fromtimestamp(value, UTC)
    else:
        raise ValueError(
            "must be seconds since 1970 or a time such as 2030-01-31T20:15:00Z"
        )
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


Text = Annotated[str, BeforeValidator(_as_text)]
JobId = Annotated[
    str,
    BeforeValidator(_as_id),
    Field(min_length=1, pattern=r"^[^\x00-\x1f\x7f]+$"),
]
Label = Annotated[str, Field(pattern=r"^[^\s|]{1,64}$")]
# Longer ones, and those of all eternity, no clock here can hold.
LongestSilence = Annotated[float, Field(ge=0, le=MAX_SECONDS)]
PositiveSeconds = Annotated[float, Field(gt=0, le=MAX_SECONDS)]
Time = Annotated[datetime, BeforeValidator(_as_time)]


class TaskSpec(BaseModel):
    """One step of a job: a module's name and its data, not yet checked by the module."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    module: str = Field(min_length=1, description="The module that does the task.")
    data: dict[str, Any] = Field(description="The module's settings.")
    timeout: PositiveSeconds | None = Field(
        None, description="Seconds the task may take at most."
    )
    stall_timeout: LongestSilence | None = Field(
        None,
        description="Seconds without progress after which the task counts as hung;"
        " 0 switches that off.",
    )

    @model_validator(mode="before")
    @classmethod
    def _seed_form(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            raise ValueError('must be an object such as {"ffmpeg": {...}}')
        if isinstance(value.get("module"), str):
            return value
        rest = {
            key: value[key]
            for key in _TASK_MEMBERS
            if key in value and not isinstance(value[key], dict)
        }
        modules = [key for key in value if key not in rest]
        if len(modules) != 1:
            found = ", ".join(modules) or "none"
            raise ValueError(f"must name exactly one module, names {found}")
        return {"module": modules[0], "data": value[modules[0]], **rest}


class Job(BaseModel):
    """What a person submits: a title and an ordered list of tasks."""

    model_config = ConfigDict(frozen=True, extra="ignore", title="Job")

    job_title: Text = Field(min_length=1, description="For people.")
    job_id: JobId = Field(description="Unique; usually a UUID.")
    tasks: tuple[TaskSpec, ...] = Field(
        min_length=1, max_length=1000, description="Run one after the other."
    )
    priority: int = Field(0, ge=0, le=9, description="9 first; `queue:<n>` for n > 0.")
    retries: int = Field(0, ge=0, le=1000, description="New attempts after a failure.")
    timeout: PositiveSeconds | None = Field(
        None, description="Seconds one attempt at the whole job may take."
    )
    not_before: Time | None = Field(
        None, description="ISO 8601 time or seconds since 1970; waits until then."
    )
    requires: tuple[Label, ...] = Field(
        (), max_length=32, description="Labels a worker must have."
    )
    resume: bool = Field(
        True, description="Skip finished tasks whose outputs are unchanged."
    )
    on_finish: str | None = Field(None, description="Webhook; kept, not called yet.")
    signature: str | None = Field(
        None, description="HMAC-SHA256 of the document, 64 hex digits; see security.md."
    )


def parse_job(raw: bytes | str) -> Job:
    """Read a job document.

    Raises:
        InvalidJob: it is not UTF-8, not JSON, or not a job; lists every problem.
    """
    document = json_object(raw)
    try:
        return Job.model_validate(document)
    except ValidationError as error:
        raise InvalidJob.of(*problems_of(error, model=Job)) from None


def json_object(raw: bytes | str) -> Any:
    """Read a JSON object in which no two readers see different things.

    Raises:
        InvalidJob: it is not UTF-8, not JSON, no object, or nested too deep.
    """
    if isinstance(raw, bytes):
        try:
            text = raw.removeprefix(_BOM).decode()
        except UnicodeDecodeError as error:
            bad = raw[error.start : error.start + 8]
            problem = Problem("document", bad, f"is not UTF-8 at byte {error.start}")
            raise InvalidJob.of(problem) from None
    else:
        text = raw.removeprefix("\ufeff")
    try:
        document = _DECODER.decode(text)
    except _NotPlain as error:
        raise InvalidJob.of(Problem("document", error.value, str(error))) from None
    except (ValueError, RecursionError) as error:
        expected = f"is not JSON: {error}"
        raise InvalidJob.of(Problem("document", text[:60], expected)) from None
    if not isinstance(document, dict):
        raise InvalidJob.of(Problem("document", document, "must be a JSON object"))
    # Counting brackets spares most documents the walk.
    if text.count("{") + text.count("[") > MAX_DEPTH and _deeper_than(
        document, MAX_DEPTH
    ):
        expected = f"is nested more than {MAX_DEPTH} deep"
        raise InvalidJob.of(Problem("document", text[:60], expected))
    if "\\ud" in text.lower():
        _check_halves(document)
    return document


def _check_halves(document: dict[str, Any]) -> None:
    """Refuse half of a surrogate pair, which is no text.

    In the values of a task's data U+DC80 to U+DCFF stand for bytes: the name of a file
    need not be UTF-8. This is how Python writes such names.
    """
    for name, value in document.items():
        in_order = _is_text([name, value])
        if not in_order and name == "tasks" and isinstance(value, list):
            in_order = all(map(_is_task, value))
        if not in_order:
            expected = "has half of a surrogate pair in it"
            raise InvalidJob.of(Problem(name, value, expected))


def _is_task(task: Any) -> bool:
    if not isinstance(task, dict):
        return _is_text(task)
    return all(
        _is_text(name) and (_is_text(value) or _is_data(value))
        for name, value in task.items()
    )


def _is_data(value: Any, depth: int = 0) -> bool:
    """Tell whether all keys are text, and all values text or names of files."""
    if isinstance(value, dict):
        inner = list(value.values())
        return _is_text(list(value)) and all(_is_data(v, depth + 1) for v in inner)
    if isinstance(value, list):
        return all(_is_data(item, depth + 1) for item in value)
    return _is_text(value, "surrogateescape" if depth else "strict")


def _is_text(value: Any, errors: str = "strict") -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode(errors=errors)
    except UnicodeEncodeError:
        return False
    return True


class _NotPlain(ValueError):
    """JSON that two decoders may read differently."""

    def __init__(self, message: str, value: Any) -> None:
        self.value = value
        super().__init__(message)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        counts = Counter(name for name, _ in pairs)
        twice = next(name for name, count in counts.items() if count > 1)
        raise _NotPlain("has the same member twice in one object", twice)
    return members


def _refuse_constant(name: str) -> Any:
    raise _NotPlain("holds a number that is not JSON", name)


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse_constant)


def _deeper_than(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return False
    return True
