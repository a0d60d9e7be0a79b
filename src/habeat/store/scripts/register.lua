-- Say that a replica is alive, what it is, and which configuration it carries.
--
-- ARGV 1 nonce, 2 info (JSON), 3 window ms in which a replica counts as live,
--      4 fingerprint of its beat_schedule, 5 ms after which an unseen fingerprint is forgotten,
--      6 number of names it declares, 7 generation this process was given before (0 if none)
-- Returns {now us, rank among the live standbys (0 is first in line), config generation,
--      number of the names that are kept for this fingerprint}
--
-- Who is gone is told by its own channel where that can be heard (a killed replica must not
-- stand first in line for the rest of its window), else by the window alone.
-- A fingerprint that nobody has carried for a while counts as new when it comes back: so a
-- roll-back is the newest configuration. An older deploy still running is not: a process that
-- was cut off for a while comes back with the generation that it had.

local nonce, window_ms, fingerprint = ARGV[1], tonumber(ARGV[3]), ARGV[4]
redis.call('HSET', REPLICAS, nonce, ARGV[2])
redis.call('ZADD', SEEN, int(NOW), nonce)
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', SEEN, '-inf', int(NOW - 20 * window_ms))) do
  redis.call('ZREM', SEEN, gone)
  redis.call('HDEL', REPLICAS, gone)
end
local generation, seen =
  string.match(redis.call('HGET', CONFIGS, fingerprint) or '', '^(%d+)|(%d+)|%d+$')
if generation and (#generation > 15 or #seen > 15) then
  generation = nil
end
if not generation or NOW - tonumber(seen) > tonumber(ARGV[5]) then
  local newest = tonumber(redis.call('HGET', META, 'config_generation') or '0') or 0
  local own = tonumber(ARGV[7])
  generation = own > 0 and own <= newest and own
    or redis.call('HINCRBY', META, 'config_generation', 1)
end
redis.call('HSET', CONFIGS, fingerprint,
  table.concat({generation, int(NOW), ARGV[6]}, '|'))
local leader = nonce_of(redis.call('GET', LEASE) or '')
local hears = (listeners_of(nonce) or 0) > 0
local rank = 0
for _, other in ipairs(redis.call('ZRANGEBYSCORE', SEEN, int(NOW - window_ms), '+inf')) do
  local gone = hears and other ~= nonce and listeners_of(other) == 0
  if other ~= leader and other < nonce and not gone then
    rank = rank + 1
  end
end
return {int(NOW_US), rank, tonumber(generation),
  redis.call('SCARD', BASE .. 'declared:' .. fingerprint)}
