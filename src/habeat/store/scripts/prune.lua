-- Which config entries no live replica declares any more. Fenced; removes no entry itself.
--
-- ARGV 1 token, 2 ttl ms, 3 ms after which an unseen fingerprint is stale, 4 how many at most
-- Returns {'ok', now us, name, …} or {'lost', holder}
--
-- A set difference over all names is taken only after a fingerprint went stale, and again
-- until nothing is left of what it declared alone. A live configuration whose names are not
-- all there yet stops it: an unknown set must not read as an empty one.

if not holds(ARGV[1], ARGV[2]) then
  return lost()
end
local live, complete = {}, true
local known = redis.call('HGETALL', CONFIGS)
for i = 1, #known, 2 do
  local seen, names = string.match(known[i + 1], '|(%d+)|(%d+)$')
  if NOW - tonumber(seen or '0') > tonumber(ARGV[3]) then
    redis.call('HDEL', CONFIGS, known[i])
    redis.call('DEL', BASE .. 'declared:' .. known[i])
    redis.call('HSET', META, 'prune', '1')
  else
    local declared = BASE .. 'declared:' .. known[i]
    live[#live + 1] = declared
    complete = complete and redis.call('SCARD', declared) >= tonumber(names)
  end
end
local reply = {'ok', int(NOW_US)}
if #live == 0 or not complete or redis.call('HGET', META, 'prune') ~= '1' then
  return reply
end
local orphans = redis.call('SDIFF', OWNED, unpack(live))
if #orphans == 0 then
  redis.call('HDEL', META, 'prune')
end
for i = 1, math.min(#orphans, tonumber(ARGV[4])) do
  reply[#reply + 1] = orphans[i]
end
return reply
