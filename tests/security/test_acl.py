"""The users of Redis in docs/security.md: each can do its work, and nothing else."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, ResponseError
from typer.testing import CliRunner

from security import exercise
from security.users import PAGE, Guarded, rules
from sisyphus.cli.main import app
from sisyphus.client import Client
from sisyphus.embedded import EmbeddedServer
from sisyphus.errors import SisyphusError
from sisyphus.store.reads import Reads
from waiting import eventually
from worker.machines import Site

UNASKED = {"config|get", "multi"}
"""What we ask for and do without: the first would show the passwords of Redis itself."""
EXERCISES: dict[str, Callable[[str, Any], None]] = {
    "submitter": exercise.submit_all,
    "worker": exercise.work,
    "viewer": exercise.look_on,
    "operator": exercise.operate,
}


@pytest.fixture(scope="module")
def _guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    with EmbeddedServer(folder, appendonly=False) as server:
        yield Guarded(server)


@pytest.fixture
def guarded(_guarded: Guarded) -> Guarded:
    _guarded.empty()
    return _guarded


def unexpected(guarded: Guarded) -> set[str]:
    return {one for one in guarded.refused() if one.split(" ", 1)[1] not in UNASKED}


@pytest.mark.parametrize("user", EXERCISES)
def test_each_user_can_do_its_work(guarded: Guarded, user: str) -> None:
    EXERCISES[user](guarded.url(user), guarded.admin)

    assert unexpected(guarded) == set()


def rights() -> list[Any]:
    return [
        pytest.param(user, word, id=f"{user} {word}")
        for user in ("submitter", "worker", "viewer")
        for word in rules()[user]
        if word[0] in "+~%"
    ]


def test_asking_for_rights_does_nothing_of_what_is_asked_for(guarded: Guarded) -> None:
    """Also for a user who may not even begin a transaction."""
    exercise.fill(guarded.admin)
    words = [word for word in guarded.rules["worker"] if word != "+multi"]
    guarded.give("worker", words)
    before = sorted(guarded.admin.keys())
    try:
        with Reads(exercise.settings_for(guarded.url("worker"))) as reads:
            assert reads.denied() == []
    finally:
        guarded.give("worker", guarded.rules["worker"])

    assert sorted(guarded.admin.keys()) == before


@pytest.mark.parametrize(("user", "right"), rights())
def test_each_right_is_needed(guarded: Guarded, user: str, right: str) -> None:
    words = [word for word in guarded.rules[user] if word != right]
    guarded.give(user, words)
    try:
        EXERCISES[user](guarded.url(user), guarded.admin)
    except (SisyphusError, AssertionError, NoPermissionError, TypeError):
        pass
    finally:
        guarded.give(user, guarded.rules[user])

    needed = {one for one in guarded.refused() if "config|get" not in one}
    assert needed, f"{user} does without {right}"


def test_an_operator_does_what_all_others_do_but_wait_for_work() -> None:
    commands = {
        user: {word for word in words if word[0] == "+"}
        for user, words in rules().items()
    }
    others = commands["submitter"] | commands["worker"] | commands["viewer"]

    assert commands["operator"] == others - {"+blmove", "+blpop"} | {"+xdel"}


def forbidden() -> Iterator[Any]:
    everybody: tuple[tuple[Any, ...], ...] = (
        ("KEYS", "*"),
        ("SCAN", 0),
        ("FLUSHALL",),
        ("CONFIG", "SET", "appendonly", "no"),
        ("CONFIG", "GET", "requirepass"),
        ("ACL", "LIST"),
        ("ACL", "SETUSER", "me"),
        ("EVAL", "return 1", 0),
        ("SCRIPT", "FLUSH"),
        ("FUNCTION", "LIST"),
        ("MONITOR",),
        ("SHUTDOWN", "NOSAVE"),
        ("REPLICAOF", "127.0.0.1", 1),
        ("CLIENT", "LIST"),
        ("GET", "a stranger's"),
        ("LPUSH", "another queue", "x"),
        ("LPUSH", "queue:10", "x"),
        ("SET", "{another}:job:a", "x"),
    )
    own: dict[str, tuple[tuple[Any, ...], ...]] = {
        "producer": (
            *(("LRANGE", "queue", 0, -1), ("RPOP", "queue"), ("DEL", "queue")),
            *(("LLEN", "queue"), ("EVALSHA", "0" * 40, 0), ("SCRIPT", "LOAD", "x")),
            *(("HGETALL", "{queue}:job:a"), ("GET", "worker:w"), ("INFO",)),
            ("LPUSH", "{queue}:staged", "x"),
        ),
        "submitter": (
            *(("LRANGE", "queue", 0, -1), ("RPOP", "queue"), ("DEL", "queue")),
            *(("HSET", "{queue}:data:ffmpeg", "x", "{}"), ("INFO",)),
            *(("HSET", "{queue}:meta", "paused", "1"), ("GET", "worker:w")),
            ("HSET", "{queue}:session:s", "job", "a"),
        ),
        "worker": (
            *(("HSET", "{queue}:data:ffmpeg", "x", "{}"), ("LRANGE", "queue", 0, -1)),
            *(("SADD", "{queue}:paused", "w"), ("SREM", "{queue}:paused", "w")),
            *(("XRANGE", "{queue}:rejected", "-", "+"), ("HGETALL", "{queue}:job:a")),
        ),
        "viewer": (
            *(("LPUSH", "queue", "x"), ("RPOP", "queue"), ("DEL", "queue")),
            *(("HSET", "{queue}:job:a", "state", "x"), ("EVALSHA", "0" * 40, 0)),
            *(("SCRIPT", "LOAD", "return 1"), ("XADD", "{queue}:events", "*", "a", 1)),
            *(("SET", "worker:w", "x"), ("BLMOVE", "queue", "a", "LEFT", "LEFT", 1)),
        ),
        "operator": (("BLMOVE", "queue", "{queue}:staged", "LEFT", "LEFT", 1),),
    }
    for user, words in own.items():
        for command in (*everybody, *words):
            said = " ".join(map(str, command[:3]))
            yield pytest.param(user, command, id=f"{user} {said}")


@pytest.mark.parametrize(("user", "command"), list(forbidden()))
def test_what_a_user_does_not_need_is_refused(
    guarded: Guarded, user: str, command: tuple[Any, ...]
) -> None:
    with (
        guarded.as_(user) as client,
        pytest.raises((NoPermissionError, ResponseError), match=r"permission|NOPERM"),
    ):
        client.execute_command(*command)


def test_a_submitter_with_selectors_cannot_delete_the_waiting_list(
    guarded: Guarded,
) -> None:
    selectors = re.findall(r"\(\+[^)]*\)", PAGE.read_text())
    assert selectors
    if guarded.admin.info("server")["redis_version"].startswith("6."):
        pytest.skip("this server has no selectors")
    without = ("+set", "+unlink", "+expire")
    words = [one for one in guarded.rules["submitter"] if one not in without]
    guarded.give("submitter", [*words, *selectors])
    try:
        exercise.submit_all(guarded.url("submitter"), guarded.admin)
        assert unexpected(guarded) == set()
        with guarded.as_("submitter") as client:
            for command in (
                ("UNLINK", "queue"),
                ("EXPIRE", "queue", 0),
                ("SET", "queue", "x"),
                ("UNLINK", "{queue}:job:a"),
            ):
                with pytest.raises(NoPermissionError):
                    client.execute_command(*command)
    finally:
        guarded.give("submitter", guarded.rules["submitter"])


def test_nobody_comes_in_without_a_name(guarded: Guarded) -> None:
    with (
        Redis(unix_socket_path=guarded.socket) as client,
        pytest.raises(AuthenticationError),
    ):
        client.ping()
    with guarded.as_("producer") as client:
        client.connection_pool.connection_kwargs["password"] = "wrong"
        with pytest.raises(AuthenticationError):
            client.ping()


# Real processes


def test_a_worker_runs_all_kinds_of_jobs_as_its_user(
    guarded: Guarded, tmp_path: Path
) -> None:
    """Producer, worker, operator and viewer on one queue, each by its own name."""
    site = Site(guarded.url("admin"), tmp_path)
    operator = Client(guarded.url("operator"))
    try:
        _run_a_farm(guarded, site, operator)
    finally:
        operator.close()
        site.close()
    assert unexpected(guarded) == set()


def _run_a_farm(guarded: Guarded, site: Site, operator: Client) -> None:
    first = site.machine("plain", redis_url=guarded.url("worker"), log_json=False)
    site.machine("gpu", redis_url=guarded.url("worker"), labels=["gpu"])
    eventually(lambda: len(operator.workers()) == 2)

    def push(
        job_id: str, *tasks: dict[str, Any], where: str = "queue", **more: Any
    ) -> None:
        document = {"job_title": "t", "job_id": job_id, **more}
        document["tasks"] = [{"scripted": task} for task in tasks]
        with guarded.as_("producer") as producer:
            producer.lpush(where, json.dumps(document))

    def file(name: str) -> str:
        return str(site.path(name))

    push("two", {"do": "note", "file": file("n")}, {"do": "note", "file": file("n")})
    push("prior", {}, where="queue:9")
    push("gpu", {}, requires=["gpu"])
    push("retried", {"do": "fail", "file": file("f"), "once": True}, retries=1)
    push("crash", {"do": "crash", "file": file("c"), "once": True})
    push("long", {"do": "tick", "file": file("t"), "progress": True})
    push("later", {}, not_before=4e9)
    with guarded.as_("producer") as producer:
        producer.lpush("queue", "{")

    for job_id in ("two", "prior", "gpu", "crash"):
        site.until(job_id, "completed")
    eventually(lambda: site.state("retried") in ("delayed", "completed"))
    guarded.admin.script_flush()
    guarded.admin.zadd("{queue}:backoff", {"retried": 0}, xx=True)
    site.until("retried", "completed")
    site.until("later", "delayed")
    site.ticking("t")
    operator.cancel("long")
    site.until("long", "cancelled")

    operator.pause_queue()
    push("paused", {})
    operator.resume_queue()
    site.until("paused", "completed")
    (rejected,) = eventually(operator.rejected)
    nothing: dict[str, Any] = {"scripted": {}}
    mended = {"job_title": "t", "job_id": "mended", "tasks": [nothing]}
    assert operator.restore(rejected.entry, mended)
    site.until("mended", "completed")
    operator.requeue("two", afresh=True)
    site.until("two", "completed")

    push("given back", {"do": "wait", "file": file("w"), "once": True})
    site.until("given back", "running")
    first.process.send_signal(signal.SIGTERM)
    first.process.send_signal(signal.SIGTERM)
    site.path("w.go").touch()
    site.until("given back", "completed")


LOOKING = (
    ("jobs", "list"),
    ("jobs", "show", "over"),
    ("jobs", "log", "over"),
    ("jobs", "watch", "over"),
    ("queue", "show"),
    ("queue", "rejected", "list"),
    ("workers", "list"),
    ("data", "list", "ffmpeg"),
    ("data", "show", "ffmpeg", "x"),
    ("doctor",),
)


@pytest.mark.parametrize("words", LOOKING, ids=" ".join)
def test_commands_that_look_are_a_viewers(
    guarded: Guarded, words: tuple[str, ...]
) -> None:
    exercise.fill(guarded.admin)

    result = CliRunner().invoke(app, [*words, "-r", guarded.url("viewer")])

    assert result.exit_code in (0, 1) if words == ("doctor",) else result.exit_code == 0
    assert "may not run" not in result.stderr
    assert unexpected(guarded) == set()


def test_top_is_a_viewers(guarded: Guarded) -> None:
    exercise.fill(guarded.admin)
    words = [sys.executable, "-m", "sisyphus.cli", "top", "-r", guarded.url("viewer")]
    ours, theirs = pty.openpty()
    with subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=theirs) as top:
        os.close(theirs)
        seen = b""
        while b"title" not in seen and b"over" not in seen and b"w" not in seen:
            seen += os.read(ours, 65536)
        top.terminate()  # who starts the tests may have SIGINT ignored
        with suppress(OSError):
            while os.read(ours, 65536):
                pass
    os.close(ours)

    assert unexpected(guarded) == set()


@pytest.mark.parametrize(
    "words", [("jobs", "cancel", "over"), ("queue", "pause")], ids=" ".join
)
def test_a_viewer_who_wants_to_change_something_is_told_that_he_may_not(
    guarded: Guarded, words: tuple[str, ...]
) -> None:
    exercise.fill(guarded.admin)

    result = CliRunner().invoke(app, [*words, "-r", guarded.url("viewer")])

    assert result.exit_code == 4
    assert "this user may not" in result.stderr
