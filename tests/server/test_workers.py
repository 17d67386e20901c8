"""Heartbeats over HTTP, and the list of all workers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from httpx import Client as Http

from server.conftest import STATUS, beats, submitted
from sisyphus.client import Client
from store.fleet import Fleet


def hosts(http: Http) -> list[str]:
    listed = http.get("/workers").json()
    assert listed["count"] == len(listed["workers"])
    return [one["hostname"] for one in listed["workers"]]


def test_a_heartbeat_is_shown_with_the_workers_id_and_switch(http: Http) -> None:
    assert http.get("/workers/w").status_code == 404

    answer = http.post(
        "/workers/w", json={**STATUS, "progress": 12.5, "info": {"a": 1}}
    )

    assert (answer.status_code, answer.content) == (204, b"")
    shown = {
        **STATUS,
        "progress": 12.5,
        "info": {"a": 1},
        "worker_id": "w",
        "attributes": {"disabled": False},
    }
    assert http.get("/workers/w").json() == shown
    assert http.get("/workers").json() == {"workers": [shown], "count": 1}


def test_heartbeats_lie_where_onlookers_look_and_expire(
    http: Http, fleet: Fleet
) -> None:
    beats(http, "w")

    assert json.loads(fleet.client.get("worker:w"))["hostname"] == "encode001"
    assert 25 <= fleet.client.ttl("worker:w") <= 30


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"hostname": None}, "hostname"),
        ({"progress": "much"}, "progress"),
        ({"info": 1}, "info"),
        ({"bogus": 1}, "bogus"),
    ],
)
def test_a_heartbeat_of_another_shape_is_refused(
    http: Http, more: dict[str, Any], field: str
) -> None:
    answer = beats(http, "w", **more)

    assert answer.status_code == 400
    assert field in answer.json()["errors"]
    assert hosts(http) == []


def test_both_kinds_of_workers_are_listed_by_host_name(
    http: Http, fleet: Fleet
) -> None:
    beats(http, "1", hostname="zoo")
    beats(http, "2", hostname="ant")
    fleet.running("a", fleet.worker("ours"))  # it has not shown a heartbeat yet

    listed = http.get("/workers").json()["workers"]

    assert [one["hostname"] for one in listed] == ["ant", "host", "zoo"]
    assert (listed[1]["status"], listed[1]["job_title"]) == ("in_progress", "job a")


# Defects 13 and 32: what is missing is no error


def test_a_heartbeat_that_expires_between_two_looks_is_no_error(
    http: Http, fleet: Fleet
) -> None:
    beats(http, "w")
    fleet.worker("ours")
    fleet.client.delete("worker:w")

    assert hosts(http) == ["host"]  # w has fallen silent
    assert http.get("/workers/w").status_code == 404


def test_what_strangers_wrote_where_heartbeats_lie_is_no_error(
    http: Http, fleet: Fleet
) -> None:
    for name, value in (("a", b"{"), ("b", b"[]"), ("c", b'{"progress": NaN}')):
        fleet.worker(name)
        fleet.client.set(f"worker:{name}", value)

    assert len(hosts_or_none(http)) == 3
    assert http.get("/workers/c").json()["progress"] is None


def hosts_or_none(http: Http) -> list[Any]:
    return [one.get("hostname") for one in http.get("/workers").json()["workers"]]


def test_the_switch_pauses_any_worker_known_or_not(
    http: Http, client: Client, fleet: Fleet
) -> None:
    fleet.worker("ours")
    beats(http, "theirs")

    for worker_id in ("ours", "theirs", "nobody yet"):
        for disabled in (True, False, True):
            answer = http.patch(f"/workers/{worker_id}", json={"disabled": disabled})
            assert (answer.status_code, answer.json()) == (200, {"disabled": disabled})

    assert all(worker.paused for worker in client.workers())
    beats(http, "nobody yet")
    shown = http.get("/workers/nobody yet").json()
    assert shown["attributes"] == {"disabled": True}


def test_a_paused_queue_is_no_switch_of_a_worker(http: Http) -> None:
    beats(http, "w")

    http.patch("/queue", json={"disabled": True})

    assert http.get("/workers/w").json()["attributes"] == {"disabled": False}


def test_a_worker_that_is_deleted_gives_its_job_back_and_keeps_its_switch(
    http: Http, client: Client
) -> None:
    job_id = submitted(http)
    http.get("/queue/poll")
    beats(http, "w", job_id)
    http.patch("/workers/w", json={"disabled": True})

    assert http.request("DELETE", "/workers/w").status_code == 204

    assert http.request("DELETE", "/workers/w").status_code == 404
    assert hosts(http) == []
    assert client.job(job_id).crashes == 0
    assert http.get("/queue/poll").json()["job_id"] == job_id
    beats(http, "w", job_id)
    assert http.get("/workers/w").json()["attributes"] == {"disabled": True}


def test_a_worker_that_does_not_speak_http_is_neither_deleted_nor_impersonated(
    http: Http, fleet: Fleet
) -> None:
    lease = fleet.running("a", fleet.worker("ours"))

    assert http.request("DELETE", "/workers/ours").status_code == 409
    assert beats(http, "ours", "a").status_code == 409
    assert beats(http, "http:ours").status_code == 400

    assert fleet.store.settle(fleet.store.complete(lease, None))


def test_a_beat_that_names_a_job_of_ours_does_not_get_it(
    http: Http, client: Client, fleet: Fleet
) -> None:
    lease = fleet.running("a", fleet.worker("ours"))

    assert beats(http, "w", "a").status_code == 204

    assert {worker.worker_id: worker.job_id for worker in client.workers()} == {
        "ours": "a",
        "w": None,
    }
    assert fleet.store.settle(fleet.store.complete(lease, None))
