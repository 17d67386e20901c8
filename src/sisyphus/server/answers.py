"""How requests are read and answered, and what our errors are in HTTP."""

from __future__ import annotations

import json
import logging
import math
from typing import Annotated, Any, TypeVar

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.exceptions import HTTPException

from sisyphus.errors import (
    ABSENT,
    InvalidJob,
    JobNotFound,
    Problem,
    StoreError,
    WrongState,
)
from sisyphus.job import json_object
from sisyphus.problems import problems_of

logger = logging.getLogger(__name__)
RETRY_AFTER_SECONDS = 5


class Answer(JSONResponse):
    """JSON that every reader can read, whatever strangers wrote into the store."""

    def render(self, content: Any) -> bytes:
        """Write it down, in ASCII; a number that JSON does not know as ``null``."""
        try:
            return _dumped(content)
        except ValueError:
            return _dumped(_with_finite_numbers(content))


def _dumped(content: Any) -> bytes:
    return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()


def _with_finite_numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _with_finite_numbers(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_with_finite_numbers(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def done() -> Response:
    """Say that it is done; 204 has no body."""
    return Response(status_code=204)


def not_there() -> Answer:
    """Say 404 as the original did: its body is ``null``."""
    return Answer(None, 404)


async def _body(request: Request) -> bytes:
    return await request.body()


Body = Annotated[bytes, Depends(_body)]
"""A request's body; decoded by the route, in its thread, not on the event loop."""


class Form(BaseModel):
    """What a body holds; nothing else may be in it."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False
    )


AnyForm = TypeVar("AnyForm", bound=Form)


class BadRequest(Exception):
    """Something in a body is wrong."""

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems
        super().__init__("; ".join(map(str, problems)))


def read(form: type[AnyForm], body: bytes) -> AnyForm:
    """Read a body.

    Raises:
        InvalidJob: it is no JSON object.
        BadRequest: its members are not those of the form.
    """
    members = json_object(body)
    try:
        return form.model_validate(members)
    except ValidationError as error:
        known = list(form.model_fields)
        raise BadRequest(*problems_of(error, known=known)) from None


def speak_json(app: FastAPI) -> None:
    """Let the app answer every error as JSON."""
    app.add_exception_handler(BadRequest, _wrong)
    app.add_exception_handler(InvalidJob, _wrong)
    app.add_exception_handler(RequestValidationError, _wrong_parameter)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(JobNotFound, lambda request, error: not_there())
    app.add_exception_handler(WrongState, _conflict)
    app.add_exception_handler(StoreError, _store_is_away)
    app.add_exception_handler(Exception, _our_fault)


def _wrong(request: Request, error: Exception) -> Response:
    assert isinstance(error, BadRequest | InvalidJob)
    return _what_is_wrong(*error.problems)


def _what_is_wrong(*problems: Problem) -> Response:
    errors = {
        problem.field: str(problem).removeprefix(f"{problem.field}: ")
        for problem in problems
    }
    message = "; ".join(map(str, problems))
    return Answer({"errors": errors, "message": message}, 400)


def _wrong_parameter(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    rows = error.errors()
    return _what_is_wrong(
        *(
            Problem(str(row["loc"][-1]), row.get("input", ABSENT), row["msg"])
            for row in rows
        )
    )


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return Answer({"message": error.detail}, error.status_code, error.headers)


def _conflict(request: Request, error: Exception) -> Response:
    return Answer({"message": str(error)}, 409)


def _store_is_away(request: Request, error: Exception) -> Response:
    logger.debug("%s %s: %s", request.method, request.url.path, error)
    again = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return Answer({"message": str(error)}, 503, again)


def _our_fault(request: Request, error: Exception) -> Response:
    return Answer({"message": "a mistake of the server: its log says more"}, 500)
