"""What a thousand workers, many deaths at once and a long history ask of the server."""

from __future__ import annotations

import json
import time
from typing import Any

from bench.fleet import KEYS, Site, document
from bench.processes import cpu_seconds, peak_mb
from bench.report import Result, percentile
from bench.scale import Desk, Timed, facts, film, timed
from sisyphus.lifecycle import JobState
from sisyphus.store.replies import Held, Taken
from sisyphus.store.store import Store
from sisyphus.worker.upkeep import Upkeep

SUPERVISORS, WORKERS_OF_EACH = 100, 10
BEAT_SECONDS = 1.5
BEATS = 10
DEAD = 1_000
TO_BE_DROPPED = 20_000

Facts = dict[str, Any]


def measure(parts: int) -> Result:
    """Measure each crowd on a server of its own; ``parts`` divides all sizes."""
    result = Result("crowd", "Many at once", ("what", "figure"))
    for crowd in (_beats, _deaths, _delays, _history, _documents, _lines):
        with Site.open() as site:
            desk = Desk(site)
            found = crowd(site, desk, parts)
            desk.close()
        result.figures |= found
        result.rows += [(name, _shown(value)) for name, value in found.items()]
    result.notes.append(
        "Beats: each supervisor renews the leases of its workers, which are at work, and"
        f" shows their heartbeats, every {BEAT_SECONDS} s."
    )
    return result


def _shown(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:,.2f}"


def _slowest(calls: Timed) -> str:
    took, name = calls.slowest
    return f"{took:.2f} ms ({name})" if name else "none"


def _beats(site: Site, desk: Desk, parts: int) -> Facts:
    supervisors = SUPERVISORS // parts
    count = supervisors * WORKERS_OF_EACH
    held = [_busy(site, desk, n) for n in range(count)]
    rows = [held[n : n + WORKERS_OF_EACH] for n in range(0, count, WORKERS_OF_EACH)]
    server = site.server.pid
    began, used = time.monotonic(), cpu_seconds([server])
    with timed(site) as calls:
        for beat in range(1, BEATS + 1):
            for mine in rows:
                shown: dict[str, str | None] = {
                    KEYS.heartbeat(h.session): _heartbeat(h) for h in mine
                }
                calls.call(desk.store.renew, mine, shown)
            time.sleep(max(0.0, began + beat * BEAT_SECONDS - time.monotonic()))
    part = (cpu_seconds([server]) - used) / (time.monotonic() - began)
    with timed(site) as lists:
        for _ in range(5):
            lists.call(desk.client.workers)
    return {
        f"{count:,} workers beat: server's part of a core, %": part * 100,
        "renew of 10 workers: p99 ms": percentile(calls.ms, 99),
        "renew of 10 workers: max ms": max(calls.ms),
        "renew: longest script": _slowest(calls),
        f"client.workers() of {count:,}: p50 ms": percentile(lists.ms, 50),
    }


def _busy(site: Site, desk: Desk, number: int) -> Held:
    """Begin a session, and give it a job."""
    session = f"worker-{number:05}"
    desk.store.register(session, facts(session, f"host{number % 100:03}"))
    site.push(film(number))
    _, reply = desk.store.take(session)
    assert isinstance(reply, Taken)
    return Held(session, reply.lease.job_id, reply.lease.token)


def _heartbeat(held: Held) -> str:
    beat = {
        "status": "in_progress",
        "online_at": "2026-01-01 00:00:00",
        "hostname": "bench",
        "version": "bench",
        "task": "ffmpeg",
        "job_id": held.job_id,
        "job_title": "A film with a title of its own",
        "progress": 42.4,
        "info": {"current_frame": 71_111, "total_frames": 172_800, "fps": 23.9},
    }
    return json.dumps(beat)


def _deaths(site: Site, desk: Desk, parts: int) -> Facts:
    alive, dead = 10 * DEAD // parts, DEAD // parts
    # Nobody beats here: the others must live on all the same.
    desk.store = Store(desk.settings.model_copy(update={"lease": 3600.0}))
    for number in range(dead):
        _busy(site, desk, number)
    for number in range(dead, alive):
        desk.store.register(f"worker-{number:05}", facts(f"worker-{number:05}"))
    with site.redis.pipeline(transaction=False) as pipe:
        for number in range(dead):
            pipe.zincrby(KEYS.sessions, -3_600_000, f"worker-{number:05}")
        pipe.execute()
    upkeep, rounds = Upkeep(desk.store, 60.0), 0
    with timed(site) as calls:
        while (renewal := desk.store.renew([])).recover:
            calls.call(upkeep.round, renewal)
            rounds += 1
    back: Any = site.redis.llen(KEYS.waiting())
    assert back == dead, back
    return {
        f"{dead:,} of {alive:,} workers die: rounds of one supervisor": rounds,
        "so all jobs wait again after s, with one supervisor": rounds * BEAT_SECONDS,
        "one round of upkeep: max ms": max(calls.ms),
        "recover: longest script": _slowest(calls),
    }


