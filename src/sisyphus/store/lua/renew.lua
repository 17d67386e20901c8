-- renew.lua: the supervisor's regular call: prolong leases, hear what is to be done.
--
-- KEYS[1]  queue     list  the waiting documents
-- ARGV[1]  lease_ms        how long each lease lasts from now
-- ARGV[2]  held            JSON list of [session, job_id or "", token or ""]
--
-- Returns  {'ok', recover, promote, verdict, activity, ...}: recover and promote are 1 when
--          there is such work; then two words for each session in order: the verdict on
--          its job 'keep' | 'cancel' | 'lost' | 'gone' (the session itself has ended), and
--          the activity asked of it 'work' | 'pause' | 'drain'.

local lease_ms, held = tonumber(ARGV[1]), cjson.decode(ARGV[2])

redis.call('DEL', key('none')) -- a first write that is allowed above maxmemory
local now_ms = now()
local clock = fleet_clock(now_ms)
local queue_paused = redis.call('HEXISTS', key('meta'), 'paused') == 1

local function verdict(session, id, token)
  if id == '' then return 'keep' end
  local whose = fence(id, session, token)
  if whose == 'ours' then
    return redis.call('HEXISTS', key('job', id), 'cancel') == 1 and 'cancel' or 'keep'
  end
  return whose == 'again' and 'keep' or 'lost'
end

local reply = {}
for _, row in ipairs(held) do
  local session, id, token = row[1], row[2], row[3]
  if redis.call('ZSCORE', key('sessions'), session) then
    redis.call('ZADD', key('sessions'), clock + lease_ms, session)
    local s = redis.call('HMGET', key('session', session), 'paused', 'drain')
    reply[#reply + 1] = verdict(session, id, token)
    reply[#reply + 1] = s[2] and 'drain' or (s[1] or queue_paused) and 'pause' or 'work'
  else
    reply[#reply + 1] = 'gone'
    reply[#reply + 1] = 'work'
  end
end

local dead = redis.call('ZRANGEBYSCORE', key('sessions'), '-inf', '(' .. clock,
  'LIMIT', 0, 1)
local due = redis.call('ZRANGEBYSCORE', key('delayed'), '-inf', now_ms, 'LIMIT', 0, 1)
local again = redis.call('ZRANGEBYSCORE', key('backoff'), '-inf', clock, 'LIMIT', 0, 1)
local stuck = redis.call('LLEN', key('staged'))
return {'ok', (#dead + stuck > 0) and 1 or 0, (#due + #again > 0) and 1 or 0,
  unpack(reply)}
