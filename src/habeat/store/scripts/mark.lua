-- Counts an attempt just before a message is resent, and gives the intent up when its attempts are
-- used up. Fenced.
--
-- ARGV 1 token, 2 ttl ms, 3 heartbeat known, 4 field (entry@identity), 5 how many attempts may be
--      counted, 6 the reason to give it up now ('' if it may be resent), 7 pause before the next
--      attempt ms, 8 why the last attempt was refused, for :dead
-- Returns {'ok', heartbeat, attempts} or {'buried', heartbeat} or {'expired', heartbeat}
--      or {'gone', heartbeat}
--      or {'lost', holder}
--      or {'behind', now us, heartbeat}
--
-- An intent whose message has expired is not sent again: its slot is recorded as skipped. Only one
-- that may not be repeated ends as ambiguous even so, because it may have been sent in time.

local token, field = ARGV[1], ARGV[4]
local refused = fenced(ARGV[1], ARGV[2], ARGV[3])
if refused then
  return refused
end
local heartbeat = beat()
local raw = redis.call('HGET', INFLIGHT, field)
if not raw then
  return {'gone', heartbeat}
end
local owner, attempts, effective, rest = string.match(raw, '^([^\n]*)\n(%d+)\n(%d+)\n(.*)$')
if owner ~= token then
  return {'gone', heartbeat}
end
if ARGV[6] == '' and has_expired(expiry_of(string.match(rest, '^[^\n]*')), NOW) then
  local name, identity = string.match(field, '^(.*)@([^@]*)$')
  local slot = slot_of(identity)
  settle_intent(name, identity, token)
  record(name, slot, 'skipped', 'expired', 1, slot, token, 0, attempts, request_of(identity))
  redis.call('HINCRBY', META, 'settled', 1)
  return {'expired', heartbeat}
end
attempts = tonumber(attempts) + 1
if ARGV[6] ~= '' or attempts > tonumber(ARGV[5]) then
  local name, slot = string.match(field, '^(.*)@(%-?%d+)[^@]*$')
  local request = request_of(string.match(field, '[^@]*$'))
  keep_dead(field, ARGV[6] ~= '' and ARGV[6] or 'attempts used up: ' .. ARGV[8], raw)
  redis.call('HDEL', INFLIGHT, field)
  redis.call('ZREM', INFLIGHT_DUE, field)
  redis.call('HINCRBY', META, 'abandoned', 1)
  if ARGV[6] ~= '' then
    record(name, slot, 'ambiguous', ARGV[6], 1, slot, token, 0, int(attempts - 1), request)
  else
    record(name, slot, 'failed', 'attempts used up', 1, slot, token, 0, int(attempts - 1),
      request)
  end
  return {'buried', heartbeat}
end
redis.call('HSET', INFLIGHT, field,
  table.concat({token, int(attempts), effective, rest}, '\n'))
redis.call('ZADD', INFLIGHT_DUE, int(NOW + tonumber(ARGV[7])), field)
return {'ok', heartbeat, int(attempts)}
