-- Finds config entries that no live replica declares any more, a slice at a time. Removes no entry
-- itself. Fenced.
--
-- ARGV 1 token, 2 ttl ms, 3 heartbeat known, 4 ms after which an unseen fingerprint is stale,
--      5 about how many names to check
-- Returns {'ok', now us, '1' if there is more to check now (otherwise '0'), name, …}
--      or {'lost', holder} or {'behind', now us, heartbeat}
--
-- The search starts when a fingerprint has become stale. Each call checks one slice of the names,
-- and rounds repeat until a whole round finds none. `prune` in :meta is 1 at the start of a round;
-- after that, it holds where the next slice starts and how many names this round has found. Nothing
-- is checked while the names of a live configuration are not all stored yet, because an unknown set
-- must not be taken for an empty one.

local refused = fenced(ARGV[1], ARGV[2], ARGV[3])
if refused then
  return refused
end
local live, complete = {}, true
local known = redis.call('HGETALL', CONFIGS)
for i = 1, #known, 2 do
  local seen, names = string.match(known[i + 1], '|(%d+)|(%d+)$')
  if not seen or #seen > 15 or #names > 15 then
    -- The record is unreadable, so count it as seen now. A replica that carries this configuration
    -- registers again within seconds; until then, nothing it may declare must be removed.
    redis.call('HSET', CONFIGS, known[i], '-|' .. int(NOW) .. '|0')
    complete = false
  elseif NOW - tonumber(seen or '0') > tonumber(ARGV[4]) then
    redis.call('HDEL', CONFIGS, known[i])
    redis.call('UNLINK', BASE .. 'declared:' .. known[i])
    redis.call('HSET', META, 'prune', '1')
  else
    local declared = BASE .. 'declared:' .. known[i]
    if set_foreign_aside(declared, 'set') then
      complete = false
    end
    live[#live + 1] = declared
    complete = complete and redis.call('SCARD', declared) >= tonumber(names)
  end
end
local reply = {'ok', int(NOW_US), '0'}
local stands = redis.call('HGET', META, 'prune')
if #live == 0 or not complete or not stands then
  return reply
end
local cursor, found = string.match(stands, '^(%d+)|(%d+)$')
if not cursor or #cursor > 15 then
  cursor, found = '0', '0'
end
local page = redis.call('SSCAN', OWNED, cursor, 'COUNT', math.max(1, tonumber(ARGV[5])))
local names, orphan = page[2], {}
for at, name in ipairs(names) do
  orphan[at] = true
end
for _, declared in ipairs(#names > 0 and live or {}) do
  for at, is_declared in ipairs(redis.call('SMISMEMBER', declared, unpack(names))) do
    orphan[at] = orphan[at] and is_declared == 0
  end
end
for at, name in ipairs(names) do
  if orphan[at] then
    reply[#reply + 1] = name
  end
end
found = tonumber(found) + #reply - 3
if page[1] ~= '0' then
  reply[3] = '1'
  redis.call('HSET', META, 'prune', page[1] .. '|' .. int(found))
elseif found > 0 then
  redis.call('HSET', META, 'prune', '1')
else
  redis.call('HDEL', META, 'prune')
end
return reply
