-- Claims slots. At most one claim ever succeeds for an (entry, slot).
--
-- ARGV 1 token, 2 ttl ms, 3 heartbeat known, 4 dedup ttl ms, 5 'atomic' | 'outbox' | 'shadow',
--      6 the broker's database, 7 our own ('' and '' if they are the same),
--      8 the stamp of the controls under which they were planned, 9 number of firings; then for
--      each firing:
--        name, digest of the definition, due ms it was planned for, cursor ms, slot ms,
--        effective ms, next slot ms ('' if none), next due ms ('' if none), reason, delivery,
--        message (outbox, or its description in a shadow; otherwise ''), request id ('' for a slot of the schedule), what remains
--        of the request after this firing ('' if nothing), when the message expires ms ('' if
--        never), number of commands; for each command: number of its words, the words (first the
--        command, then its key)
-- Returns {'ok', now us, heartbeat, status, …}, a status for each firing, or {'lost', holder}
--      or {'behind', now us, heartbeat}
--
-- status: ok | duplicate | mine inflight | mine settled | early | expired | replan | gone | error …
--
-- If the controls have another stamp by now, what is claimable is planned again: since the call
-- that paused the schedule has returned, nothing is claimed under the controls before it.
--
-- A message that has expired is not sent: its slot is recorded as skipped, and is dealt with.
--
-- With 'shadow', nothing is pushed and no intent is stored. The record has an outcome of its own, and
-- :shadow gets the description, for the comparison with what another beat sends (store/shadow_log.py).
-- Neither the counters nor the lateness of firings include it.
--
-- A firing that was requested by hand moves no cursor. Its request must be in :requests as it was
-- when planned (the digest is the request's), and the claim replaces it with what remains;
-- next due ms is then when to look at the request again.
--
-- The message is pushed before the slot is claimed, because Lua cannot roll back. A claim without a
-- message would be a lost slot. A message without a claim could only result from a later write that
-- fails, and the script check at start has ruled that out. Each firing is tried separately, so a
-- bad one does not affect the others. The lease is extended last: when memory is full, Redis
-- refuses the writes of a script only until one has succeeded, so PEXPIRE must not come first.

local token, dedup_ms, atomic = ARGV[1], ARGV[4], ARGV[5] == 'atomic'
local shadow = ARGV[5] == 'shadow'
local refused = refusal(token, ARGV[3])
if refused then
  return refused
end
if not own_keys_are_sound() then
  return redis.error_reply('habeat: a key under this prefix has a foreign type')
end
local broker_db, own_db = ARGV[6], ARGV[7]
local given, at = ARGV, 10
local is_outdated = (redis.call('HGET', META, 'controls') or '') ~= ARGV[8]
local now = int(NOW)

-- A backlog means thousands of firings, and Lua spends more time on each than its Redis commands
-- take. So commands stay in ARGV (only the index where each begins is stored), and values that are
-- used twice are built once.
local function read_firing()
  local name, digest, due, cursor, slot, effective, next_slot, next_due, reason, delivery,
    message, request, remains, expires, number = unpack(given, at, at + 14)
  local identity = request == '' and slot or slot .. '#' .. escaped(request)
  local firing = {
    name = name, digest = digest, due = due, cursor = cursor, slot = slot, effective = effective,
    next_slot = next_slot, next_due = next_due, reason = reason, delivery = delivery,
    message = message, request = request, remains = remains, expires = expires,
    identity = identity,
    key = fired_key(name, identity), commands = {}, state = false, status = false,
  }
  at = at + 15
  for i = 1, tonumber(number) do
    firing.commands[i] = at
    at = at + 1 + tonumber(given[at])
  end
  return firing
end

local function text_of(problem)
  if type(problem) == 'table' then
    return tostring(problem.err)
  end
  return tostring(problem)
end

local function is_ours(fired)
  return fired and string.sub(fired, 1, #token + 1) == token .. '|'
end

local function verdict_on_request(firing)
  local fired = fired_before(firing.key)
  if fired then
    return is_ours(fired) and 'mine ' .. string.sub(fired, #token + 2) or 'duplicate'
  end
  local raw = redis.call('HGET', REQUESTS, firing.request)
  if not raw then
    return 'gone'
  end
  return redis.sha1hex(raw) == firing.digest and 'ok' or 'replan'
end

local function verdict(firing, state)
  local raw = state and redis.call('HGET', ENTRIES, firing.name)
  if not raw then
    return 'gone'
  end
  local fired = fired_before(firing.key)
  if tonumber(firing.slot) <= state.cursor then
    if is_ours(fired) then
      return 'mine ' .. string.sub(fired, #token + 2)
    end
    return 'duplicate'
  end
  local due = redis.call('ZSCORE', DUE, firing.name)
  if redis.sha1hex(raw) ~= firing.digest or not due or tonumber(due) ~= tonumber(firing.due)
      or state.cursor ~= tonumber(firing.cursor) then
    return 'replan'
  end
  if NOW < tonumber(firing.effective) then
    return 'early'
  end
  return fired and 'suppress' or 'ok'
end

local function move_on(firing, state, fires)
  state.cursor, state.slot = tonumber(firing.slot), firing.next_slot
  if fires then
    state.token, state.fired, state.count = token, now, state.count + 1
  end
  write_state(firing.name, state)
  write_due(firing.name, firing.next_due)
end

local function step_request(firing)
  if firing.remains == '' then
    redis.call('HDEL', REQUESTS, firing.request)
    redis.call('ZREM', REQUESTS_DUE, firing.request)
  else
    redis.call('HSET', REQUESTS, firing.request, firing.remains)
    redis.call('ZADD', REQUESTS_DUE, firing.next_due == '' and now or firing.next_due,
      firing.request)
  end
end

-- Queues are in the broker's database. The type of each key is looked up once per call.
local is_queue = {}

local function queues_are_sound(firing)
  for _, begins in ipairs(firing.commands) do
    local pushes, key = given[begins + 1] == 'LPUSH', given[begins + 2]
    if pushes and is_queue[key] == nil then
      local kind = redis.call('TYPE', key).ok
      is_queue[key] = kind == 'list' or kind == 'none'
    end
    if pushes and not is_queue[key] then
      return false
    end
  end
  return true
end

-- Pushing to a queue or channel with the prefix of our own keys would corrupt the schedule's state.
local function leads_to_ours(firing)
  for _, begins in ipairs(firing.commands) do
    if string.sub(given[begins + 2] or '', 1, #BASE) == BASE then
      return true
    end
  end
  return false
end

local function push(firing)
  if leads_to_ours(firing) then
    error("OWNKEY the queue or exchange of this entry leads to a key of habeat's own", 0)
  end
  if not queues_are_sound(firing) then
    error('WRONGTYPE the queue of this entry is not a list', 0)
  end
  for _, begins in ipairs(firing.commands) do
    redis.call(unpack(given, begins + 1, begins + tonumber(given[begins])))
  end
end

-- Pushes each message. A firing whose push fails gets an error status and is not claimed.
local function push_all(firings)
  if broker_db ~= own_db then
    redis.call('SELECT', broker_db)
  end
  for _, firing in ipairs(firings) do
    local fine, problem = pcall(push, firing)
    if not fine then
      firing.status = 'error ' .. text_of(problem)
    end
  end
  if broker_db ~= own_db then
    redis.call('SELECT', own_db)
  end
end

local function mark_fired(firing, how)
  redis.call('SET', firing.key, token .. '|' .. how, 'PX', dedup_ms)
end

-- The queue of a message: the key of its first push, without the priority that kombu appends.
local function queue_of(firing)
  for _, begins in ipairs(firing.commands) do
    if given[begins + 1] == 'LPUSH' then
      return string.match(given[begins + 2], '^(.-)\6\22') or given[begins + 2]
    end
  end
  return nil
end

local overall, sent = {}, 0

local function settle_now(firing)
  local late = math.max(0, NOW - tonumber(firing.effective))
  mark_fired(firing, 'settled')
  record(firing.name, firing.slot, outcome_of(late, firing.reason), firing.reason, '1',
    firing.slot, token, int(late), '1', firing.request ~= '' and escaped(firing.request) or nil,
    queue_of(firing))
  -- A firing requested by hand has no due time of its own, so it is not counted.
  if by_hand(firing.identity) then
    return
  end
  count_lateness(BASE .. 'lateness:' .. firing.name, late, '1')
  overall[late] = (overall[late] or 0) + 1
end

-- How long recovery leaves a new intent alone, ms: its claimer is about to send it.
local RESEND_AFTER = 1000

local function keep_intent(firing)
  mark_fired(firing, 'inflight')
  -- A release that does not know of the expiry still reads the reason before the first slash and the
  -- delivery after the last.
  local expires = firing.expires ~= '' and firing.expires .. '/' or ''
  local kind = firing.reason .. '/' .. expires .. firing.delivery
  redis.call('HSET', INFLIGHT, firing.name .. '@' .. firing.identity, table.concat({
    token, '0', firing.effective, kind, firing.message}, '\n'))
  redis.call('ZADD', INFLIGHT_DUE, int(NOW + RESEND_AFTER), firing.name .. '@' .. firing.identity)
end

local function note_unsent(firing)
  local late = math.max(0, NOW - tonumber(firing.effective))
  mark_fired(firing, 'settled')
  record(firing.name, firing.slot, 'shadow', firing.reason, '1', firing.slot, token, int(late), '0',
    request_of(firing.identity))
  if by_hand(firing.identity) then
    return
  end
  if type(redis.pcall('ZADD', SHADOW, firing.effective, firing.message)) == 'table' then
    set_foreign_aside(SHADOW, 'zset')
    redis.call('ZADD', SHADOW, firing.effective, firing.message)
  end
end

-- Records a firing whose message is of no use any more. It takes no run of the entry, although the
-- plan has counted one, so the entry is planned again: its later claims find another due time.
local function expire(firing)
  if firing.request ~= '' then
    step_request(firing)
  else
    firing.next_due = now
    move_on(firing, firing.state, false)
  end
  record(firing.name, firing.slot, 'skipped', 'expired', 1, firing.slot, token, 0, 0,
    request_of(firing.identity))
  return 'expired'
end

local function judge(firing)
  local status
  if firing.request ~= '' then
    status = verdict_on_request(firing)
  else
    firing.state = state_of(firing.name)
    status = verdict(firing, firing.state)
  end
  if is_outdated and (status == 'ok' or status == 'suppress') then
    return 'replan'
  end
  if status == 'ok' and has_expired(firing.expires, NOW) then
    return expire(firing)
  end
  if status ~= 'suppress' then
    return status
  end
  move_on(firing, firing.state, false)
  record(firing.name, firing.slot, 'suppressed', 'fired before', 1, firing.slot, token, 0, 0)
  return 'duplicate'
end

local function take(firing)
  if firing.request ~= '' then
    step_request(firing)
  else
    move_on(firing, firing.state, true)
  end
  if shadow then
    note_unsent(firing)
    return
  end
  if atomic then
    settle_now(firing)
  else
    keep_intent(firing)
  end
  sent = sent + 1
end

-- Judges, pushes and claims the firings of a wave. A wave has at most one firing per entry, because
-- each firing is judged by the cursor that the previous one of its entry has left.
local function claim(wave)
  local ready = {}
  for _, firing in ipairs(wave) do
    local fine, status = pcall(judge, firing)
    firing.status = fine and status or 'error ' .. text_of(status)
    if firing.status == 'ok' then
      ready[#ready + 1] = firing
    end
  end
  if atomic then
    push_all(ready)
  end
  for _, firing in ipairs(ready) do
    if firing.status == 'ok' then
      local fine, problem = pcall(take, firing)
      if not fine then
        firing.status = 'error ' .. text_of(problem)
      end
    end
  end
end

local reply, wave, names = {'ok', int(NOW_US), 0}, {}, {}

local function claim_wave()
  claim(wave)
  for _, firing in ipairs(wave) do
    reply[#reply + 1] = firing.status
  end
  wave, names = {}, {}
end

for _ = 1, tonumber(ARGV[9]) do
  local firing = read_firing()
  if names[firing.name] then
    claim_wave()
  end
  wave[#wave + 1], names[firing.name] = firing, true
end
claim_wave()
if sent > 0 then
  redis.call('HINCRBY', META, 'claimed', sent)
  if atomic then
    redis.call('HINCRBY', META, 'settled', sent)
  end
end
for late, count in pairs(overall) do
  count_lateness(LATENESS, late, count)
end
redis.call('PEXPIRE', LEASE, ARGV[2])
local heartbeat = redis.pcall('HINCRBY', META, 'heartbeat', 1)
reply[3] = type(heartbeat) == 'number' and heartbeat or 0
return reply