def _delays(site: Site, desk: Desk, parts: int) -> Facts:
    count = 100_000 // parts
    with site.redis.pipeline(transaction=False) as pipe:
        for number in range(count):
            job_id, raw = f"scale-{number:08}", film(number)
            record: dict[str, Any] = {
                "state": "delayed",
                "sha": "0" * 40,
                "title": "",
                "priority": 0,
            }
            pipe.hset(
                KEYS.job(job_id), items=[x for pair in record.items() for x in pair]
            )
            pipe.set(KEYS.doc(job_id), raw)
            pipe.zadd(KEYS.delayed, {job_id: number})
            if number % 1000 == 999:
                pipe.execute()
        pipe.execute()
    with timed(site) as calls:
        while calls.call(desk.store.promote):
            pass
    assert site.redis.llen(KEYS.waiting()) == count
    return {
        f"{count:,} delayed jobs due at once: all wait after s": sum(calls.ms) / 1000,
        "promote: p99 ms": percentile(calls.ms, 99),
        "promote: longest script": _slowest(calls),
        "events kept": float(site.redis.xlen(KEYS.events)),
    }


def _history(site: Site, desk: Desk, parts: int) -> Facts:
    count, now_ms = 100_000 // parts, int(time.time() * 1000)
    with site.redis.pipeline(transaction=False) as pipe:
        for number in range(count):
            job_id, ended_ms = f"scale-{number:08}", now_ms - count + number
            state = "failed" if number % 1000 == 0 else "completed"
            record: dict[str, Any] = {
                "state": state,
                "title": "A film",
                "ended_ms": ended_ms,
            }
            pipe.hset(
                KEYS.job(job_id), items=[x for pair in record.items() for x in pair]
            )
            pipe.set(KEYS.doc(job_id), film(number))
            pipe.zadd(KEYS.ended, {job_id: ended_ms})
            if number % 1000 == 999:
                pipe.execute()
        pipe.execute()
    client, figures = desk.client, Facts()
    looks: dict[str, tuple[JobState | None, int]] = {
        "completed, first page": (JobState.COMPLETED, 0),
        "failed (1 of 1,000), first page": (JobState.FAILED, 0),
        "any, first page": (None, 0),
        "any, last page": (None, count - 50),
        "completed, last page": (JobState.COMPLETED, count - count // 1000 - 50),
    }
    for name, (wanted, offset) in looks.items():
        with timed(site) as calls:
            for _ in range(3):
                page = calls.call(client.jobs, wanted, 50, offset)
        assert page
        figures[f"history of {count:,}, {name}: p50 ms"] = percentile(calls.ms, 50)
    figures |= _trims(site, desk, count)
    return figures


def _trims(site: Site, desk: Desk, count: int) -> Facts:
    """Bring the history down to a smaller bound."""
    dropped, keeps = 0, {"history_count": count - min(TO_BE_DROPPED, count // 2)}
    store = Store(desk.settings.model_copy(update=keeps))
    with timed(site) as calls:
        while some := calls.call(store.trim):
            dropped += some
    store.close()
    return {
        f"trim of {dropped:,}, 200 a call: p99 ms": percentile(calls.ms, 99),
        "trim: longest script": _slowest(calls),
    }


def _documents(site: Site, desk: Desk, parts: int) -> Facts:
    """Take documents of the largest size: for their length the server does no more."""
    size = desk.settings.max_document_bytes // parts
    filled = {
        "one text": json.dumps("x" * (size - 200)),
        "texts of 32 bytes": json.dumps(["x" * 32] * (size // 36 - 10)),
        "numbers": json.dumps([1] * (size // 3 - 100)),
    }
    desk.store.register("large", facts("large"))
    figures = Facts()
    for name, value in filled.items():
        job = {"job_title": name, "job_id": name, "tasks": [{"noop": {}}]}
        site.push(json.dumps(job)[:-1] + f', "more": {value}}}')
        with timed(site) as calls:
            _, reply = calls.call(desk.store.take, "large")
        assert isinstance(reply, Taken)
        desk.store.settle(desk.store.complete(reply.lease, None))
        figures[f"take of {size / 2**20:.1f} MiB, {name}"] = _slowest(calls)
    return figures


def _lines(site: Site, desk: Desk, parts: int) -> Facts:
    """Let a tool print much more than anybody could read."""
    lines = 100_000 // parts
    machine = site.machine("bench", 1)
    site.run([document("flood", "first", lines=1)], 1)
    (worker,) = machine.workers
    before = peak_mb(worker)
    with timed(site) as calls:
        site.run([document("flood", "flood", lines=lines)], 1)
    result = desk.client.job("flood").result or {}
    seconds = result["tasks"][0]["tools"][0]["wall_seconds"]
    return {
        f"a tool prints {lines:,} lines: lines a second": lines / seconds,
        "its worker's peak grows by MB": peak_mb(worker) - before,
        "lines kept": float(site.redis.xlen(KEYS.log("flood"))),
        "log: longest script": _slowest(calls),
    }
