-- requeue.lua: ended -> queued. A person wants a new attempt.
--
-- Failures and crashes start again at 0, attempts do not.
--
-- KEYS[1]  queue      list  the waiting documents
-- ARGV[1]  job_id
-- ARGV[2]  afresh           1: forget which tasks were done
--
-- Returns  {'ok'} | {'unknown'} | {'wrong', state}: not ended |
--          {'unseen'}: it was cancelled before any document surfaced; there is none to run.

local id, afresh = ARGV[1], ARGV[2] == '1'

local record = key('job', id)
local j = redis.call('HMGET', record, 'state', 'priority', 'swallow', 'sha',
  'swallow_sha')
local state, priority, swallow, sha = j[1], j[2], tonumber(j[3]) or 0, j[4]
if not state then return {'unknown'} end
if state ~= 'completed' and state ~= 'failed' and state ~= 'cancelled' then
  return {'wrong', state}
end
if swallow > 0 and not sha then return {'unseen'} end
local kept = redis.call('EXISTS', key('doc', id)) == 1
if not kept and swallow == 0 then return {'unknown'} end

redis.call('HDEL', record, 'cancel', 'failures', 'crashes', 'error', 'result',
  'ended_ms')
if afresh then redis.call('HDEL', record, 'checkpoint') end
redis.call('ZREM', key('ended'), id)
if kept then
  put_back(id, priority, false)
else -- its document never left the list
  swallowed(id, sha, j[5])
  redis.call('HSET', record, 'state', 'queued')
end
event('queued', id)
return {'ok'}
