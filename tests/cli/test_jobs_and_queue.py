"""Looking at jobs and steering them, on a real server without any worker."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from cli.conftest import Said, Sisyphus
from sisyphus.settings import Settings
from sisyphus.store.replies import Lease, Taken, WorkerFacts
from sisyphus.store.store import Store

JobFile = Callable[..., Path]


class AWorker:
    """Takes jobs and says how they ended, without running any."""

    def __init__(self, redis_url: str) -> None:
        self.store = Store(Settings.load(redis_url=redis_url))
        facts = WorkerFacts("w-1", "host1", "m", "n", 1, "2", ("note",), ("gpu",))
        self.store.register("session", facts)

    def take(self) -> Lease | None:
        _, reply = self.store.take("session")
        return reply.lease if isinstance(reply, Taken) else None

    def complete(self) -> None:
        lease = self.take()
        assert lease is not None
        self.store.settle(self.store.complete(lease, {"tasks": []}))

    def fail(self, error: dict[str, Any]) -> None:
        lease = self.take()
        assert lease is not None
        self.store.log(lease, [(1, "1 ffmpeg", "warning", "a [bold] line")])
        entry = {"attempt": 1, "outcome": "failed"}
        self.store.settle(self.store.fail(lease, error, entry))


@pytest.fixture
def worker(with_redis: str) -> Iterator[AWorker]:
    """A worker that is alive."""
    worker = AWorker(with_redis)
    yield worker
    worker.store.close()


def test_a_submitted_job_waits_in_the_list(
    client: Redis, sisyphus: Sisyphus, job_file: JobFile
) -> None:
    path = job_file("j-1", title="A film")

    said = sisyphus("submit", path)

    assert said.lines == ["j-1"]
    assert client.lrange("queue", 0, -1) == [path.read_bytes()]
    (listed,) = sisyphus("jobs", "list", "--json").json
    assert (listed["job_id"], listed["state"]) == ("j-1", "queued")
    assert "A film" in sisyphus("jobs", "list").out


def test_nothing_is_submitted_when_one_of_the_jobs_is_wrong(
    client: Redis, sisyphus: Sisyphus, job_file: JobFile, anywhere: Path
) -> None:
    good = job_file("good")
    (anywhere / "bad.json").write_text('{"job_id": "bad", "job_title": "t"}')

    said = sisyphus("submit", good, "bad.json")

    assert said.code == 2
    assert "bad.json: tasks: is missing" in said.err
    assert client.llen("queue") == 0


def test_priority_delay_and_retries_are_written_into_the_job(
    client: Redis, sisyphus: Sisyphus, job_file: JobFile
) -> None:
    sisyphus("submit", job_file("j-1"), "--priority", 3, "--retries", 2)
    sisyphus("submit", job_file("j-2"), "--delay", 3700)

    (raw,) = client.lrange("queue:3", 0, -1)
    assert json.loads(raw)["retries"] == 2
    assert sisyphus("jobs", "show", "j-2", "--json").json["state"] == "delayed"
    assert "in 1h" in sisyphus("jobs", "list", "--state", "delayed").out


def test_a_job_that_has_ended_is_not_run_again_and_that_is_said(
    client: Redis, sisyphus: Sisyphus, job_file: JobFile, worker: AWorker
) -> None:
    path = job_file("j-1")
    sisyphus("submit", path)
    worker.complete()

    said = sisyphus("submit", path)

    assert said.code == 0
    assert "is completed: nothing to do" in said.err


def test_empty_lists_say_what_to_do_next(with_redis: str, sisyphus: Sisyphus) -> None:
    assert "sisyphus submit" in sisyphus("jobs", "list").err
    assert "sisyphus worker" in sisyphus("workers", "list").err
    assert "Nothing was rejected" in sisyphus("queue", "rejected", "list").err
    assert "sisyphus data put" in sisyphus("data", "list", "ffmpeg").err
    assert sisyphus("jobs", "list", "--json").json == []


def test_a_cancelled_job_can_be_run_again(
    with_redis: str, sisyphus: Sisyphus, job_file: JobFile
) -> None:
    sisyphus("submit", job_file("j-1"))

    assert sisyphus("jobs", "cancel", "j-1").lines == ["j-1: cancelled"]
    assert sisyphus("jobs", "retry", "j-1").lines == ["j-1: queued again"]
    assert sisyphus("jobs", "retry", "j-1").code == 3
    assert sisyphus("jobs", "remove", "j-1").code == 3


def test_one_job_that_cannot_be_retried_does_not_spare_the_others(
    with_redis: str, sisyphus: Sisyphus, job_file: JobFile
) -> None:
    sisyphus("submit", job_file("j-1"))
    sisyphus("jobs", "cancel", "j-1")

    said = sisyphus("jobs", "retry", "unknown", "j-1")

    assert said.code == 3
    assert said.lines == ["j-1: queued again"]
    assert "unknown" in said.err


def test_a_running_job_is_shown_with_its_worker(
    with_redis: str, sisyphus: Sisyphus, job_file: JobFile, worker: AWorker
) -> None:
    sisyphus("submit", job_file("j-1"))
    worker.take()

    assert "running" in sisyphus("jobs", "show", "j-1").out
    assert "host1" in sisyphus("jobs", "list").out
    (alive,) = sisyphus("workers", "list", "--json").json
    assert (alive["worker_id"], alive["job_id"]) == ("w-1", "j-1")
    assert "stopping" in sisyphus("jobs", "cancel", "j-1").out
    assert "running, stopping" in sisyphus("jobs", "list").out


def test_why_a_job_failed_is_shown(
    with_redis: str, sisyphus: Sisyphus, job_file: JobFile, worker: AWorker
) -> None:
    sisyphus("submit", job_file("j-1"))
    error = {
        "code": "run_error",
        "message": "no such codec",
        "task": 1,
        "module": "ffmpeg",
        "argv": ["ffmpeg", "-i", "a b.mkv"],
        "tail": ["the last line"],
    }
    worker.fail(error)

    said = sisyphus("jobs", "show", "j-1")

    assert "task 1 ffmpeg: no such codec" in said.out
    assert "$ ffmpeg -i 'a b.mkv'" in said.out
    assert "the last line" in said.out
    assert "no such codec" in sisyphus("jobs", "list").out


def test_a_log_is_printed_under_its_tasks(
    with_redis: str, sisyphus: Sisyphus, job_file: JobFile, worker: AWorker
) -> None:
    sisyphus("submit", job_file("j-1"))
    worker.fail({"message": "no"})

    said = sisyphus("jobs", "log", "j-1")

    assert "── 1 ffmpeg" in said.out
    assert said.lines[-1].endswith("a [bold] line")
    (line,) = sisyphus("jobs", "log", "j-1", "--json").lines
    assert json.loads(line)["level"] == "warning"


def test_cancelling_too_late_says_how_the_job_ended(
    with_redis: str, sisyphus: Sisyphus, job_file: JobFile, worker: AWorker
) -> None:
    sisyphus("submit", job_file("j-1"))
    worker.complete()

    assert "too late, it is completed" in sisyphus("jobs", "cancel", "j-1").out
    assert sisyphus("jobs", "remove", "j-1").lines == ["j-1: removed"]
    assert sisyphus("jobs", "show", "j-1").code == 3


def test_watching_jobs_that_have_ended_gives_the_worst_code(
    with_redis: str, sisyphus: Sisyphus, job_file: JobFile, worker: AWorker
) -> None:
    for name in ("j-1", "j-2", "j-3"):
        sisyphus("submit", job_file(name))
    worker.complete()
    worker.fail({"message": "no such codec"})
    sisyphus("jobs", "cancel", "j-3")

    assert sisyphus("jobs", "watch", "j-1").code == 0
    assert sisyphus("jobs", "watch", "j-1", "j-3").code == 5
    said = sisyphus("jobs", "watch", "j-1", "j-3", "j-2")
    assert said.code == 1
    assert "no such codec" in said.err


def test_the_document_of_a_job_is_printed_as_it_was_pushed(
    with_redis: str, sisyphus: Sisyphus, job_file: JobFile
) -> None:
    path = job_file("j-1")
    sisyphus("submit", path)

    said = sisyphus("jobs", "show", "j-1", "--document")

    assert said.out.rstrip("\n") == path.read_text()


def test_a_title_cannot_move_the_cursor_or_forge_a_line(
    client: Redis, sisyphus: Sisyphus
) -> None:
    document = {"job_title": "[red]x\x1b[2J\nfine", "job_id": "j", "tasks": [{"a": {}}]}
    client.lpush("queue", json.dumps(document))

    said = sisyphus("jobs", "list")

    assert "[red]x\\x1b[2J" in said.out
    assert "\x1b" not in said.out
    assert len(said.lines) == 2


def test_the_queue_is_paused_and_resumed(with_redis: str, sisyphus: Sisyphus) -> None:
    assert "is paused" in sisyphus("queue", "pause").out
    assert "paused" in sisyphus("queue", "show").out
    assert sisyphus("queue", "show", "--json").json["paused"] is True
    sisyphus("queue", "resume")
    assert sisyphus("queue", "show", "--json").json["paused"] is False


def test_a_worker_is_found_by_the_start_of_its_id_or_its_host(
    with_redis: str, sisyphus: Sisyphus, worker: AWorker
) -> None:
    assert sisyphus("workers", "pause", "w-").lines == ["w-1 pauses"]
    assert "paused" in sisyphus("workers", "list").out
    assert sisyphus("workers", "resume", "host1").lines == ["w-1 goes on"]
    assert sisyphus("workers", "drain", "w-1").lines == ["w-1 ends now"]


@pytest.fixture
def rejected(client: Redis, sisyphus: Sisyphus, worker: AWorker) -> tuple[str, Said]:
    """A rejected document: its entry, and the list that shows it."""
    client.lpush("queue", "not [json]")
    worker.take()
    (found,) = sisyphus("queue", "rejected", "list", "--json").json
    return found["entry"], sisyphus("queue", "rejected", "list")


def test_a_rejected_document_is_listed_with_its_reason(
    rejected: tuple[str, Said], sisyphus: Sisyphus
) -> None:
    entry, listed = rejected

    assert "it is not JSON" in listed.out
    assert "not [json]" in listed.out
    assert sisyphus("queue", "rejected", "show", entry).out.rstrip() == "not [json]"


def test_a_rejected_document_is_put_back_mended(
    rejected: tuple[str, Said],
    client: Redis,
    sisyphus: Sisyphus,
    job_file: JobFile,
) -> None:
    entry, _ = rejected
    mended = job_file("mended")

    said = sisyphus("queue", "rejected", "restore", entry, "--file", mended)

    assert said.code == 0
    assert client.lrange("queue", 0, -1) == [mended.read_bytes()]
    assert sisyphus("queue", "rejected", "restore", entry).code == 3


def test_a_rejected_document_can_be_dropped(
    rejected: tuple[str, Said], sisyphus: Sisyphus
) -> None:
    entry, _ = rejected

    assert sisyphus("queue", "rejected", "drop", entry).code == 0
    assert sisyphus("queue", "rejected", "list", "--json").json == []


def test_option_sets_are_kept_for_modules(
    with_redis: str, sisyphus: Sisyphus, anywhere: Path
) -> None:
    (anywhere / "set.yaml").write_text("options: {codec: libx265, crf: 19}")

    assert sisyphus("data", "put", "ffmpeg", "anime", "set.yaml").code == 0

    assert sisyphus("data", "list", "ffmpeg").lines == ["anime"]
    found = sisyphus("data", "show", "ffmpeg", "anime").json
    assert found == {"options": {"codec": "libx265", "crf": 19}}


def test_an_option_set_that_is_no_object_is_refused(
    with_redis: str, sisyphus: Sisyphus
) -> None:
    said = sisyphus("data", "put", "ffmpeg", "anime", "-", typed="[1]")

    assert said.code == 2
    assert "must hold an object" in said.err


def test_top_shows_queue_workers_and_events(
    with_redis: str, sisyphus: Sisyphus, job_file: JobFile, worker: AWorker
) -> None:
    assert "no worker" not in sisyphus("top", "--once").out
    sisyphus("submit", job_file("j-1", title="A film"))
    sisyphus("submit", job_file("j-2", title="Another film"))
    worker.take()

    said = sisyphus("top", "--once")

    assert "1 waiting   1 running" in said.out
    assert "host1" in said.out
    assert "A film" in said.out
    assert "on host1" in said.out


def test_top_says_what_is_missing(with_redis: str, sisyphus: Sisyphus) -> None:
    said = sisyphus("top", "--once")

    assert "no worker is alive" in said.out
    assert "nothing has happened lately" in said.out
