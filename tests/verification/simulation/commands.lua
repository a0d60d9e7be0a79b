-- The Redis commands that habeat uses, over plain Lua tables.
--
-- A value is {kind = …} and: string s · hash v (field → value), at (field → when it was put
-- there), n, last · zset v (member → score), n · set v, n · list v (the head is the last
-- item), n · stream v ({id, words}), ms, seq.
-- A hash is listed in the order in which its fields came, as a small one is by Redis; nothing
-- ever walks a table by `pairs` where the order would show, so a run is the same every time.
--
-- `model.lua` gives: db (the data of the selected database), now_us, fail(text), and calls
-- commands[NAME](a, n) with the words behind the name as strings.

local commands, WRITES, NEEDS_MEMORY = {}, {}, {}
local format, tonumber, sort, floor = string.format, tonumber, table.sort, math.floor
local OK = {ok = 'OK'}

-- Small numbers both ways: most are, and to look one up is faster than to write or read it.
local SMALL, INTEGERS = {}, {}
for number = 1, 999 do
  SMALL[number] = format('%.0f', number)
  INTEGERS[SMALL[number]] = number
end

local function written(number)
  local small = SMALL[number]
  if small then return small end
  if number == floor(number) and number > -1e17 and number < 1e17 then
    return format('%.0f', number)
  end
  return format('%.17g', number)
end

-- As Redis reads integers: no sign but one minus, no zero in front, 64 bits.
local function integer(text)
  local small = INTEGERS[text]
  if small then return small end
  local digits = string.match(text, '^%-?([1-9]%d*)$') or text == '0' and text
  return digits and #digits < 19 and tonumber(text)
end

local function whole(text)
  return integer(text) or fail('ERR value is not an integer or out of range')
end

-- And floats: none with a space around it, and no NaN.
local function float(text)
  local number = string.find(text, '^%S+$') and tonumber(text)
  return number == number and number
end

local function bound(text)
  local open = string.sub(text, 1, 1) == '('
  local body = open and string.sub(text, 2) or text
  if body == '-inf' then return -math.huge, open end
  if body == '+inf' or body == 'inf' then return math.huge, open end
  if body == '' then return 0, open end
  return float(body) or fail('ERR min or max is not a float'), open
end

local function found(key)
  local value = db.data[key]
  if value == nil then return nil end
  local ends_ms = db.ends[key]
  if ends_ms and now_us / 1000 >= ends_ms + 1 then
    db.data[key], db.ends[key] = nil, nil
    return nil
  end
  return value
end

local function of_kind(key, kind)
  local value = found(key)
  if value and value.kind ~= kind then
    fail('WRONGTYPE Operation against a key holding the wrong kind of value')
  end
  return value
end

local FRESH = {
  hash = function() return {kind = 'hash', v = {}, at = {}, n = 0, last = 0} end,
  zset = function() return {kind = 'zset', v = {}, n = 0} end,
  set = function() return {kind = 'set', v = {}, n = 0} end,
  list = function() return {kind = 'list', v = {}, n = 0} end,
  stream = function() return {kind = 'stream', v = {}, n = 0, ms = 0, seq = 0} end,
}

local function made(key, kind)
  local value = of_kind(key, kind)
  if not value then
    value = FRESH[kind]()
    db.data[key] = value
  end
  return value
end

local function drop(key)
  db.data[key], db.ends[key] = nil, nil
end

local function even(n)
  if n % 2 ~= 0 then fail('ERR wrong number of arguments') end
end

local function least(n, wanted)
  if n < wanted then fail('ERR wrong number of arguments') end
end

-- keys --------------------------------------------------------------------------------------

-- Most calls come in the second of the one before, and to write numbers takes long.
local second, second_told = -1, ''

function commands.TIME()
  local seconds = floor(now_us / 1000000)
  if seconds ~= second then second, second_told = seconds, written(seconds) end
  return {second_told, written(now_us - seconds * 1000000)}
end

local KINDS = {}
for kind in string.gmatch('none string hash zset set list stream', '%a+') do
  KINDS[kind] = {ok = kind}
