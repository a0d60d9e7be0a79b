-- Give an entry another name, with all that is known of it; nothing of it fires meanwhile.
-- What is in flight goes out and is settled under the old name, and so is what the ledger has.
--
-- ARGV 1 name, 2 digest expected, 3 cursor expected ('' if it cannot be read), 4 new name,
--      5 definition, 6 due ms ('' if not scheduled), 7 number of all requests expected,
--      8 number of requests for this entry; for each: id, digest expected, the request anew
-- Returns {'ok', now us} or {'conflict', name}; all or nothing.
--
-- Replay: who lost the reply finds the definition under the new name.

if not own_keys_are_sound() then
  return redis.error_reply('habeat: a key under this prefix has a foreign type')
end
local old, new = ARGV[1], ARGV[4]
local raw, state = redis.call('HGET', ENTRIES, old), state_of(old)
if (raw and redis.sha1hex(raw) or '') ~= ARGV[2]
    or (ARGV[3] ~= '' and (not state or int(state.cursor) ~= ARGV[3]))
    or int(redis.call('HLEN', REQUESTS)) ~= ARGV[7] then
  return {'conflict', old}
end
if redis.call('HEXISTS', ENTRIES, new) == 1 then
  return {'conflict', new}
end
for i = 1, tonumber(ARGV[8]) do
  local request = redis.call('HGET', REQUESTS, ARGV[6 + 3 * i])
  if not request or redis.sha1hex(request) ~= ARGV[7 + 3 * i] then
    return {'conflict', old}
  end
end

redis.call('HSET', ENTRIES, new, ARGV[5])
redis.call('HDEL', ENTRIES, old)
for _, key in ipairs({STATE, PAUSED, QUARANTINE}) do
  local value = redis.call('HGET', key, old)
  redis.call('HDEL', key, new)
  if value then
    redis.call('HSET', key, new, value)
    redis.call('HDEL', key, old)
  end
end
local resume_at = redis.call('ZSCORE', RESUME, old)
redis.call('ZREM', RESUME, old, new)
if resume_at then
  redis.call('ZADD', RESUME, resume_at, new)
end
redis.call('ZREM', DUE, old)
write_due(new, ARGV[6])
if redis.call('EXISTS', BASE .. 'lateness:' .. old) == 1 then
  redis.call('RENAME', BASE .. 'lateness:' .. old, BASE .. 'lateness:' .. new)
end
for i = 1, tonumber(ARGV[8]) do
  redis.call('HSET', REQUESTS, ARGV[6 + 3 * i], ARGV[8 + 3 * i])
end
local slot = state and int(state.cursor) or int(NOW)
record(old, slot, 'note', 'renamed to ' .. new, 0, slot, '', 0, 0)
record(new, slot, 'note', 'renamed from ' .. old, 0, slot, '', 0, 0)
wake('changed')
return {'ok', int(NOW_US)}
