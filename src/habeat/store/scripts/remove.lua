-- Removes entries, after recording their due, unclaimed slots in the ledger. Firings in flight are
-- still sent, because they were claimed.
--
-- ARGV 1 token ('' if not fenced), 2 ttl ms, 3 heartbeat known, 4 mark of this removal ('' for
--      none), 5 how long to keep the mark ms, 6 number of entries; for each:
--        name, digest expected, cursor expected ('' if it does not matter), reason,
--        first slot ms, last slot ms, count (0 if nothing was due). Then what changes.lua needs.
-- Returns {'ok', now us} or {'conflict', name} or {'lost', holder} or {'closed'}
--      or {'behind', now us, heartbeat}; all or nothing.
--
-- Replay: a removal whose mark is known is not done again, and gets the same reply.
-- include: changes.lua

local token = ARGV[1]
local refused = token ~= '' and fenced(token, ARGV[2], ARGV[3])
if refused then
  return refused
end
local mark = ARGV[4]
local answered = answered_before(mark)
if answered then
  return answered
end
local FIELDS, FIRST = 7, 7
local total = tonumber(ARGV[6])
for i = 0, total - 1 do
  local at = FIRST + i * FIELDS
  local raw = redis.call('HGET', ENTRIES, ARGV[at])
  local state = state_of(ARGV[at])
  if digest_of(raw) ~= ARGV[at + 1]
      or (ARGV[at + 2] ~= '' and (not state or int(state.cursor) ~= ARGV[at + 2])) then
    return {'conflict', ARGV[at]}
  end
end
open_change_log()
for i = 0, total - 1 do
  local at = FIRST + i * FIELDS
  log_change(ARGV[at], 'removed', ARGV[at + 1], '', FIRST + total * FIELDS, i + 1)
  local name, _, _, reason, first, last, count = unpack(ARGV, at, at + FIELDS - 1)
  if count ~= '0' then
    record(name, first, 'skipped', reason, count, last, token, 0, 0)
  end
  for _, key in ipairs({ENTRIES, STATE, PAUSED, QUARANTINE, CIRCUITS}) do
    redis.call('HDEL', key, name)
  end
  unindex(name)
  redis.call('ZREM', DUE, name)
  redis.call('ZREM', RESUME, name)
  redis.call('SREM', OWNED, name)
  redis.call('DEL', BASE .. 'lateness:' .. name, BASE .. 'outcomes:' .. name)
end
trim_change_log()
remember(mark, ARGV[5])
wake('changed')
return {'ok', int(NOW_US)}
