-- Repairs habeat's own keys, so that scripts do not fail on them again and again.
--
-- ARGV 1 token ('' from a replica that does not lead; then it repairs only if no replica holds the
--      lease), 2 ttl ms, 3 fingerprint of the caller's configuration; then, if positions are to be
--      compared with the index: 4 where the page begins ('0' for the first one), 5 about how many
-- Returns {'ok', now us, {what, which, how, …}, {number of entries, of states, of due ones},
--          where the next page begins, {name of an entry that may have lost its place, …}}
--      or {'lost', holder}
--
-- Nothing is deleted that a person may want: a key of a foreign type is renamed to
-- foreign:<its name>:<now>. Values that can be derived are derived again. An entry or a pause whose
-- score is not a valid instant becomes due now, and the leader then corrects its time. A counter
-- that is not a number is restarted. An entry whose position cannot be read becomes due now, and the
-- leader then quarantines it. For one that has a position and no place in the index, or a place long
-- after its slot, only the caller can tell whether it has slots to come.
-- Replay: safe; a second call finds nothing left to repair.

local KINDS = {
  {META, 'hash'}, {LEASE, 'string'}, {ENTRIES, 'hash'}, {DUE, 'zset'}, {STATE, 'hash'},
  {PAUSED, 'hash'}, {QUARANTINE, 'hash'}, {INFLIGHT, 'hash'}, {DEAD, 'hash'}, {LEDGER, 'stream'},
  {LATENESS, 'hash'}, {REPLICAS, 'hash'}, {SEEN, 'zset'}, {UNTRUSTED, 'hash'}, {CONFIGS, 'hash'},
  {OWNED, 'set'}, {REQUESTS, 'hash'}, {RESUME, 'zset'}, {REQUESTS_DUE, 'zset'},
  {INFLIGHT_DUE, 'zset'}, {CIRCUITS, 'hash'}, {DEAD_AT, 'zset'},
  {LAST_RECORDS, 'hash'}, {NAMES, 'zset'}, {SHADOW, 'zset'}, {WATCHED, 'hash'},
  {BASE .. 'controls', 'hash'}, {BASE .. 'signs', 'hash'}, {BASE .. 'alarmed', 'zset'},
  {BASE .. 'outcomes', 'hash'}, {EVENTS, 'stream'}, {BASE .. 'changes', 'stream'},
  {BASE .. 'changes_last', 'hash'}, {BASE .. 'rotation', 'string'},
}
local DAY_MS, AT_ONCE = 86400000, 50
local token, words = ARGV[1], {}

local function tell(what, which, how)
  for _, word in ipairs({what, which, how}) do
    words[#words + 1] = word
  end
end

local function check_kind(key, kind)
  local aside = set_foreign_aside(key, kind)
  if aside then
    tell('foreign', string.sub(key, #BASE + 1), aside)
  end
end

check_kind(LEASE, 'string')
check_kind(BASE .. 'declared:' .. ARGV[3], 'set')
local holder = redis.call('GET', LEASE)
if holder and holder ~= token or not holder and token ~= '' then
  return {'lost', holder or ''}
end
for _, each in ipairs(KINDS) do
  check_kind(each[1], each[2])
end

local function is_count(raw)
  return raw and #raw <= 16 and string.match(raw, '^%d+$') ~= nil
end

local function restart(field, value)
  redis.call('HSET', META, field, int(value))
  tell('counter', field, int(value))
end

-- Numbers that only rise are restarted above every value they can have had.
local led_ms = tonumber(is_count(epoch_of(holder or '')) and epoch_of(holder or '') or '0')
local FRESH = {
  {'heartbeat', NOW}, {'epoch', math.max(NOW, led_ms)}, {'config_generation', NOW}, {'boot', NOW},
  {'history_lost', 0}, {'loss_declared', 0}, {'lease_ttl', tonumber(ARGV[2])},
  {'leader_since', NOW_US}, {'leader_changes', 0}, {'ticks', 0},
}
for _, each in ipairs(FRESH) do
  local raw = redis.call('HGET', META, each[1])
  local later = each[2] == 0 and is_count(raw) and tonumber(raw) > NOW + DAY_MS
  if raw and not is_count(raw) or later then
    restart(each[1], each[2])
  end
end

-- claimed = settled + abandoned + in flight: an unreadable sum is calculated from the others.
local function mend_accounts()
  local sums, good = redis.call('HMGET', META, 'claimed', 'settled', 'abandoned'), {}
  local names = {'claimed', 'settled', 'abandoned'}
  for i = 1, 3 do
    good[i] = not sums[i] or is_count(sums[i])
    sums[i] = good[i] and tonumber(sums[i] or '0') or 0
  end
  if good[1] and good[2] and good[3] then
    return
  end
  local flying = redis.call('HLEN', INFLIGHT)
  local heir = good[1] and (not good[2] and 2 or 3)
  if heir then
    sums[heir] = math.max(0, sums[1] - sums[5 - heir] - flying)
  end
  sums[1] = sums[2] + sums[3] + flying
  for i = 1, 3 do
    if not good[i] then
      restart(names[i], sums[i])
    end
  end
  redis.call('HSET', META, 'claimed', int(sums[1]))
end
mend_accounts()

for _, index in ipairs({{DUE, 'due'}, {RESUME, 'resume'}}) do
  local key, what = index[1], index[2]
  for _, range in ipairs({{'(' .. FAR_MS, '+inf'}, {'-inf', '(-' .. FAR_MS}}) do
    local found = redis.call('ZRANGEBYSCORE', key, range[1], range[2], 'LIMIT', 0, AT_ONCE)
    for _, name in ipairs(found) do
      redis.call('ZADD', key, int(NOW), name)
      tell(what, name, '')
    end
  end
end
local ahead = '(' .. int(NOW + DAY_MS)
for _, nonce in ipairs(redis.call('ZRANGEBYSCORE', SEEN, ahead, '+inf', 'LIMIT', 0, AT_ONCE)) do
  redis.call('ZREM', SEEN, nonce)  -- if it is alive, it registers again
  tell('seen', nonce, '')
end

-- A retry is sooner, and so are most offsets. Holds defer entries to their end.
local LONG_AFTER_MS = 600000
local has_controls = redis.call('HLEN', BASE .. 'controls') > 0

local function is_long_after(due, slot)
  return not has_controls and slot ~= ''
    and due > math.max(NOW, tonumber(slot)) + LONG_AFTER_MS
end

local function strays(page)
  local names = {}
  for i = 1, #page, 2 do
    local name, slot = page[i], string.match(page[i + 1], '^%-?%d+|(%-?%d*)|[^|]*|%d*|%d+$')
    local due = tonumber(redis.call('ZSCORE', DUE, name) or nil)
    if (not slot or not due or is_long_after(due, slot))
        and redis.call('HEXISTS', PAUSED, name) == 0
        and redis.call('HEXISTS', QUARANTINE, name) == 0
        and redis.call('HEXISTS', ENTRIES, name) == 1 then
      if slot then
        names[#names + 1] = name
      elseif not due or due > NOW then
        redis.call('ZADD', DUE, int(NOW), name)
        tell('state', name, '')
      end
    end
  end
  return names
end

local page = {'0', {}}
if ARGV[4] then
  page = redis.call('HSCAN', STATE, ARGV[4], 'COUNT', ARGV[5])
end
local found = strays(page[2])
return {'ok', int(NOW_US), words, {redis.call('HLEN', ENTRIES), redis.call('HLEN', STATE),
  redis.call('ZCARD', DUE)}, page[1], found}
