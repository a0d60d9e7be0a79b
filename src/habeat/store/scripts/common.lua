-- Definitions shared by all scripts; the loader prepends this file to each of them.
--
-- KEYS are the same for every script, in the order of FIXED in keys.py. Keys per entry, slot, call
-- and replica (fired:, lateness:, declared:, call:, alive:) are built from BASE and share its hash
-- tag.
--
-- Formats:
--   :state      cursor|next slot|token of the last claim|last fired|count
--   :inflight   token, attempts, effective time, kind, message, one per line; the kind is
--               reason/delivery, or reason/expiry in ms/delivery
--   :fired:…    token|inflight  or  token|settled
--   :call:…     done  or  closed
-- The identity of a firing is its slot. For a firing requested by hand, it is  slot#request,  with
-- the request id escaped.

local META, LEASE, ENTRIES, DUE, STATE, PAUSED, QUARANTINE, INFLIGHT, DEAD, LEDGER,
  LATENESS, REPLICAS, SEEN, UNTRUSTED, CONFIGS, OWNED, REQUESTS, RESUME,
  REQUESTS_DUE, INFLIGHT_DUE, CIRCUITS, DEAD_AT, WAKE = unpack(KEYS)
local BASE = string.sub(META, 1, -5)
local LAST_RECORDS, NAMES, EVENTS = BASE .. 'ledger_last', BASE .. 'names', BASE .. 'events'
local SHADOW, WATCHED = BASE .. 'shadow', BASE .. 'watched'

-- Beyond any valid instant: the year 9999 ends before this.
local FAR_MS = 300000000000000

local function int(number)
  return string.format('%.0f', number)
end

local TIME = redis.call('TIME')
local NOW_US = tonumber(TIME[1]) * 1000000 + tonumber(TIME[2])
local NOW = math.floor(NOW_US / 1000)

local function own_keys_are_sound()
  local kinds = {
    [META] = 'hash', [LEASE] = 'string', [ENTRIES] = 'hash', [DUE] = 'zset', [STATE] = 'hash',
    [INFLIGHT] = 'hash', [LEDGER] = 'stream', [LATENESS] = 'hash',
  }
  for key, kind in pairs(kinds) do
    local found = redis.call('TYPE', key).ok
    if found ~= 'none' and found ~= kind then
      return false
    end
  end
  return true
end

