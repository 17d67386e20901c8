-- remove.lua: ended -> nothing. Drop a job and all that is kept of it.
--
-- KEYS[1]  queue   list  the waiting documents
-- ARGV[1]  job_id
--
-- Returns  {'ok'} | {'unknown'} | {'wrong', state}: not ended |
--          {'held'}: cancelled, but its document still lies in the list.

local id = ARGV[1]

local j = redis.call('HMGET', key('job', id), 'state', 'swallow')
local state = j[1]
if not state then return {'unknown'} end
if state ~= 'completed' and state ~= 'failed' and state ~= 'cancelled' then
  return {'wrong', state}
end
if tonumber(j[2] or 0) > 0 then return {'held'} end

redis.call('ZREM', key('ended'), id)
forget(id)
event('removed', id)
return {'ok'}
