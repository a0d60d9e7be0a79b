-- Take the lease if it is free; extend it if it is ours already.
--
-- ARGV 1 nonce, 2 ttl ms, 3 app name, 4 cluster id to use if there is none,
--      5 known cluster id ('' if none), 6 known lease epoch, 7 known heartbeat,
--      8 token whose lease has vanished before its time ('' if none), 9 for how long its holder
--      may trust it yet, ms
-- Returns {'won', token, now us, cluster id, heartbeat, history, history lost ms}
--      or {'mine', token, now us, cluster id, heartbeat, history, history lost ms}
--      or {'held', token, pttl ms}  or {'foreign', 'app' | 'schema', whose}
-- Replay: who lost the reply calls again and gets 'mine'.
-- include: leadership.lua

local nonce, ttl_ms = ARGV[1], ARGV[2]
local refused = foreign(ARGV[3])
if refused then
  return refused
end
local known = {cluster = ARGV[5], epoch = tonumber(ARGV[6]), heartbeat = tonumber(ARGV[7])}
local holder = redis.call('GET', LEASE)
if holder and nonce_of(holder) == nonce then
  redis.call('PEXPIRE', LEASE, ttl_ms)
  local history = history_since(known)  -- a snapshot may have brought our own lease back
  declare_loss(history)
  local cluster, history_lost = unpack(redis.call('HMGET', META, 'cluster', 'history_lost'))
  return {'mine', holder, int(NOW_US), cluster or '', tostring(beat()), history,
    history_lost or '0'}
end
if holder then
  return {'held', holder, redis.call('PTTL', LEASE)}
end
local last, released, leader, heartbeat, old_ttl_ms = unpack(
  redis.call('HMGET', META, 'epoch', 'released', 'leader', 'heartbeat', 'lease_ttl'))
local cause = 'expired'
if not last then
  cause = 'first'
elseif released and epoch_of(released) == last then
  cause = 'released'
end
local vanished, span_ms = ARGV[8] or '', tonumber(ARGV[9] or '0')
if tonumber(heartbeat or '0') > known.heartbeat then
  -- The last leader was heard of since the caller looked, or has come and gone since.
  vanished, span_ms = leader or vanished, math.max(span_ms, tonumber(old_ttl_ms or ttl_ms))
end
if cause == 'expired' and vanished ~= '' then
  distrust(leader or vanished, span_ms)
end
return lead(nonce, ttl_ms, cause, known, {app = ARGV[3], cluster = ARGV[4]})
