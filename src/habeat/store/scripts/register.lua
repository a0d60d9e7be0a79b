-- Registers a replica as alive, with what it says about itself and its configuration.
--
-- ARGV 1 nonce, 2 info (JSON), 3 ms for which a replica counts as live,
--      4 fingerprint of its beat_schedule, 5 ms after which an unseen fingerprint is forgotten,
--      6 number of names it declares, 7 generation this process was given before (0 if none),
--      8 how long this process has run ms
-- Returns {now us, rank among the live standbys (0 is the first), config generation,
--      number of names that are stored for this fingerprint, number of live fingerprints}
--
-- Whether a replica is gone is decided by the subscribers of its own channel, so that a killed
-- replica does not keep its rank for the rest of that time. If PUBSUB is denied, that time alone
-- decides.
-- A fingerprint that no replica has carried for a while counts as new when it comes back. So after
-- a roll-back, the old configuration is the newest. An older deploy that is still running is not: a
-- process that was cut off for a while returns with the generation it had.
-- A process that was already starting when the newest generation began is not a newer deploy: it
-- was started together with the first of that generation, and shares it. So when each process
-- draws its own random minute, the entry does not move with the lead.
-- If a configuration is the only one for a while, it gets a generation of its own, unless it has
-- the newest already. So code takes effect even if it shared a generation or was rolled back to.

local nonce, live_ms, fingerprint = ARGV[1], tonumber(ARGV[3]), ARGV[4]
redis.call('HSET', REPLICAS, nonce, ARGV[2])
redis.call('ZADD', SEEN, int(NOW), nonce)
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', SEEN, '-inf', int(NOW - 20 * live_ms))) do
  redis.call('ZREM', SEEN, gone)
  redis.call('HDEL', REPLICAS, gone)
end
local generation, seen =
  string.match(redis.call('HGET', CONFIGS, fingerprint) or '', '^(%d+)|(%d+)|%d+$')
if generation and (#generation > 15 or #seen > 15) then
  generation = nil
end

local function new_generation()
  redis.call('HSET', META, 'generation_began', int(NOW))
  return redis.call('HINCRBY', META, 'config_generation', 1)
end

-- Fingerprints of other live replicas. Those of an older release do not write 'alone' below.
local others = 0
local configs = redis.call('HGETALL', CONFIGS)
for i = 1, #configs, 2 do
  local at = configs[i] ~= fingerprint and string.match(configs[i + 1], '^[^|]*|(%d+)|%d+$')
  others = others + (at and #at <= 15 and NOW - tonumber(at) <= live_ms and 1 or 0)
end

-- For how long no replica has registered with another fingerprint; a gap counts as another one.
local function alone_ms()
  local who, since, last =
    string.match(redis.call('HGET', META, 'alone') or '', '^(.*)|(%d+)|(%d+)$')
  if others > 0 or who ~= fingerprint or #since > 15 or #last > 15 or NOW < tonumber(last)
      or NOW - tonumber(last) > live_ms then
    since = int(NOW)
  end
  redis.call('HSET', META, 'alone', table.concat({fingerprint, since, int(NOW)}, '|'))
  return NOW - tonumber(since)
end

local newest, began, shared = unpack(
  redis.call('HMGET', META, 'config_generation', 'generation_began', 'generation_shared'))
newest, began = tonumber(newest or '') or 0, tonumber(began or '') or 0
if not generation or NOW - tonumber(seen) > tonumber(ARGV[5]) then
  local own = tonumber(ARGV[7])
  if own > 0 and own <= newest then
    generation = own
  elseif newest > 0 and NOW - tonumber(ARGV[8]) < began then
    generation, shared = newest, int(newest)
    redis.call('HSET', META, 'generation_shared', shared)
  else
    generation = new_generation()
  end
end
local is_newest = tonumber(generation) >= newest and shared ~= int(tonumber(generation))
if alone_ms() > tonumber(ARGV[5]) and not is_newest then
  generation = new_generation()
end
redis.call('HSET', CONFIGS, fingerprint,
  table.concat({generation, int(NOW), ARGV[6]}, '|'))
local leader = nonce_of(redis.call('GET', LEASE) or '')
local hears = (listeners_of(nonce) or 0) > 0
local rank = 0
for _, other in ipairs(redis.call('ZRANGEBYSCORE', SEEN, int(NOW - live_ms), '+inf')) do
  local gone = hears and other ~= nonce and listeners_of(other) == 0
  if other ~= leader and other < nonce and not gone then
    rank = rank + 1
  end
end
return {int(NOW_US), rank, tonumber(generation),
  redis.call('SCARD', BASE .. 'declared:' .. fingerprint), others + 1}
