"""Logging: set up once, at the door; for people on a terminal, as JSON lines elsewhere.

Everyone else only says ``logger = logging.getLogger(__name__)``. Which worker and which
job a line is about comes from the context, so no call has to say it.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TextIO
from urllib.parse import unquote_plus, urlsplit

MASK = "***"

_worker_id: ContextVar[str | None] = ContextVar("worker_id", default=None)
_job_id: ContextVar[str | None] = ContextVar("job_id", default=None)

# What moves a terminal's cursor, breaks a line, reverses the direction of reading, or
# cannot be encoded: a job's title could otherwise forge a line of the log.
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def _for_people(stream: TextIO) -> logging.Handler:
    # Loaded only here: every worker process would pay its memory for nothing.
    from rich.console import Console
    from rich.logging import RichHandler

    return RichHandler(console=Console(file=stream), show_path=False, keywords=[])


def configure(
    level: str, json_lines: bool | None = None, stream: TextIO | None = None
) -> None:
    """Send all log lines of this process to one stream, in one form.

    The stream is by default standard error; ``json_lines`` is by default on where that
    is not a terminal. A second call replaces the first.
    """
    stream = stream or sys.stderr
    on_terminal = stream.isatty()
    handler: logging.Handler
    if json_lines or (json_lines is None and not on_terminal):
        handler = logging.StreamHandler(stream)
        handler.setFormatter(_JsonLines())
    elif on_terminal:
        handler = _for_people(stream)
        handler.setFormatter(_Text("%(about)s%(message)s"))
    else:
        handler = logging.StreamHandler(stream)
        handler.setFormatter(_Text("%(asctime)s %(levelname)s %(about)s%(message)s"))
    handler.addFilter(_add_ids)
    logging.basicConfig(level=level, handlers=[handler], force=True)


@contextmanager
def about(*, worker_id: str | None = None, job_id: str | None = None) -> Iterator[None]:
    """Mark every line logged inside as being about this worker, this job, or both.

    Holds for this thread: a new thread begins without marks.
    """
    given = ((_worker_id, worker_id), (_job_id, job_id))
    tokens = [(mark, mark.set(value)) for mark, value in given if value is not None]
    try:
        yield
    finally:
        for mark, token in tokens:
            mark.reset(token)


def redacted(url: str) -> str:
    """Show a store's address without its password.

    An address from which the password cannot be told for sure is not shown at all.
    """
    if "://" not in url:
        return MASK if "@" in url else url
    try:
        scheme, netloc, path, query, fragment = urlsplit(url)
    except ValueError:
        return MASK
    # A password with an unquoted `/`, `?` or `#` reaches into what looks like the path;
    # only a socket's path may have an `@` of its own.
    if "@" in path + query + fragment and (scheme != "unix" or netloc):
        return f"{scheme}://{MASK}"
    user_info, at, host = netloc.rpartition("@")
    user, colon, _ = user_info.partition(":")
    shown = f"{scheme}://{user}{colon}{MASK if colon else ''}{at}{host}{path}"
    pairs = "&".join(map(_redacted_pair, query.split("&")))
    return f"{shown}?{pairs}" if query else shown


def has_password(url: str) -> bool:
    """Tell whether there is a password in a store's address."""
    return MASK in redacted(url)


def printable(text: str) -> str:
    """Escape what a terminal would obey, or a reader of lines would take for a line."""
    return _UNPRINTABLE.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")


def _redacted_pair(pair: str) -> str:
    name, equals, _ = pair.partition("=")
    if equals and unquote_plus(name).lower().endswith("password"):
        return f"{name}={MASK}"
    return pair


def _add_ids(record: logging.LogRecord) -> bool:
    """Put the ids of the context into the record; a filter that keeps every line."""
    worker_id, job_id = _worker_id.get(), _job_id.get()
    ids = [f"worker {worker_id[:8]}"] if worker_id else []
    ids += [f"job {job_id}"] if job_id else []
    record.worker_id, record.job_id = worker_id, job_id
    record.about = f"{', '.join(ids)}: " if ids else ""
    return True


class _Text(logging.Formatter):
    """Lines for people; only a traceback has more than one, and these are indented."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        return printable(super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        lines = super().format(record).split("\n")
        return "\n    ".join(map(printable, lines))


class _JsonLines(logging.Formatter):
    """One ASCII-only JSON object a line, for whatever collects logs."""

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC)
        line = {
            "time": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "worker_id": getattr(record, "worker_id", None),
            "job_id": getattr(record, "job_id", None),
            "traceback": self.formatException(record.exc_info)
            if record.exc_info
            else None,
        }
        return json.dumps(
            {key: value for key, value in line.items() if value is not None}
        )
