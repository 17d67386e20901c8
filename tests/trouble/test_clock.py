"""A server whose clock is wrong: it is said, and nothing else changes."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from sisyphus.client import Client
from sisyphus.settings import Settings
from store.proxy import Proxy
from trouble.conftest import Command, loud, saying
from waiting import eventually
from worker.machines import Site

AHEAD = 3600
_TIME = re.compile(rb"^\*2\r\n\$10\r\n(\d{10})\r\n")


class ClockAhead(Proxy):
    """Lets the server's clock seem an hour ahead to whoever asks for the time."""

    def _pump(
        self, source: socket.socket, target: socket.socket, is_answer: bool
    ) -> None:
        if not is_answer:
            super()._pump(source, target, is_answer)
            return
        with suppress(OSError):  # closed by the end of the test
            while data := source.recv(65536):
                target.sendall(_TIME.sub(_later, data))


def _later(found: re.Match[bytes]) -> bytes:
    return b"*2\r\n$10\r\n%d\r\n" % (int(found[1]) + AHEAD)


@pytest.fixture
def ahead(redis_url: str) -> Iterator[str]:
    with ClockAhead(unquote(urlsplit(redis_url).path)) as proxy:
        yield proxy.url


def test_the_doctor_names_the_difference_and_what_it_means(
    ahead: str, command: Command
) -> None:
    rows = command(ahead, "doctor", "--json").json

    (row,) = [row for row in rows if "its clock is" in row["what"]]
    assert row["severity"] == "warning"
    assert re.search(r"(3599|3600)\.\d s ahead", row["what"])
    assert "not_before" in row["mend"]


def test_a_worker_warns_and_works_by_the_server_s_clock(
    ahead: str, redis_url: str, tmp_path: Path
) -> None:
    site = Site(redis_url, tmp_path)
    machine = site.machine(redis_url=ahead)
    eventually(lambda: saying(machine, "s ahead", "not_before"))
    site.push("j", {"do": "nothing"})
    site.until("j", "completed")
    soon = (datetime.now(UTC) + timedelta(minutes=30)).isoformat()
    site.push("later", {"do": "nothing"}, not_before=soon)
    site.until("later", "delayed")

    assert len(loud(machine)) == 1
    site.close()


def test_a_delay_is_counted_by_the_server_s_clock(ahead: str, redis_url: str) -> None:
    job = {"job_title": "t", "tasks": [{"cleanup": {"delete_files": []}}]}
    with Client(settings=Settings.load(redis_url=ahead)) as client:
        job_id = client.submit(job, delay=60)
        due = client.job(job_id).due_at

    assert due is not None
    left = (due - datetime.now(UTC)).total_seconds()
    assert 0 < left - AHEAD <= 60
