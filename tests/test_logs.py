"""Logs: their two forms, the ids in them, and what must never get into them."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from sisyphus import logs

logger = logging.getLogger("sisyphus.example")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _logging_as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a test configure the root logger without closing pytest's handlers."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    level = root.level
    yield
    root.setLevel(level)


@pytest.fixture
def pipe() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "dumb")
    return Terminal()


def test_elsewhere_than_on_a_terminal_a_line_is_a_json_object(
    pipe: io.StringIO,
) -> None:
    logs.configure("INFO", stream=pipe)
    logger.info("took %s", "Große Katze\n")
    line = json.loads(pipe.getvalue())
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "INFO",
        "logger": "sisyphus.example",
        "message": "took Große Katze\n",
    }
    assert pipe.getvalue().count("\n") == 1


def test_lines_below_the_level_are_left_out(pipe: io.StringIO) -> None:
    logs.configure("WARNING", stream=pipe)
    logger.info("a line")
    assert pipe.getvalue() == ""


def test_a_second_call_replaces_the_first(pipe: io.StringIO) -> None:
    logs.configure("INFO", json_lines=True, stream=pipe)
    logs.configure("INFO", json_lines=False, stream=pipe)
    logger.info("a line")
    assert pipe.getvalue().endswith(" INFO a line\n")
    assert pipe.getvalue().count("\n") == 1


def test_a_terminal_gets_lines_for_people(terminal: Terminal) -> None:
    logs.configure("INFO", stream=terminal)
    logger.info("took [red] %s", "a")
    assert "INFO     took [red] a" in terminal.getvalue()


def test_a_terminal_gets_json_lines_when_asked(terminal: Terminal) -> None:
    logs.configure("INFO", json_lines=True, stream=terminal)
    logger.info("took")
    assert json.loads(terminal.getvalue())["message"] == "took"


def test_a_line_carries_the_ids_of_its_context(pipe: io.StringIO) -> None:
    logs.configure("INFO", stream=pipe)
    with logs.about(worker_id="w"):
        with logs.about(job_id="j"):
            logger.info("both")
        logger.info("worker")
    logger.info("none")
    lines = [json.loads(line) for line in pipe.getvalue().splitlines()]
    ids = [(line.get("worker_id"), line.get("job_id")) for line in lines]
    assert ids == [("w", "j"), ("w", None), (None, None)]


def test_people_see_the_ids_in_front_of_the_message(pipe: io.StringIO) -> None:
    logs.configure("INFO", json_lines=False, stream=pipe)
    with logs.about(worker_id="0123456789", job_id="film"):
        logger.info("completed")
    assert pipe.getvalue().endswith(" worker 01234567, job film: completed\n")


@pytest.mark.parametrize("form", [True, False, None])
def test_a_jobs_text_cannot_steer_the_terminal_or_forge_a_line(
    form: bool | None, terminal: Terminal
) -> None:
    logs.configure("INFO", json_lines=form, stream=terminal)
    evil = "a\x1b[2J\r\nERROR \u202eb\x9b\udc80"
    with logs.about(job_id=evil):
        try:
            raise ValueError(evil)
        except ValueError:
            logger.exception("%s", evil)
    written = terminal.getvalue()
    assert "\\u202e" in written
    assert not set("\x1b\r\u202e\x9b\udc80") & set(written)
    assert "\nERROR" not in written


def test_a_traceback_stays_readable(pipe: io.StringIO) -> None:
    logs.configure("INFO", json_lines=False, stream=pipe)
    try:
        raise ValueError("why")
    except ValueError:
        logger.exception("failed")
    assert "ERROR failed\n    Traceback" in pipe.getvalue()
    assert pipe.getvalue().endswith("\n    ValueError: why\n")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://host:6379/0", "redis://host:6379/0"),
        ("redis://:secret@host:6379/0", "redis://:***@host:6379/0"),
        ("rediss://user:secret@host/1?a=b", "rediss://user:***@host/1?a=b"),
        ("redis://user@host", "redis://user@host"),
        ("redis://:se@cret@host/0", "redis://:***@host/0"),
        ("redis://host/0?db=1&password=secret", "redis://host/0?db=1&password=***"),
        ("redis://host?Pass%77ord=secret", "redis://host?Pass%77ord=***"),
        ("redis://host?ssl_password=secret", "redis://host?ssl_password=***"),
        ("redis://[::1]:6379/0", "redis://[::1]:6379/0"),
        ("unix:///run/a@b.sock", "unix:///run/a@b.sock"),
        ("unix:///run/a.sock?password=secret", "unix:///run/a.sock?password=***"),
        ("unix://:secret@/run/a.sock", "unix://:***@/run/a.sock"),
        # What is not quoted as it should be is not shown.
        ("redis://:sec/ret@host", "redis://***"),
        ("redis://:sec?ret@host", "redis://***"),
        ("redis://:sec#ret@host", "redis://***"),
        ("redis://host?password=sec@ret", "redis://***"),
        ("redis://:secret@[host", "***"),
        (":secret@host", "***"),
        ("localhost", "localhost"),
    ],
)
def test_an_address_is_shown_without_its_password(url: str, shown: str) -> None:
    assert logs.redacted(url) == shown
