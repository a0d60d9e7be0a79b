-- Set an entry aside whose definition or state cannot be read: it keeps both, and leaves
-- :due. Fenced.
--
-- ARGV 1 token, 2 ttl ms, 3 name, 4 digest ('' where there is no definition), 5 why
-- Returns {'ok', now us, heartbeat, status} (ok | replan) or {'lost', holder}

if not holds(ARGV[1], ARGV[2]) then
  return lost()
end
local raw = redis.call('HGET', ENTRIES, ARGV[3])
if digest_of(raw) ~= ARGV[4] then
  return {'ok', int(NOW_US), beat(), 'replan'}
end
redis.call('ZREM', DUE, ARGV[3])
redis.call('HSET', QUARANTINE, ARGV[3], ARGV[5])
return {'ok', int(NOW_US), beat(), 'ok'}