-- Renames a key that has a foreign type; it is never deleted. Returns the new name, '' if it cannot
-- be renamed, nil if there is nothing to do.
local function set_foreign_aside(key, kind)
  local found = redis.call('TYPE', key).ok
  if found == 'none' or found == kind then
    return nil
  end
  local aside = BASE .. 'foreign:' .. string.sub(key, #BASE + 1) .. ':' .. int(NOW)
  return redis.pcall('RENAME', key, aside).err and '' or aside
end

-- The fence: nil if `token` holds the lease and Redis knows at least as much as the caller did when
-- it sent the call. Otherwise the reply to return, and nothing may be written.
local function refusal(token, heartbeat)
  local holder = redis.call('GET', LEASE)
  if holder ~= token then
    return {'lost', holder or ''}
  end
  local mine = tonumber(redis.call('HGET', META, 'heartbeat') or '0') or 0
  if mine < tonumber(heartbeat) then
    return {'behind', int(NOW_US), mine}
  end
  return nil
end

-- The same, but also extends the lease if the fence holds. This comes first, so that no later error
-- can prevent it: when memory is full, Redis refuses HINCRBY but never PEXPIRE.
local function fenced(token, ttl_ms, heartbeat)
  local refused = refusal(token, heartbeat)
  if not refused then
    redis.call('PEXPIRE', LEASE, ttl_ms)
  end
  return refused
end

local function beat()
  return redis.call('HINCRBY', META, 'heartbeat', 1)
end

-- How many events are kept; tick.lua removes those that are too old.
local EVENTS_KEPT = 10000

-- Adds a stored event: something that happened to the schedule as a whole. `who` is the replica that
-- saw it: nonce, host, pid, epoch. `more` are further fields. Errors are ignored: an event must not
-- prevent what it is about.
local function add_event(code, who, since, until_ms, cause, detail, more)
  set_foreign_aside(EVENTS, 'stream')
  redis.pcall('XADD', EVENTS, '*', 'code', code, 'entry', '', 'replica', who.nonce,
    'host', who.host, 'pid', who.pid, 'epoch', who.epoch, 'since', since, 'until', until_ms,
    'cause', cause, 'detail', detail, unpack(more or {}))
  redis.pcall('XTRIM', EVENTS, 'MAXLEN', '~', EVENTS_KEPT)
end

-- Records a loss of data in Redis itself (core/data_loss.py explains the bounds). `answered` is when
-- the lost timeline last answered the caller, ms; 0 if unknown. `cause` is emptied or restored. A
-- caller that lost the reply declares the same loss again, which is not a new event.
local function declare_loss(answered, cause, who)
  local until_ms = answered > 0 and math.min(answered, NOW) or NOW
  local again = answered > 0 and redis.call('HGET', META, 'history_lost') == int(until_ms)
  redis.call('HSET', META, 'history_lost', int(until_ms), 'loss_declared', int(NOW),
    'boot', int(NOW))
  if not again then
    add_event('data_lost', who, int(until_ms), int(NOW), cause, '')
  end
end

-- The bounds of the last loss: slots up to the first are lost; from there to the second, uncertain.
local function last_loss()
  local until_ms, declared = unpack(redis.call('HMGET', META, 'history_lost', 'loss_declared'))
  return {until_ms or '0', declared or until_ms or '0'}
end

-- The digest by which definitions and pauses are compared; '' if missing or empty.
local function digest_of(raw)
  return raw and raw ~= '' and redis.sha1hex(raw) or ''
end

-- The digest of a definition. If it is too large, its size instead: hashing it would take too long.
local function digest_within(raw, most)
  return raw and #raw > most and 'large:' .. int(#raw) or digest_of(raw)
end

-- Whether `raw` has this digest, or this size if the digest stands for one.
local function has_digest(raw, digest)
  local size = string.match(digest, '^large:(%d+)$')
  if size then
    return raw and int(#raw) == size
  end
  return digest_of(raw) == digest
end

local function epoch_of(token)
  return string.match(token, '^(%d+):') or '0'
end

-- The nonce of a token; '' if it is not a token. core/lease.py parses tokens in the same way.
local function nonce_of(token)
  local epoch, nonce = string.match(token, '^(%d+):(.+)$')
  return epoch and #epoch <= 16 and nonce or ''
end

-- Each write of a Client carries its own mark. After the write, the mark is kept for a while, so a
-- caller whose reply was lost can ask for the result (recall.lua). If it asks before the write has
-- arrived, the mark is closed, and the write is refused when it arrives later.
local function call_key(mark)
  return BASE .. 'call:' .. mark
end

-- The reply to a write whose mark is already known; nil for a new mark.
local function answered_before(mark)
  local found = mark ~= '' and redis.call('GET', call_key(mark))
  if not found then
    return nil
  end
  return found == 'done' and {'ok', int(NOW_US)} or {'closed'}
end

local function remember(mark, keep_ms)
  if mark ~= '' then
    redis.call('SET', call_key(mark), 'done', 'PX', keep_ms)
  end
end

local function wake(message)
  redis.pcall('PUBLISH', WAKE, message)
end

-- The number of subscribers of a replica's channel; nil if unknown: an ACL that denies PUBSUB must
-- not abort the script.
local function listeners_of(nonce)
  local reply = redis.pcall('PUBSUB', 'NUMSUB', BASE .. 'alive:' .. nonce)
  if type(reply) ~= 'table' or reply.err then
    return nil
  end
  return tonumber(reply[2])
end

local function state_of(name)
  local raw = redis.call('HGET', STATE, name)
  if not raw then
    return nil
  end
  local cursor, slot, token, fired, count =
    string.match(raw, '^(%-?%d+)|(%-?%d*)|([^|]*)|(%d*)|(%d+)$')
  -- Reject numbers longer than any instant: calculating with them could overflow to infinity, which
  -- fails when it is written.
  if not cursor or #cursor > 16 or #slot > 16 or #fired > 15 or #count > 15 then
    return nil
  end
  return {
    cursor = tonumber(cursor), slot = slot, token = token, fired = fired, count = tonumber(count),
  }
end

local function write_state(name, state)
  redis.call('HSET', STATE, name, int(state.cursor) .. '|' .. state.slot .. '|' .. state.token
    .. '|' .. state.fired .. '|' .. int(state.count))
end

local function write_due(name, due)
  if due == '' then
    redis.call('ZREM', DUE, name)
  else
    redis.call('ZADD', DUE, due, name)
  end
end

-- Adds a name to the index of all names. Errors are ignored: a damaged index is rebuilt.
local function index(name)
  redis.pcall('ZADD', NAMES, 0, name)
end

local function unindex(name)
  redis.pcall('ZREM', NAMES, name)
end

-- Whether the index is complete: reindex.lua has built it once, and all scripts have maintained it
-- since. An older release does not maintain it, which shows in the number of names.
local function index_is_whole()
  return redis.call('HGET', META, 'names') == '1'
    and redis.pcall('ZCARD', NAMES) == redis.call('HLEN', ENTRIES)
end

-- The bounds of the names with this prefix; the byte 255 never occurs in UTF-8.
local function names_from(prefix)
  return prefix ~= '' and '[' .. prefix or '-'
end

local function names_to(prefix)
  return prefix ~= '' and '(' .. prefix .. '\255' or '+'
end

-- The number of entries whose names have this prefix; nil if the index must be rebuilt first.
local function count_names(prefix)
  if prefix == '' then
    return redis.call('HLEN', ENTRIES)
  end
  return index_is_whole() and redis.call('ZLEXCOUNT', NAMES, names_from(prefix), names_to(prefix))
    or nil
end

local function fired_key(name, identity)
  return BASE .. 'fired:' .. name .. ':' .. identity
end

-- The :fired value of an (entry, slot). A key of a foreign type is renamed and counts as missing.
local function fired_before(key)
  local fired = redis.pcall('GET', key)
  if type(fired) == 'table' then
    set_foreign_aside(key, 'string')
    return redis.call('GET', key)
  end
  return fired
end

-- A request id with the separators of keys escaped, so that keys can be taken apart at their last
-- separator. core/firing.py escapes in the same way.
local function escaped(request)
  return (string.gsub(request, '[%%#/:@%c]', function(found)
    return string.format('%%%02X', string.byte(found))
  end))
end

-- Takes an intent of the outbox away: its message was sent, or is of no use any more.
local function settle_intent(name, identity, token)
  local field, key = name .. '@' .. identity, fired_key(name, identity)
  redis.call('HDEL', INFLIGHT, field)
  redis.call('ZREM', INFLIGHT_DUE, field)
  local pttl = redis.call('PTTL', key)
  if pttl > 0 then
    redis.call('SET', key, token .. '|settled', 'PX', pttl)
  end
end

local function slot_of(identity)
  return string.match(identity, '^%-?%d+')
end

local function by_hand(identity)
  return string.find(identity, '#', 1, true) ~= nil
end

-- The escaped id of the request in the identity of a firing; nil for a slot of the schedule.
local function request_of(identity)
  return string.match(identity, '^%-?%d+#(.*)$')
end

-- late if sent more than a second late, or by catch-up of a misfire; otherwise sent.
local function outcome_of(late, reason)
  return (late > 1000 or string.find(reason, 'misfire', 1, true)) and 'late' or 'sent'
end

-- Whether a message that expires then ('' or nil: never) is of no use at this instant.
local function has_expired(expires, at_ms)
  expires = tonumber(expires)
  return expires and at_ms >= expires
end

-- The expiry in an intent's line reason/expiry/delivery; nil if there is none.
local function expiry_of(kind)
  return string.match(kind, '/(%d+)/')
end

-- Counts slots by outcome, overall and per entry. What was sent on time is counted by its lateness
-- only, which saves a command per firing. A damaged counter stays as it is, and prevents nothing.
local function tally(name, outcome, count)
  redis.pcall('HINCRBY', BASE .. 'outcomes', outcome, count)
  if redis.call('HEXISTS', ENTRIES, name) == 1 then
    redis.pcall('HINCRBY', BASE .. 'outcomes:' .. name, outcome, count)
  end
end

-- Writes one record per outcome; a run of slots is one record with its count and its last slot, and
-- one of a firing that was requested by hand has the request's id, escaped: with the slot, that is
-- the firing's identity, from which its task id follows. `queue` is where its message went, nil if
-- there is none or it is unknown. Who led is not repeated here: :events says it for each epoch.
-- Each record names the previous one of the same entry, so an entry's records can be read without
-- those of others (trace.lua). :ledger_last has the newest record of each chain; if that key is
-- damaged, the record is written all the same.
local function record(name, slot, outcome, reason, count, last, token, late, attempt, request,
    queue)
  local previous = redis.pcall('HGET', LAST_RECORDS, name)
  local prev, id = type(previous) == 'string' and previous or '', nil
  if request then
    id = redis.call('XADD', LEDGER, '*', 'entry', name, 'slot', slot, 'outcome', outcome,
      'reason', reason, 'count', count, 'until', last, 'epoch', epoch_of(token), 'late', late,
      'attempt', attempt, 'queue', queue or '', 'request', request, 'prev', prev)
  else
    id = redis.call('XADD', LEDGER, '*', 'entry', name, 'slot', slot, 'outcome', outcome,
      'reason', reason, 'count', count, 'until', last, 'epoch', epoch_of(token), 'late', late,
      'attempt', attempt, 'queue', queue or '', 'prev', prev)
  end
  redis.pcall('HSET', LAST_RECORDS, name, id)
  if not request and outcome ~= 'sent' and outcome ~= 'note' then
    tally(name, outcome, count)
  end
end

-- Keeps what was given up in :dead, for a person to resend or delete: a first line with time and
-- reason, then the intent or request. :dead_at indexes the records by time.
local function keep_dead(field, why, raw)
  local reason = string.gsub(string.sub(why, 1, 500), '%c', ' ')
  redis.call('HSET', DEAD, field, 'dead ' .. int(NOW) .. ' ' .. reason .. '\n' .. raw)
  redis.call('ZADD', DEAD_AT, int(NOW), field)
end

-- The buckets of core/lateness.py.
local function bucket_of(late)
  if late < 256 then
    return math.max(0, late)
  end
  local width = 1
  while late / width >= 256 do
    width = width * 2
  end
  return late - late % width
end

local function count_lateness(key, late, count)
  local bucket = bucket_of(late)
  local counted = redis.pcall('HINCRBY', key, int(bucket), count)
  if type(counted) == 'table' then  -- not a histogram, or not a count: it starts again
    set_foreign_aside(key, 'hash')
    redis.call('HSET', key, int(bucket), count)
    counted = tonumber(count)
  end
  -- If the bucket held a count before, that firing was at least as late, so the maximum need not be
  -- read.
  local known = late == bucket and counted > tonumber(count)
  local largest = known and late or tonumber(redis.call('HGET', key, 'max') or '-1') or -1
  if late > largest then
    redis.call('HSET', key, 'max', int(math.max(0, late)))
  end
end
