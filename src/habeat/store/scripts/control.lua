-- Writes one of the controls: what people ask of the whole schedule (core/controls.py).
--
-- ARGV 1 the new stamp of the controls, 2 field, 3 digest of its value as the caller read it ('' if
--      there is none), 4 new value ('' removes the field), 5 how many fields there may be,
--      6 a message for the wake channel
-- Returns {'ok', now us}, {'conflict', now us} if the value has changed since it was read, or
-- {'full', now us}. Replay: finds its own value, and answers ok.
--
-- The stamp changes with each write. A leader that claims or skips under an older one has not read
-- this write yet, so it is refused, and plans again (claim.lua, skip.lua).

local stamp, field, expected, value = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local key = BASE .. 'controls'
set_foreign_aside(key, 'hash')
local raw = redis.call('HGET', key, field) or ''
if raw == value then
  return {'ok', int(NOW_US)}
end
if digest_of(raw) ~= expected then
  return {'conflict', int(NOW_US)}
end
if raw == '' and redis.call('HLEN', key) >= tonumber(ARGV[5]) then
  return {'full', int(NOW_US)}
end
redis.call('HSET', META, 'controls', stamp)
if value == '' then
  redis.call('HDEL', key, field)
else
  redis.call('HSET', key, field, value)
end
wake(ARGV[6])
return {'ok', int(NOW_US)}
