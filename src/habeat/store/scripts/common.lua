-- The words shared by all scripts; the loader puts this file in front of each of them.
--
-- KEYS, the same for every script, in the order of keys.py FIXED. Keys made per entry, per
-- slot, per call and per replica (fired:, lateness:, declared:, call:, alive:) share their hash tag
-- and are built from BASE.
--
-- A record of :state is  cursor|next slot|token of the last claim|last fired|count
-- A record of :inflight is  token, attempts, effective time, delivery, message, one per line
-- The identity of a firing is its slot, or  slot#request  for one that was asked for by hand, with
-- the request's id escaped.
-- A value of :fired:… is  token|inflight  or  token|settled
-- A value of :call:… is  done  or  closed

local META, LEASE, ENTRIES, DUE, STATE, PAUSED, QUARANTINE, INFLIGHT, DEAD, LEDGER,
  LATENESS, REPLICAS, SEEN, UNTRUSTED, CONFIGS, OWNED, REQUESTS, RESUME,
  REQUESTS_DUE, INFLIGHT_DUE, CIRCUITS, DEAD_AT, WAKE = unpack(KEYS)
local BASE = string.sub(META, 1, -5)
local LAST_RECORDS, NAMES = BASE .. 'ledger_last', BASE .. 'names'

-- No instant is that far away: the year 9999 has ended before.
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

-- Something of another type may have taken a key's place: it is renamed, never deleted. Returns the
-- new name, '' if it cannot be renamed, nil if there is nothing to do.
local function set_foreign_aside(key, kind)
  local found = redis.call('TYPE', key).ok
  if found == 'none' or found == kind then
    return nil
  end
  local aside = BASE .. 'foreign:' .. string.sub(key, #BASE + 1) .. ':' .. int(NOW)
  return redis.pcall('RENAME', key, aside).err and '' or aside
end

-- The fence. nil if `token` holds the lease and Redis knows no less than the caller did when it
-- sent the call; else the answer to give, and nothing may be written.
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

-- The same, and the lease is extended. That comes first, so that nothing later can keep it from
-- happening (out of memory refuses HINCRBY, never PEXPIRE).
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

-- What Redis has lost is remembered by it (core/history.py tells what the bounds mean). `answered`
-- is when the lost history last answered the caller, ms, 0 if it does not know.
local function declare_loss(answered)
  local until_ms = answered > 0 and math.min(answered, NOW) or NOW
  redis.call('HSET', META, 'history_lost', int(until_ms), 'loss_declared', int(NOW),
    'boot', int(NOW))
end

-- The bounds of the last loss: slots up to the first are lost, up to the second nobody knows.
local function last_loss()
  local until_ms, declared = unpack(redis.call('HMGET', META, 'history_lost', 'loss_declared'))
  return {until_ms or '0', declared or until_ms or '0'}
end

-- What definitions and pauses are compared by; '' where there is none, or nothing in it.
local function digest_of(raw)
  return raw and raw ~= '' and redis.sha1hex(raw) or ''
end

-- In place of a digest: a definition that is larger than it may be is never hashed.
local function digest_within(raw, most)
  return raw and #raw > most and 'large:' .. int(#raw) or digest_of(raw)
end

-- Whether `raw` is what this digest names, or what stands in its place.
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

-- '' of what is no token; lease.py reads the same.
local function nonce_of(token)
  local epoch, nonce = string.match(token, '^(%d+):(.+)$')
  return epoch and #epoch <= 16 and nonce or ''
end

-- Each write of a Client carries a mark of its own. Once the write is done the mark is kept for a
-- while, so that a caller whose reply was lost can ask what became of it (recall.lua). A mark
-- that was asked about before its write came is closed: the write is refused if it comes later.
local function call_key(mark)
  return BASE .. 'call:' .. mark
end

-- The answer to a write whose mark is known already; nil for a new one.
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

-- nil where it cannot be had: an ACL that denies PUBSUB must not abort the script.
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
  -- Longer than any instant: to count with it would end in infinity, and that in an error.
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

-- The names of all entries, in order; if something was done to the key, it is made again.
local function index(name)
  redis.pcall('ZADD', NAMES, 0, name)
end

local function unindex(name)
  redis.pcall('ZREM', NAMES, name)
end

-- The index is whole if it was made by reindex.lua once, for scripts keep it from then on. An older
-- release does not: then it has as many names as there are entries only by accident.
local function index_is_whole()
  return redis.call('HGET', META, 'names') == '1'
    and redis.pcall('ZCARD', NAMES) == redis.call('HLEN', ENTRIES)
end

-- The bounds of the names that begin so; no UTF-8 has the byte 255.
local function names_from(prefix)
  return prefix ~= '' and '[' .. prefix or '-'
end

local function names_to(prefix)
  return prefix ~= '' and '(' .. prefix .. '\255' or '+'
end

-- How many entries have names that begin so; nil if the index has to be made again first.
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

-- What became of an (entry, slot) before; what is no record of ours tells nothing.
local function fired_before(key)
  local fired = redis.pcall('GET', key)
  if type(fired) == 'table' then
    set_foreign_aside(key, 'string')
    return redis.call('GET', key)
  end
  return fired
end

-- A request's id without the separators of keys, so that the last one in a key is the one that was
-- put there; core/firing.py makes the same of it.
local function escaped(request)
  return (string.gsub(request, '[%%#/:@%c]', function(found)
    return string.format('%%%02X', string.byte(found))
  end))
end

local function slot_of(identity)
  return string.match(identity, '^%-?%d+')
end

local function by_hand(identity)
  return string.find(identity, '#', 1, true) ~= nil
end

-- Firings asked for by hand have no lateness of their own to be judged by.
local function outcome_of(late, reason)
  return (late > 1000 or string.find(reason, 'misfire', 1, true)) and 'late' or 'sent'
end

-- One record per outcome; a run of slots is one record with its count and its last slot. Each
-- names the one before it of the same entry, so that an entry's records are found without looking
-- through everyone's (trace.lua); :ledger_last has where each chain begins. Whatever was done to
-- that key by hand, the record is written.
local function record(name, slot, outcome, reason, count, last, token, late, attempt)
  local previous = redis.pcall('HGET', LAST_RECORDS, name)
  local id = redis.call('XADD', LEDGER, '*', 'entry', name, 'slot', slot, 'outcome', outcome,
    'reason', reason, 'count', count, 'until', last, 'epoch', epoch_of(token), 'late', late,
    'attempt', attempt, 'prev', type(previous) == 'string' and previous or '')
  redis.pcall('HSET', LAST_RECORDS, name, id)
end

-- What is given up is kept for a person: a first line with the moment and the reason, then what was
-- kept of it. :dead_at has the moments, oldest first.
local function keep_dead(field, why, raw)
  local reason = string.gsub(string.sub(why, 1, 500), '%c', ' ')
  redis.call('HSET', DEAD, field, 'dead ' .. int(NOW) .. ' ' .. reason .. '\n' .. raw)
  redis.call('ZADD', DEAD_AT, int(NOW), field)
end

-- The histogram of core/lateness.py.
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
  if type(counted) == 'table' then  -- it is no histogram, or this is no count: it starts again
    set_foreign_aside(key, 'hash')
    redis.call('HSET', key, int(bucket), count)
    counted = tonumber(count)
  end
  -- Whoever came into this bucket before was at least as late, and the maximum knows.
  local told = late == bucket and counted > tonumber(count)
  local largest = told and late or tonumber(redis.call('HGET', key, 'max') or '-1') or -1
  if late > largest then
    redis.call('HSET', key, 'max', int(math.max(0, late)))
  end
end
