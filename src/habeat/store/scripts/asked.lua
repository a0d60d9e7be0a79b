-- Returns the requests that are due, alternating between their entries. Fenced.
--
-- ARGV 1 token, 2 ttl ms, 3 heartbeat known, 4 how many to return at most,
--      5 how many due requests to read to choose them from
-- Returns {'ok', now us, heartbeat, {request id, request, …}} or {'lost', holder}
--      or {'behind', now us, heartbeat}
--
-- Replay: safe; requests are removed by a claim or a drop, not here.
-- include: queues.lua

local refused = fenced(ARGV[1], ARGV[2], ARGV[3])
if refused then
  return refused
end

-- The entry of a request id is remembered as long as the ledger keeps records. Requests that are
-- older than that share one turn.
local function entry_of(identity)
  local known = redis.pcall('GET', BASE .. 'request:' .. identity)
  return type(known) == 'string' and (string.match(known, '^(.*)\n[^\n]*$') or known) or ''
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
