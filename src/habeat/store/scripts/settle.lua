-- Settles firings of the outbox whose messages were sent. Not fenced: a published message cannot be
-- unpublished, even if the leader has lost its lease.
--
-- ARGV 1 token, 2 number of firings; for each: name, identity, time it was sent ms, attempt,
--      queue ('' if unknown), outcome ('' if it was sent), its reason
--
-- What was sent at its expiry or later is recorded as skipped: the message says the same to its
-- worker. So is what the leader did not send because of its expiry; its attempt is 0, or the last
-- one before.
--
-- A task that sends its message itself may have sent nothing. Its firing has an outcome then, skipped
-- or failed, and leaves no note.
--
-- Returns the number of intents settled here. Replay: an intent that is already gone changes
-- nothing, but leaves a note if another leader has settled or given up the firing before.

local token = ARGV[1]
local settled = 0
local at = 3

local function settle(name, identity, left, attempt, queue, unsent, why)
  local field, slot = name .. '@' .. identity, slot_of(identity)
  local raw = redis.call('HGET', INFLIGHT, field)
  if not raw then
    local fired = fired_before(fired_key(name, identity))
    if unsent == '' and fired ~= token .. '|settled' then
      record(name, slot, 'note', 'left again', 1, slot, token, 0, attempt, request_of(identity))
    end
    return
  end
  local effective, reason, rest = string.match(raw, '^[^\n]*\n%d+\n(%d+)\n([^/\n]*)(/[^\n]*)')
  effective, reason = effective or left, reason or ''
  local late = math.max(0, tonumber(left) - tonumber(effective))
  settle_intent(name, identity, token)
  settled = settled + 1
  if unsent ~= '' then
    record(name, slot, unsent, why, 1, slot, token, 0, attempt, request_of(identity))
    return
  end
  local expired = has_expired(expiry_of(rest or ''), tonumber(left))
  if expired then
    record(name, slot, 'skipped', 'expired', 1, slot, token, int(late), attempt,
      request_of(identity))
  else
    record(name, slot, outcome_of(late, reason), reason, 1, slot, token, int(late), attempt,
      request_of(identity), queue)
  end
  if not expired and not by_hand(identity) then
    if redis.call('HEXISTS', ENTRIES, name) == 1 then
      count_lateness(BASE .. 'lateness:' .. name, late, 1)
    end
    count_lateness(LATENESS, late, 1)
  end
end

for _ = 1, tonumber(ARGV[2]) do
  settle(unpack(ARGV, at, at + 6))
  at = at + 7
end
if settled > 0 then
  redis.call('HINCRBY', META, 'settled', settled)
end
return settled
