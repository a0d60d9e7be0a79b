-- Take the lease from a holder that crashed or is stuck; compare-and-swap on what was seen.
--
-- ARGV 1 nonce, 2 ttl ms, 3 app name, 4 cluster id to use if there is none,
--      5 known cluster id, 6 known lease epoch, 7 known heartbeat,
--      8 when the known history last answered, ms (0: never), 9 cause ('crash' | 'stuck'),
--      10 token seen, 11 heartbeat seen
-- Returns as acquire.lua, or {'refused', why}.
--
-- crash: the holder's channel must have no subscriber and our own at least one, read again
-- here. A steal is not a death certificate: the old leader may be alive and trust its lease,
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
if (heartbeat or '0') ~= ARGV[11] then
  return {'refused', 'the heartbeat has moved'}
end
if cause == 'crash' then
  local theirs, ours = listeners_of(nonce_of(holder)), listeners_of(nonce)
  if theirs ~= 0 or not ours or ours < 1 then
    return {'refused', 'the holder is listening, or nobody can be heard'}
  end
end
-- All of its TTL: what is left of it in Redis may be that of a snapshot, or of another clock.
local span_ms = tonumber(old_ttl_ms or '') or tonumber(ttl_ms)
local known = {
  cluster = ARGV[5], epoch = tonumber(ARGV[6]), heartbeat = tonumber(ARGV[7]),
  answered = tonumber(ARGV[8]),
}
local reply = lead(nonce, ttl_ms, cause, known, {app = ARGV[3], cluster = ARGV[4]})
distrust(holder, span_ms)
return reply
