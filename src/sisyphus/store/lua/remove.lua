-- remove.lua: ended -> nothing. Drop a job and all that is kept of it.
--
-- For a job that was cancelled before any document surfaced, that takes the cancel back.
--
-- KEYS[1]  queue   list  the waiting documents
-- ARGV[1]  job_id
--
-- Returns  {'ok'} | {'unknown'} | {'wrong', state}: not ended |
--          {'held'}: cancelled, but its document still lies in the list.

local id = ARGV[1]

local j = redis.call('HMGET', key('job', id), 'state', 'swallow', 'sha')
local state, swallow, sha = j[1], tonumber(j[2]) or 0, j[3]
if not state then return {'unknown'} end
if state ~= 'completed' and state ~= 'failed' and state ~= 'cancelled' then
  return {'wrong', state}
end
if swallow > 0 and sha then return {'held'} end

redis.call('ZREM', key('ended'), id)
forget(id)
event('removed', id)
return {'ok'}
