-- promote.lua: delayed -> queued. Put jobs whose time has come in their lists.
--
-- A job that was to start later goes to the end, as one that is pushed now. One that has
-- run and waited for its back-off goes to the front: it has waited its turn before.
--
-- KEYS[1]  queue  list  the waiting documents
-- ARGV[1]  limit        at most so many of each kind
--
-- Returns  {'ok', count}

local limit = tonumber(ARGV[1])

redis.call('DEL', key('none')) -- a first write that is allowed above maxmemory
local now_ms = now()
local count = 0

local function promote(from, time_ms, front)
  local due = redis.call('ZRANGEBYSCORE', from, '-inf', time_ms, 'LIMIT', 0, limit)
  for i = 1, #due do
    local id = due[front and #due + 1 - i or i] -- the first one ends up at the very front
    redis.call('ZREM', from, id)
    local j = redis.call('HMGET', key('job', id), 'state', 'priority')
    if j[1] == 'delayed' then
      put_back(id, j[2], front)
      event('queued', id)
      count = count + 1
    end
  end
end

promote(key('backoff'), fleet_clock(now_ms), true)
promote(key('delayed'), now_ms, false)
return {'ok', count}
