-- Takes over intents of the outbox whose messages may not have been sent. Fenced.
--
-- ARGV 1 token, 2 ttl ms, 3 heartbeat known, 4 how many to return at most,
--      5 how many due intents to read to choose them from
-- Returns {'ok', now us, heartbeat, wait until ms ('' if nothing waits), {field, attempts,
--          effective ms, reason/delivery, message, …}} or {'lost', holder}
--      or {'behind', now us, heartbeat}
--
-- Takes the intents that are due by :inflight_due, alternating between entries. Replaces the token
-- of each by ours, and never counts an attempt; mark.lua does, just before the resend.
-- A record that cannot be read is moved to :dead, so that it does not hold up the others.
-- The intents of a leader that may still trust its lease are left alone until that trust has ended
-- (:untrusted). Our own intents are always stale: the loop has one thread, and calls this only when
-- it has nothing under way.
-- include: queues.lua

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
  if span and ends - NOW > span then  -- the clock has been set back since
    ends = NOW + span
    redis.call('HSET', UNTRUSTED, distrusted[i], int(ends) .. '|' .. int(span))
  end
  if ends > NOW then
    waits[distrusted[i]] = int(ends)
    earliest = math.min(earliest or ends, ends)
  else
    redis.call('HDEL', UNTRUSTED, distrusted[i])
  end
end
local found, waiting = {}, false

local function bury(field, raw)
  keep_dead(field, 'the intent cannot be read', raw)
  redis.call('HDEL', INFLIGHT, field)
  redis.call('ZREM', INFLIGHT_DUE, field)
  redis.call('HINCRBY', META, 'abandoned', 1)
  local name, slot = string.match(field, '^(.*)@(%-?%d+)[^@]*$')
  record(name or field, slot or '0', 'failed', 'the intent cannot be read', 1, slot or '0',
    token, 0, 0, request_of(string.match(field, '[^@]*$')))
end

local function entry_of(field)
  return string.match(field, '^(.*)@[^@]*$') or ''
end

is_index(INFLIGHT_DUE)
for _, field in ipairs(take_turns(INFLIGHT_DUE, limit, tonumber(ARGV[5]), entry_of)) do
  local raw = redis.call('HGET', INFLIGHT, field)
  local owner, attempts, effective, kind, message =
    string.match(raw or '', '^([^\n]*)\n(%d+)\n(%d+)\n([^\n]*)\n(.*)$')
  if not raw then
    redis.call('ZREM', INFLIGHT_DUE, field)
  elseif not owner or #attempts > 6 or #effective > 15
      or not string.find(field, '@%-?%d+[^@]*$') then
    bury(field, raw)
  elseif waits[owner] then
    waiting = true
    redis.call('ZADD', INFLIGHT_DUE, waits[owner], field)
  else
    if owner ~= token then
      redis.call('HSET', INFLIGHT, field,
        table.concat({token, attempts, effective, kind, message}, '\n'))
    end
    for _, part in ipairs({field, attempts, effective, kind, message}) do
      found[#found + 1] = part
    end
  end
end
return {'ok', int(NOW_US), heartbeat, waiting and int(earliest) or '', found}
