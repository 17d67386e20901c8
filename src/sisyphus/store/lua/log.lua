-- log.lua: running -> running. Add lines to the job's log.
--
-- KEYS[1]  queue    list  the waiting documents
-- ARGV[1]  session
-- ARGV[2]  job_id
-- ARGV[3]  token          the fence
-- ARGV[4]  cap            lines kept, about
-- ARGV[5]  lines          JSON list of [time_ms, task, level, text]
--
-- Returns  {'ok'} | {'lost'}: no longer ours.

local session, id, token, cap = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local lines, bundle = cjson.decode(ARGV[5]), redis.sha1hex(ARGV[5])

if fence(id, session, token) == 'lost' then return {'lost'} end
if redis.call('HGET', key('job', id), 'logged') == bundle then return {'ok'} end
redis.call('DEL', key('none')) -- a first write that is allowed above maxmemory
redis.call('HSET', key('job', id), 'logged', bundle) -- a repeated call adds nothing
for _, line in ipairs(lines) do
  redis.call('XADD', key('log', id), 'MAXLEN', '~', cap, '*', 'time_ms',
    string.format('%.0f', line[1]), 'task', line[2], 'level', line[3],
    'text', line[4])
end
return {'ok'}
