-- fail.lua: running -> failed. It failed for good.
--
-- KEYS[1]  queue    list  the waiting documents
-- ARGV[1]  session
-- ARGV[2]  job_id
-- ARGV[3]  token          the fence
-- ARGV[4]  error          JSON: code, message, task ...
-- ARGV[5]  entry          JSON: this attempt, for the record
-- ARGV[6]  keep           bound of the history
--
-- Returns  {'ok'} | {'lost'}: the job is no longer ours.

local session, id, token, error = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local entry, keep = ARGV[5], tonumber(ARGV[6])

local whose = fence(id, session, token, 'fail')
if whose ~= 'ours' then return {whose == 'again' and 'ok' or 'lost'} end
drop_from_hand(session)
redis.call('HINCRBY', key('job', id), 'failures', 1)
note_attempt(id, entry)
finish(id, 'failed', now(), keep, 'settled', token .. ' fail', 'error', error)
return {'ok'}
