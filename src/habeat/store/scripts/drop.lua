-- Gives up a request that cannot be carried out, and keeps it in :dead. Fenced.
--
-- ARGV 1 token, 2 ttl ms, 3 heartbeat known, 4 request id, 5 digest, 6 entry, 7 slot ms, 8 why
-- Returns {'ok', now us, heartbeat, status} (ok | replan) or {'lost', holder}
--      or {'behind', now us, heartbeat}

local refused = fenced(ARGV[1], ARGV[2], ARGV[3])
if refused then
  return refused
end
local raw = redis.call('HGET', REQUESTS, ARGV[4])
if not raw or redis.sha1hex(raw) ~= ARGV[5] then
  return {'ok', int(NOW_US), beat(), 'replan'}
end
redis.call('HDEL', REQUESTS, ARGV[4])
redis.call('ZREM', REQUESTS_DUE, ARGV[4])
keep_dead('request ' .. escaped(ARGV[4]), ARGV[8], raw)
record(ARGV[6], ARGV[7], 'failed', ARGV[8], 1, ARGV[7], ARGV[1], 0, 0, escaped(ARGV[4]))
return {'ok', int(NOW_US), beat(), 'ok'}
