-- Writes entries: add, change, pause, resume, seed. All or nothing, as a compare-and-swap on the
-- definition, the pause and the cursor that the caller read.
--
-- ARGV 1 token ('' if not fenced), 2 ttl ms, 3 heartbeat known, 4 mark of this write ('' for
--      none), 5 how long to keep the mark ms, 6 number of entries; for each:
--        name, digest expected ('' if the entry must not exist), cursor expected ('' if it does not
--        matter), digest of the pause expected ('' if it does not matter, '-' if it must not be
--        paused), definition ('' to keep it), paused ('' keep, '-' resume, otherwise JSON), end of
--        the pause ms ('' if only a person ends it),
--        owned by config ('1' | '0'), cursor ms ('' to keep cursor and due), next slot ms,
--        next due ms, and the slots that will not fire because of this write: outcome
--        ('' if there are none), reason, first slot ms, last slot ms, count.
--      Then the prefix of bounded names, and how many entries may have it ('' and '' if the number
--        is not bounded). New entries beyond that are refused. While the index of names is
--        incomplete, they are not counted here; the caller has counted them.
--      Then what changes.lua needs.
-- Returns {'ok', now us} or {'conflict', name} or {'full', how many there are} or {'lost', holder}
--      or {'closed'} or {'behind', now us, heartbeat}
--
-- Replay: a write whose mark is known is not done again, and gets the same reply. Without a mark, a
-- second call is a conflict, because it finds its own definition instead of the expected one.
-- include: changes.lua

local token = ARGV[1]
local refused = token ~= '' and fenced(token, ARGV[2], ARGV[3])
if refused then
  return refused
end
if not own_keys_are_sound() then
  return redis.error_reply('habeat: a key under this prefix has a foreign type')
end
local mark = ARGV[4]
local answered = answered_before(mark)
if answered then
  return answered
end
local FIELDS, FIRST = 16, 7
local total = tonumber(ARGV[6])

-- A write that lifts quarantine must set a position or resume. With neither, the entry was
-- quarantined after the caller read it: a conflict, because the entry would never be due again.
local function set_aside_since(name, definition, paused, position)
  return definition ~= '' and paused ~= '-' and position == ''
    and redis.call('HEXISTS', QUARANTINE, name) == 1
end

local function other_pause(name, digest)
  local raw = digest ~= '' and redis.call('HGET', PAUSED, name)
  return digest ~= '' and digest_of(raw) ~= (digest == '-' and '' or digest)
end

local function in_conflict(name, digest, cursor, pause, definition, paused, _, _, position)
  local raw = redis.call('HGET', ENTRIES, name)
  if digest_of(raw) ~= digest then
    return true
  end
  if set_aside_since(name, definition, paused, position) then
    return true
  end
  if other_pause(name, pause) then
    return true
  end
  local state = state_of(name)
  return cursor ~= '' and (not state or int(state.cursor) ~= cursor)
end

-- The number of entries with the bounded prefix if there is no room for the new ones, or nil.
local function exceeded(prefix, most)
  local new = 0
  for i = 0, total - 1 do
    if ARGV[FIRST + i * FIELDS + 1] == '' then
      new = new + 1
    end
  end
  local present = most and new > 0 and count_names(prefix)
  return present and present + new > most and present or nil
end

-- What the write does to the entry, in the change log's word; nil if it changes nothing but its
-- position.
local function act_of(digest, definition, paused)
  local is_written = definition ~= '' and digest_of(definition) ~= digest
  if is_written and digest == '' then
    return 'added'
  elseif paused ~= '' then
    return paused == '-' and 'resumed' or 'paused'
  end
  return is_written and 'changed' or nil
end

local function write(name, digest, _, _, definition, paused, resume_at, owned, cursor, slot, due,
    outcome, reason, first, last, count)
  if definition ~= '' then
    redis.call('HSET', ENTRIES, name, definition)
    if digest == '' then
      index(name)
    end
    redis.call('HDEL', QUARANTINE, name)
    redis.call(owned == '1' and 'SADD' or 'SREM', OWNED, name)
  end
  if definition ~= '' or paused ~= '' then
    redis.call('HDEL', CIRCUITS, name)
  end
  if paused == '-' then
    redis.call('HDEL', PAUSED, name)
    redis.call('ZREM', RESUME, name)
  elseif paused ~= '' then
    redis.call('HSET', PAUSED, name, paused)
    write_due(name, '')  -- it may have been resumed after the caller saw it paused
    redis.call('ZREM', RESUME, name)
    if resume_at ~= '' then
      redis.call('ZADD', RESUME, resume_at, name)
    end
  end
  if outcome ~= '' then
    record(name, first, outcome, reason, count, last, token, 0, 0)
  end
  if cursor ~= '' then
    local state = state_of(name) or {token = '', fired = '', count = 0}
    state.cursor, state.slot = tonumber(cursor), slot
    write_state(name, state)
    write_due(name, redis.call('HEXISTS', PAUSED, name) == 1 and '' or due)
  end
end

for i = 0, total - 1 do
  local at = FIRST + i * FIELDS
  if in_conflict(unpack(ARGV, at, at + 8)) then
    return {'conflict', ARGV[at]}
  end
end
local bound_at = FIRST + total * FIELDS
local present = exceeded(ARGV[bound_at], tonumber(ARGV[bound_at + 1] or ''))
if present then
  return {'full', present}
end
open_change_log()
for i = 0, total - 1 do
  local at = FIRST + i * FIELDS
  local name, digest, definition, paused = ARGV[at], ARGV[at + 1], ARGV[at + 4], ARGV[at + 5]
  local act = act_of(digest, definition, paused)
  if act then
    local after = definition ~= '' and digest_of(definition) or digest
    log_change(name, act, digest, after, bound_at + 2, i + 1)
  end
  write(unpack(ARGV, at, at + FIELDS - 1))
end
trim_change_log()
remember(mark, ARGV[5])
wake('changed')
return {'ok', int(NOW_US)}
