-- complete.lua: running -> completed. All tasks are done.
--
-- KEYS[1]  queue    list  the waiting documents
-- ARGV[1]  session
-- ARGV[2]  job_id
-- ARGV[3]  token          the fence
-- ARGV[4]  result         JSON
-- ARGV[5]  keep           bound of the history
--
-- Returns  {'ok'} | {'lost'}: the job is no longer ours.

local session, id, token, result, keep = ARGV[1], ARGV[2], ARGV[3], ARGV[4],
  tonumber(ARGV[5])

local whose = fence(id, session, token, 'complete')
if whose ~= 'ours' then return {whose == 'again' and 'ok' or 'lost'} end
drop_from_hand(session)
finish(id, 'completed', now(), keep, 'settled', token .. ' complete', 'result', result)
return {'ok'}
