"""The defects in the scripts that begin, prolong and end a session."""

from __future__ import annotations

from mutants.defects import Defect

DEFECTS_OF_SESSIONS: tuple[Defect, ...] = (
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
        "redis.call('HDEL', key('session', session), 'paused')",
        "",
        "a pause follows a session to its next worker id",
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
