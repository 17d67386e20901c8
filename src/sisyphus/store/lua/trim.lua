-- trim.lua: ended -> nothing. Keep the history within its bounds of count and age.
--
-- KEYS[1]  queue   list  the waiting documents
-- ARGV[1]  keep          ended jobs kept at most
-- ARGV[2]  age_ms        kept so long at most
-- ARGV[3]  limit         at most so many are dropped by one call
--
-- Returns  {'ok', count}

local keep, age_ms, limit = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])

redis.call('DEL', key('none')) -- a first write that is allowed above maxmemory
local now_ms = now()
local over = math.max(0, redis.call('ZCARD', key('ended')) - keep)
local old = redis.call('ZRANGEBYSCORE', key('ended'), '-inf', now_ms - age_ms,
  'LIMIT', 0, limit)
if over > #old then
  old = redis.call('ZRANGE', key('ended'), 0, math.min(over, limit) - 1)
end
local count = 0
for _, id in ipairs(old) do
  if tonumber(redis.call('HGET', key('job', id), 'swallow') or 0) > 0 then
    redis.call('ZADD', key('ended'), now_ms, id)
    redis.call('HSET', key('job', id), 'ended_ms', now_ms)
  else
    redis.call('ZREM', key('ended'), id)
    forget(id)
    count = count + 1
  end
end
return {'ok', count}
