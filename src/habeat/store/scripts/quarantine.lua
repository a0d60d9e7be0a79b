-- Quarantines an entry that cannot be read or planned. It is removed from :due; its definition and
-- state stay as they are. Fenced.
--
-- ARGV 1 token, 2 ttl ms, 3 heartbeat known, 4 name, 5 digest ('' if there is no definition,
--      large:<bytes> if it is too large to be hashed), 6 why
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
