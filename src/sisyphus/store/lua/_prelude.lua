-- _prelude.lua: put in front of every script by scripts.py; what they share.

local queue = KEYS[1]
local tag = string.find(queue, '{', 1, true) and queue or '{' .. queue .. '}'

-- The one place where scripts build key names; keys.py tells what is in them.
local function key(kind, id)
  return id and tag .. ':' .. kind .. ':' .. id or tag .. ':' .. kind
end

local function waiting(priority)
  return priority > 0 and queue .. ':' .. priority or queue
end

-- The server's clock is the only clock: milliseconds, and microseconds for tokens.
local function now()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000), t[1] * 1000000 + t[2]
end

-- Leases and back-offs run on the fleet clock. It moves with the server's clock, but by a
-- small step per call: a restart, a long outage or a clock that jumps ends no lease.
local function fleet_clock(now_ms)
  local c = redis.call('HMGET', key('meta'), 'clock_ms', 'seen_ms', 'step_ms')
  local passed = now_ms - (tonumber(c[2]) or now_ms)
  local clock = (tonumber(c[1]) or 0)
    + math.max(0, math.min(passed, tonumber(c[3]) or 2000))
  redis.call('HSET', key('meta'), 'clock_ms', clock, 'seen_ms', now_ms)
  return clock
end

local function event(what, id, ...)
  redis.call('XADD', key('events'), 'MAXLEN', '~', 10000, '*',
    'event', what, 'job_id', id, ...)
end

-- Put a document where it waits. Idle workers listen on the plain list only, so a document
-- with a priority goes there when one of them is free and nothing else waits.
local function put(raw, priority, front)
  local where = waiting(priority)
  if priority > 0 and redis.call('SCARD', key('idle')) > 0
    and redis.call('EXISTS', queue) == 0 then
    where = queue
  end
  redis.call(front and 'RPUSH' or 'LPUSH', where, raw)
end

-- The same, for a job whose document is kept apart.
local function put_back(id, priority, front)
  redis.call('HSET', key('job', id), 'state', 'queued')
  put(redis.call('GET', key('doc', id)), tonumber(priority) or 0, front)
  redis.call('UNLINK', key('doc', id))
end

local function forget(id)
  redis.call('UNLINK', key('job', id), key('doc', id), key('attempts', id),
    key('log', id))
end

-- Drop the oldest ended jobs above the bound, two per call at most; the record of a job of
-- which a copy still lies in a list must stay, or that copy would run.
local function bound_history(keep, now_ms)
  local over = redis.call('ZCARD', key('ended')) - keep
  if over <= 0 then return end
  local old = redis.call('ZPOPMIN', key('ended'), math.min(over, 2))
  for i = 1, #old, 2 do
    if tonumber(redis.call('HGET', key('job', old[i]), 'swallow') or 0) > 0 then
      redis.call('ZADD', key('ended'), now_ms, old[i])
    else
      forget(old[i])
    end
  end
end

-- The end of a job: its state, its place in the history, one event.
local function finish(id, state, now_ms, keep, ...)
  redis.call('HSET', key('job', id), 'state', state, 'ended_ms', now_ms, ...)
  redis.call('ZADD', key('ended'), now_ms, id)
  event(state, id)
  bound_history(keep, now_ms)
end

-- The fence. Answers 'ours' when session and token hold the running job, 'again' when this
-- very token has been settled (the answer got lost and the call was repeated), else 'lost'.
local function fence(id, session, token)
  local j = redis.call('HMGET', key('job', id), 'state', 'token', 'session', 'settled')
  if j[1] == 'running' and j[2] == token and j[3] == session then return 'ours' end
  return j[4] == token and 'again' or 'lost'
end

local function drop_from_hand(session)
  redis.call('HDEL', key('session', session), 'job', 'token')
end

local function note_attempt(id, entry)
  redis.call('RPUSH', key('attempts', id), entry)
  redis.call('LTRIM', key('attempts', id), -50, -1)
end
