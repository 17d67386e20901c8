-- restore.lua: rejected -> queued. Put a rejected document back, mended or as it was.
--
-- It goes to the list that it came from.
--
-- KEYS[1]  queue  list  the waiting documents
-- ARGV[1]  entry        its id in the stream of rejected documents
-- ARGV[2]  raw          the document to put in the list
--
-- Returns  {'ok'} | {'unknown'}

local entry, raw = ARGV[1], ARGV[2]

if not string.find(entry, '^%d+%-%d+$') then return {'unknown'} end
local found = redis.call('XRANGE', key('rejected'), entry, entry)[1]
if not found then return {'unknown'} end
local facts, list = found[2], queue
for i = 1, #facts, 2 do
  if facts[i] == 'list' then list = facts[i + 1] end
end
redis.call('XDEL', key('rejected'), entry)
put(raw, tonumber(string.match(list, ':(%d)$')) or 0, false)
return {'ok'}
