-- Take over the intents of the outbox whose messages may not have left. Fenced.
--
-- ARGV 1 token, 2 ttl ms, 3 heartbeat known, 4 how many at most
-- Returns {'ok', now us, heartbeat, wait until ms ('' if nothing waits), {field, attempts,
--          effective ms, reason/delivery, message, …}} or {'lost', holder}
--      or {'behind', now us, heartbeat}
--
-- Restamps with our token and never counts an attempt (mark.lua does, just before the resend).
-- A record that cannot be read is moved to :dead, so that it does not hold up all others.
-- The intents of a token from which the lease was stolen are left alone until its trust has
-- ended. Intents of our own are stale by definition: the loop is one thread, and calls this
-- only when it has nothing on its way.

local token = ARGV[1]
local refused = fenced(ARGV[1], ARGV[2], ARGV[3])
if refused then
  return refused
end
local heartbeat = beat()
local limit = tonumber(ARGV[4])
local waits = {}
local earliest = nil
local distrusted = redis.call('HGETALL', UNTRUSTED)
for i = 1, #distrusted, 2 do
  local ends, span = string.match(distrusted[i + 1], '^(%d+)|?(%d*)$')
  ends, span = tonumber(ends or '0'), tonumber(span)
  if span and ends - NOW > span then  -- the clock has stepped back since
    ends = NOW + span
    redis.call('HSET', UNTRUSTED, distrusted[i], int(ends) .. '|' .. int(span))
  end
  if ends > NOW then
    waits[distrusted[i]] = true
    earliest = math.min(earliest or ends, ends)
  else
    redis.call('HDEL', UNTRUSTED, distrusted[i])
  end
end
local found, waiting = {}, false
local seen = {}  -- HSCAN may show a field twice

local function bury(field, raw)
  redis.call('HSET', DEAD, field, raw)
  redis.call('HDEL', INFLIGHT, field)
  redis.call('HINCRBY', META, 'abandoned', 1)
  local name, slot = string.match(field, '^(.*)@(%-?%d+)[^@]*$')
  record(name or field, slot or '0', 'failed', 'the intent cannot be read', 1, slot or '0',
    token, 0, 0)
end

local cursor = '0'
repeat
  local page = redis.call('HSCAN', INFLIGHT, cursor, 'COUNT', 200)
  cursor = page[1]
  for i = 1, #page[2], 2 do
    local field, raw = page[2][i], page[2][i + 1]
    local owner, attempts, effective, kind, message =
      string.match(raw, '^([^\n]*)\n(%d+)\n(%d+)\n([^\n]*)\n(.*)$')
    if not owner or #attempts > 6 or #effective > 15
        or not string.find(field, '@%-?%d+[^@]*$') then
      bury(field, raw)
    elseif waits[owner] then
      waiting = true
    elseif #found < limit * 5 and not seen[field] then
      seen[field] = true
      if owner ~= token then
        redis.call('HSET', INFLIGHT, field,
          table.concat({token, attempts, effective, kind, message}, '\n'))
      end
      for _, part in ipairs({field, attempts, effective, kind, message}) do
        found[#found + 1] = part
      end
    end
  end
until cursor == '0' or #found >= limit * 5
return {'ok', int(NOW_US), heartbeat, waiting and int(earliest) or '', found}
