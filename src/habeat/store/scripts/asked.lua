-- Which requests for extra firings are due, in turns between the entries that they are for. Fenced.
--
-- ARGV 1 token, 2 ttl ms, 3 heartbeat known, 4 how many at most, 5 how many of those due to read
--      for it
-- Returns {'ok', now us, heartbeat, {request id, request, …}} or {'lost', holder}
--      or {'behind', now us, heartbeat}
--
-- Replay: nothing is taken away here; a claim or a drop does that.
-- include: queues.lua

local refused = fenced(ARGV[1], ARGV[2], ARGV[3])
if refused then
  return refused
end

-- The entry is remembered with the id for as long as the ledger keeps its records; later, those
-- that are still there share one turn.
local function entry_of(identity)
  local known = redis.pcall('GET', BASE .. 'request:' .. identity)
  return type(known) == 'string' and string.match(known, '^[^\n]*') or ''
end

is_index(REQUESTS_DUE)
local found = {}
for _, identity in ipairs(take_turns(REQUESTS_DUE, tonumber(ARGV[4]),
    tonumber(ARGV[5]), entry_of)) do
  local raw = redis.call('HGET', REQUESTS, identity)
  if raw then
    found[#found + 1] = identity
    found[#found + 1] = raw
  else
    redis.call('ZREM', REQUESTS_DUE, identity)
  end
end
return {'ok', int(NOW_US), beat(), found}
