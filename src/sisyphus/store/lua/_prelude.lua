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

-- What tells a document from another one; white space at its end (an editor's newline) does
-- not.
local function fingerprint(raw)
  local last = #raw
  while last > 999 and string.find(string.sub(raw, last - 999, last), '^%s+$') do
    last = last - 1000 -- there may be megabytes of it
  end
  while last > 0 and string.find(raw, '^%s', last) do last = last - 1 end
  return redis.sha1hex(last == #raw and raw or string.sub(raw, 1, last))
end

local function nudge(node, word)
  redis.call('RPUSH', key('orders', node), word)
  redis.call('EXPIRE', key('orders', node), 60)
end

-- Idle workers listen on the plain list only. For a document that waits elsewhere, let the
-- supervisors of a few that suit know; if they are dead, others look after five seconds.
local function wake_idle(suits)
  local woken = 0
  for _, session in ipairs(redis.call('SRANDMEMBER', key('idle'), 32)) do
    local s = redis.call('HMGET', key('session', session), 'provides', 'node')
    if woken < 2 and s[2] and (not suits or suits(s[1])) then
      nudge(s[2], 'wake')
      woken = woken + 1
    end
  end
end

-- Put a document where it waits.
local function put(raw, priority, front)
  redis.call(front and 'RPUSH' or 'LPUSH', waiting(priority), raw)
  if priority > 0 then wake_idle() end
end

-- The same, for a job whose document is kept apart.
local function put_back(id, priority, front)
  redis.call('HSET', key('job', id), 'state', 'queued')
  put(redis.call('GET', key('doc', id)), tonumber(priority) or 0, front)
  redis.call('UNLINK', key('doc', id))
end

local function forget(...)
  local names = {}
  for _, id in ipairs({...}) do
    for _, kind in ipairs({'job', 'doc', 'attempts', 'log'}) do
      names[#names + 1] = key(kind, id)
    end
  end
  redis.call('UNLINK', unpack(names))
end

-- Drop the oldest ended jobs above the bound: a handful now and then, which is cheaper than
-- one each time. The record of a job of which a copy still lies in a list must stay, or that
-- copy would run.
local function bound_history(keep, now_ms)
  local over = redis.call('ZCARD', key('ended')) - keep
  if over <= math.min(16, math.floor(keep / 64)) then return end
  local old, gone = redis.call('ZPOPMIN', key('ended'), math.min(over, 32)), {}
  for i = 1, #old, 2 do
    if tonumber(redis.call('HGET', key('job', old[i]), 'swallow') or 0) > 0 then
      redis.call('ZADD', key('ended'), now_ms, old[i])
      redis.call('HSET', key('job', old[i]), 'ended_ms', now_ms)
    else
      gone[#gone + 1] = old[i]
    end
  end
  if #gone > 0 then forget(unpack(gone)) end
end

-- The end of a job: its state, its place in the history, one event.
local function finish(id, state, now_ms, keep, ...)
  redis.call('HSET', key('job', id), 'state', state, 'ended_ms', now_ms, ...)
  redis.call('ZADD', key('ended'), now_ms, id)
  event(state, id)
  bound_history(keep, now_ms)
end

-- A crash that was charged because a lease ran out turns out to be none: the worker was only
-- cut off, and now says how it went. That is not accepted, but the crash is taken back, or
-- a few long holes in the network would make a good job fail.
local function forgive(id, state, crashes)
  if state == 'completed' or state == 'failed' or state == 'cancelled' then return end
  redis.call('HDEL', key('job', id), 'doubt')
  if (tonumber(crashes) or 0) > 0 then
    redis.call('HINCRBY', key('job', id), 'crashes', -1)
  end
end

-- The fence. Answers 'ours' when session and token hold the running job, 'again' when this
-- very token has been settled in this very way (the answer got lost and the call was
-- repeated; without `how`: in any way), else 'lost'.
local function fence(id, session, token, how)
  local j = redis.call('HMGET', key('job', id), 'state', 'token', 'session', 'settled',
    'doubt', 'crashes')
  if j[1] == 'running' and j[2] == token and j[3] == session then return 'ours' end
  local settled = j[4] or ''
  local again = how and settled == token .. ' ' .. how
    or not how and string.sub(settled, 1, #token + 1) == token .. ' '
  if again then return 'again' end
  if j[5] == token .. ' ' .. session then forgive(id, j[1], j[6]) end
  return 'lost'
end

-- One document less that is to be swallowed when it surfaces; `shas` are of all such ones, or
-- '' when nobody has seen the only one.
local function swallowed(id, sha, shas)
  redis.call('HINCRBY', key('job', id), 'swallow', -1)
  redis.call('HSET', key('job', id), 'swallow_sha',
    (string.gsub(shas, sha .. ' ?', '', 1)))
end

local function drop_from_hand(session)
  redis.call('HDEL', key('session', session), 'job', 'token')
end

local function note_attempt(id, entry)
  redis.call('RPUSH', key('attempts', id), entry)
  redis.call('LTRIM', key('attempts', id), -50, -1)
end
