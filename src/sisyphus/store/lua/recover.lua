-- recover.lua: running -> queued, delayed, failed or cancelled. The owner is gone.
--
-- Run by every supervisor, for a session whose process it saw die, or for sessions whose
-- lease ran out; harmless if run twice. Each death charges the job one crash: the first
-- puts it to the front of its list, later ones let it wait a little, the last one allowed
-- sets it aside as failed.
--
-- KEYS[1]  queue         list  the waiting documents
-- ARGV[1]  session             whose, or "" for up to four whose lease ran out
-- ARGV[2]  cause               for people: how it ended
-- ARGV[3]  crash_limit
-- ARGV[4]  keep                bound of the history
--
-- Returns  {'ok', count}: sessions that were ended.

local session, cause = ARGV[1], ARGV[2]
local crash_limit, keep = tonumber(ARGV[3]), tonumber(ARGV[4])

redis.call('DEL', key('none')) -- a first write that is allowed above maxmemory
local now_ms = now()
local clock = fleet_clock(now_ms)

local function crash(whose, id, token)
  local j = redis.call('HMGET', key('job', id), 'state', 'token', 'session', 'cancel',
    'priority', 'attempts', 'started_ms', 'crashes')
  if j[1] ~= 'running' or j[2] ~= token or j[3] ~= whose.session then return end
  local crashes = (tonumber(j[8]) or 0) + 1
  redis.call('HSET', key('job', id), 'crashes', crashes)
  if session == '' then -- nobody saw it die: see forgive
    redis.call('HSET', key('job', id), 'doubt', token .. ' ' .. whose.session)
  else
    redis.call('HDEL', key('job', id), 'doubt')
  end
  note_attempt(id, cjson.encode({attempt = tonumber(j[6]), outcome = 'crashed',
    cause = cause, worker_id = whose.worker_id, host = whose.host,
    started_ms = tonumber(j[7]), ended_ms = now_ms}))
  if j[4] then return finish(id, 'cancelled', now_ms, keep) end
  if crashes >= crash_limit then
    local error = cjson.encode({code = 'crash', crashes = crashes, message = 'ended '
      .. crashes .. ' workers; the last one: ' .. cause})
    return finish(id, 'failed', now_ms, keep, 'error', error)
  end
  if crashes == 1 then
    put_back(id, j[5], true)
    event('queued', id, 'cause', cause)
  else
    redis.call('HSET', key('job', id), 'state', 'delayed')
    redis.call('ZADD', key('backoff'), clock + 1000 * math.min(300, 2 ^ crashes), id)
    event('delayed', id, 'cause', cause)
  end
end

local function end_session(name)
  local s = redis.call('HMGET', key('session', name), 'worker_id', 'host', 'provides',
    'job', 'token')
  if s[4] then crash({session = name, worker_id = s[1], host = s[2]}, s[4], s[5]) end
  if redis.call('ZREM', key('sessions'), name) == 1 and s[3]
    and redis.call('HINCRBY', key('kinds'), s[3], -1) <= 0 then
    redis.call('HDEL', key('kinds'), s[3])
  end
  if s[1] and redis.call('HGET', key('workers'), s[1]) == name then
    redis.call('HDEL', key('workers'), s[1])
  end
  redis.call('SREM', key('idle'), name)
  redis.call('UNLINK', key('session', name))
end

local names = {session}
if session == '' then
  names = redis.call('ZRANGEBYSCORE', key('sessions'), '-inf', '(' .. clock,
    'LIMIT', 0, 4)
end
for _, name in ipairs(names) do end_session(name) end
for _ = 1, math.min(64, redis.call('LLEN', key('staged'))) do
  redis.call('LMOVE', key('staged'), queue, 'LEFT', 'RIGHT')
end
return {'ok', #names}
