-- submit.lua: nothing -> queued or delayed. Put a checked document in its place.
--
-- Idempotent by job id: the same document again changes nothing.
--
-- KEYS[1]  queue     list  the waiting documents
-- ARGV[1]  job_id
-- ARGV[2]  raw             the document, byte for byte
-- ARGV[3]  priority        0 to 9
-- ARGV[4]  due_ms          earliest start on the server's clock, 0 for now
-- ARGV[5]  title
--
-- Returns  {'ok', state} | {'known', state}: this very document was submitted before |
--          {'conflict', state}: the id belongs to another document |
--          {'held', state}: cancelled, but its document still lies in the list.

local id, raw, priority = ARGV[1], ARGV[2], tonumber(ARGV[3])
local due_ms, title = tonumber(ARGV[4]), ARGV[5]

local sha = fingerprint(raw)
local j = redis.call('HMGET', key('job', id), 'state', 'sha', 'swallow')
local state, known_sha, swallow = j[1], j[2], tonumber(j[3]) or 0
if swallow > 0 then return {'held', state} end
if state and known_sha == sha and state ~= 'failed' and state ~= 'cancelled' then
  return {'known', state}
end
if state and state ~= 'failed' and state ~= 'cancelled' then
  return {'conflict', state}
end

local now_ms = now()
local after = due_ms > now_ms and 'delayed' or 'queued'
redis.call('HSET', key('job', id), 'state', after, 'sha', sha, 'priority', priority,
  'title', title, 'submitted_ms', now_ms)
redis.call('HDEL', key('job', id), 'cancel', 'crashes', 'failures', 'checkpoint',
  'error', 'result', 'ended_ms')
redis.call('ZREM', key('ended'), id)
if after == 'delayed' then
  redis.call('SET', key('doc', id), raw)
  redis.call('ZADD', key('delayed'), due_ms, id)
else
  put(raw, priority, false)
  redis.call('UNLINK', key('doc', id))
end
event(after, id)
return {'ok', after}
