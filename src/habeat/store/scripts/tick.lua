-- One look around by the leader: prove the lease, extend it, see what is due. Fenced.
--
-- ARGV 1 token, 2 ttl ms, 3 heartbeat known, 4 how many due entries at most, 5 ledger age ms,
--      6 ledger length, 7 look ahead ms, 8 how many of the due to pass over,
--      9 declares a loss of data: when the lost history last answered the caller, ms (0: it does
--        not know); '' if it suspects none
-- Returns {'ok', now us, heartbeat, next due ms ('' if none), own listeners (-1 unknown),
--          firings in flight, {lost until ms, declared ms}, {name, due ms, digest, state, …},
--          requests for extra firings, {names of entries whose pause is over}}
--      or {'lost', holder} or {'behind', now us, heartbeat}

local token, lost_after = ARGV[1], ARGV[9] or ''
local refused = fenced(token, ARGV[2], lost_after == '' and ARGV[3] or '0')
if refused then
  return refused
end
local heartbeat = beat()
if lost_after ~= '' then
  declare_loss(tonumber(lost_after))
end
if redis.call('HINCRBY', META, 'ticks', 1) % 5 == 0 then
  redis.call('XTRIM', LEDGER, 'MINID', '~', int(NOW - tonumber(ARGV[5])))
  redis.call('XTRIM', LEDGER, 'MAXLEN', '~', ARGV[6])
end
local horizon = int(NOW + tonumber(ARGV[7]))
local limit, offset = tonumber(ARGV[4]), tonumber(ARGV[8] or '0')
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
  redis.call('HLEN', INFLIGHT), last_loss(), due,
  redis.call('HLEN', REQUESTS),
  redis.call('ZRANGEBYSCORE', RESUME, '-inf', int(NOW), 'LIMIT', 0, 100)}
