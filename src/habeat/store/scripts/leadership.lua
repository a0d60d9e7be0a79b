-- What acquire.lua and steal.lua share: the moment in which a replica becomes the leader.
--
-- A survivor passes what it knew of the history (cluster id, lease epoch, heartbeat). Where
-- Redis knows less, data was lost: the moment is kept as `history_lost`, and slots up to it
-- are accounted for as such, never fired from cursors that went back.

local SCHEMA = '1'

local function foreign(app)
  local owner, schema = unpack(redis.call('HMGET', META, 'app', 'schema'))
  if schema and schema ~= SCHEMA then
    return {'foreign', 'schema', schema}
  end
  if owner and owner ~= app then
    return {'foreign', 'app', owner}
  end
  return nil
end

local function history_since(known)
  local cluster, epoch, heartbeat = unpack(
    redis.call('HMGET', META, 'cluster', 'epoch', 'heartbeat'))
  if not cluster then
    return known.cluster == '' and 'first' or 'emptied'
  end
  -- An older epoch is an older history, also that of another cluster: a snapshot may bring back
  -- what was there before Redis was emptied.
  if tonumber(epoch or '0') < known.epoch
      or cluster == known.cluster and tonumber(heartbeat or '0') < known.heartbeat then
    return 'restored'
  end
  return 'continued'
end

-- What Redis has lost is remembered by it, whichever way the survivor came to lead.
local function declare_loss(history)
  if history == 'emptied' or history == 'restored' then
    redis.call('HSET', META, 'history_lost', int(NOW), 'boot', int(NOW))
  end
end

-- The holder of this token may trust its lease for so long yet: its intents are left alone until
-- then (read by recover.lua). The span is kept beside the end, for the clock can step back.
local function distrust(token, span_ms)
  local known = redis.call('HGETALL', UNTRUSTED)
  for i = 1, #known, 2 do
    if tonumber(string.match(known[i + 1], '^%d+') or '0') <= NOW then
      redis.call('HDEL', UNTRUSTED, known[i])
    end
  end
  redis.call('HSET', UNTRUSTED, token, int(NOW + span_ms) .. '|' .. int(span_ms))
end

-- known: cluster, epoch, heartbeat; fresh: app, cluster (an id to use if there is none).
local function lead(nonce, ttl_ms, cause, known, fresh)
  local history = history_since(known)
  local last = tonumber(redis.call('HGET', META, 'epoch') or '0')
  local epoch = int(math.max(last + 1, NOW, known.epoch + 1))
  local token = epoch .. ':' .. nonce
  redis.call('SET', LEASE, token, 'PX', ttl_ms)
  redis.call('HSETNX', META, 'cluster', fresh.cluster)
  redis.call('HSETNX', META, 'app', fresh.app)
  redis.call('HSETNX', META, 'schema', SCHEMA)
  redis.call('HSETNX', META, 'boot', int(NOW))
  declare_loss(history)
  redis.call('HSET', META, 'epoch', epoch, 'lease_ttl', ttl_ms, 'leader_since', int(NOW_US),
    'leader_cause', cause, 'leader', token)
  redis.call('HINCRBY', META, 'leader_changes', 1)
  local heartbeat = beat()
  wake('led')
  local cluster, history_lost = unpack(redis.call('HMGET', META, 'cluster', 'history_lost'))
  return {'won', token, int(NOW_US), cluster, tostring(heartbeat), history, history_lost or '0'}
end
