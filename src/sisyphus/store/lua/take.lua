-- take.lua: queued -> running. Give one document to one worker, under a new token.
--
-- Drains the staged list first, then jobs set aside for such workers, then the lists by
-- priority. A session has one job in its hand at most: while it has one, the same job is
-- handed out again, so a call whose answer was lost can be repeated.
--
-- KEYS[1]  queue       list  the waiting documents
-- ARGV[1]  session
-- ARGV[2]  max_bytes         larger documents are rejected
--
-- Returns  {'job', id, token, raw, attempt, failures, crashes, checkpoint} |
--          {'empty', due_in_ms}: nothing waits; -1 when nothing is delayed either |
--          {'more'}: the bound of one call is reached, call again |
--          {'paused'} | {'gone'}: the session has ended.

local session, max_bytes = ARGV[1], tonumber(ARGV[2])

local function hand_out(id, token)
  local j = redis.call('HMGET', key('job', id), 'attempts', 'failures', 'crashes',
    'checkpoint')
  return {'job', id, token, redis.call('GET', key('doc', id)), j[1], j[2] or '0',
    j[3] or '0', j[4] or ''}
end

local s = redis.call('HMGET', key('session', session), 'worker_id', 'provides', 'job',
  'token', 'paused', 'idle')
local worker_id, provides, idle = s[1], s[2], s[6]
if not worker_id then return {'gone'} end
if s[3] then return hand_out(s[3], s[4]) end

local meta = redis.call('HMGET', key('meta'), 'fence', 'paused', 'aside')
local last_token, aside = tonumber(meta[1]) or 0, tonumber(meta[3]) or 0
if s[5] or meta[2] then
  redis.call('DEL', key('none')) -- a first write that is allowed above maxmemory
  for _ = 1, math.min(64, redis.call('LLEN', key('staged'))) do
    redis.call('LMOVE', key('staged'), queue, 'LEFT', 'RIGHT')
  end
  if idle then
    redis.call('SREM', key('idle'), session)
    redis.call('HDEL', key('session', session), 'idle')
  end
  return {'paused'}
end

local now_ms, now_us = now()

local function reject(raw, priority, reason)
  redis.call('XADD', key('rejected'), '*', 'list', waiting(priority),
    'reason', reason, 'raw', raw)
  event('rejected', '', 'reason', reason)
end

-- A job id is text; a whole number is taken for its digits.
local function text_of(value)
  if type(value) == 'number' and value == math.floor(value)
    and math.abs(value) < 9007199254740992 then
    return value == 0 and '0' or string.format('%.0f', value)
  end
  return type(value) == 'string' and value or nil
end

local letters = {'^[%z\1-\127]+', '^[\194-\223][\128-\191]', '^\224[\160-\191][\128-\191]',
  '^\237[\128-\159][\128-\191]', '^[\225-\236\238\239][\128-\191][\128-\191]',
  '^\240[\144-\191][\128-\191][\128-\191]', '^\244[\128-\143][\128-\191][\128-\191]',
  '^[\241-\243][\128-\191][\128-\191][\128-\191]'}

local function is_utf8(text)
  local rest = text
  while rest ~= '' do
    local last
    for _, letter in ipairs(letters) do
      last = last or select(2, string.find(rest, letter))
    end
    if not last then return false end
    rest = string.sub(rest, last + 1)
  end
  return true
end

local function usable(id)
  return id and #id >= 1 and #id <= 200 and not string.find(id, '[%z\1-\31\127]')
    and (not string.find(id, '[\128-\255]') or is_utf8(id))
end

