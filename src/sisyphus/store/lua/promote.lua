-- promote.lua: delayed -> queued. Put jobs whose time has come in their lists.
--
-- KEYS[1]  queue  list  the waiting documents
-- ARGV[1]  limit        at most so many of each kind
--
-- Returns  {'ok', count}

local limit = tonumber(ARGV[1])

redis.call('DEL', key('none')) -- a first write that is allowed above maxmemory
local now_ms = now()
local count = 0

local function promote(from, time_ms)
  local due = redis.call('ZRANGEBYSCORE', from, '-inf', time_ms, 'LIMIT', 0, limit)
  for _, id in ipairs(due) do
    redis.call('ZREM', from, id)
    local j = redis.call('HMGET', key('job', id), 'state', 'priority')
    if j[1] == 'delayed' then
      put_back(id, j[2], false)
      event('queued', id)
      count = count + 1
    end
  end
end

promote(key('backoff'), fleet_clock(now_ms))
promote(key('delayed'), now_ms)
return {'ok', count}
