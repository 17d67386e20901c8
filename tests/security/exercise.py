"""Everything that each user of Redis has to be able to do, done once."""

from __future__ import annotations

import json
import os
from typing import Any

from redis import Redis

from serving import serving
from sisyphus.client import Client
from sisyphus.settings import Settings
from sisyphus.store.replies import Activity, Held, Settlement
from sisyphus.store.store import Store
from store.fleet import ERROR, Fleet, document, entry


def settings_for(url: str, **more: Any) -> Settings:
    return Settings.load(redis_url=url, **more)


def submit_all(url: str, admin: Any) -> None:
    """What a producer does with ``Client.submit``."""
    admin.hset("{queue}:session:s", mapping={"provides": "|x|", "node": "n"})
    admin.sadd("{queue}:idle", "s")
    admin.hset("{queue}:job:again", mapping={"state": "failed"})
    admin.zadd("{queue}:ended", {"again": 1})
    with Client(settings=settings_for(url)) as client:
        client.submit(document("plain"))
        client.submit(document("plain"))
        client.submit(document("again"))
        client.submit(document("first"), priority=9)
        client.submit(document("later"), delay=60)


def work(url: str, admin: Any) -> None:
    """What a worker and its supervisor do, every transition of theirs."""
    store = Store(settings_for(url, crash_limit=2, history_count=1))
    operator = Fleet(Store(settings_for("unix://" + _socket_of(admin, url))), admin)
    fleet = Fleet(store, admin)
    try:
        _work(fleet, operator, admin)
    finally:
        store.close()


def _socket_of(admin: Any, url: str) -> str:
    return f"admin:a%20secret@{url.rpartition('@')[2]}"


def _work(fleet: Fleet, operator: Fleet, admin: Any) -> None:
    store, boss = fleet.store, operator.store
    store.promote(0)
    session = fleet.worker("w")
    store.register("session-w", _facts("renamed"))
    store.register("session-w", _facts("w"))

    # One job from start to end, and what is shown meanwhile.
    lease = fleet.running("a", session)
    store.checkpoint(lease, "[]")
    store.confirm(lease)
    store.log(lease, [(1, "1 ffmpeg", "info", "a line")])
    shown = {"worker:w": "{}", "progress:w": "{}"}
    store.renew([Held(session, "a", lease.token)], shown)
    store.show({"worker:w": None, "progress:w": "{}"})
    assert settle(fleet, store.complete(lease, None))

    # Failures, and attempts after them.
    for count in range(3):
        lease = fleet.running(f"f{count}", session)
        assert settle(fleet, store.fail(lease, ERROR, entry("failed")))
    lease = fleet.running("r", session)
    assert settle(fleet, store.retry(lease, ERROR, entry("failed"), 60))
    admin.zadd("{queue}:backoff", {"r": 0})
    assert store.promote()
    assert fleet.take(session).lease.job_id == "r"
    store.leave(session)

    # Lists of all kinds: with priority, delayed, set aside, rejected, twice.
    session = fleet.worker("w")
    fleet.push(document("p"), priority=5)
    lease = fleet.take(session).lease
    assert lease.job_id == "p"
    assert settle(fleet, store.release(lease, entry("released")))
    fleet.take_all(session)
    fleet.push(document("d", not_before=4e9), b"{", document("a"), document("a", x=1))
    fleet.nothing_for(session)
    admin.zadd("{queue}:delayed", {"d": 0})
    assert store.promote()
    fleet.take_all(session)
    fleet.worker("gpu", labels=("gpu",))
    fleet.push(document("g", requires=["gpu"]))
    assert fleet.nothing_for(session)
    assert fleet.take_all("session-gpu") == ["g"]
    fleet.worker("gone", labels=("gpu",))
    store.leave("session-gone")

    # Cancelled: while it runs, while it waits (its document surfaces later).
    lease = fleet.running("c", session)
    boss.cancel("c")
    store.renew([Held(session, "c", lease.token)])
    assert settle(fleet, store.stop(lease, entry("cancelled")))
    fleet.push(document("q"))
    boss.cancel("q")
    boss.cancel("unseen")
    lease = fleet.running("h", session)
    settle(fleet, store.complete(lease, None))
    store.trim()

    # Paused: what was on its way goes back.
    fleet.push(document("s"))
    admin.lmove("queue", "{queue}:staged", "RIGHT", "LEFT")
    boss.steer("w", Activity.PAUSE)
    fleet.ask(session)
    boss.steer("w", Activity.WORK)

    # Deaths: seen, and by lease; with priority, so that idle ones are woken.
    fleet.take_all(session)
    fleet.nothing_for("session-gpu")
    for count in range(2):
        fleet.push(document(f"x{count}"), priority=3)
        fleet.take(session)
        store.recover(session, "it was killed")
        fleet.worker("w")
    fleet.take_all(session)
    fleet.push(document("y"))
    fleet.take(session)
    admin.zadd("{queue}:sessions", {session: 0})
    store.recover()
    fleet.worker("w")
    for _ in range(2):  # the second death fails it
        if fleet.nothing_for(session):
            admin.zadd("{queue}:backoff", {"y": 0})
            store.promote()
            fleet.ask(session)
        store.recover(session, "it was killed")
        fleet.worker("w")

    # Waiting, nudges, what is stored, and the server itself.
    read, write = os.pipe()
    try:
        fleet.push(document("b"))
        store.wait(1, read)
        admin.rpush("{queue}:orders:n", "look")
        store.orders("n", 1, read)
    finally:
        os.close(read)
        os.close(write)
    store.get_data("ffmpeg", "x")
    with_reads(store)
    admin.script_flush()
    fleet.take_all(session)
    store.leave(session)


