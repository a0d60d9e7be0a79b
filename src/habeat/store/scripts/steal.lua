-- Takes the lease from a holder that has crashed or is stuck: compare-and-swap on what was seen.
--
-- ARGV 1 nonce, 2 ttl ms, 3 app name, 4 cluster id to use if there is none yet,
--      5 known cluster id, 6 known lease epoch, 7 known heartbeat,
--      8 time of the last answer from the known timeline ms (0: never), 9 cause
--      ('crash' | 'stuck' | 'wedged'), 10 token seen, 11 heartbeat seen (a wedged leader's moves on),
--      12 host, 13 pid
-- Returns the same as acquire.lua, or {'refused', why}.
--
-- For a crash, this script checks again that the holder's channel has no subscriber and our own has
-- at least one. A steal does not prove that the old leader is dead. It may still trust its lease,
-- so its intents are left alone until that trust has ended (:untrusted, read by recover.lua).
-- include: leadership.lua

local nonce, ttl_ms, cause, seen = ARGV[1], ARGV[2], ARGV[9], ARGV[10]
local refused = foreign(ARGV[3])
if refused then
  return refused
end
local holder = redis.call('GET', LEASE)
if holder and nonce_of(holder) == nonce then
  return {'refused', 'mine already'}
end
if holder ~= seen then
  return {'refused', 'the holder has changed'}
end
local heartbeat, old_ttl_ms = unpack(redis.call('HMGET', META, 'heartbeat', 'lease_ttl'))
if cause ~= 'wedged' and (heartbeat or '0') ~= ARGV[11] then
  return {'refused', 'the heartbeat has moved'}
end
if cause == 'crash' then
  local theirs, ours = listeners_of(nonce_of(holder)), listeners_of(nonce)
  if theirs ~= 0 or not ours or ours < 1 then
    return {'refused', 'the holder is listening, or nobody can be heard'}
  end
end
-- A wedged leader ticks and sends nothing (core/wedged.py): entries have been due for this long, and
-- no slot got an outcome. All replicas together take its lease at most once a minute.
local STALLED_MS, TURN_MS = 5000, 60000

-- Takes this minute's turn; false if it is taken. A key that is of a foreign type or lasts for longer
-- is not one of ours.
local function takes_turn()
  local turn = BASE .. 'rotation'
  set_foreign_aside(turn, 'string')
  local left_ms = redis.call('PTTL', turn)
  if 0 > left_ms or left_ms > TURN_MS then
    redis.call('SET', turn, '1', 'PX', TURN_MS)
    return true
  end
  return false
end

if cause == 'wedged' then
  local overdue = redis.call('ZCOUNT', DUE, '-inf', '(' .. int(NOW - STALLED_MS))
  local newest = redis.call('XREVRANGE', LEDGER, '+', '-', 'COUNT', 1)[1]
  local recorded = tonumber(newest and string.match(newest[1], '^%d+') or '0')
  if overdue < 2 or NOW - recorded < STALLED_MS then
    return {'refused', 'the leader makes progress'}
  end
  if not takes_turn() then
    return {'refused', 'the lead changed within a minute'}
  end
end
-- Distrust it for its whole TTL: what is left of the TTL in Redis may be from a snapshot or from
-- another clock.
local span_ms = tonumber(old_ttl_ms or '') or tonumber(ttl_ms)
local known = {
  cluster = ARGV[5], epoch = tonumber(ARGV[6]), heartbeat = tonumber(ARGV[7]),
  answered = tonumber(ARGV[8]),
}
local reply = lead(nonce, ttl_ms, cause, known, {app = ARGV[3], cluster = ARGV[4]},
  {host = ARGV[12] or '', pid = ARGV[13] or ''})
distrust(holder, span_ms)
return reply
