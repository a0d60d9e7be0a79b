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
local function declare(timeline, known, who)
  if timeline == 'emptied' or timeline == 'restored' then
    declare_loss(known.answered, timeline, who)
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

-- The last sign of the leader before: its last tick, the end of its lease's extension if there is
-- still one, its release. Redis' clock may have been set back, so it is never in the future. Also
-- why it released its lease ('' if it did not, or an older release of habeat did).
local function last_sign(leader)
  local clock, since_us, ttl_ms, released = unpack(
    redis.call('HMGET', META, 'clock', 'leader_since', 'lease_ttl', 'released_at'))
  local token, at_ms, why = string.match(released or '', '^(%S+) (%d+) (.*)$')
  local signs = {tonumber(clock or '') or 0, math.floor((tonumber(since_us or '') or 0) / 1000)}
  local left_ms = redis.call('PTTL', LEASE)
  if left_ms > 0 then
    signs[3] = NOW + left_ms - (tonumber(ttl_ms or '') or left_ms)
  end
  if token == leader then
    signs[#signs + 1] = tonumber(at_ms)
  end
  return int(math.max(0, math.min(NOW, math.max(unpack(signs))))), token == leader and why or ''
end

-- What the event of a change of leader says of the leader before, read before the lease is taken. Its
-- host and process are known only if it was not of an older release.
local function leader_before()
  local leader, place = unpack(redis.call('HMGET', META, 'leader', 'leader_at'))
  local token, pid, host = string.match(place or '', '^(%S+) (%d*) (.*)$')
  if not leader or token ~= leader then
    pid, host = '', ''
  end
  local since, why = '', ''
  if leader then
    since, why = last_sign(leader)
  end
  return {since = since, why = why, words = {
    'from_replica', nonce_of(leader or ''), 'from_host', host, 'from_pid', pid,
    'from_epoch', leader and epoch_of(leader) or ''}}
end

-- known: cluster, epoch, heartbeat, answered; fresh: app, cluster (the id to use if there is none);
-- place: host, pid.
local function lead(nonce, ttl_ms, cause, known, fresh, place)
  local timeline = timeline_since(known)
  local last = tonumber(redis.call('HGET', META, 'epoch') or '0')
  local epoch = int(math.max(last + 1, NOW, known.epoch + 1))
  local token = epoch .. ':' .. nonce
  local who = {nonce = nonce, host = place.host, pid = place.pid, epoch = epoch}
  local before = leader_before()
  redis.call('SET', LEASE, token, 'PX', ttl_ms)
  redis.call('HSETNX', META, 'cluster', fresh.cluster)
  redis.call('HSETNX', META, 'app', fresh.app)
  redis.call('HSETNX', META, 'schema', SCHEMA)
  redis.call('HSETNX', META, 'boot', int(NOW))
  declare(timeline, known, who)
  -- If a leader of an older release has led since, records are chained only from now on.
  local leader, chains = unpack(redis.call('HMGET', META, 'leader', 'chains'))
  if not leader then
    redis.call('HSETNX', META, 'chained', '0')
  elseif leader ~= chains then
    redis.call('HSET', META, 'chained', int(NOW))
  end
  redis.call('HSET', META, 'chains', token)
  redis.call('HSET', META, 'epoch', epoch, 'lease_ttl', ttl_ms, 'leader_since', int(NOW_US),
    'leader_cause', cause, 'leader', token,
    'leader_at', table.concat({token, place.pid, place.host}, ' '),
    'led_after', table.concat({token, before.words[6], before.words[4]}, ' '))
  redis.call('HINCRBY', META, 'leader_changes', 1)
  redis.call('HINCRBY', META, 'leader_changes_' .. cause, 1)
  add_event('leader_acquired', who, before.since, int(NOW), cause, before.why, before.words)
  local heartbeat = beat()
  wake('led')
  local reply = led('won', token, heartbeat, timeline)
  for _, word in ipairs({cause, before.since, before.why, unpack(before.words)}) do
    reply[#reply + 1] = word
  end
  return reply
end
