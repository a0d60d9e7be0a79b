-- Remove entries, their due unclaimed slots settled in the ledger first. What is already in
-- flight still goes out: it was claimed.
--
-- ARGV 1 token ('' where not fenced), 2 ttl ms, 3 mark of this removal ('' for none), 4 how long
--      it is kept ms, 5 number of entries; for each:
--        name, digest expected, cursor expected ('' if it does not matter), reason,
--        first slot ms, last slot ms, count (0 if nothing was due)
-- Returns {'ok', now us} or {'conflict', name} or {'lost', holder} or {'closed'}; all or
-- nothing.
--
-- Replay: a removal whose mark is known is not done again, and is answered as before.

local token = ARGV[1]
if token ~= '' and not holds(token, ARGV[2]) then
  return lost()
end
local mark = ARGV[3]
local answered = answered_before(mark)
if answered then
  return answered
end
local FIELDS, FIRST = 7, 6
local total = tonumber(ARGV[5])
for i = 0, total - 1 do
  local at = FIRST + i * FIELDS
  local raw = redis.call('HGET', ENTRIES, ARGV[at])
  local state = state_of(ARGV[at])
  if digest_of(raw) ~= ARGV[at + 1]
      or (ARGV[at + 2] ~= '' and (not state or int(state.cursor) ~= ARGV[at + 2])) then
    return {'conflict', ARGV[at]}
  end
end
for i = 0, total - 1 do
  local name, _, _, reason, first, last, count = unpack(ARGV, FIRST + i * FIELDS, FIRST + 6 + i * FIELDS)
  if count ~= '0' then
    record(name, first, 'skipped', reason, count, last, token, 0, 0)
  end
  for _, key in ipairs({ENTRIES, STATE, PAUSED, QUARANTINE}) do
    redis.call('HDEL', key, name)
  end
  redis.call('ZREM', DUE, name)
  redis.call('ZREM', RESUME, name)
  redis.call('SREM', OWNED, name)
  redis.call('DEL', BASE .. 'lateness:' .. name)
end
remember(mark, ARGV[4])
wake('changed')
return {'ok', int(NOW_US)}
