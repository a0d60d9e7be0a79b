-- Let an entry wait that cannot be rendered or resolved just now, or put it where it belongs;
-- its cursor stays. Fenced.
--
-- ARGV 1 token, 2 ttl ms, 3 name, 4 digest, 5 due ms planned for, 6 due ms from now on ('' never)
-- Returns {'ok', now us, heartbeat, status} (ok | replan) or {'lost', holder}

if not holds(ARGV[1], ARGV[2]) then
  return lost()
end
local raw = redis.call('HGET', ENTRIES, ARGV[3])
local due = redis.call('ZSCORE', DUE, ARGV[3])
if not raw or redis.sha1hex(raw) ~= ARGV[4] or not due
    or tonumber(due) ~= tonumber(ARGV[5]) then
  return {'ok', int(NOW_US), beat(), 'replan'}
end
write_due(ARGV[3], ARGV[6])
return {'ok', int(NOW_US), beat(), 'ok'}
