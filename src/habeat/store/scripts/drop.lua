-- Put a request aside that cannot be carried out; kept in :dead for a person. Fenced.
--
-- ARGV 1 token, 2 ttl ms, 3 request id, 4 digest, 5 entry, 6 slot ms, 7 why
-- Returns {'ok', now us, heartbeat, status} (ok | replan) or {'lost', holder}

if not holds(ARGV[1], ARGV[2]) then
  return lost()
end
local raw = redis.call('HGET', REQUESTS, ARGV[3])
if not raw or redis.sha1hex(raw) ~= ARGV[4] then
  return {'ok', int(NOW_US), beat(), 'replan'}
end
redis.call('HDEL', REQUESTS, ARGV[3])
redis.call('HSET', DEAD, 'request ' .. ARGV[3], raw)
record(ARGV[5], ARGV[6], 'failed', ARGV[7], 1, ARGV[6], ARGV[1], 0, 0)
return {'ok', int(NOW_US), beat(), 'ok'}
