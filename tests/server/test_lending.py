"""Workers that speak HTTP: no job of theirs is lost, none is settled by a late one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from httpx import Client as Http

from server.conftest import JOB, Serve, beats, reports, submitted
from sisyphus.client import Client
from sisyphus.lifecycle import JobState
from sisyphus.store.store import Store
from store.fleet import Fleet, document
from waiting import eventually


def polled(http: Http) -> str:
    answer = http.get("/queue/poll")
    assert answer.status_code == 200
    job_id: str = answer.json()["job_id"]
    return job_id


def lose_the_lease(fleet: Fleet, job_id: str) -> None:
    """Let the session that has the job have been silent for too long."""
    session = fleet.record(job_id)["session"]
    fleet.age_lease(session)
    fleet.store.recover()


def lease_of(fleet: Fleet, job_id: str) -> float:
    """How long its session may still be silent, seconds."""
    score = fleet.client.zscore(fleet.keys.sessions, fleet.record(job_id)["session"])
    return (float(score) - fleet.clock_ms()) / 1000


def test_a_polled_job_runs_under_a_lease_until_it_is_reported(
    http: Http, client: Client, fleet: Fleet
) -> None:
    job_id = submitted(http)

    assert polled(http) == job_id

    assert client.job(job_id).state is JobState.RUNNING
    assert 50 < lease_of(fleet, job_id) <= 60
    assert reports(http, job_id) == 204
    view = client.job(job_id)
    assert view.state is JobState.COMPLETED
    assert view.result is not None
    assert view.result["info"]["worker"] == "encode001"
    assert client.workers() == []


def test_a_job_whose_worker_falls_silent_is_handed_out_again(
    http: Http, client: Client, fleet: Fleet
) -> None:
    job_id = submitted(http)
    polled(http)
    beats(http, "w", job_id)

    fleet.age_lease(fleet.record(job_id)["session"])

    # The server itself notices it.
    eventually(lambda: client.job(job_id).state is JobState.QUEUED)
    assert polled(http) == job_id
    assert client.job(job_id).crashes == 1
    (attempt,) = client.attempts(job_id)
    assert (attempt["worker_id"], attempt["cause"]) == ("w", "lease ran out")


def test_beats_prolong_the_lease(http: Http, fleet: Fleet) -> None:
    job_id = submitted(http)
    polled(http)

    for _ in range(2):
        fleet.age_lease(fleet.record(job_id)["session"], ms=50_000)
        assert beats(http, "w", job_id).status_code == 204
        assert lease_of(fleet, job_id) > 50


def test_beats_without_the_job_do_not_prolong_its_lease(
    http: Http, fleet: Fleet
) -> None:
    job_id = submitted(http)
    polled(http)
    beats(http, "w", job_id)
    fleet.age_lease(fleet.record(job_id)["session"], ms=50_000)

    beats(http, "w", "another job")
    beats(http, "w")
    assert lease_of(fleet, job_id) <= 10

    beats(http, "w", status="in_progress")  # the original forgets the id for a moment
    assert lease_of(fleet, job_id) > 50


def test_any_server_may_hear_the_beats_and_the_report(
    serve: Serve, client: Client, fleet: Fleet
) -> None:
    one, two, three = serve(), serve(), serve()
    job_id = submitted(one)

    assert polled(one) == job_id
    assert beats(two, "w", job_id).status_code == 204
    assert reports(three, job_id) == 204

    assert client.job(job_id).state is JobState.COMPLETED


def test_a_late_worker_changes_nothing(
    http: Http, client: Client, fleet: Fleet
) -> None:
    job_id = submitted(http)
    polled(http)
    beats(http, "late", job_id)
    lose_the_lease(fleet, job_id)
    polled(http)
    beats(http, "present", job_id)
    fleet.age_lease(fleet.record(job_id)["session"], ms=50_000)

    beats(http, "late", job_id)
    assert reports(http, job_id, "late") == 404

    assert lease_of(fleet, job_id) <= 10
    assert client.job(job_id).state is JobState.RUNNING
    assert reports(http, job_id, "present") == 204


def test_a_job_that_went_on_elsewhere_is_not_settled_over_http(
    http: Http, client: Client, fleet: Fleet
) -> None:
    job_id = submitted(http)
    polled(http)
    lose_the_lease(fleet, job_id)
    assert reports(http, job_id) == 404  # it waits

    lease = fleet.take(fleet.worker(modules=("cleanup",))).lease
    assert reports(http, job_id) == 404  # it runs in a worker that has a token

    assert fleet.store.settle(fleet.store.complete(lease, None))
    assert reports(http, job_id) == 404
    assert reports(http, "nobody") == 404


def test_a_repeated_report_is_answered_as_the_first(http: Http, client: Client) -> None:
    done, broken = submitted(http), submitted(http)
    polled(http), polled(http)

    for _ in range(2):
        assert reports(http, done) == 204
        assert reports(http, broken, failed=True) == 204

    assert reports(http, done, failed=True) == 404
    assert client.job(done).state is JobState.COMPLETED
    assert client.job(broken).state is JobState.FAILED


def test_a_failure_is_kept_with_what_the_worker_said(
    http: Http, client: Client
) -> None:
    job_id = submitted(http)
    polled(http)

    assert reports(http, job_id, failed=True) == 204

    view = client.job(job_id)
    assert view.error == {
        "code": "run_error",
        "message": "it broke",
        "module": "ffmpeg",
    }
    (attempt,) = client.attempts(job_id)
    assert (attempt["outcome"], attempt["worker_id"]) == ("failed", "w")
    assert [line.text for line in client.log(job_id)] == [
        "handed out over HTTP to 127.0.0.1",
        "failed: it broke",
    ]


def test_a_failed_job_is_tried_again_as_often_as_it_says(
    http: Http, client: Client, fleet: Fleet
) -> None:
    job_id = submitted(http, retries=1)
    polled(http)
    assert reports(http, job_id, failed=True) == 204
    assert client.job(job_id).state is JobState.DELAYED

    fleet.make_due(job_id)
    eventually(lambda: client.job(job_id).state is JobState.QUEUED)

    assert polled(http) == job_id
    assert reports(http, job_id, failed=True) == 204
    assert client.job(job_id).state is JobState.FAILED


def test_a_job_refused_before_its_first_task_is_not_tried_again(
    http: Http, client: Client
) -> None:
    job_id = submitted(http, retries=1)
    polled(http)

    body = {"failed": True, "info": {"message": "no such option"}}
    assert http.patch(f"/jobs/{job_id}/completed", json=body).status_code == 204

    assert client.job(job_id).state is JobState.FAILED


@pytest.mark.parametrize(
    "body", [{}, {"failed": 1}, {"failed": True, "info": []}, {"failed": True, "x": 1}]
)
def test_a_report_of_another_shape_is_refused(http: Http, body: object) -> None:
    assert http.patch("/jobs/a/completed", json=body).status_code == 400


# Defects 6 and 7: what is no job never reaches such a worker


def test_what_is_no_job_fails_here_and_the_next_one_is_handed_out(
    http: Http, client: Client, fleet: Fleet
) -> None:
    fleet.push(
        b"no JSON",
        b'{"job_id": "empty", "job_title": "t", "tasks": []}',
        b'{"job_id": "untitled", "tasks": [{"cleanup": {}}]}',
        b'{"job_id": 12, "job_title": 5, "tasks": [{"cleanup": {}, "timeout": 3}]}',
    )

    job = http.get("/queue/poll").json()

    assert (job["job_id"], job["job_title"]) == ("12", "5")
    assert job["tasks"] == [{"module": "cleanup", "data": {}}]
    for job_id in ("empty", "untitled"):
        view = client.job(job_id)
        assert view.state is JobState.FAILED
        assert view.error is not None
        assert view.error["code"] == "invalid_job"
    assert client.queue().rejected == 1


def test_one_poll_looks_at_so_many_documents_only(http: Http, fleet: Fleet) -> None:
    for n in range(21):
        fleet.push(b'{"job_id": "%d"}' % n)
    fleet.push(document("good", module="cleanup"))

    assert http.get("/queue/poll").status_code == 404
    assert polled(http) == "good"


def test_a_job_that_needs_another_worker_waits_for_it(
    http: Http, client: Client, fleet: Fleet
) -> None:
    theirs = fleet.worker(modules=("mine",))
    fleet.push(
        document("label", module="cleanup", requires=["gpu"]),
        document("module", module="mine"),
    )

    assert http.get("/queue/poll").status_code == 404

    assert client.job("label").needs == "label:gpu module:cleanup"
    assert fleet.take(theirs).lease.job_id == "module"


def test_an_empty_poll_leaves_nothing_behind(http: Http, fleet: Fleet) -> None:
    before = fleet.everything()

    assert http.get("/queue/poll").status_code == 404

    after = fleet.everything()
    after.get(fleet.keys.meta, {}).pop(b"step_ms", None)
    assert {name: value for name, value in after.items() if value} == before


# Calling off


def test_a_lent_job_that_is_deleted_ends_at_once(http: Http, client: Client) -> None:
    job_id = submitted(http)
    polled(http)
    beats(http, "w", job_id)

    assert http.request("DELETE", f"/jobs/{job_id}").status_code == 204

    assert client.job(job_id).state is JobState.CANCELLED
    assert reports(http, job_id) == 404


def test_a_cancel_from_elsewhere_is_obeyed_at_the_next_beat(
    http: Http, client: Client, store: Store
) -> None:
    job_id = submitted(http)
    polled(http)
    beats(http, "w", job_id)
    assert client.cancel(job_id) == "asked"

    beats(http, "w", job_id)

    assert client.job(job_id).state is JobState.CANCELLED


# One worker, one job


def test_a_worker_goes_from_job_to_job(
    http: Http, client: Client, fleet: Fleet
) -> None:
    jobs = [submitted(http) for _ in range(3)]

    beats(http, "w")
    for job_id in jobs:
        assert polled(http) == job_id
        beats(http, "w", job_id)
        (worker,) = client.workers()
        assert (worker.worker_id, worker.job_id) == ("w", job_id)
        assert reports(http, job_id) == 204
        beats(http, "w")
        assert [one.worker_id for one in client.workers()] == ["w"]


def test_a_worker_that_began_anew_and_took_another_job_has_lost_the_first(
    http: Http, client: Client
) -> None:
    first, second = submitted(http), submitted(http)
    polled(http)
    beats(http, "w", first)

    polled(http)
    beats(http, "w", second)

    assert client.job(first).state is JobState.QUEUED
    assert client.job(first).crashes == 1
    assert reports(http, second) == 204


def test_a_job_that_ends_before_the_first_beat_needs_none(
    http: Http, client: Client
) -> None:
    job_id = submitted(http)
    polled(http)

    assert reports(http, job_id, "a worker that never beat") == 204
    assert client.workers() == []


def test_jobs_are_shared_out_between_both_kinds_of_workers(
    http: Http, client: Client, fleet: Fleet
) -> None:
    ours = fleet.worker(modules=("cleanup",))
    ids = [submitted(http, job_title=JOB["job_title"]) for _ in range(4)]

    assert [polled(http), fleet.take(ours).lease.job_id] == ids[:2]
    assert polled(http) == ids[2]


def test_many_workers_at_many_servers_share_all_jobs_and_no_job_twice(
    serve: Serve, client: Client, fleet: Fleet
) -> None:
    servers = [serve(), serve()]
    ids = {submitted(servers[0]) for _ in range(40)}
    done: list[str] = []

    def work(number: int) -> None:
        http, worker_id = servers[number % 2], f"w{number}"
        while (answer := http.get("/queue/poll")).status_code == 200:
            job_id = answer.json()["job_id"]
            assert beats(http, worker_id, job_id).status_code == 204
            assert reports(http, job_id, worker_id) == 204
            done.append(job_id)

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(work, range(6)))

    assert len(done) == len(ids)
    assert set(done) == ids
    assert {client.job(job_id).state for job_id in ids} == {JobState.COMPLETED}