-- What a document asks of its worker: sorted |module:x| and |label:y|. Nothing when it asks
-- for more than any job may: the taker reports that.
local most_needs, most_bytes = 64, 200
local function needs_of(doc)
  local needs, seen, too_long = {}, {}, false
  local function add(need)
    if not seen[need] then
      seen[need] = true
      needs[#needs + 1] = need
      too_long = too_long or #need > most_bytes
    end
  end
  if type(doc.tasks) == 'table' then
    for _, task in ipairs(doc.tasks) do
      if #needs > most_needs then break end
      if type(task) == 'table' then
        local module = task.module
        if type(module) ~= 'string' then
          module = nil
          for name, data in pairs(task) do
            if type(name) == 'string' and type(data) == 'table' then module = name end
          end
        end
        if module and not string.find(module, '[%s|]') then
          add('module:' .. module)
        end
      end
    end
  end
  if type(doc.requires) == 'table' then
    for _, label in ipairs(doc.requires) do
      if #needs > most_needs then break end
      if type(label) == 'string' and not string.find(label, '[%s|]') then
        add('label:' .. label)
      end
    end
  end
  if too_long or #needs > most_needs then return {} end
  table.sort(needs)
  return needs
end

local function has_all(kind, needs)
  for _, need in ipairs(needs) do
    if not string.find(kind, '|' .. need .. '|', 1, true) then return false end
  end
  return true
end

-- Whether another worker should have it: some live worker has all it needs, or only labels
-- are missing everywhere. A module that nobody has is for the taker to report.
local function for_others(needs)
  local modules = {}
  for _, need in ipairs(needs) do
    if string.sub(need, 1, 7) == 'module:' then modules[#modules + 1] = need end
  end
  local known = has_all(provides, modules)
  for _, kind in ipairs(redis.call('HKEYS', key('kinds'))) do
    if has_all(kind, needs) then return true end
    known = known or has_all(kind, modules)
  end
  return known
end

-- When a document wants to be started: ms since 1970, nothing when it does not say (or in
-- a way that only the worker can judge).
local function due_of(value)
  if type(value) == 'number' then return value * 1000 end
  if type(value) ~= 'string' then return nil end
  if string.find(value, '^%d%d%d%d%-%d%d%-%d%d$') then value = value .. 'T00:00' end
  local y, m, d, hour, minute, second, zone = string.match(value,
    '^(%d%d%d%d)-(%d%d)-(%d%d)[T ](%d%d):(%d%d):?(%d*)[%.%d]*(.*)$')
  if not y then return nil end
  local sign, hours, minutes = string.match(zone, '^([+-])(%d%d):?(%d%d)$')
  local offset = sign and tonumber(sign .. '1') * (hours * 60 + minutes) or 0
  if not sign and zone ~= '' and zone ~= 'Z' then return nil end
  -- Days since 1970 in the calendar that counts years from March on.
  y, m = tonumber(y), tonumber(m)
  if m <= 2 then y, m = y - 1, m + 12 end
  local days = 365 * y + math.floor(y / 4) - math.floor(y / 100) + math.floor(y / 400)
    + math.floor((153 * (m - 3) + 2) / 5) + d - 719469
  local minutes_of_all = days * 1440 + hour * 60 + minute - offset
  return (minutes_of_all * 60 + (tonumber(second) or 0)) * 1000
end

local function put_off(id, sha, title, raw, priority, due_ms)
  redis.call('HSET', key('job', id), 'state', 'delayed', 'sha', sha, 'title', title,
    'priority', priority)
  redis.call('SET', key('doc', id), raw)
  redis.call('ZADD', key('delayed'), due_ms, id)
  event('delayed', id)
end

-- Every take looks at all kinds of what is set aside: of a new kind above the bound, a job
-- waits a minute and is looked at again.
local most_kinds = 256
local function set_aside(id, sha, title, raw, priority, needs)
  local name = table.concat(needs, ' ')
  if #redis.call('HKEYS', key('aside')) >= most_kinds
    and redis.call('HEXISTS', key('aside'), name) == 0 then
    return put_off(id, sha, title, raw, priority, now_ms + 60000)
  end
  redis.call('HSET', key('job', id), 'state', 'queued', 'sha', sha, 'title', title,
    'priority', priority, 'needs', name)
  redis.call('LPUSH', key('aside', name), raw)
  redis.call('HINCRBY', key('aside'), name, 1)
  redis.call('HINCRBY', key('meta'), 'aside', 1)
  redis.call('UNLINK', key('doc', id))
  event('aside', id, 'needs', name)
  wake_idle(function(kind) return has_all(kind, needs) end)
end

-- The bytes of a file's name that is not UTF-8 stand in a document as \uDC80 to \uDCFF,
-- each without the half that would go before it. cjson reads no such escape: in a copy, by
-- which only the envelope is read, each becomes a line break, with which nothing can be an
-- id or a label.
local function without_bytes(text)
  if string.find(text, '[\1\2]') then return text end -- no JSON has these two
  text = string.gsub(text, '\\\\', '\1') -- after such a pair no escape begins
  text = string.gsub(text, '\\u([dD][89abAB]%x%x)\\u([dD][c-fC-F]%x%x)', '\2%1%2')
  text = string.gsub(text, '\\u[dD][cC][89a-fA-F]%x', '\\n')
  text = string.gsub(text, '\2(%x%x%x%x)(%x%x%x%x)', '\\u%1\\u%2')
  return (string.gsub(text, '\1', '\\\\'))
end

-- One document: nil when it was consumed without a job, else the reply.
local function admit(raw, priority)
  if #raw > max_bytes then return reject(raw, priority, 'too_large') end
  local plain = string.sub(raw, 1, 3) == '\239\187\191' and string.sub(raw, 4) or raw
  local readable, doc = pcall(cjson.decode, plain)
  if not readable and string.find(plain, '\\u[dD][cC]') then
    readable, doc = pcall(cjson.decode, without_bytes(plain))
  end
  if not readable then return reject(raw, priority, 'not_json') end
  if type(doc) ~= 'table' then return reject(raw, priority, 'not_an_object') end
  local id = text_of(doc.job_id)
  if not usable(id) then return reject(raw, priority, 'no_usable_job_id') end

  local record, sha = key('job', id), fingerprint(raw)
  local j = redis.call('HMGET', record, 'state', 'sha', 'swallow', 'attempts',
    'failures', 'crashes', 'checkpoint', 'priority', 'swallow_sha', 'needs')
  local state, same = j[1], not j[2] or j[2] == sha
  if tonumber(j[3] or 0) > 0 and (j[9] == '' or string.find(j[9], sha, 1, true)) then
    swallowed(id, sha, j[9])
    if state == 'cancelled' and same then
      redis.call('HSET', record, 'sha', sha) -- a person may still want it to run
      redis.call('SET', key('doc', id), raw)
    end
    return event('swallowed', id)
  end
  local failures, crashes, checkpoint = j[5] or '0', j[6] or '0', j[7] or ''
  if state == 'failed' or state == 'cancelled' then -- pushed once more: a new start
    redis.call('ZREM', key('ended'), id)
    redis.call('HDEL', record, 'cancel', 'failures', 'crashes', 'error', 'result',
      'ended_ms')
    failures, crashes = '0', '0'
    if not same then
      redis.call('HDEL', record, 'checkpoint', 'submitted_ms')
      checkpoint = ''
    end
  elseif state and not same then
    return reject(raw, priority, 'conflict')
  elseif state and state ~= 'queued' then
    redis.call('HINCRBY', record, 'duplicates', 1)
    return event('duplicate', id)
  end

  local title = text_of(doc.job_title) or ''
  if #title > 500 then -- cut between letters
    title = string.gsub(string.sub(title, 1, 500), '[\192-\255]?[\128-\191]*$', '')
  end
  local due_ms = doc.not_before and due_of(doc.not_before)
  if due_ms and due_ms > now_ms then
    return put_off(id, sha, title, raw, j[8] or priority, due_ms)
  end
  local needs = needs_of(doc)
  if not has_all(provides, needs) and for_others(needs) then
    return set_aside(id, sha, title, raw, j[8] or priority, needs)
  end

  local token = string.format('%.0f', math.max(last_token + 1, now_us))
  local attempt = (tonumber(j[4]) or 0) + 1
  redis.call('HSET', record, 'state', 'running', 'token', token, 'session', session,
    'worker_id', worker_id, 'sha', sha, 'title', title, 'started_ms', now_ms,
    'attempts', attempt, 'priority', j[8] or priority)
  if j[10] then redis.call('HDEL', record, 'needs') end
  redis.call('SET', key('doc', id), raw)
  redis.call('HSET', key('session', session), 'job', id, 'token', token)
  redis.call('HSET', key('meta'), 'fence', token)
  event('running', id, 'worker_id', worker_id)
  return {'job', id, token, raw, attempt, failures, crashes, checkpoint}
end

local function pop_aside()
  for _, name in ipairs(redis.call('HKEYS', key('aside'))) do
    local needs = {}
    for need in string.gmatch(name, '[^ ]+') do needs[#needs + 1] = need end
    if has_all(provides, needs) then
      local raw = redis.call('RPOP', key('aside', name))
      redis.call('HINCRBY', key('meta'), 'aside', -1)
      if redis.call('HINCRBY', key('aside'), name, -1) <= 0 then
        redis.call('HDEL', key('aside'), name)
      end
      if raw then return raw end
    end
  end
end

local prioritised = {}
for priority = 9, 1, -1 do prioritised[10 - priority] = waiting(priority) end

local function pop()
  local raw = redis.call('RPOP', key('staged'))
  if raw then return raw, 0 end
  if aside > 0 then
    raw = pop_aside()
    if raw then return raw, 0 end
  end
  if redis.call('EXISTS', unpack(prioritised)) > 0 then
    for priority = 9, 1, -1 do
      raw = redis.call('RPOP', waiting(priority))
      if raw then return raw, priority end
    end
  end
  return redis.call('RPOP', queue), 0
end

local bytes = 0
for _ = 1, 16 do
  if bytes > 1000000 then break end -- a large document is work enough for one call
  local raw, priority = pop()
  if not raw then
    redis.call('SADD', key('idle'), session)
    redis.call('HSET', key('session', session), 'idle', '1')
    local due = redis.call('ZRANGE', key('delayed'), 0, 0, 'WITHSCORES')[2]
    local again = redis.call('ZRANGE', key('backoff'), 0, 0, 'WITHSCORES')[2]
    local in_ms = due and math.max(0, tonumber(due) - now_ms) or -1
    if again then
      local wait = math.max(0, tonumber(again) - fleet_clock(now_ms))
      in_ms = in_ms < 0 and wait or math.min(in_ms, wait)
    end
    return {'empty', in_ms}
  end
  bytes = bytes + #raw
  local worked, reply = pcall(admit, raw, priority)
  if not worked then
    reject(raw, priority, 'script: '
      .. tostring(type(reply) == 'table' and reply.err or reply))
  elseif reply then
    if idle then
      redis.call('SREM', key('idle'), session)
      redis.call('HDEL', key('session', session), 'idle')
    end
    return reply
  end
end
return {'more'}
