-- restore.lua: rejected -> queued. Put a rejected document back, mended or as it was.
--
-- KEYS[1]  queue  list  the waiting documents
-- ARGV[1]  entry        its id in the stream of rejected documents
-- ARGV[2]  raw          the document to put in the list
--
-- Returns  {'ok'} | {'unknown'}

local entry, raw = ARGV[1], ARGV[2]

if not string.find(entry, '^%d+%-%d+$') then return {'unknown'} end
if redis.call('XDEL', key('rejected'), entry) == 0 then return {'unknown'} end
put(raw, 0, false)
return {'ok'}