def with_reads(store: Store) -> None:
    """What a supervisor asks at its start."""
    with Client(settings=store._settings) as client:
        client.server()
        client.reads.elsewhere()
        assert client.reads.denied() == []


def settle(fleet: Fleet, settlement: Settlement) -> bool:
    return fleet.store.settle(settlement)


def _facts(name: str) -> Any:
    from store.fleet import facts

    return facts(name)


def look(url: str, admin: Any) -> None:
    """What people do who only look."""
    fill(admin)
    with Client(settings=settings_for(url)) as client:
        client.queue()
        client.workers()
        client.server()
        for job in client.jobs():
            client.document(job.job_id)
            client.attempts(job.job_id)
            client.log(job.job_id)
        client.job("runs")
        client.wait("over", 5)
        list(client.follow_log("over"))
        list(client.watch("over"))
        client.rejected()
        client.reads.rejected_entry("1-1")
        client.data_names("ffmpeg")
        client.get_data("ffmpeg", "x")
        client.reads.signs(["w"])
        client.reads.progress("w")
        client.reads.elsewhere()
        client.reads.waiting(10)
        client.reads.session_of_worker("w")


def look_on(url: str, admin: Any) -> None:
    """What people and their own programs do who only look."""
    look(url, admin)
    with Redis.from_url(url, client_name="theirs", driver_info=None) as own:
        own.get("progress:w")


def fill(admin: Any) -> None:
    """Something of everything to look at."""
    boss = Store(settings_for(_url_of(admin)))
    fleet = Fleet(boss, admin)
    session = fleet.worker("w")
    lease = fleet.running("over", session)
    boss.log(lease, [(1, "1 ffmpeg", "info", "a line")])
    fleet.store.settle(boss.complete(lease, None))
    lease = fleet.running("runs", session)
    boss.renew([Held(session, "runs", lease.token)], {"worker:w": "{}"})
    boss.submit("later", document("later"), 0, fleet.now_ms() + 60_000, "")
    fleet.push(document("waits"))
    fleet.push(document("first"), priority=9)
    lease = fleet.running("again", fleet.worker("v"))
    boss.settle(boss.retry(lease, ERROR, entry("failed"), 60))
    admin.xadd("{queue}:rejected", {"list": "queue", "reason": "x", "raw": "{"}, "1-1")
    admin.hset("{queue}:data:ffmpeg", "x", json.dumps({"options": {}}))
    boss.close()


