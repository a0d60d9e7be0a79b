-- Set an entry aside whose definition or state cannot be read: it keeps both, and leaves
-- :due. Fenced.
--
-- ARGV 1 token, 2 ttl ms, 3 heartbeat known, 4 name, 5 digest ('' where there is no definition,
--      large:<bytes> where it is too large to be hashed), 6 why
-- Returns {'ok', now us, heartbeat, status} (ok | replan) or {'lost', holder}
--      or {'behind', now us, heartbeat}

local refused = fenced(ARGV[1], ARGV[2], ARGV[3])
if refused then
  return refused
end
local raw = redis.call('HGET', ENTRIES, ARGV[4])
if not has_digest(raw, ARGV[5]) then
  return {'ok', int(NOW_US), beat(), 'replan'}
end
redis.call('ZREM', DUE, ARGV[4])
redis.call('HSET', QUARANTINE, ARGV[4], ARGV[6])
return {'ok', int(NOW_US), beat(), 'ok'}
