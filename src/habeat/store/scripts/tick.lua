-- One look around by the leader: prove the lease, extend it, see what is due.
--
-- ARGV 1 token, 2 ttl ms, 3 how many due entries at most, 4 heartbeat known to the caller,
--      5 ledger age ms, 6 ledger length, 7 look ahead ms, 8 how many of the due to pass over
-- Returns {'ok', now us, heartbeat, next due ms ('' if none), own listeners (-1 unknown),
--          firings in flight, history lost ms, {name, due ms, digest, state, …},
--          requests for extra firings, {names of entries whose pause is over}}
--      or {'lost', holder}
--
-- A heartbeat that went back under a lease that is still ours: a snapshot was restored.

local token = ARGV[1]
if not holds(token, ARGV[2]) then
  return lost()
end
local heartbeat = beat()
if heartbeat <= tonumber(ARGV[4]) then
  redis.call('HSET', META, 'history_lost', int(NOW), 'boot', int(NOW))
end
if redis.call('HINCRBY', META, 'ticks', 1) % 5 == 0 then
  redis.call('XTRIM', LEDGER, 'MINID', '~', int(NOW - tonumber(ARGV[5])))
  redis.call('XTRIM', LEDGER, 'MAXLEN', '~', ARGV[6])
end
local horizon = int(NOW + tonumber(ARGV[7]))
local limit, offset = tonumber(ARGV[3]), tonumber(ARGV[8] or '0')
local found = redis.call(
  'ZRANGEBYSCORE', DUE, '-inf', horizon, 'WITHSCORES', 'LIMIT', offset, limit)
local due = {}
for i = 1, #found, 2 do
  local name, score = found[i], tonumber(found[i + 1])
  if score ~= math.floor(score) or math.abs(score) > FAR_MS then
    -- No instant: it is due now, and the planner puts it where it belongs.
    redis.call('ZADD', DUE, int(NOW), name)
    found[i + 1] = int(NOW)
  end
  local raw = redis.call('HGET', ENTRIES, name)
  due[#due + 1] = name
  due[#due + 1] = found[i + 1]
  due[#due + 1] = digest_of(raw)
  due[#due + 1] = redis.call('HGET', STATE, name) or ''
end
local following = redis.call(
  'ZRANGEBYSCORE', DUE, '-inf', '+inf', 'WITHSCORES', 'LIMIT', offset + #found / 2, 1)
return {'ok', int(NOW_US), heartbeat, following[2] or '', listeners_of(nonce_of(token)) or -1,
  redis.call('HLEN', INFLIGHT), redis.call('HGET', META, 'history_lost') or '0', due,
  redis.call('HLEN', REQUESTS),
  redis.call('ZRANGEBYSCORE', RESUME, '-inf', int(NOW), 'LIMIT', 0, 100)}
