-- retry.lua: running -> delayed. It failed and will be tried again after a while.
--
-- A job that is to be cancelled is not tried again.
--
-- KEYS[1]  queue     list  the waiting documents
-- ARGV[1]  session
-- ARGV[2]  job_id
-- ARGV[3]  token           the fence
-- ARGV[4]  error           JSON: code, message, task ...
-- ARGV[5]  entry           JSON: this attempt, for the record
-- ARGV[6]  delay_ms        on the fleet clock
-- ARGV[7]  keep            bound of the history
--
-- Returns  {'ok'} | {'lost'}: the job is no longer ours.

local session, id, token, error = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local entry, delay_ms, keep = ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7])

local whose = fence(id, session, token, 'retry')
if whose ~= 'ours' then return {whose == 'again' and 'ok' or 'lost'} end
drop_from_hand(session)
redis.call('HINCRBY', key('job', id), 'failures', 1)
note_attempt(id, entry)
local now_ms = now()
if redis.call('HEXISTS', key('job', id), 'cancel') == 1 then
  finish(id, 'cancelled', now_ms, keep, 'settled', token .. ' retry', 'error', error)
  return {'ok'}
end
redis.call('HSET', key('job', id), 'state', 'delayed', 'settled', token .. ' retry',
  'error', error)
redis.call('ZADD', key('backoff'), fleet_clock(now_ms) + delay_ms, id)
event('delayed', id)
return {'ok'}
