-- Writes one of the controls: what people ask of the whole schedule (core/controls.py).
--
-- ARGV 1 the new stamp of the controls, 2 field, 3 digest of its value as the caller read it ('' if
--      there is none), 4 new value ('' removes the field), 5 how many fields there may be,
--      6 a message for the wake channel, 7 who asks for it, 8 by which way, 9 what it is in the
--      change log's word ('' if it is not logged), 10 the fields that differ (JSON),
--      11 the code of a stored event ('' for none), 12 since ms, 13 until ms ('' if open), 14 detail
-- Returns {'ok', now us}, {'conflict', now us} if the value has changed since it was read, or
-- {'full', now us}. Replay: finds its own value, and answers ok.
--
-- The stamp changes with each write. A leader that claims or skips under an older one has not read
-- this write yet, so it is refused, and plans again (claim.lua, skip.lua).
-- include: changes.lua

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
local act, event = ARGV[9] or '', ARGV[11] or ''
if act ~= '' then
  open_change_log()
end
redis.call('HSET', META, 'controls', stamp)
if value == '' then
  redis.call('HDEL', key, field)
else
  redis.call('HSET', key, field, value)
end
if act ~= '' then
  redis.call('XADD', CHANGES, '*', 'entry', '', 'control', field, 'act', act, 'by', ARGV[7],
    'way', ARGV[8], 'before', expected, 'after', digest_of(value), 'fields', ARGV[10])
  trim_change_log()
end
if event ~= '' then
  local who = {nonce = '', host = '', pid = '', epoch = ''}
  add_event(event, who, ARGV[12], ARGV[13], ARGV[8], ARGV[14])
end
wake(ARGV[6])
return {'ok', int(NOW_US)}
