"""The defects in the scripts that settle, call off, put in and put back a job."""

from __future__ import annotations

from mutants.defects import Defect

DEFECTS_OF_JOBS: tuple[Defect, ...] = (
    # A job in hand
    *(
        Defect(
            name,
            "if whose ~= 'ours' then return {whose == 'again' and 'ok' or 'lost'} end",
            "if whose == 'again' then return {'ok'} end",
            f"whoever lost a job may still {name} it",
        )
        for name in ("complete", "retry", "fail", "stop", "release")
    ),
    *(
        Defect(
            name,
            "drop_from_hand(session)",
            "",
            f"{name} leaves the job in the worker's hand",
        )
        for name in ("complete", "retry", "fail", "stop", "release")
    ),
    Defect(
        "complete",
        "'settled', token .. ' complete', ",
        "",
        "a repeated completion is answered lost",
    ),
    Defect(
        "retry",
        "if redis.call('HEXISTS', key('job', id), 'cancel') == 1 then",
        "if false then",
        "a cancelled job is tried again",
    ),
    Defect(
        "retry",
        "redis.call('HINCRBY', key('job', id), 'failures', 1)",
        "",
        "failures are not counted",
    ),
    Defect(
        "retry",
        "fleet_clock(now_ms) + delay_ms",
        "now_ms + delay_ms",
        "a back-off runs on the wrong clock",
    ),
    Defect(
        "retry",
        "redis.call('ZADD', key('backoff'), fleet_clock(now_ms) + delay_ms, id)",
        "",
        "a job that is to be tried again is lost",
    ),
    Defect(
        "fail",
        "note_attempt(id, entry)",
        "",
        "a failed attempt is not on record",
    ),
    Defect(
        "release",
        "if j[1] then",
        "if false then",
        "a cancelled job comes back when it is handed back",
    ),
    Defect(
        "release",
        "put_back(id, j[2], true)",
        "put_back(id, j[2], false)",
        "a job that is handed back goes to the end",
    ),
    Defect(
        "release",
        "put_back(id, j[2], true)",
        "redis.call('HSET', key('job', id), 'state', 'queued')",
        "a job that is handed back is lost",
    ),
    Defect(
        "checkpoint",
        "if fence(id, session, token) ~= 'ours' then return {'lost'} end",
        "",
        "whoever lost a job may write its checkpoint",
    ),
    Defect(
        "checkpoint",
        "== 1 and 'cancel' or 'ok'",
        "== 1 and 'ok' or 'ok'",
        "a checkpoint does not say that the job is cancelled",
    ),
    Defect(
        "confirm",
        "if fence(id, session, token) ~= 'ours' then return {'lost'} end",
        "",
        "whoever lost a job may give an output its name",
    ),
    Defect(
        "confirm",
        "== 1 and 'cancel' or 'ok'",
        "== 1 and 'ok' or 'ok'",
        "a cancelled job's output gets its name",
    ),
    Defect(
        "log",
        "if fence(id, session, token) == 'lost' then return {'lost'} end",
        "",
        "whoever lost a job writes into its log",
    ),
    Defect(
        "log",
        "if redis.call('HGET', key('job', id), 'logged') == bundle then"
        " return {'ok'} end",
        "",
        "a repeated bundle stands twice in the log",
    ),
    # Time
    Defect(
        "promote",
        "    redis.call('ZREM', from, id)\n",
        "",
        "a promoted job is still delayed",
    ),
    Defect(
        "promote",
        "if j[1] == 'delayed' then",
        "if true then",
        "a job is promoted that is not delayed",
        equivalent="what stands in the two indexes is always delayed",
    ),
    Defect(
        "promote",
        "promote(key('delayed'), now_ms",
        "promote(key('delayed'), fleet_clock(now_ms)",
        "times that people gave run on the fleet clock",
    ),
    Defect(
        "promote",
        "promote(key('backoff'), fleet_clock(now_ms)",
        "promote(key('backoff'), now_ms",
        "back-offs run on the server's clock",
    ),
    Defect(
        "promote",
        "put_back(id, j[2], front)",
        "put_back(id, j[2], not front)",
        "promoted jobs go to the wrong end",
    ),
    # Producers and people
    Defect(
        "submit",
        "if swallow > 0 then return {'held', state} end",
        "",
        "a job is submitted whose old document is still to be swallowed",
    ),
    Defect(
        "submit",
        "if state and state ~= 'failed' and state ~= 'cancelled' then\n"
        "  return {'conflict', state}\nend",
        "",
        "another document takes a living job's id",
    ),
    Defect(
        "submit",
        "if state and known_sha == sha and state ~= 'failed' and state ~= 'cancelled'",
        "if false",
        "the same document, submitted again, is a conflict",
    ),
    Defect(
        "submit",
        "local after = due_ms > now_ms and 'delayed' or 'queued'",
        "local after = 'queued'",
        "a job that is submitted for later starts now",
    ),
    Defect(
        "submit",
        "redis.call('HDEL', key('job', id), 'cancel', 'crashes', 'failures',",
        "redis.call('HDEL', key('job', id), 'crashes', 'failures',",
        "an old cancel ends the new start",
    ),
    Defect(
        "submit",
        "redis.call('ZREM', key('ended'), id)",
        "",
        "a job that waits is still in the history",
    ),
    Defect(
        "submit",
        "  put(raw, priority, false)\n",
        "  put(raw, priority, true)\n",
        "a submitted job overtakes all others",
    ),
    Defect(
        "cancel",
        "if state == 'running' and spare then return {'running'} end",
        "",
        "a job that was to be spared is cancelled",
    ),
    Defect(
        "cancel",
        "redis.call('HSET', record, 'cancel', now_ms)",
        "",
        "the wish to cancel is not kept",
    ),
    Defect(
        "cancel",
        "if node then nudge(node, 'look') end",
        "",
        "a supervisor hears of a cancel only at its next beat",
    ),
    Defect(
        "cancel",
        "redis.call('ZREM', key('backoff'), id)",
        "",
        "a job cancelled in its back-off comes back",
    ),
    Defect(
        "cancel",
        "redis.call('ZREM', key('delayed'), id)",
        "",
        "a job cancelled before its time comes back",
    ),
    Defect(
        "cancel",
        "redis.call('HINCRBY', record, 'swallow', 1)",
        "",
        "a job cancelled in its list runs when its document surfaces",
    ),
    Defect(
        "cancel",
        "(tonumber(j[4]) or 0) > 0 and j[5] .. ' ' or ''",
        "''",
        "of two cancelled documents of one id the older runs",
    ),
    Defect(
        "cancel",
        "if state == 'completed' or state == 'failed' or state == 'cancelled' then",
        "if state == 'completed' or state == 'cancelled' then",
        "a failed job is cancelled",
    ),
    Defect(
        "requeue",
        "if swallow > 0 and not sha then return {'unseen'} end",
        "",
        "a job without any document is queued",
    ),
    Defect(
        "requeue",
        "  return {'wrong', state}\n",
        "",
        "a running job is queued a second time",
    ),
    Defect(
        "requeue",
        "  swallowed(id, sha, j[5])\n",
        "",
        "a job that is wanted again is swallowed",
    ),
    Defect(
        "requeue",
        "redis.call('HDEL', record, 'cancel', 'failures', 'crashes',",
        "redis.call('HDEL', record, 'cancel', 'failures',",
        "a job that is wanted again keeps its crashes",
    ),
    Defect(
        "requeue",
        "if afresh then redis.call('HDEL', record, 'checkpoint') end",
        "",
        "a job that is to begin afresh does not",
    ),
    Defect(
        "requeue",
        "redis.call('ZREM', key('ended'), id)",
        "",
        "a job that is wanted again is still in the history",
    ),
    Defect(
        "requeue",
        "put_back(id, priority, false)",
        "put_back(id, priority, true)",
        "a job that is wanted again overtakes all others",
    ),
    Defect(
        "remove",
        "  return {'wrong', state}\n",
        "",
        "a living job is removed",
    ),
    Defect(
        "remove",
        "if swallow > 0 and sha then return {'held'} end",
        "",
        "a cancelled job runs after its record was removed",
    ),
    Defect(
        "remove",
        "redis.call('ZREM', key('ended'), id)",
        "",
        "the history names a job that is gone",
    ),
    Defect(
        "trim",
        "redis.call('HGET', key('job', id), 'swallow') or 0) > 0",
        "redis.call('HGET', key('job', id), 'swallow') or 0) > 9",
        "the record of a cancelled job goes before its document has surfaced",
    ),
    Defect(
        "trim",
        "    redis.call('ZREM', key('ended'), id)\n",
        "",
        "the history names jobs that are gone",
    ),
    Defect(
        "trim",
        "'-inf', now_ms - age_ms",
        "'-inf', now_ms",
        "young jobs are dropped",
    ),
    Defect(
        "trim",
        "  old = redis.call('ZRANGE', key('ended'), 0, math.min(over, limit) - 1)",
        "  old = redis.call('ZRANGE', key('ended'), -math.min(over, limit), -1)",
        "the newest jobs are dropped instead of the oldest",
    ),
    Defect(
        "steer",
        "if record then redis.call('HDEL', record, 'paused') end",
        "",
        "a paused worker cannot be resumed",
    ),
    Defect(
        "steer",
        "redis.call('SADD', key('paused'), worker_id)",
        "",
        "a pause ends with the worker's restart",
    ),
    Defect(
        "steer",
        "redis.call('HSET', record, 'drain', '1')",
        "",
        "a worker does not hear that it is to drain",
    ),
    Defect(
        "steer",
        "redis.call('HDEL', key('meta'), 'paused')",
        "",
        "a paused queue cannot be resumed",
    ),
    Defect(
        "restore",
        "redis.call('XDEL', key('rejected'), entry)",
        "",
        "a document is put back as often as somebody asks",
    ),
    Defect(
        "restore",
        "  if facts[i] == 'list' then list = facts[i + 1] end\n",
        "",
        "a document that is put back loses its priority",
    ),
    Defect(
        "restore",
        "if not found then return {'unknown'} end",
        "if not found then found = {entry, {}} end",
        "a document is put back that was dropped",
    ),
)
