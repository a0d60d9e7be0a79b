-- Look at the end of an entry's pause later, because it cannot be ended now. Fenced.
--
-- ARGV 1 token, 2 ttl ms, 3 name, 4 when to look again ms ('' if the pause has no end)
-- Returns {'ok', now us, heartbeat, status} (ok | gone: there is no pause to end) or {'lost', holder}

if not holds(ARGV[1], ARGV[2]) then
  return lost()
end
local heartbeat = beat()
if ARGV[4] == '' or redis.call('HEXISTS', PAUSED, ARGV[3]) == 0 then
  redis.call('ZREM', RESUME, ARGV[3])
  return {'ok', int(NOW_US), heartbeat, 'gone'}
end
redis.call('ZADD', RESUME, ARGV[4], ARGV[3])
return {'ok', int(NOW_US), heartbeat, 'ok'}
