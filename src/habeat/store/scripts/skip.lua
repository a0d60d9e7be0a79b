-- Moves cursors past slots that will not fire, and records those slots. Fenced.
--
-- ARGV 1 token, 2 ttl ms, 3 heartbeat known, 4 the stamp of the controls under which they were
--      planned (under another one, all are planned again), 5 number of moves; for each: name, digest,
--      due ms planned for, cursor ms, new cursor ms, next slot ms, next due ms, outcome, reason,
--      first slot ms, count
-- Returns {'ok', now us, heartbeat, status, …} (ok | replan | gone) or {'lost', holder}
--      or {'behind', now us, heartbeat}

local token = ARGV[1]
local refused = fenced(ARGV[1], ARGV[2], ARGV[3])
if refused then
  return refused
end
if not own_keys_are_sound() then
  return redis.error_reply('habeat: a key under this prefix has a foreign type')
end
local heartbeat = beat()
local is_outdated = (redis.call('HGET', META, 'controls') or '') ~= ARGV[4]

local function skip(name, digest, due, cursor, new_cursor, next_slot, next_due, outcome, reason,
    first, count)
  if is_outdated then
    return 'replan'
  end
  local state = state_of(name)
  local raw = redis.call('HGET', ENTRIES, name)
  if not state or not raw then
    return 'gone'
  end
  local score = redis.call('ZSCORE', DUE, name)
  if redis.sha1hex(raw) ~= digest or not score or tonumber(score) ~= tonumber(due)
      or state.cursor ~= tonumber(cursor) then
    return 'replan'
  end
  state.cursor, state.slot = tonumber(new_cursor), next_slot
  write_state(name, state)
  write_due(name, next_due)
  record(name, first, outcome, reason, count, new_cursor, token, 0, 0)
  return 'ok'
end

local reply = {'ok', int(NOW_US), heartbeat}
local at = 6
for _ = 1, tonumber(ARGV[5]) do
  reply[#reply + 1] = skip(unpack(ARGV, at, at + 10))
  at = at + 11
end
return reply