end

function commands.TYPE(a)
  local value = found(a[1])
  return KINDS[value and value.kind or 'none']
end

function commands.KEYS(a)
  if a[1] ~= '*' then fail('ERR only KEYS * is modelled') end
  local names, kept = {}, {}
  for key in pairs(db.data) do names[#names + 1] = key end
  for _, key in ipairs(names) do
    if found(key) then kept[#kept + 1] = key end
  end
  sort(kept)
  return kept
end

function commands.EXISTS(a, n)
  local count = 0
  for i = 1, n do count = count + (found(a[i]) and 1 or 0) end
  return count
end

function commands.DEL(a, n)
  local count = 0
  for i = 1, n do
    if found(a[i]) then
      drop(a[i])
      count = count + 1
    end
  end
  return count
end
commands.UNLINK = commands.DEL

function commands.RENAME(a)
  local value = found(a[1]) or fail('ERR no such key')
  local ends_ms = db.ends[a[1]]
  drop(a[1])
  db.data[a[2]], db.ends[a[2]] = value, ends_ms
  return OK
end

function commands.PEXPIRE(a)
  local ttl_ms = whole(a[2])
  if not found(a[1]) then return 0 end
  if ttl_ms <= 0 then
    drop(a[1])
  else
    -- Redis keeps the last whole millisecond of its own clock at which the key is there.
    db.ends[a[1]] = floor(now_us / 1000) + ttl_ms
  end
  return 1
end

function commands.PTTL(a)
  if not found(a[1]) then return -2 end
  local ends_ms = db.ends[a[1]]
  return ends_ms and ends_ms - floor(now_us / 1000) or -1
end

function commands.GET(a)
  local value = of_kind(a[1], 'string')
  return value and value.s or false
end

function commands.SET(a, n)
  least(n, 2)
  local there, ttl_ms = found(a[1]), nil
  local i = 3
  while i <= n do
    local word = string.upper(a[i])
    if word == 'NX' then
      if there then return false end
    elseif word == 'XX' then
      if not there then return false end
    elseif word == 'PX' or word == 'EX' then
      i = i + 1
      ttl_ms = whole(a[i] or fail('ERR syntax error')) * (word == 'EX' and 1000 or 1)
      if ttl_ms <= 0 then fail("ERR invalid expire time in 'set' command") end
    else
      fail('ERR syntax error')
    end
    i = i + 1
  end
  db.data[a[1]] = {kind = 'string', s = a[2]}
  db.ends[a[1]] = ttl_ms and floor(now_us / 1000) + ttl_ms or nil
  return OK
end

-- hashes ------------------------------------------------------------------------------------

local function put(hash, field, value)
  local new = hash.v[field] == nil
  if new then
    hash.last, hash.n = hash.last + 1, hash.n + 1
    hash.at[field] = hash.last
  end
  hash.v[field] = value
  return new
end

local function fields_of(hash)
  if hash.n == 0 then return {} end
  local fields, at = {}, hash.at
  for field in pairs(hash.v) do fields[#fields + 1] = field end
  if fields[2] then sort(fields, function(x, y) return at[x] < at[y] end) end
  return fields
end

function commands.HSET(a, n)
  least(n, 3)
  even(n - 1)
  local hash, new = made(a[1], 'hash'), 0
  for i = 2, n, 2 do
    if put(hash, a[i], a[i + 1]) then new = new + 1 end
  end
  return new
end

function commands.HSETNX(a)
  local hash = made(a[1], 'hash')
  if hash.v[a[2]] ~= nil then return 0 end
  put(hash, a[2], a[3])
  return 1
end

function commands.HGET(a)
  local hash = of_kind(a[1], 'hash')
  return hash and hash.v[a[2]] or false
end

function commands.HMGET(a, n)
  local hash, reply = of_kind(a[1], 'hash'), {}
  for i = 2, n do reply[i - 1] = hash and hash.v[a[i]] or false end
  return reply
end

function commands.HKEYS(a)
  local hash = of_kind(a[1], 'hash')
  return hash and fields_of(hash) or {}
end

function commands.HGETALL(a)
  local hash, reply = of_kind(a[1], 'hash'), {}
  for i, field in ipairs(hash and fields_of(hash) or {}) do
    reply[2 * i - 1], reply[2 * i] = field, hash.v[field]
  end
  return reply
end

function commands.HSCAN(a)
  return {'0', commands.HGETALL(a)}
end

function commands.HDEL(a, n)
  local hash, gone = of_kind(a[1], 'hash'), 0
  for i = 2, hash and n or 0 do
    if hash.v[a[i]] ~= nil then
      hash.v[a[i]], hash.at[a[i]] = nil, nil
      hash.n, gone = hash.n - 1, gone + 1
    end
  end
  if hash and hash.n == 0 then drop(a[1]) end
  return gone
end

function commands.HEXISTS(a)
  local hash = of_kind(a[1], 'hash')
  return hash and hash.v[a[2]] ~= nil and 1 or 0
end

function commands.HLEN(a)
  local hash = of_kind(a[1], 'hash')
  return hash and hash.n or 0
end

function commands.HINCRBY(a)
  local by = whole(a[3])
  local hash = made(a[1], 'hash')
  local before = hash.v[a[2]] or '0'
  local number = integer(before) or fail('ERR hash value is not an integer')
  put(hash, a[2], written(number + by))
  return number + by
end

-- sorted sets -------------------------------------------------------------------------------

-- Kept until a member or a score changes: `order` is nil then.
local function ordered(zset)
  if zset.order then return zset.order end
  local members, scores = {}, zset.v
  for member in pairs(scores) do members[#members + 1] = member end
  sort(members, function(x, y)
    if scores[x] ~= scores[y] then return scores[x] < scores[y] end
    return x < y
  end)
  zset.order = members
  return members
end

function commands.ZADD(a, n)
  least(n, 3)
  even(n - 1)
  for i = 2, n, 2 do
    if not float(a[i]) then fail('ERR value is not a valid float') end
  end
  local zset, new = made(a[1], 'zset'), 0
  for i = 2, n, 2 do
    if zset.v[a[i + 1]] == nil then new = new + 1 end
    zset.v[a[i + 1]] = tonumber(a[i])
  end
  zset.order = nil
  zset.n = zset.n + new
  return new
end

local function taken_out(kind)
  return function(a, n)
    local value, gone = of_kind(a[1], kind), 0
    for i = 2, value and n or 0 do
      if value.v[a[i]] ~= nil then
        value.v[a[i]] = nil
        value.n, gone = value.n - 1, gone + 1
        value.order = nil
      end
    end
    if value and value.n == 0 then drop(a[1]) end
    return gone
  end
end

commands.ZREM = taken_out('zset')

function commands.ZSCORE(a)
  local zset = of_kind(a[1], 'zset')
  local score = zset and zset.v[a[2]]
  return score and written(score) or false
end

function commands.ZCARD(a)
  local zset = of_kind(a[1], 'zset')
  return zset and zset.n or 0
end

local function within(a)
  local low, above = bound(a[2])
  local high, below = bound(a[3])
  return function(score)
    return (above and score > low or not above and score >= low)
      and (below and score < high or not below and score <= high)
  end
end

function commands.ZCOUNT(a)
  local zset, fits, count = of_kind(a[1], 'zset'), within(a), 0
  for _, score in pairs(zset and zset.v or {}) do count = count + (fits(score) and 1 or 0) end
  return count
end

function commands.ZRANGEBYSCORE(a, n)
  local fits, zset = within(a), of_kind(a[1], 'zset')
  local scores, skip, left = false, 0, -1
  local i = 4
  while i <= n do
    local word = string.upper(a[i])
    if word == 'WITHSCORES' then
      scores = true
    elseif word == 'LIMIT' then
      if i + 2 > n then fail('ERR syntax error') end
      skip, left = whole(a[i + 1]), whole(a[i + 2])
      if skip < 0 then left = 0 end
      i = i + 2
    else
      fail('ERR syntax error')
    end
    i = i + 1
  end
  local reply = {}
  for _, member in ipairs(zset and left ~= 0 and ordered(zset) or {}) do
    if left == 0 then break end
    if fits(zset.v[member]) then
      if skip > 0 then
        skip = skip - 1
      else
        left = left - 1
        reply[#reply + 1] = member
        if scores then reply[#reply + 1] = written(zset.v[member]) end
      end
    end
  end
  return reply
end

function commands.ZRANGE(a)
  local zset, first, last = of_kind(a[1], 'zset'), whole(a[2]), whole(a[3])
  local members, reply = zset and ordered(zset) or {}, {}
  if first < 0 then first = math.max(0, #members + first) end
  if last < 0 then last = #members + last end
  for i = first, math.min(last, #members - 1) do reply[#reply + 1] = members[i + 1] end
  return reply
end

-- Of members that all have one score.
function commands.ZRANGEBYLEX(a, n)
  local zset, reply = of_kind(a[1], 'zset'), {}
  local function edge(text)
    local first = string.sub(text, 1, 1)
    if text == '-' or text == '+' then return text end
    if first ~= '(' and first ~= '[' then fail('ERR min or max not valid string range item') end
    return first, string.sub(text, 2)
  end
  local low, least_member = edge(a[2])
  local high, most_member = edge(a[3])
  local skip, left = 0, -1
  if n == 6 and string.upper(a[4]) == 'LIMIT' then
    skip, left = whole(a[5]), whole(a[6])
  elseif n ~= 3 then
    fail('ERR syntax error')
  end
  for _, member in ipairs(zset and ordered(zset) or {}) do
    local above = low == '-' or low == '(' and member > least_member
      or low == '[' and member >= least_member
    local below = high == '+' or high == '(' and member < most_member
      or high == '[' and member <= most_member
    if above and below and left ~= 0 then
      if skip > 0 then
        skip = skip - 1
      else
        reply[#reply + 1], left = member, left - 1
      end
    end
  end
  return reply
end

function commands.ZLEXCOUNT(a, n)
  if n ~= 3 then fail('ERR wrong number of arguments') end
  return #commands.ZRANGEBYLEX(a, n)
end

-- sets --------------------------------------------------------------------------------------

function commands.SADD(a, n)
  least(n, 2)
  local set, new = made(a[1], 'set'), 0
  for i = 2, n do
    if not set.v[a[i]] then
      set.v[a[i]] = true
      new = new + 1
    end
  end
  set.n = set.n + new
  return new
end

commands.SREM = taken_out('set')

function commands.SCARD(a)
  local set = of_kind(a[1], 'set')
  return set and set.n or 0
end

function commands.SDIFF(a, n)
  local first, reply = of_kind(a[1], 'set'), {}
  for member in pairs(first and first.v or {}) do
    local alone = true
    for i = 2, n do
      local other = of_kind(a[i], 'set')
      alone = alone and not (other and other.v[member])
    end
    if alone then reply[#reply + 1] = member end
  end
  sort(reply)
  return reply
end

-- All at once, whatever the count: as a small set is listed by Redis.
function commands.SSCAN(a)
  return {'0', commands.SDIFF(a, 1)}
end

function commands.SMISMEMBER(a, n)
  local set, reply = of_kind(a[1], 'set'), {}
  for i = 2, n do reply[i - 1] = set and set.v[a[i]] and 1 or 0 end
  return reply
end

function commands.SMEMBERS(a)
  return commands.SDIFF(a, 1)
end

-- lists and streams -------------------------------------------------------------------------

function commands.LPUSH(a, n)
  least(n, 2)
  local list = made(a[1], 'list')
  for i = 2, n do list.v[list.n + i - 1] = a[i] end
  list.n = list.n + n - 1
  return list.n
end

function commands.LLEN(a)
  local list = of_kind(a[1], 'list')
  return list and list.n or 0
end

function commands.LRANGE(a)
  local list, reply = of_kind(a[1], 'list'), {}
  if not list then return reply end
  local first, last = whole(a[2]), whole(a[3])
  first = math.max(0, first < 0 and list.n + first or first)
  last = math.min(list.n - 1, last < 0 and list.n + last or last)
  for i = first, last do reply[#reply + 1] = list.v[list.n - i] end
  return reply
end

function commands.XADD(a, n)
  least(n, 4)
  even(n - 2)
  if a[2] ~= '*' then fail('ERR only XADD * is modelled') end
  local stream, ms, seq = made(a[1], 'stream'), floor(now_us / 1000), 0
  if stream.ms >= ms then ms, seq = stream.ms, stream.seq + 1 end
  stream.ms, stream.seq, stream.n = ms, seq, stream.n + 1
  local id = written(ms) .. '-' .. written(seq)
  local words = {}
  for i = 3, n do words[i - 2] = a[i] end
  stream.v[stream.n] = {id, words}
  return id
end

function commands.XLEN(a)
  local stream = of_kind(a[1], 'stream')
  return stream and stream.n or 0
end

local function id_of(text)
  local ms, seq = string.match(text, '^(%d+)-(%d+)$')
  if not ms then fail('ERR Invalid stream ID specified as stream command argument') end
  return tonumber(ms), tonumber(seq)
end

-- All of it, its first records, or one record by its id.
function commands.XRANGE(a, n)
  local stream, reply = of_kind(a[1], 'stream'), {}
  if a[2] == '-' and a[3] == '+' then
    local count = n == 5 and whole(a[5]) or math.huge
    for i = 1, math.min(count, stream and stream.n or 0) do reply[i] = stream.v[i] end
    return reply
  end
  if a[2] ~= a[3] or n ~= 3 then fail('ERR this XRANGE is not modelled') end
  local ms, seq = id_of(a[2])
  local low, high = 1, stream and stream.n or 0
  while low <= high do
    local middle = floor((low + high) / 2)
    local at_ms, at_seq = id_of(stream.v[middle][1])
    if at_ms == ms and at_seq == seq then return {stream.v[middle]} end
    if at_ms < ms or at_ms == ms and at_seq < seq then low = middle + 1 else high = middle - 1 end
  end
  return reply
end

-- Its last records.
function commands.XREVRANGE(a, n)
  local stream, reply = of_kind(a[1], 'stream'), {}
  if n ~= 5 or a[2] ~= '+' or a[3] ~= '-' then fail('ERR this XREVRANGE is not modelled') end
  local all, count = stream and stream.n or 0, whole(a[5])
  for i = 1, math.min(count, all) do reply[i] = stream.v[all - i + 1] end
  return reply
end

-- "~" trims whole nodes of the stream; ours are longer than any run, so it trims all or nothing.
function commands.XTRIM(a)
  local stream = of_kind(a[1], 'stream')
  if not stream then return 0 end
  if a[3] == '~' then
    local last = stream.v[stream.n]
    local old = last and a[2] == 'MINID' and tonumber(string.match(last[1], '^%d+')) < whole(a[4])
    local gone = old and stream.n or 0
    if old then stream.v, stream.n = {}, 0 end
    return gone
  end
  local kept = {}
  for i = 1, stream.n do
    local ms = tonumber(string.match(stream.v[i][1], '^%d+'))
    if a[2] == 'MINID' and ms >= whole(a[4])
        or a[2] == 'MAXLEN' and i > stream.n - whole(a[4]) then
      kept[#kept + 1] = stream.v[i]
    end
  end
  local gone = stream.n - #kept
  stream.v, stream.n = kept, #kept
  return gone
end

-- What writes, and of that what a server that is out of memory refuses.
for name in string.gmatch([[SET HSET HSETNX HINCRBY ZADD SADD LPUSH XADD]], '%u+') do
  WRITES[name], NEEDS_MEMORY[name] = true, true
end
for name in string.gmatch([[DEL UNLINK RENAME PEXPIRE HDEL ZREM SREM XTRIM]], '%u+') do
  WRITES[name] = true
end
