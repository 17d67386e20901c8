"""The defects in the script that hands out jobs."""

from __future__ import annotations

from mutants.defects import Defect

DEFECTS_OF_TAKE: tuple[Defect, ...] = (
    Defect(
        "take",
        "if not worker_id then return {'gone'} end",
        "",
        "a session that has ended gets a job",
    ),
    Defect(
        "take",
        "if s[3] then return hand_out(s[3], s[4]) end",
        "",
        "a repeated take hands out a second job",
    ),
    Defect(
        "take",
        "if s[5] or meta[2] then",
        "if meta[2] then",
        "a paused worker gets a job",
    ),
    Defect(
        "take",
        "if s[5] or meta[2] then",
        "if s[5] then",
        "a paused queue hands out jobs",
    ),
    Defect(
        "take",
        "redis.call('LMOVE', key('staged'), queue, 'LEFT', 'RIGHT')",
        "redis.call('RPOP', key('staged'))",
        "a paused worker drops what was staged",
    ),
    Defect(
        "take",
        "redis.call('XADD', key('rejected'), '*', 'list', waiting(priority),\n"
        "    'reason', reason, 'raw', raw)",
        "",
        "a document that is no job is dropped",
    ),
    Defect(
        "take",
        "if #raw > max_bytes then return reject(raw, priority, 'too_large') end",
        "",
        "a document above the bound is handed out",
    ),
    Defect(
        "take",
        "if not usable(id) then return reject(raw, priority, 'no_usable_job_id') end",
        "if not id then return reject(raw, priority, 'no_usable_job_id') end",
        "an id of control characters is taken",
    ),
    Defect(
        "take",
        "(j[9] == '' or string.find(j[9], sha, 1, true))",
        "true",
        "a new document is swallowed for an old cancel",
    ),
    Defect(
        "take",
        "    swallowed(id, sha, j[9])\n",
        "",
        "a cancel swallows every document of that id, for ever",
    ),
    Defect(
        "take",
        "if state == 'cancelled' and same then",
        "if false then",
        "a job cancelled in its list cannot be run again",
    ),
    Defect(
        "take",
        "if state == 'cancelled' and same then",
        "if state == 'cancelled' then",
        "the older of two cancelled documents replaces the newer",
    ),
    Defect(
        "take",
        "return reject(raw, priority, 'conflict')",
        "return",
        "another document of a known id is dropped",
    ),
    Defect(
        "take",
        "  elseif state and not same then\n",
        "  elseif false then\n",
        "another document of a known id takes its place",
    ),
    Defect(
        "take",
        "elseif state and state ~= 'queued' then",
        "elseif state == 'running' then",
        "a completed or delayed job runs again from a second copy",
    ),
    Defect(
        "take",
        "if state == 'failed' or state == 'cancelled' then -- pushed",
        "if state == 'cancelled' then -- pushed",
        "a failed job cannot be pushed again",
    ),
    Defect(
        "take",
        "    redis.call('ZREM', key('ended'), id)\n    redis.call('HDEL', record, 'cancel'",
        "    redis.call('HDEL', record, 'cancel'",
        "a job that runs again is still in the history",
    ),
    Defect(
        "take",
        "redis.call('HDEL', record, 'checkpoint', 'submitted_ms')",
        "redis.call('HDEL', record, 'submitted_ms')",
        "another document begins with the old one's finished tasks",
    ),
    Defect(
        "take",
        "    failures, crashes = '0', '0'\n",
        "",
        "a new start is told its old failures",
    ),
    Defect(
        "take",
        "if due_ms and due_ms > now_ms then",
        "if false then",
        "a job starts before its time",
    ),
    Defect(
        "take",
        "if not has_all(provides, needs) and for_others(needs) then",
        "if false then",
        "a worker gets what it cannot do",
    ),
    Defect(
        "take",
        "if not has_all(provides, needs) and for_others(needs) then",
        "if not has_all(provides, needs) then",
        "a job that nobody can do waits for ever",
    ),
    Defect(
        "take",
        "math.max(last_token + 1, now_us)",
        "now_us",
        "a clock set back repeats tokens",
    ),
    Defect(
        "take",
        "redis.call('HSET', key('meta'), 'fence', token)",
        "",
        "the last token is not remembered",
    ),
    Defect(
        "take",
        "local attempt = (tonumber(j[4]) or 0) + 1",
        "local attempt = tonumber(j[4]) or 1",
        "attempts are not counted",
    ),
    Defect(
        "take",
        "  redis.call('SET', key('doc', id), raw)\n"
        "  redis.call('HSET', key('session', session), 'job'",
        "  redis.call('HSET', key('session', session), 'job'",
        "a running job's document is kept nowhere",
    ),
    Defect(
        "take",
        "  redis.call('SET', key('doc', id), raw)\n  redis.call('ZADD', key('delayed')",
        "  redis.call('ZADD', key('delayed')",
        "a delayed job's document is kept nowhere",
    ),
    Defect(
        "take",
        "redis.call('LPUSH', key('aside', name), raw)",
        "",
        "a document that is set aside is dropped",
    ),
    Defect(
        "take",
        "return set_aside(id, sha, title, raw, j[8] or priority, needs)",
        "return set_aside(id, sha, title, raw, priority, needs)",
        "a job that is set aside loses its priority",
    ),
    Defect(
        "take",
        "wake_idle(function(kind) return has_all(kind, needs) end)",
        "",
        "the idle worker that a job is set aside for does not hear of it",
    ),
    Defect(
        "take",
        "redis.call('HDEL', key('aside'), name)",
        "",
        "an empty kind of what is set aside is looked at for ever",
    ),
    Defect(
        "take",
        "for priority = 9, 1, -1 do\n      raw",
        "for priority = 1, 9 do\n      raw",
        "low priorities come first",
    ),
    Defect(
        "take",
        "return redis.call('RPOP', queue), 0",
        "return redis.call('LPOP', queue), 0",
        "last in, first out",
    ),
    Defect(
        "take",
        "  local raw = redis.call('RPOP', key('staged'))\n  if raw then return raw, 0 end",
        "  local raw",
        "nobody takes what was staged",
    ),
    Defect(
        "take",
        "in_ms = in_ms < 0 and wait or math.min(in_ms, wait)",
        "in_ms = in_ms < 0 and wait or in_ms",
        "an idle worker sleeps through the end of a back-off",
    ),
)
