-- stop.lua: running -> cancelled. The worker obeyed a cancel.
--
-- KEYS[1]  queue    list  the waiting documents
-- ARGV[1]  session
-- ARGV[2]  job_id
-- ARGV[3]  token          the fence
-- ARGV[4]  entry          JSON: this attempt, for the record
-- ARGV[5]  keep           bound of the history
--
-- Returns  {'ok'} | {'lost'}: the job is no longer ours.

local session, id, token, entry, keep = ARGV[1], ARGV[2], ARGV[3], ARGV[4],
  tonumber(ARGV[5])

local whose = fence(id, session, token, 'stop')
if whose ~= 'ours' then return {whose == 'again' and 'ok' or 'lost'} end
drop_from_hand(session)
note_attempt(id, entry)
finish(id, 'cancelled', now(), keep, 'settled', token .. ' stop')
return {'ok'}
