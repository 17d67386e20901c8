"""Secrets: given to a real worker, and looked for in all that it leaves behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from redis import Redis
from typer.testing import CliRunner

from security.tls import TlsDoor
from serving import serving
from sisyphus.cli.main import app
from sisyphus.embedded import EmbeddedServer
from sisyphus.errors import ConfigError, SisyphusError
from sisyphus.logs import redacted
from sisyphus.server.app import create_app
from sisyphus.settings import Settings
from sisyphus.store.store import Store
from sisyphus.store.wire import open_client
from waiting import eventually
from worker.machines import descendants

MODULES = Path(__file__).parent / "modules"
PASSWORD = "pa@ss:w%rd+of redis"
TOKEN = "a-token-of-the-server-0123"
AWS = "wJalrXUtnFEMI-an-aws-like-key"
KEY = "signing-key-signing-key-signing-key-0"
SECRETS = [
    *(PASSWORD, quote(PASSWORD), quote(PASSWORD, safe=""), "w%25rd", "w%rd"),
    *(TOKEN, KEY),
]


def leaks(text: bytes | str, *more: str) -> list[str]:
    """The secrets that stand in a text."""
    text = text if isinstance(text, bytes) else text.encode()
    return [one for one in (*SECRETS, *more) if one.encode() in text]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """With a password, and a file in which everything stands that was ever written."""
    folder = tmp_path_factory.mktemp("server")
    with EmbeddedServer(folder, password=PASSWORD) as server:
        yield server


@pytest.fixture
def client(server: EmbeddedServer) -> Iterator[Any]:
    with Redis.from_url(server.url) as client:
        client.flushall()
        yield client


def written(server: EmbeddedServer) -> bytes:
    files = (server.folder / "appendonlydir").iterdir()
    return b"".join(file.read_bytes() for file in files)


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    temporary = tmp_path / "temporary"
    temporary.mkdir(exist_ok=True)
    key = tmp_path / "signing.key"
    key.write_text(KEY)
    key.chmod(0o600)
    return {
        **os.environ,
        "TMPDIR": str(temporary),
        "SISYPHUS_SERVER_TOKEN": TOKEN,
        "SISYPHUS_SIGNING_KEY_FILE": str(key),
        "AWS_SECRET_ACCESS_KEY": AWS,
        **more,
    }


def of_process(pid: int, name: str) -> bytes:
    with suppress(OSError):  # hidden, or gone
        return Path(f"/proc/{pid}/{name}").read_bytes()
    return b""


def push(client: Any, job_id: str, **data: str) -> None:
    tasks = [{"talkative": data}]
    client.lpush(
        "queue", json.dumps({"job_title": "t", "job_id": job_id, "tasks": tasks})
    )


def state(client: Any, job_id: str) -> bytes | None:
    found: bytes | None = client.hget(f"{{queue}}:job:{job_id}", "state")
    return found


def is_in(client: Any, job_id: str, wanted: bytes) -> bool:
    return state(client, job_id) == wanted


def test_a_worker_leaves_its_secrets_nowhere(
    server: EmbeddedServer, client: Any, tmp_path: Path
) -> None:
    go, told = tmp_path / "go", tmp_path / "told"
    words = [sys.executable, "-m", "sisyphus.cli", "worker", "--modules", str(MODULES)]
    given = environment(
        tmp_path, SISYPHUS_REDIS_URL=server.url, SISYPHUS_LOG_LEVEL="DEBUG"
    )
    with subprocess.Popen(
        [*words, "--root", str(tmp_path)],
        cwd=tmp_path,
        env=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as worker:
        push(client, "tell", do="tell", file=str(told))
        push(client, "break", do="break")
        push(client, "fail", do="fail")
        push(client, "hold", do="hold", file=str(go))
        ended = {"tell": b"completed", "break": b"failed", "fail": b"failed"}
        for job_id, how in ended.items():
            eventually(partial(is_in, client, job_id, how))
        eventually(lambda: len(descendants(worker.pid)) >= 3)
        processes = {
            pid: (of_process(pid, "cmdline"), of_process(pid, "environ"))
            for pid in descendants(worker.pid)
        }
        cmdline_of_supervisor = of_process(worker.pid, "cmdline")
        go.touch()
        eventually(lambda: state(client, "hold") == b"completed")
        worker.terminate()
        out, err = worker.communicate(timeout=30)

    # A module may see the worker's other variables: this one has told them itself.
    assert leaks(out + err) == []
    assert leaks(written(server)) == []
    assert b"AWS_SECRET_ACCESS_KEY" in written(server)
    assert leaks(cmdline_of_supervisor, AWS) == []
    assert len(processes) >= 3  # worker process, guard, tool
    for pid, (cmdline, environ) in processes.items():
        assert leaks(cmdline + environ) == [], cmdline
        is_worker_process = b"sisyphus.worker.process" in cmdline
        assert is_worker_process or leaks(environ, AWS) == [], pid
    for path in (tmp_path / "temporary").rglob("*"):
        assert not path.is_file() or leaks(path.read_bytes(), AWS) == [], path
    if sys.platform == "linux":
        assert json.loads(told.read_text()) == {"dumpable": 0, "core": 0}


def test_a_worker_gets_its_password_from_a_file(
    server: EmbeddedServer, client: Any, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\n")
    file.chmod(0o600)
    url = "unix://" + server.url.rpartition("@")[2]
    words = [sys.executable, "-m", "sisyphus.cli", "worker", "--modules", str(MODULES)]
    given = environment(
        tmp_path, SISYPHUS_REDIS_URL=url, SISYPHUS_REDIS_PASSWORD_FILE=str(file)
    )
    with subprocess.Popen(
        words, cwd=tmp_path, env=given, stderr=subprocess.PIPE
    ) as run:
        push(client, "a", do="tell", file=str(tmp_path / "told"))
        eventually(lambda: state(client, "a") == b"completed")
        seen = of_process(run.pid, "environ").replace(TOKEN.encode(), b"")
        assert leaks(seen) == []
        run.terminate()
        _, err = run.communicate(timeout=30)
    assert leaks(err) == []


def test_a_password_on_the_command_line_is_warned_of(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    words = [sys.executable, "-m", "sisyphus.cli", "worker", "-r"]
    wrong = server.url.replace("of%20redis", "OF%20redis")

    said = subprocess.run(
        [*words, wrong], cwd=tmp_path, capture_output=True, text=True, timeout=50
    )

    assert "everybody on this machine can read the password" in said.stderr
    assert said.returncode == 4


# Files with secrets


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        ("hunter2hunter2hunter2", 0o604, "everybody on this machine can open"),
        ("", 0o600, "must hold one line, it has 0"),
        ("hunter2\nhunter2hunter2", 0o600, "must hold one line, it has 2"),
        (None, 0o600, "cannot be read"),
    ],
)
@pytest.mark.parametrize("setting", ["redis_password_file", "server_token_file"])
def test_a_file_that_does_not_do_is_told_without_what_is_in_it(
    tmp_path: Path, setting: str, text: str | None, mode: int, said: str
) -> None:
    file = tmp_path / "secret"
    if text is not None:
        file.write_text(text)
        file.chmod(mode)
    given: Any = {setting: file}
    settings = Settings.load(**given)

    with pytest.raises(ConfigError, match=f"{setting}: .*{said}") as caught:
        Store(settings) if setting.startswith("redis") else create_app(settings)
    assert "hunter2" not in str(caught.value)


def test_a_password_in_place_of_its_file_is_not_told() -> None:
    given: Any = {"redis_password_file": "hunter2"}

    with pytest.raises(
        ConfigError, match=r"redis_password_file: .*cannot be"
    ) as caught:
        Store(Settings.load(**given))
    assert "hunter2" not in str(caught.value)


def test_a_socket_whose_path_has_an_at_sign_is_understood(tmp_path: Path) -> None:
    for url in (f"unix://{tmp_path}/a@b", f"unix://u:p@{tmp_path}/a@b"):
        client = open_client(url)
        assert client.connection_pool.connection_kwargs["path"] == f"{tmp_path}/a@b"
        client.close()


def test_a_password_that_is_given_twice_is_told(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("x")
    file.chmod(0o600)

    with pytest.raises(ConfigError, match="the URL has a password as well"):
        Store(Settings.load(redis_url="redis://:y@here", redis_password_file=file))


def test_the_servers_token_comes_from_a_file(redis_url: str, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    file.chmod(0o640)
    settings = Settings.load(redis_url=redis_url, server_token_file=file)

    with serving(settings) as http:
        assert http.get("/queue").status_code == 401
        headers = {"Authorization": f"Bearer {TOKEN}"}
        assert http.get("/queue", headers=headers).status_code == 200
    with pytest.raises(ConfigError, match="there is server_token as well"):
        create_app(settings.model_copy(update={"server_token": TOKEN}))


# What is shown of settings


def test_settings_show_no_secret() -> None:
    settings = Settings.load(redis_url=f"redis://u:{PASSWORD}@h", server_token=TOKEN)

    assert leaks(f"{settings!r} {settings} {[settings]} {vars(settings)!s:.0}") == []


@pytest.mark.parametrize(
    "given",
    [
        {"redis_url": ["redis://:hunter2@h"]},
        {"server_token": 12345678},
        {"server_token": {"hunter2": 1}},
    ],
)
def test_a_secret_of_the_wrong_type_is_not_told(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        Settings.load(**given)

    said = str(caught.value)
    assert "hunter2" not in said
    assert "12345678" not in said
    assert next(iter(given)) in said


@pytest.mark.parametrize(
    "url",
    [
        "redis://:hun/ter2@localhost",
        "redis://:123/hunter2@localhost",
        "redis://:hun#ter2@localhost",
        "redis://:hun?ter2@localhost",
        "redis://user:hunter2:@localhost:x",
        "rediss://:hunter2@localhost?ssl_nonsense=1",
        "rediss://:hunter2@localhost?ssl_cert_reqs=hm",
        "http://:hunter2@localhost",
        "hunter2@localhost",
        "redis://:hunter2\N{ACCOUNT OF}x@localhost",
        "redis://:hun\N{FULLWIDTH COLON}ter2@localhost",
        "redis://:[hun]ter2@localhost",
        "redis://:12?hunter2=1@localhost",
        "unix://:12?hunter2=1@/redis.sock",
        "unix://:12/hunter2@/redis.sock",
        "unix://:hun[ter2@/redis.sock",
    ],
)
def test_what_is_wrong_with_a_url_is_told_without_its_password(url: str) -> None:
    with pytest.raises(ConfigError, match="redis_url") as caught:
        open_client(url).close()

    assert "ter2" not in str(caught.value)
    assert "hun" not in str(caught.value)
    assert "ter2" not in redacted(url)


COMMANDS = (
    ("doctor",),
    ("queue", "show"),
    ("jobs", "list"),
    ("workers", "list"),
    ("worker",),
    ("top",),
)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("wrong", ["nobody there", "wrong password"])
def test_errors_of_commands_tell_no_password(
    server: EmbeddedServer, tmp_path: Path, words: tuple[str, ...], wrong: str
) -> None:
    url = f"unix://:{quote(PASSWORD, safe='')}@{tmp_path}/nobody.sock"
    if wrong == "wrong password":
        url = server.url.replace("of%20redis", "OF%20redis")
    if words == ("worker",) and wrong == "nobody there":
        pytest.skip("it waits")

    result = CliRunner().invoke(app, [*words, "-r", url])

    assert result.exit_code in (1, 4)
    assert isinstance(result.exception, SystemExit)
    assert leaks(result.output, "OF%20redis", "OF redis") == []


def test_tls_errors_tell_no_password(door: TlsDoor) -> None:
    url = door.url().replace("//", f"//:{quote(PASSWORD, safe='')}@")

    with pytest.raises(SisyphusError) as caught:
        Store(Settings.load(redis_url=url)).promote()
    assert leaks(str(caught.value)) == []
