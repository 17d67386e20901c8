-- cancel.lua: queued or delayed -> cancelled; running: ask its worker to stop.
--
-- Works in any state, also for a document that no worker has seen yet: the record then
-- swallows the document when it surfaces. For a running job the wish is kept in its record
-- (heard at the next renewal at the latest) and its supervisor is nudged.
--
-- KEYS[1]  queue   list  the waiting documents
-- ARGV[1]  job_id
-- ARGV[2]  keep          bound of the history
-- ARGV[3]  spare         1 to leave a running job alone
--
-- Returns  {'cancelled'} | {'unseen'}: cancelled before it surfaced |
--          {'asked'}: it runs and will be stopped | {'running'}: it is spared |
--          {'ended', state}: too late.

local id, keep, spare = ARGV[1], tonumber(ARGV[2]), ARGV[3] == '1'

local record = key('job', id)
local j = redis.call('HMGET', record, 'state', 'session', 'sha', 'swallow', 'swallow_sha')
local state, session, sha = j[1], j[2], j[3]
if state == 'completed' or state == 'failed' or state == 'cancelled' then
  return {'ended', state}
end
if state == 'running' and spare then return {'running'} end

redis.call('DEL', key('none')) -- a first write that is allowed above maxmemory
local now_ms = now()
if state == 'running' then
  redis.call('HSET', record, 'cancel', now_ms)
  local node = redis.call('HGET', key('session', session), 'node')
  if node then nudge(node, 'look') end
  event('cancel_asked', id)
  return {'asked'}
end
if state == 'delayed' then
  redis.call('ZREM', key('delayed'), id)
  redis.call('ZREM', key('backoff'), id)
else
  -- Another document of that id, called off as well, may still lie in a list.
  local others = (tonumber(j[4]) or 0) > 0 and j[5] .. ' ' or ''
  redis.call('HINCRBY', record, 'swallow', 1)
  redis.call('HSET', record, 'swallow_sha', others .. (sha or ''))
end
finish(id, 'cancelled', now_ms, keep)
return {state and 'cancelled' or 'unseen'}
