-- Reads the lease and the timeline, for a standby. Reads only.
--
-- Returns {holder ('' if none), pttl ms, heartbeat, listeners of the holder (-1 unknown),
--          lease ttl ms of the holder, cluster id, lease epoch, lost until ms, declared ms,
--          now us, where the holder runs: 'pid host' ('' if unknown)}

local holder = redis.call('GET', LEASE) or ''
local heartbeat, ttl_ms, cluster, epoch, place = unpack(redis.call(
  'HMGET', META, 'heartbeat', 'lease_ttl', 'cluster', 'epoch', 'leader_at'))
local token, where = string.match(place or '', '^(%S+) (%d* .*)$')
local loss = last_loss()
local listeners = holder ~= '' and listeners_of(nonce_of(holder)) or nil
return {holder, redis.call('PTTL', LEASE), tonumber(heartbeat or '0'), listeners or -1,
  tonumber(ttl_ms or '0'), cluster or '', tonumber(epoch or '0'), loss[1], loss[2],
  int(NOW_US), holder ~= '' and token == holder and where or ''}
