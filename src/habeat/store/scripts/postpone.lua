-- Postpones the end of an entry's pause, because it cannot be ended now. Fenced.
--
-- ARGV 1 token, 2 ttl ms, 3 heartbeat known, 4 name,
--      5 when to look again ms ('' if the pause has no end)
-- Returns {'ok', now us, heartbeat, status} (ok | gone) or {'lost', holder}
--      or {'behind', now us, heartbeat}. gone: there is no pause to end.

local refused = fenced(ARGV[1], ARGV[2], ARGV[3])
if refused then
  return refused
end
local heartbeat = beat()
if ARGV[5] == '' or redis.call('HEXISTS', PAUSED, ARGV[4]) == 0 then
  redis.call('ZREM', RESUME, ARGV[4])
  return {'ok', int(NOW_US), heartbeat, 'gone'}
end
redis.call('ZADD', RESUME, ARGV[5], ARGV[4])
return {'ok', int(NOW_US), heartbeat, 'ok'}
