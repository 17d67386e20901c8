-- confirm.lua: running -> running. Ask whether the job is still ours; changes nothing.
--
-- Asked before an output gets its final name.
--
-- KEYS[1]  queue    list  the waiting documents
-- ARGV[1]  session
-- ARGV[2]  job_id
-- ARGV[3]  token          the fence
--
-- Returns  {'ok'} | {'cancel'}: stop now | {'lost'}: no longer ours.

local session, id, token = ARGV[1], ARGV[2], ARGV[3]

if fence(id, session, token) ~= 'ours' then return {'lost'} end
return {redis.call('HEXISTS', key('job', id), 'cancel') == 1 and 'cancel' or 'ok'}
