-- Defers requests, or intents of the outbox. Fenced.
--
-- ARGV 1 token, 2 ttl ms, 3 heartbeat known, 4 'requests' | 'inflight',
--      5 when to look again ms, 6 … their fields
-- Returns {'ok', now us, heartbeat} or {'lost', holder}
--      or {'behind', now us, heartbeat}. Replay: changes nothing more.

local refused = fenced(ARGV[1], ARGV[2], ARGV[3])
if refused then
  return refused
end
local index = ARGV[4] == 'requests' and REQUESTS_DUE or INFLIGHT_DUE
for i = 6, #ARGV do
  if redis.call('ZSCORE', index, ARGV[i]) then
    redis.call('ZADD', index, ARGV[5], ARGV[i])
  end
end
return {'ok', int(NOW_US), beat()}
