-- steer.lua: pause, resume or drain one worker, or the whole queue; running jobs go on.
--
-- A queue that is drained is paused: it has no process that could leave.
--
-- KEYS[1]  queue      list  the waiting documents
-- ARGV[1]  worker_id        or "" for the whole queue
-- ARGV[2]  activity         pause, work or drain
--
-- Returns  {'ok'} | {'unknown'}: no such worker is alive (pause and work are kept for it).

local worker_id, activity = ARGV[1], ARGV[2]

redis.call('DEL', key('none')) -- a first write that is allowed above maxmemory
if worker_id == '' then
  if activity == 'work' then
    redis.call('HDEL', key('meta'), 'paused')
  else
    redis.call('HSET', key('meta'), 'paused', (now()))
  end
  event('queue_' .. activity, '')
  return {'ok'}
end

local session = redis.call('HGET', key('workers'), worker_id)
local record = session and key('session', session)
if activity == 'pause' then
  redis.call('SADD', key('paused'), worker_id)
  if record then
    redis.call('HSET', record, 'paused', '1')
    redis.call('HDEL', record, 'idle')
    redis.call('SREM', key('idle'), session)
  end
elseif activity == 'work' then
  redis.call('SREM', key('paused'), worker_id)
  if record then redis.call('HDEL', record, 'paused') end
elseif record then
  redis.call('HSET', record, 'drain', '1')
end
if not record then return {'unknown'} end
local node = redis.call('HGET', record, 'node')
if node then nudge(node, 'look') end
event('worker_' .. activity, '', 'worker_id', worker_id)
return {'ok'}
