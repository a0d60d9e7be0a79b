-- Shared by acquire.lua and steal.lua: how a replica becomes the leader.
--
-- The caller passes what it knows of the timeline: cluster id, lease epoch, heartbeat, and when it
-- was last answered. If Redis knows less, data was lost, and the loss is declared.
--
-- If a lease ran out, vanished or was stolen, its holder may still trust it. So an heir leaves that
-- leader's intents alone for one TTL, unless the leader released its lease.

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

local function timeline_since(known)
  local cluster, epoch, heartbeat = unpack(
    redis.call('HMGET', META, 'cluster', 'epoch', 'heartbeat'))
  if not cluster then
    return known.cluster == '' and 'first' or 'emptied'
  end
  -- An older epoch means an older timeline, even with another cluster id: a snapshot may restore a
  -- state from before Redis was emptied.
  if tonumber(epoch or '0') < known.epoch
      or cluster == known.cluster and tonumber(heartbeat or '0') < known.heartbeat then
    return 'restored'
  end
  return 'continued'
end

-- If Redis was emptied, every entry that it has now was written afterwards. The bounds of the loss are
-- those of any other: an entry that a client has added since keeps the slots after the last answer.
local function declare(timeline, known)
  if timeline == 'emptied' or timeline == 'restored' then
    declare_loss(known.answered)
  end
end

-- Records that the holder of this token may still trust its lease for `span_ms`; recover.lua leaves
-- its intents alone until then. The span is stored with the end, because the clock can step back.
local function distrust(token, span_ms)
  local known = redis.call('HGETALL', UNTRUSTED)
  for i = 1, #known, 2 do
    if tonumber(string.match(known[i + 1], '^%d+') or '0') <= NOW then
      redis.call('HDEL', UNTRUSTED, known[i])
    end
  end
  redis.call('HSET', UNTRUSTED, token, int(NOW + span_ms) .. '|' .. int(span_ms))
end

local function led(word, token, heartbeat, timeline)
  local cluster, loss = redis.call('HGET', META, 'cluster') or '', last_loss()
  return {word, token, int(NOW_US), cluster, tostring(heartbeat), timeline, loss[1], loss[2]}
end

-- known: cluster, epoch, heartbeat, answered; fresh: app, cluster (the id to use if there is none).
local function lead(nonce, ttl_ms, cause, known, fresh)
  local timeline = timeline_since(known)
  local last = tonumber(redis.call('HGET', META, 'epoch') or '0')
  local epoch = int(math.max(last + 1, NOW, known.epoch + 1))
  local token = epoch .. ':' .. nonce
  redis.call('SET', LEASE, token, 'PX', ttl_ms)
  redis.call('HSETNX', META, 'cluster', fresh.cluster)
  redis.call('HSETNX', META, 'app', fresh.app)
  redis.call('HSETNX', META, 'schema', SCHEMA)
  redis.call('HSETNX', META, 'boot', int(NOW))
  declare(timeline, known)
  -- If a leader of an older release has led since, records are chained only from now on.
  local leader, chains = unpack(redis.call('HMGET', META, 'leader', 'chains'))
  if not leader then
    redis.call('HSETNX', META, 'chained', '0')
  elseif leader ~= chains then
    redis.call('HSET', META, 'chained', int(NOW))
  end
  redis.call('HSET', META, 'chains', token)
  redis.call('HSET', META, 'epoch', epoch, 'lease_ttl', ttl_ms, 'leader_since', int(NOW_US),
    'leader_cause', cause, 'leader', token)
  redis.call('HINCRBY', META, 'leader_changes', 1)
  redis.call('HINCRBY', META, 'leader_changes_' .. cause, 1)
  local heartbeat = beat()
  wake('led')
  return led('won', token, heartbeat, timeline)
end
