-- Forgets the chains of entries whose records have all left the ledger, a slice at a time, and trims
-- the change log. Fenced.
--
-- ARGV 1 token, 2 ttl ms, 3 heartbeat known, 4 about how many chains to check,
--      5 the greatest age of a record in the change log ms, 6 how many of them to keep
-- Returns {'ok', now us, how many were forgotten} or {'lost', holder}
--      or {'behind', now us, heartbeat}
--
-- `swept` in :meta is where the next slice starts.

local refused = fenced(ARGV[1], ARGV[2], ARGV[3])
if refused then
  return refused
end
local oldest = redis.call('XRANGE', LEDGER, '-', '+', 'COUNT', 1)[1]
local oldest_ms = oldest and tonumber(string.match(oldest[1], '^%d+')) or NOW
local cursor = string.match(redis.call('HGET', META, 'swept') or '', '^%d+$')
if not cursor or #cursor > 15 then
  cursor = '0'
end
set_foreign_aside(BASE .. 'changes', 'stream')
redis.call('XTRIM', BASE .. 'changes', 'MINID', '=', int(NOW - tonumber(ARGV[5])))
redis.call('XTRIM', BASE .. 'changes', 'MAXLEN', '~', ARGV[6])
local page = redis.call('HSCAN', LAST_RECORDS, cursor, 'COUNT', math.max(1, tonumber(ARGV[4])))
local forgotten = 0
for i = 1, #page[2], 2 do
  local at = tonumber(string.match(page[2][i + 1], '^(%d+)-')) or 0
  if at < oldest_ms then
    forgotten = forgotten + redis.call('HDEL', LAST_RECORDS, page[2][i])
  end
end
redis.call('HSET', META, 'swept', page[1])
return {'ok', int(NOW_US), forgotten}
