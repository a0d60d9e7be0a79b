-- Adds entries that come from another prefix or another beat, each where it stopped there: with its
-- cursor, its next slot, its last firing and count, and its pause.
--
-- ARGV 1 mark of this write ('' for none), 2 how long to keep the mark ms, 3 number of entries;
--      for each: name, definition, paused ('' if it is not, otherwise JSON), end of the pause ms
--        ('' if only a person ends it), cursor ms, next slot ms, due ms ('' if not scheduled),
--        last fired ms ('' if never), count, reason of the ledger's note, owned by config ('1' | '0')
--      Then what changes.lua needs.
-- Returns {'ok', now us} or {'conflict', name}: that name is taken, or {'closed'}; all or nothing.
--
-- Replay: a write whose mark is known is not done again, and gets the same reply.
-- include: changes.lua

if not own_keys_are_sound() then
  return redis.error_reply('habeat: a key under this prefix has a foreign type')
end
local mark = ARGV[1]
local answered = answered_before(mark)
if answered then
  return answered
end
local FIELDS, FIRST = 11, 4
local total = tonumber(ARGV[3])
for i = 0, total - 1 do
  local name = ARGV[FIRST + i * FIELDS]
  -- A state that remains of a removed entry has a cursor of its own, which must not move back.
  if redis.call('HEXISTS', ENTRIES, name) == 1 or redis.call('HEXISTS', STATE, name) == 1 then
    return {'conflict', name}
  end
end
open_change_log()
for i = 0, total - 1 do
  local at = FIRST + i * FIELDS
  local digest = digest_of(ARGV[at + 1])
  log_change(ARGV[at], 'added', '', digest, FIRST + total * FIELDS, i + 1)
  local name, definition, paused, resume_at, cursor, slot, due, fired, count, reason, owned =
    unpack(ARGV, at, at + FIELDS - 1)
  redis.call('HSET', ENTRIES, name, definition)
  index(name)
  redis.call('HDEL', QUARANTINE, name)
  redis.call('HDEL', CIRCUITS, name)
  redis.call(owned == '1' and 'SADD' or 'SREM', OWNED, name)
  redis.call('HDEL', PAUSED, name)
  redis.call('ZREM', RESUME, name)
  if paused ~= '' then
    redis.call('HSET', PAUSED, name, paused)
    if resume_at ~= '' then
      redis.call('ZADD', RESUME, resume_at, name)
    end
  end
  write_state(name, {
    cursor = tonumber(cursor), slot = slot, token = '', fired = fired, count = tonumber(count),
  })
  write_due(name, paused == '' and due or '')
  record(name, cursor, 'note', reason, 0, cursor, '', 0, 0)
end
trim_change_log()
remember(mark, ARGV[2])
wake('changed')
return {'ok', int(NOW_US)}