def _url_of(admin: Redis) -> str:
    return f"unix://admin:a%20secret@{admin.connection_pool.connection_kwargs['path']}"


def operate(url: str, admin: Any) -> None:
    """What operators do, and the HTTP server: all but waiting for work."""
    look(url, admin)
    with Client(settings=settings_for(url)) as client:
        client.submit(document("new"))
        client.submit(document("new9"), priority=9)
        client.cancel("runs")
        client.cancel("waits")
        client.cancel("never seen")
        client.requeue("over", afresh=True)
        client.cancel("again")
        client.remove("again")
        client.pause_queue()
        client.resume_queue()
        client.pause_worker("w")
        client.resume_worker("w")
        client.drain_worker("w")
        client.restore("1-1", document("mended"))
        admin.xadd("{queue}:rejected", {"list": "q", "reason": "x", "raw": "{"}, "2-1")
        client.drop("2-1")
        client.put_data("ffmpeg", "y", {"options": {}})
        client.remove_data("ffmpeg", "y")
    serve(url, admin)


def serve(url: str, admin: Any) -> None:
    """Every route of the HTTP server, and what becomes of the jobs that it lends."""
    admin.flushall()
    with serving(settings_for(url, crash_limit=2, lease=3, history_count=1)) as http:

        def ask(method: str, path: str, **more: Any) -> Any:
            answer = http.request(method, path, **more)
            assert answer.status_code < 500, answer.text
            return answer.json() if answer.content else None

        def post() -> str:
            task: dict[str, Any] = {"cleanup": {"delete_files": []}}
            made = ask("POST", "/queue", json={"job_title": "t", "tasks": [task]})
            return str(made["job_id"])

        def beat(worker: str, **more: Any) -> None:
            about = {"online_at": "now", "hostname": "h", "version": "1", **more}
            ask("POST", f"/workers/{worker}", json={"status": "idle", **about})

        def end(job_id: str, *, failed: bool) -> None:
            told = {"failed": failed, "info": {"worker_id": "w"}}
            ask("PATCH", f"/jobs/{job_id}/completed", json=told)

        for failed in (True, False, False, False):
            job_id = post()
            assert ask("GET", "/queue/poll")["job_id"] == job_id
            beat("w", status="in_progress", job_id=job_id)
            end(job_id, failed=failed)
        lost = post()
        ask("GET", "/queue/poll")
        beat("w", status="in_progress", job_id=lost)
        ask("DELETE", f"/jobs/{lost}")
        beat("w", status="in_progress", job_id=lost)
        for _ in range(3):
            lent = post()
            ask("GET", "/queue/poll")
            beat("w", status="in_progress", job_id=lent)
            ask("DELETE", "/workers/w")
        admin.lpush("queue", "{", document("d", module="cleanup", not_before=4e9))
        admin.lpush("queue", document("g", requires=["gpu"]))
        ask("GET", "/queue/poll")
        for path in ("/queue", f"/jobs/{lent}", "/workers", "/workers/w"):
            ask("GET", path)
        admin.lpush("{queue}:staged", document("s", module="cleanup"))
        for disabled in (True, False):
            ask("PATCH", "/queue", json={"disabled": disabled})
            ask("PATCH", "/workers/w", json={"disabled": disabled})
            ask("GET", "/queue/poll")
        ask("POST", "/data/ffmpeg/x", json={"options": {}})
        ask("GET", "/data/ffmpeg/x")
        ask("DELETE", "/data/ffmpeg/x")
        ask("GET", "/status/config")
        post()
        ask("DELETE", "/queue")
