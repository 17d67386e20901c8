"""Stored documents, and what the server says of itself."""

from __future__ import annotations

import pytest
from httpx import Client as Http
from redis import Redis

from server.conftest import JOB, Serve
from sisyphus.client import Client
from sisyphus.version import VERSION

NOBODY = "redis://127.0.0.1:1"
ROUTES = [
    ("GET", "/queue", None),
    ("POST", "/queue", JOB),
    ("PATCH", "/queue", {"disabled": True}),
    ("DELETE", "/queue", None),
    ("GET", "/queue/poll", None),
    ("GET", "/jobs/a", None),
    ("DELETE", "/jobs/a", None),
    ("PATCH", "/jobs/a/completed", {"failed": False, "info": {}}),
    ("GET", "/workers", None),
    ("GET", "/workers/w", None),
    ("PATCH", "/workers/w", {"disabled": True}),
    ("DELETE", "/workers/w", None),
    ("GET", "/data/ffmpeg/x", None),
    ("POST", "/data/ffmpeg/x", {}),
    ("DELETE", "/data/ffmpeg/x", None),
]


def test_a_document_is_stored_for_a_module_under_the_name_in_the_address(
    http: Http, client: Client
) -> None:
    path = "/data/ffmpeg/x265 slow"
    body = {"name": "another", "options": {"crf": 18}}

    assert http.get(path).status_code == 404
    assert http.post(path, json={"options": {}, "old": True}).status_code == 204
    assert http.post(path, json=body).status_code == 204

    stored = {"name": "x265 slow", "options": {"crf": 18}}
    assert http.get(path).json() == stored
    assert client.get_data("ffmpeg", "x265 slow") == stored
    assert http.request("DELETE", path).status_code == 204
    assert http.request("DELETE", path).status_code == 404
    assert http.post(path, json=[1]).status_code == 400


def test_health_and_config_are_told(http: Http) -> None:
    assert http.get("/status/health").json() == {"status": "online"}
    told = http.get("/status/config").json()
    assert told["version"] == VERSION
    assert told["uptime"].startswith("0:00:")
    assert set(told["backend"]) == {"MONGO_URI", "REDIS_URI"}


# Defect 33


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("redis://:secret@my-own-host:6379/0", "redis://:***@my-own-host:6379/0"),
        ("redis://me:secret@host", "redis://me:***@host"),
        ("rediss://:secret@host:6", "rediss://:***@host:6"),
        ("redis://:s3cr-et_secret@[::1]:6379", "redis://:***@[::1]:6379"),
        ("unix://:secret@/run/redis.sock", "unix://:***@/run/redis.sock"),
        ("redis://host?password=secret", "redis://host?password=***"),
    ],
)
def test_no_password_of_the_store_is_told(
    serve: Serve, address: str, shown: str
) -> None:
    answer = serve(redis_url=address).get("/status/config")

    assert answer.json()["backend"]["REDIS_URI"] == shown
    assert "secret" not in answer.text


# Redis away


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
def test_without_redis_every_route_says_so_and_the_server_lives(
    serve: Serve, method: str, path: str, body: object
) -> None:
    http = serve(redis_url=NOBODY)

    answer = http.request(method, path, json=body)

    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert "Redis does not answer" in answer.json()["message"]
    assert "Traceback" not in answer.text
    assert http.get("/status/health").status_code == 200


def test_a_store_that_refuses_is_told_with_its_reason(
    http: Http, redis_url: str
) -> None:
    with Redis.from_url(redis_url) as client:
        client.set("queue", "taken")

    answer = http.post("/queue", json=JOB)

    assert answer.status_code == 503
    assert "is the list's name taken?" in answer.json()["message"]


def test_a_mistake_of_ours_is_no_traceback_for_callers(
    http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sisyphus.server.lending.poll", None)

    answer = http.get("/queue/poll")

    assert answer.status_code == 500
    assert answer.json() == {"message": "a mistake of the server: its log says more"}
