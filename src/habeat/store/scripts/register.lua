-- Registers a replica as alive, with what it says about itself and its configuration.
--
-- ARGV 1 nonce, 2 info (JSON), 3 window ms in which a replica counts as live,
--      4 fingerprint of its beat_schedule, 5 ms after which an unseen fingerprint is forgotten,
--      6 number of names it declares, 7 generation this process was given before (0 if none)
-- Returns {now us, rank among the live standbys (0 is the first), config generation,
--      number of names that are stored for this fingerprint}
--
-- Whether a replica is gone is decided by the subscribers of its own channel, so that a killed
-- replica does not keep its rank for the rest of its window. If PUBSUB is denied, the window alone
-- decides.
-- A fingerprint that no replica has carried for a while counts as new when it comes back. So after
-- a roll-back, the old configuration is the newest. An older deploy that is still running is not: a
-- process that was cut off for a while returns with the generation it had.

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
