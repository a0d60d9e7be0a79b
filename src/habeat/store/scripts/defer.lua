-- Defers an entry that cannot be rendered or resolved now, or corrects when it is due. Its cursor
-- does not move. Fenced.
--
-- ARGV 1 token, 2 ttl ms, 3 heartbeat known, 4 name, 5 digest, 6 due ms planned for,
--      7 new due ms ('' never)
-- Returns {'ok', now us, heartbeat, status} (ok | replan) or {'lost', holder}
--      or {'behind', now us, heartbeat}

local refused = fenced(ARGV[1], ARGV[2], ARGV[3])
if refused then
  return refused
end
local raw = redis.call('HGET', ENTRIES, ARGV[4])
local due = redis.call('ZSCORE', DUE, ARGV[4])
if not raw or redis.sha1hex(raw) ~= ARGV[5] or not due
    or tonumber(due) ~= tonumber(ARGV[6]) then
  return {'ok', int(NOW_US), beat(), 'replan'}
end
write_due(ARGV[4], ARGV[7])
return {'ok', int(NOW_US), beat(), 'ok'}
