"""Who may ask: defect 35."""

from __future__ import annotations

import socket

import pytest
from httpx import Client as Http

from server.conftest import Serve
from sisyphus.errors import ConfigError
from sisyphus.server.app import create_app
from sisyphus.server.serving import listen
from sisyphus.settings import Settings

TOKEN = "0123456789abcdef-secret"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "::1", "localhost"])
def test_a_server_for_this_machine_needs_no_token(host: str) -> None:
    create_app(Settings.load(server_host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "encode001"])
def test_a_server_for_others_needs_a_token(host: str) -> None:
    with pytest.raises(ConfigError, match=r"server_host.*SISYPHUS_SERVER_TOKEN"):
        create_app(Settings.load(server_host=host))
    create_app(Settings.load(server_host=host, server_token=TOKEN))


def test_a_token_is_long_and_never_shown() -> None:
    with pytest.raises(ConfigError, match="at least 16 characters") as error:
        create_app(Settings.load(server_token="too-short"))
    assert "too-short" not in str(error.value)
    assert TOKEN not in repr(Settings.load(server_token=TOKEN))


def test_an_address_of_redis_that_is_none_is_refused_at_the_start() -> None:
    with pytest.raises(ConfigError, match="redis_url"):
        create_app(Settings.load(redis_url="http://localhost"))


def test_with_a_token_every_route_but_health_wants_it(serve: Serve) -> None:
    http = serve(server_token=TOKEN)

    for path in ("/queue", "/queue/poll", "/workers", "/status/config", "/nothing"):
        refused = http.get(path)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Bearer"
        assert TOKEN not in refused.text
    for wrong in (
        TOKEN,
        f"Basic {TOKEN}",
        f"Bearer {TOKEN[:-1]}",
        "Bearer",
        "Bearer é",
    ):
        headers = {b"Authorization": wrong.encode()}
        assert http.get("/queue", headers=headers).status_code == 401
    for right in (f"Bearer {TOKEN}", f"bearer {TOKEN}"):
        assert http.get("/queue", headers={"Authorization": right}).status_code == 200
    assert http.get("/status/health").status_code == 200


@pytest.mark.parametrize(
    "name", ["localhost", "localhost:5000", "127.0.0.1:5000", "127.0.0.1", "[::1]:5000"]
)
def test_without_a_token_local_names_are_answered(http: Http, name: str) -> None:
    assert http.get("/queue", headers={"Host": name}).status_code == 200


@pytest.mark.parametrize(
    "name",
    ["evil.example", "localhost.evil.example:5000", "10.0.0.1", "", "a@b@c:x", "é"],
)
def test_without_a_token_other_names_are_refused(http: Http, name: str) -> None:
    answer = http.get("/queue", headers={b"Host": name.encode()})

    assert answer.status_code == 400
    assert "localhost" in answer.json()["message"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "http://localhost:8080"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_pages_of_other_sites_may_not_ask(http: Http, headers: dict[str, str]) -> None:
    for method in ("GET", "POST", "OPTIONS"):
        answer = http.request(method, "/queue", headers=headers)
        assert answer.status_code == 403
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://127.0.0.1", "Host": "127.0.0.1"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
    ],
)
def test_pages_of_our_own_and_people_may(http: Http, headers: dict[str, str]) -> None:
    answer = http.get("/queue", headers=headers)

    assert answer.status_code == 200
    assert "access-control-allow-origin" not in answer.headers


def test_small_answers_are_not_held_back() -> None:
    with listen("127.0.0.1", 0) as listener:
        # asyncio switches Nagle's delay off for sockets that say that they are TCP.
        assert listener.proto == socket.IPPROTO_TCP
