-- Takes the lease if it is free; extends it if it is already ours.
--
-- ARGV 1 nonce, 2 ttl ms, 3 app name, 4 cluster id to use if there is none yet,
--      5 known cluster id ('' if none), 6 known lease epoch, 7 known heartbeat,
--      8 time of the last answer from the known timeline ms (0: never), 9 host, 10 pid
-- Returns {'won', token, now us, cluster id, heartbeat, timeline, lost until ms, declared ms,
--          cause, last sign of the leader before ms, why it released the lease, field, value, …
--          of the leader before as in its event}
--      or {'mine', token, now us, cluster id, heartbeat, timeline, lost until ms, declared ms}
--      or {'held', token, pttl ms}  or {'foreign', 'app' | 'schema', whose}  or {'reserved', nonce}
-- Replay: if the reply was lost, a second call returns 'mine'.
-- include: leadership.lua

local nonce, ttl_ms = ARGV[1], ARGV[2]
local place = {host = ARGV[9] or '', pid = ARGV[10] or ''}
local refused = foreign(ARGV[3])
if refused then
  return refused
end
local known = {
  cluster = ARGV[5], epoch = tonumber(ARGV[6]), heartbeat = tonumber(ARGV[7]),
  answered = tonumber(ARGV[8]),
}
local holder = redis.call('GET', LEASE)
if holder and nonce_of(holder) == nonce then
  redis.call('PEXPIRE', LEASE, ttl_ms)
  local timeline = timeline_since(known)  -- a snapshot may have brought our own lease back
  declare(timeline, known, {
    nonce = nonce, host = place.host, pid = place.pid, epoch = epoch_of(holder)})
  return led('mine', holder, beat(), timeline)
end
if holder then
  return {'held', holder, redis.call('PTTL', LEASE)}
end
local last, released, leader, old_ttl_ms, released_us = unpack(
  redis.call('HMGET', META, 'epoch', 'released', 'leader', 'lease_ttl', 'released_us'))
local cause = 'expired'
if not last then
  cause = known.cluster == '' and 'first' or 'emptied'  -- unless this replica knows an earlier leader
elseif released and released == leader then
  cause = 'released'
end
-- The replica that the last leader was asked to hand over to has the lease to itself for a moment,
-- unless its connection is gone.
local RESERVED_US = 3000000
local function successor()
  local since_us = NOW_US - (tonumber(released_us or '') or 0)
  if cause ~= 'released' or 0 > since_us or since_us >= RESERVED_US then
    return ''
  end
  local asked = redis.pcall('HGET', BASE .. 'controls', 'step_down')
  local token, nonce = string.match(type(asked) == 'string' and asked or '', '^([^|]+)|([^|]*)|')
  return token == released and nonce or ''
end

local chosen = successor()
if chosen ~= '' and chosen ~= nonce and listeners_of(chosen) ~= 0 then
  return {'reserved', chosen}
end
-- If we led last ourselves, nothing is under way: our process has only one thread. But if Redis
-- went back in time, it does not show who led last or whether that leader released its lease.
local over = cause ~= 'expired' or nonce_of(leader or '') == nonce
if leader and (not over or timeline_since(known) == 'restored') then
  distrust(leader, tonumber(old_ttl_ms or '') or tonumber(ttl_ms))
end
return lead(nonce, ttl_ms, cause, known, {app = ARGV[3], cluster = ARGV[4]},
  place)
