-- register.lua: begin a session: one life of one worker.
--
-- A worker id has one session at a time. An old one is not replaced here: the caller
-- recovers it first, if it may (same machine), so that its job goes back at once. A session
-- that registers again under another id is that worker's from then on.
--
-- KEYS[1]  queue      list  the waiting documents
-- ARGV[1]  session          a random id
-- ARGV[2]  worker_id
-- ARGV[3]  lease_ms         how long the lease lasts without a renewal
-- ARGV[4]  provides         |module:ffmpeg|label:gpu|
-- ARGV[5]  facts            JSON object: host, machine, pid, node, version ...
--
-- Returns  {'ok'} | {'taken', session, machine, host}: that session has the id.

local session, worker_id, lease_ms = ARGV[1], ARGV[2], tonumber(ARGV[3])
local provides, facts = ARGV[4], cjson.decode(ARGV[5])

local old = redis.call('HGET', key('workers'), worker_id)
if old and old ~= session and redis.call('EXISTS', key('session', old)) == 1 then
  local whose = redis.call('HMGET', key('session', old), 'machine', 'host')
  return {'taken', old, whose[1] or '', whose[2] or ''}
end

redis.call('DEL', key('none')) -- a first write that is allowed above maxmemory
local before = redis.call('HGET', key('session', session), 'worker_id')
if before and before ~= worker_id
  and redis.call('HGET', key('workers'), before) == session then
  redis.call('HDEL', key('workers'), before)
end
-- A step of the fleet clock must be small against every lease.
local step_ms = math.floor(lease_ms / 6)
if redis.call('ZCARD', key('sessions')) > 0 then
  local before = tonumber(redis.call('HGET', key('meta'), 'step_ms')) or step_ms
  step_ms = math.min(step_ms, before)
end
redis.call('HSET', key('meta'), 'step_ms', step_ms)
local now_ms = now()
local lease_end = fleet_clock(now_ms) + lease_ms
if redis.call('ZADD', key('sessions'), lease_end, session) == 1 then
  redis.call('HINCRBY', key('kinds'), provides, 1)
end
redis.call('HSET', key('workers'), worker_id, session)
local fields = {'worker_id', worker_id, 'provides', provides, 'since_ms', now_ms}
for name, value in pairs(facts) do
  fields[#fields + 1] = name
  fields[#fields + 1] = tostring(value)
end
if redis.call('SISMEMBER', key('paused'), worker_id) == 1 then
  fields[#fields + 1] = 'paused'
  fields[#fields + 1] = '1'
else
  redis.call('HDEL', key('session', session), 'paused')
end
redis.call('HSET', key('session', session), unpack(fields))
return {'ok'}
