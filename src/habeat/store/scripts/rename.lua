-- Renames an entry, with its state and its requests, in one step: nothing can fire in between.
-- Firings in flight are sent and settled under the old name, and existing ledger records keep it.
--
-- ARGV 1 mark of this call ('' for none), 2 how long to keep it ms, 3 name, 4 digest expected,
--      5 cursor expected ('' if it cannot be read), 6 new name, 7 definition, 8 due ms ('' if not
--      scheduled), 9 number of all requests expected, 10 number of requests for this entry; for
--      each: id, digest expected, the request under the new name. Then what changes.lua needs.
-- Returns {'ok', now us} or {'conflict', name} or {'closed'}; all or nothing.
--
-- Replay: a call whose mark is known is not carried out again, and gets the same reply.
-- include: changes.lua

if not own_keys_are_sound() then
  return redis.error_reply('habeat: a key under this prefix has a foreign type')
end
local answered = answered_before(ARGV[1])
if answered then
  return answered
end
local old, new = ARGV[3], ARGV[6]
local raw, state = redis.call('HGET', ENTRIES, old), state_of(old)
if digest_of(raw) ~= ARGV[4]
    or (ARGV[5] ~= '' and (not state or int(state.cursor) ~= ARGV[5]))
    or int(redis.call('HLEN', REQUESTS)) ~= ARGV[9] then
  return {'conflict', old}
end
if redis.call('HEXISTS', ENTRIES, new) == 1 then
  return {'conflict', new}
end
for i = 1, tonumber(ARGV[10]) do
  local request = redis.call('HGET', REQUESTS, ARGV[8 + 3 * i])
  if not request or redis.sha1hex(request) ~= ARGV[9 + 3 * i] then
    return {'conflict', old}
  end
end

open_change_log()
local author_at, after = 11 + 3 * tonumber(ARGV[10]), digest_of(ARGV[7])
log_change(old, 'renamed', ARGV[4], after, author_at, 1)
log_change(new, 'renamed', ARGV[4], after, author_at, 1)
redis.pcall('HDEL', LAST_CHANGES, old)
redis.call('HSET', ENTRIES, new, ARGV[7])
redis.call('HDEL', ENTRIES, old)
index(new)
unindex(old)
redis.call('HDEL', CIRCUITS, old, new)
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
write_due(new, ARGV[8])
for _, family in ipairs({'lateness:', 'outcomes:'}) do
  if redis.call('EXISTS', BASE .. family .. old) == 1 then
    redis.call('RENAME', BASE .. family .. old, BASE .. family .. new)
  end
end
for i = 1, tonumber(ARGV[10]) do
  redis.call('HSET', REQUESTS, ARGV[8 + 3 * i], ARGV[10 + 3 * i])
end
local slot = state and int(state.cursor) or int(NOW)
record(old, slot, 'note', 'renamed to ' .. new, 0, slot, '', 0, 0)
record(new, slot, 'note', 'renamed from ' .. old, 0, slot, '', 0, 0)
trim_change_log()
remember(ARGV[1], ARGV[2])
wake('changed')
return {'ok', int(NOW_US)}
