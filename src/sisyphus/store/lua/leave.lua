-- leave.lua: end a session in order: nothing is charged.
--
-- What the session still holds is released to the front; what it staged is put back.
--
-- KEYS[1]  queue    list  the waiting documents
-- ARGV[1]  session
-- ARGV[2]  keep           bound of the history
--
-- Returns  {'ok'}

local session, keep = ARGV[1], tonumber(ARGV[2])

redis.call('DEL', key('none')) -- a first write that is allowed above maxmemory
local s = redis.call('HMGET', key('session', session), 'worker_id', 'provides', 'job',
  'token')
local worker_id, provides, id, token = s[1], s[2], s[3], s[4]
if id and fence(id, session, token) == 'ours' then
  local j = redis.call('HMGET', key('job', id), 'cancel', 'priority')
  if j[1] then
    finish(id, 'cancelled', now(), keep, 'settled', token .. ' leave')
  else
    redis.call('HSET', key('job', id), 'settled', token .. ' leave')
    put_back(id, j[2], true)
    event('queued', id)
  end
end
if redis.call('ZREM', key('sessions'), session) == 1 and provides
  and redis.call('HINCRBY', key('kinds'), provides, -1) <= 0 then
  redis.call('HDEL', key('kinds'), provides)
end
if worker_id and redis.call('HGET', key('workers'), worker_id) == session then
  redis.call('HDEL', key('workers'), worker_id)
end
redis.call('SREM', key('idle'), session)
redis.call('UNLINK', key('session', session))
for _ = 1, math.min(64, redis.call('LLEN', key('staged'))) do
  redis.call('LMOVE', key('staged'), queue, 'LEFT', 'RIGHT')
end
return {'ok'}
