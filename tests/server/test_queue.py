"""The queue and its jobs over HTTP."""

from __future__ import annotations

import json
from uuid import UUID

import pytest
from httpx import Client as Http

from server.conftest import JOB, Serve, submitted
from sisyphus.client import Client
from sisyphus.lifecycle import JobState
from store.fleet import Fleet, document


def test_a_job_is_posted_listed_and_polled_as_the_original_did(
    http: Http,
) -> None:
    answer = http.post("/queue", json=JOB)
    assert answer.status_code == 200
    job_id = answer.json()["job_id"]
    assert UUID(job_id).version == 4
    assert answer.json() == {"job_id": job_id, "id": job_id}

    listed = http.get("/queue").json()
    assert (listed["entries"], listed["attributes"]) == (1, {"disabled": False})
    (job,) = listed["queue"]
    assert job["added"].endswith("+00:00")
    assert {name: job[name] for name in JOB} == JOB
    assert http.get(f"/jobs/{job_id}").json() == job

    polled = http.get("/queue/poll")
    assert polled.headers["content-type"] == "application/json"
    assert polled.json() == job
    again = http.get("/queue/poll")
    assert (again.status_code, again.json()) == (404, None)


@pytest.mark.parametrize(
    ("body", "field", "said"),
    [
        ({"tasks": JOB["tasks"]}, "job_title", "is missing"),
        ({"job_title": "A"}, "tasks", "is missing"),
        ({"job_title": "A", "tasks": []}, "tasks", "at least 1"),
        ({**JOB, "tasks": [{}]}, "tasks[0]", "exactly one module"),
        ({**JOB, "tasks": ["ffmpeg"]}, "tasks[0]", "must be an object"),
        ({**JOB, "tasks": [{"module": "x", "data": 1}]}, "tasks[0].data", "object"),
        ({**JOB, "job_id": "mine"}, "job_id", "is given by the server"),
        ({**JOB, "job_titel": "A"}, "job_titel", "did you mean 'job_title'"),
        ({**JOB, "priority": 10}, "priority", "less than or equal to 9"),
        ([JOB], "document", "must be a JSON object"),
    ],
)
def test_what_is_no_job_is_refused_and_its_field_named(
    http: Http, body: object, field: str, said: str
) -> None:
    answer = http.post("/queue", json=body)

    assert answer.status_code == 400
    assert said in answer.json()["errors"][field]
    assert field in answer.json()["message"]
    assert http.get("/queue").json()["entries"] == 0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"job_title": NaN, "tasks": [{"cleanup": {}}]}',
        b'{"job_title": "\\ud800", "tasks": [{"cleanup": {}}]}',
        b'{"job_title": "a", "job_title": "b", "tasks": [{"cleanup": {}}]}',
        b"[" * 100_000,
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
    ],
)
def test_what_cannot_be_read_is_refused(http: Http, body: bytes) -> None:
    answer = http.post("/queue", content=body)

    assert answer.status_code == 400
    assert answer.json()["errors"]


def test_both_forms_of_a_task_and_what_a_job_may_say_are_taken(
    http: Http, client: Client
) -> None:
    job_id = submitted(http, tasks=[{"cleanup": {}}], priority=5, retries=2)

    assert client.job(job_id).priority == 5
    assert http.get("/queue/poll").json()["tasks"] == [
        {"module": "cleanup", "data": {}}
    ]


def test_the_queue_shows_what_any_producer_pushed_and_no_more_than_asked(
    http: Http, fleet: Fleet
) -> None:
    fleet.push(b"no job", document("a"), b'{"job_id": "nan", "x": NaN}', document("b"))
    fleet.push(document("first"), priority=3)

    def shown(limit: int) -> tuple[list[str], int]:
        listed = http.get("/queue", params={"limit": limit}).json()
        return [job["job_id"] for job in listed["queue"]], listed["entries"]

    assert shown(1000) == (["first", "a", "b"], 3)
    assert shown(3) == (["first", "a"], 5)
    assert shown(0) == ([], 5)
    assert http.get("/queue", params={"limit": 1001}).status_code == 400
    assert "limit" in http.get("/queue", params={"limit": -1}).json()["errors"]


