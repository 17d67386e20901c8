-- checkpoint.lua: running -> running. Record the tasks that are done and their outputs.
--
-- KEYS[1]  queue       list  the waiting documents
-- ARGV[1]  session
-- ARGV[2]  job_id
-- ARGV[3]  token             the fence
-- ARGV[4]  checkpoint        JSON list, one entry per finished task
--
-- Returns  {'ok'} | {'cancel'}: recorded, but stop now | {'lost'}: no longer ours.

local session, id, token, checkpoint = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

if fence(id, session, token) ~= 'ours' then return {'lost'} end
redis.call('DEL', key('none')) -- a first write that is allowed above maxmemory
redis.call('HSET', key('job', id), 'checkpoint', checkpoint)
return {redis.call('HEXISTS', key('job', id), 'cancel') == 1 and 'cancel' or 'ok'}
