-- Reads what the assessment of health needs, at one instant (core/health.py). Reads only.
--
-- ARGV 1 after how long a due entry is late ms, 2 after how long it is beyond its grace ms,
--      3 after how long it is overdue ms, 4 how many of the overdue ones, the oldest first,
--      5 how many of the newest records, 6 how many circuits and signs are sampled,
--      7 how long a replica counts as live ms
-- Returns {'ok', now us, token of the holder ('' if none), pttl ms, what the holder registered (''
--          if nothing), number of live replicas, {value of a field of FIELDS ('' if there is none),
--          …}, number of late ones, of those beyond the grace, of overdue ones, {name, due ms, …},
--          {{id, {word, …}}, …}, number in flight, {field, beginning of the
--          intent, …}, number given up, number of open circuits, {name, circuit, …}, number of
--          entries, of states, {nonce, signs, …}, number of quarantined entries, {name, why, …}}

local FIELDS = {'claimed', 'settled', 'abandoned', 'leader_since', 'clock', 'loss_declared',
  'leader_cause', 'led_after'}

local function due_before(age)
  return '(' .. int(NOW - tonumber(age))
end

local function sample(key)
  return redis.call('HSCAN', key, 0, 'COUNT', ARGV[6])[2]
end

local holder = redis.call('GET', LEASE) or ''
local values = redis.call('HMGET', META, unpack(FIELDS))
for i = 1, #FIELDS do
  values[i] = values[i] or ''
end
-- A few intents, without the messages: one alone may take longer to read than a call may.
local FEW, HEAD_BYTES = 3, 300

local function some_intents()
  local fields = redis.call('ZRANGE', INFLIGHT_DUE, 0, FEW - 1)
  for _, field in ipairs(redis.call('ZRANGE', INFLIGHT_DUE, -FEW, -1)) do
    fields[#fields + 1] = field
  end
  local found = {}
  for _, field in ipairs(fields) do
    local raw = redis.call('HGET', INFLIGHT, field)
    if raw then
      found[#found + 1] = field
      found[#found + 1] = string.sub(raw, 1, HEAD_BYTES)
    end
  end
  return found
end

local before = due_before(ARGV[3])
return {'ok', int(NOW_US), holder, redis.call('PTTL', LEASE),
  redis.call('HGET', REPLICAS, nonce_of(holder)) or '',
  redis.call('ZCOUNT', SEEN, int(NOW - tonumber(ARGV[7])), '+inf'), values,
  redis.call('ZCOUNT', DUE, '-inf', due_before(ARGV[1])),
  redis.call('ZCOUNT', DUE, '-inf', due_before(ARGV[2])),
  redis.call('ZCOUNT', DUE, '-inf', before),
  redis.call('ZRANGEBYSCORE', DUE, '-inf', before, 'WITHSCORES', 'LIMIT', 0, ARGV[4]),
  redis.call('XREVRANGE', LEDGER, '+', '-', 'COUNT', ARGV[5]),
  redis.call('HLEN', INFLIGHT), some_intents(), redis.call('HLEN', DEAD),
  redis.call('HLEN', CIRCUITS), sample(CIRCUITS),
  redis.call('HLEN', ENTRIES), redis.call('HLEN', STATE), sample(BASE .. 'signs'),
  redis.call('HLEN', QUARANTINE), sample(QUARANTINE)}