def test_the_switch_pauses_the_queue_and_is_answered_with_its_state(
    http: Http, client: Client
) -> None:
    submitted(http)

    for disabled in (True, False):
        answer = http.patch("/queue", json={"disabled": disabled})
        assert (answer.status_code, answer.json()) == (200, {"disabled": disabled})
        assert http.get("/queue").json()["attributes"] == {"disabled": disabled}
        assert client.queue().paused is disabled
        assert http.get("/queue/poll").status_code == (404 if disabled else 200)


@pytest.mark.parametrize(
    "body", [{"bogus": 1}, {"disabled": "yes"}, {}, {"disabled": True, "more": 1}]
)
def test_a_switch_takes_true_or_false_and_nothing_else(
    http: Http, body: object
) -> None:
    for path in ("/queue", "/workers/w"):
        assert http.patch(path, json=body).status_code == 400


# Clearing: defect 4


def test_clearing_the_queue_cancels_what_waits_and_nothing_that_runs(
    http: Http, client: Client, fleet: Fleet
) -> None:
    lent, _ = submitted(http), http.get("/queue/poll")
    running = fleet.running("running")
    for n in range(1200):
        fleet.push(document(f"raw-{n}"))
    later = client.submit({**JOB, "tasks": [{"x": {}}]}, delay=3600)
    soon = submitted(http, priority=2)

    assert http.request("DELETE", "/queue").status_code == 204

    assert http.get("/queue").json()["queue"] == []
    waiting = [client.job(x).state for x in (later, soon, "raw-0", "raw-1199")]
    assert set(waiting) == {JobState.CANCELLED}
    assert http.get("/queue/poll").status_code == 404
    for job_id in (lent, "running"):
        assert client.job(job_id).state is JobState.RUNNING
        assert not client.job(job_id).cancel_asked
    assert fleet.store.settle(fleet.store.complete(running, None))
    done = {"failed": False, "info": {}}
    assert http.patch(f"/jobs/{lent}/completed", json=done).status_code == 204


# One job


def test_a_job_is_shown_while_it_waits_or_runs(
    http: Http, client: Client, fleet: Fleet
) -> None:
    raw = json.loads(document("raw"))
    fleet.push(document("raw"))
    assert http.get("/jobs/raw").json() == raw

    lease = fleet.take(fleet.worker()).lease
    assert http.get("/jobs/raw").json() == raw

    fleet.store.settle(fleet.store.complete(lease, None))
    for job_id in ("raw", "nobody"):
        answer = http.get(f"/jobs/{job_id}")
        assert (answer.status_code, answer.json()) == (404, None)


def test_deleting_a_job_cancels_it_in_any_state_but_an_ended_one(
    http: Http, client: Client, fleet: Fleet
) -> None:
    fleet.running("running")
    waiting = submitted(http)
    fleet.push(document("raw"))

    for job_id in (waiting, "raw", "running"):
        assert http.request("DELETE", f"/jobs/{job_id}").status_code == 204
    for job_id in (waiting, "raw", "nobody"):
        assert http.request("DELETE", f"/jobs/{job_id}").status_code == 404

    assert client.job("raw").state is client.job(waiting).state is JobState.CANCELLED
    assert client.job("running").cancel_asked
    fleet.push(document("nobody"))  # no cancel was kept for an id that nobody knew
    assert http.get("/queue/poll").json()["job_id"] == "nobody"


def test_a_path_with_a_slash_at_its_end_is_not_there(http: Http) -> None:
    assert http.get("/queue/").status_code == 404
    assert http.get("/nothing").json() == {"message": "Not Found"}
    assert http.put("/queue").status_code == 405


def test_jobs_larger_than_the_limit_are_refused(serve: Serve) -> None:
    http = serve(max_document_bytes=2000)
    large = {**JOB, "job_title": "x" * 1900}

    assert http.post("/queue", json={**JOB, "job_title": "x" * 3000}).status_code == 413
    parts = (b"x" * 1000 for _ in range(3))
    assert http.post("/queue", content=parts).status_code == 413
    # With its id it is over.
    assert http.post("/queue", json=large).status_code == 400
