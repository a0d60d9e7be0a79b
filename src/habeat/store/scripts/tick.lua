-- The leader's tick: proves the lease, extends it, and reads what is due. Fenced.
--
-- ARGV 1 token, 2 ttl ms, 3 heartbeat known, 4 how many due entries at most, 5 ledger age ms,
--      6 ledger length, 7 how far to look ahead ms, 8 how many due entries to pass over,
--      9 declares a loss of data: when the lost timeline last answered the caller ms (0: unknown);
--        '' if no loss is suspected, 10 dead age ms, 11 dead length,
--      12 largest size of a definition, bytes; a larger one is reported by its size (large:<bytes>
--        instead of its digest), so that the leader quarantines it,
--      13 the stamp of the controls that the leader knows, 14 host, 15 pid
-- Returns {'ok', now us, heartbeat, next due ms ('' if none), own listeners (-1 unknown),
--          when to resend the next intent ms ('' if none is in flight), {lost until ms,
--          declared ms}, {name, due ms, digest, state, circuit ('' if it is closed), …}, when to
--          look at the next request ms ('' if there is none),
--          {names of entries whose pause is over}, {} if the leader knows the controls, otherwise
--          {their stamp, field, value, …}}
--      or {'lost', holder} or {'behind', now us, heartbeat}
-- include: queues.lua

local token, lost_after = ARGV[1], ARGV[9] or ''
local refused = fenced(token, ARGV[2], lost_after == '' and ARGV[3] or '0')
if refused then
  return refused
end
local heartbeat = beat()
if lost_after ~= '' then
  declare_loss(tonumber(lost_after), 'restored', {
    nonce = nonce_of(token), host = ARGV[14] or '', pid = ARGV[15] or '', epoch = epoch_of(token)})
end
-- Records of :dead are removed when they are too old or too many, a bounded number per call.
local FORGOTTEN = 50

local function forget_dead(age, length)
  is_index(DEAD_AT)
  if redis.call('HLEN', DEAD) ~= redis.call('ZCARD', DEAD_AT) then
    sweep(DEAD, DEAD_AT, 'dead_swept')
  end
  local excess = redis.call('ZCARD', DEAD_AT) - tonumber(length)
  local old = redis.call('ZRANGEBYSCORE', DEAD_AT, '-inf', int(NOW - tonumber(age)),
    'LIMIT', 0, FORGOTTEN)
  if #old == 0 and excess > 0 then
    old = redis.call('ZRANGEBYSCORE', DEAD_AT, '-inf', '+inf', 'LIMIT', 0,
      int(math.min(excess, FORGOTTEN)))
  end
  for _, field in ipairs(old) do
    redis.call('HDEL', DEAD, field)
    redis.call('ZREM', DEAD_AT, field)
  end
end

-- A shadow's records are held to the bounds of the ledger, a bounded number per call. Its watcher
-- removes them too, and faster, but only while it is connected to the broker.
local TRIMMED = 200

local function trim_shadow(age, length)
  if redis.call('TYPE', SHADOW).ok ~= 'zset' then
    return
  end
  local excess = redis.call('ZCARD', SHADOW) - tonumber(length)
  local stale = redis.call('ZCOUNT', SHADOW, '-inf', int(NOW - tonumber(age)))
  local gone = math.min(math.max(excess, stale), TRIMMED)
  if gone > 0 then
    redis.call('ZREM', SHADOW, unpack(redis.call('ZRANGE', SHADOW, 0, int(gone - 1))))
  end
end

-- At most one of these chores per tick, because each takes a quarter of a millisecond.
local turn = redis.call('HINCRBY', META, 'ticks', 1)
if turn % 5 == 0 then
  redis.call('XTRIM', LEDGER, 'MINID', '~', int(NOW - tonumber(ARGV[5])))
  redis.call('XTRIM', LEDGER, 'MAXLEN', '~', ARGV[6])
elseif turn % 5 == 1 then
  trim_shadow(ARGV[5], ARGV[6])
elseif turn % 5 == 2 then
  redis.pcall('XTRIM', EVENTS, 'MINID', '~', int(NOW - tonumber(ARGV[5])))
elseif turn % 5 == 3 then
  forget_dead(ARGV[10], ARGV[11])
end
local went_back = NOW + 1000 < (tonumber(redis.call('HGET', META, 'clock') or '') or 0)
redis.call('HSET', META, 'clock', int(NOW))
local horizon = int(NOW + tonumber(ARGV[7]))
local limit, offset = tonumber(ARGV[4]), tonumber(ARGV[8] or '0')
local found = redis.call(
  'ZRANGEBYSCORE', DUE, '-inf', horizon, 'WITHSCORES', 'LIMIT', offset, limit)
local circuits, most_bytes = redis.call('HLEN', CIRCUITS) > 0, tonumber(ARGV[12])
local due = {}
for i = 1, #found, 2 do
  local name, score = found[i], tonumber(found[i + 1])
  if score ~= math.floor(score) or math.abs(score) > FAR_MS then
    -- Not a valid instant: make it due now, and the planner corrects it.
    redis.call('ZADD', DUE, int(NOW), name)
    found[i + 1] = int(NOW)
  end
  local raw = redis.call('HGET', ENTRIES, name)
  due[#due + 1] = name
  due[#due + 1] = found[i + 1]
  due[#due + 1] = digest_within(raw, most_bytes)
  due[#due + 1] = redis.call('HGET', STATE, name) or ''
  due[#due + 1] = circuits and redis.call('HGET', CIRCUITS, name) or ''
end
local function unknown_controls()
  local stamp = redis.call('HGET', META, 'controls') or ''
  if stamp == ARGV[13] then
    return {}
  end
  local found = redis.pcall('HGETALL', BASE .. 'controls')  -- an error, if it has a foreign type
  local controls = {stamp}
  for i = 1, #found do  -- another program may have written more fields than unpack() returns
    controls[i + 1] = found[i]
  end
  return controls
end

local following = redis.call(
  'ZRANGEBYSCORE', DUE, '-inf', '+inf', 'WITHSCORES', 'LIMIT', offset + #found / 2, 1)
return {'ok', int(NOW_US), heartbeat, following[2] or '', listeners_of(nonce_of(token)) or -1,
  next_look(INFLIGHT, INFLIGHT_DUE, 'inflight_swept', turn, went_back), last_loss(), due,
  next_look(REQUESTS, REQUESTS_DUE, 'requests_swept', turn, went_back),
  redis.call('ZRANGEBYSCORE', RESUME, '-inf', int(NOW), 'LIMIT', 0, 100), unknown_controls()}
