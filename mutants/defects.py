"""The defects, as data: one for each line of a script that guards something."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Defect:
    """One change of one script."""

    script: str
    text: str
    """Stands there exactly once."""
    instead: str
    breaks: str
    """What goes wrong, in words."""
    equivalent: str = ""
    """Why nobody could ever tell the difference; such a defect is not run."""


DEFECTS: tuple[Defect, ...] = (
    # What all share
    Defect(
        "_prelude",
        "j[1] == 'running' and j[2] == token and j[3] == session",
        "j[1] == 'running' and j[3] == session",
        "the fence does not compare the token",
    ),
    Defect(
        "_prelude",
        "j[1] == 'running' and j[2] == token and j[3] == session",
        "j[1] == 'running' and j[2] == token",
        "the fence does not compare the session",
    ),
    Defect(
        "_prelude",
        "j[1] == 'running' and j[2] == token and j[3] == session",
        "j[2] == token and j[3] == session",
        "the fence lets in who has settled",
    ),
    Defect(
        "_prelude",
        "if again then return 'again' end",
        "",
        "a repeated settlement is answered lost",
    ),
    Defect(
        "_prelude",
        "local again = how and settled == token .. ' ' .. how",
        "local again = how and settled ~= '' ",
        "any old settlement counts as a repetition",
    ),
    Defect(
        "_prelude",
        "if j[5] == token .. ' ' .. session then forgive(id, j[1], j[6]) end",
        "",
        "a worker that was only cut off is not forgiven",
    ),
    Defect(
        "_prelude",
        "if j[5] == token .. ' ' .. session then forgive",
        "if j[5] then forgive",
        "anyone's late call takes a crash back",
    ),
    Defect(
        "_prelude",
        "redis.call('HDEL', key('job', id), 'doubt')\n  if (tonumber",
        "if (tonumber",
        "one crash is taken back as often as the late worker calls",
    ),
    Defect(
        "_prelude",
        "if state == 'completed' or state == 'failed' or state == 'cancelled'"
        " then return end\n  redis.call('HDEL', key('job', id), 'doubt')",
        "redis.call('HDEL', key('job', id), 'doubt')",
        "an ended job's crashes change",
    ),
    Defect(
        "_prelude",
        "if (tonumber(crashes) or 0) > 0 then",
        "if true then",
        "crashes fall below none",
    ),
    Defect(
        "_prelude",
        "math.max(0, math.min(passed, tonumber(c[3]) or 2000))",
        "math.max(0, passed)",
        "a clock that jumps forward ends all leases",
    ),
    Defect(
        "_prelude",
        "math.max(0, math.min(passed, tonumber(c[3]) or 2000))",
        "math.min(passed, tonumber(c[3]) or 2000)",
        "the fleet clock runs backwards",
    ),
    Defect(
        "_prelude",
        "front and 'RPUSH' or 'LPUSH'",
        "front and 'LPUSH' or 'RPUSH'",
        "front and back are swapped",
    ),
    Defect(
        "_prelude",
        "  redis.call('UNLINK', key('doc', id))\nend",
        "end",
        "a waiting job's document is kept twice",
    ),
    Defect(
        "_prelude",
        "put(redis.call('GET', key('doc', id)), tonumber(priority) or 0, front)",
        "put(redis.call('GET', key('doc', id)), 0, front)",
        "a job loses its priority when it goes back",
    ),
    Defect(
        "_prelude",
        "  redis.call('ZADD', key('ended'), now_ms, id)\n  event(state, id)",
        "  event(state, id)",
        "an ended job is not in the history",
    ),
    Defect(
        "_prelude",
        "redis.call('HGET', key('job', old[i]), 'swallow') or 0) > 0",
        "redis.call('HGET', key('job', old[i]), 'swallow') or 0) > 9",
        "the history drops a job whose document may still surface",
    ),
    Defect(
        "_prelude",
        "for _, kind in ipairs({'job', 'doc', 'attempts', 'log'}) do",
        "for _, kind in ipairs({'job', 'doc', 'attempts'}) do",
        "a dropped job's log stays for ever",
    ),
    Defect(
        "_prelude",
        "redis.call('HDEL', key('session', session), 'job', 'token')",
        "redis.call('HDEL', key('session', session), 'token')",
        "a settled job stays in its worker's hand",
    ),
    Defect(
        "_prelude",
        "(string.gsub(shas, sha .. ' ?', '', 1))",
        "shas",
        "a document is swallowed in place of another one",
    ),
    Defect(
        "_prelude",
        "while last > 0 and string.find(raw, '^%s', last) do last = last - 1 end",
        "",
        "an editor's newline makes another document",
    ),
    Defect(
        "_prelude",
        "if priority > 0 then wake_idle() end",
        "",
        "idle workers do not hear of a job with a priority",
    ),
    # take
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
    # A session's life
    Defect(
        "register",
        "if old and old ~= session and redis.call('EXISTS', key('session', old)) == 1 then",
        "if false then",
        "two sessions have one worker id",
    ),
    Defect(
        "register",
        "redis.call('HDEL', key('workers'), before)",
        "",
        "a session that changed its worker id keeps the old one too",
    ),
    Defect(
        "register",
        "if redis.call('ZADD', key('sessions'), lease_end, session) == 1 then",
        "redis.call('ZADD', key('sessions'), lease_end, session) if true then",
        "a session that registers twice is counted twice",
    ),
    Defect(
        "register",
        "if redis.call('SISMEMBER', key('paused'), worker_id) == 1 then",
        "if false then",
        "a paused worker works again after its restart",
    ),
    Defect(
        "register",
        "step_ms = math.min(step_ms, before)",
        "",
        "a long lease makes the fleet clock's steps too long for a short one",
    ),
    Defect(
        "renew",
        "if redis.call('ZSCORE', key('sessions'), session) then",
        "if true then",
        "a session that has ended is alive again",
    ),
    Defect(
        "renew",
        "redis.call('ZADD', key('sessions'), clock + lease_ms, session)",
        "",
        "a renewal prolongs nothing",
    ),
    Defect(
        "renew",
        "and 'cancel' or 'keep'",
        "and 'keep' or 'keep'",
        "a worker does not hear that its job is cancelled",
    ),
    Defect(
        "renew",
        "return whose == 'again' and 'keep' or 'lost'",
        "return 'keep'",
        "a worker does not hear that it lost its job",
    ),
    Defect(
        "renew",
        "(s[1] or queue_paused) and 'pause'",
        "s[1] and 'pause'",
        "a worker does not hear that the queue is paused",
    ),
    Defect(
        "renew",
        "(#dead + stuck > 0)",
        "(#dead > 0)",
        "no supervisor hears of what is stuck in the staged list",
    ),
    Defect(
        "renew",
        "(#due + #again > 0)",
        "(#due > 0)",
        "no supervisor hears that a back-off is over",
    ),
    Defect(
        "leave",
        "  if j[1] then\n    finish",
        "  if false then\n    finish",
        "a cancelled job comes back when its worker leaves",
    ),
    Defect(
        "leave",
        "put_back(id, j[2], true)",
        "put_back(id, j[2], false)",
        "a job that a leaving worker hands back goes to the end",
    ),
    Defect(
        "leave",
        "redis.call('HGET', key('workers'), worker_id) == session",
        "true",
        "a session that ends takes its successor's worker id away",
        equivalent="a worker id has one session at a time: register refuses a second one",
    ),
    Defect(
        "leave",
        "if id and fence(id, session, token) == 'ours' then",
        "if id then",
        "a leaving worker hands back what is another's",
        equivalent="what is in a live session's hand is always its own",
    ),
    Defect(
        "leave",
        "redis.call('LMOVE', key('staged'), queue, 'LEFT', 'RIGHT')",
        "redis.call('LMOVE', key('staged'), queue, 'RIGHT', 'RIGHT')",
        "staged documents go back in the wrong order",
    ),
    Defect(
        "leave",
        "redis.call('SREM', key('idle'), session)",
        "",
        "a session that has left is woken",
    ),
    Defect(
        "recover",
        "if j[1] ~= 'running' or j[2] ~= token or j[3] ~= whose.session then return end",
        "",
        "a job is put back twice",
        equivalent="what is in a live session's hand is always its own",
    ),
    Defect(
        "recover",
        "if j[4] then return finish(id, 'cancelled', now_ms, keep) end",
        "",
        "a cancelled job comes back when its worker dies",
    ),
    Defect(
        "recover",
        "if crashes >= crash_limit then",
        "if false then",
        "a job takes down one worker after another",
    ),
    Defect(
        "recover",
        "put_back(id, j[5], true)",
        "put_back(id, j[5], false)",
        "a job whose worker died goes to the end",
    ),
    Defect(
        "recover",
        "    put_back(id, j[5], true)\n",
        "",
        "a job whose worker died is lost",
    ),
    Defect(
        "recover",
        "if session == '' then -- nobody",
        "if true then -- nobody",
        "a crash that was seen can be taken back",
    ),
    Defect(
        "recover",
        "    redis.call('HDEL', key('job', id), 'doubt')\n",
        "",
        "an older doubt takes back a crash that was seen",
    ),
    Defect(
        "recover",
        "redis.call('ZADD', key('backoff'), clock + 1000",
        "redis.call('ZADD', key('backoff'), now_ms + 1000",
        "a crashed job waits on the wrong clock",
    ),
    Defect(
        "recover",
        "names = redis.call('ZRANGEBYSCORE', key('sessions'), '-inf', '(' .. clock,\n",
        "names = redis.call('ZRANGEBYSCORE', key('sessions'), '-inf', '+inf',\n",
        "live sessions are ended",
    ),
    Defect(
        "recover",
        "redis.call('LMOVE', key('staged'), queue, 'LEFT', 'RIGHT')",
        "redis.call('LPOP', key('staged'))",
        "what a dead waiter staged is dropped",
    ),
    Defect(
        "recover",
        "redis.call('UNLINK', key('session', name))",
        "",
        "a dead session's record stays",
    ),
)
