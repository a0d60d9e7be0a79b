-- All keys of the databases 0 and 1: where, kind, content, end of its time (ms; -1 without).
-- The content is each word with its length in front, so that a key is one string to compare.
local function moment_of(key)
  local left = redis.call('PTTL', key)
  if left < 0 then
    return left
  end
  local known = redis.pcall('PEXPIRETIME', key)
  if type(known) == 'number' then
    return known
  end
  while true do
    local before, now_left, after =
      redis.call('TIME'), redis.call('PTTL', key), redis.call('TIME')
    local ms = math.floor(before[2] / 1000)
    if before[1] == after[1] and ms == math.floor(after[2] / 1000) then
      return before[1] * 1000 + ms + now_left
    end
  end
end

local function by_field(words)
  local fields, values, sorted = {}, {}, {}
  for i = 1, #words, 2 do
    fields[#fields + 1], values[words[i]] = words[i], words[i + 1]
  end
  table.sort(fields)
  for _, field in ipairs(fields) do
    sorted[#sorted + 1], sorted[#sorted + 2] = field, values[field]
  end
  return sorted
end

local function flat(entries)
  local words = {}
  for _, entry in ipairs(entries) do
    words[#words + 1] = entry[1]
    for _, word in ipairs(entry[2]) do
      words[#words + 1] = word
    end
  end
  return words
end

local words_of = {
  string = function(key)
    return {redis.call('GET', key)}
  end,
  hash = function(key)
    return by_field(redis.call('HGETALL', key))
  end,
  set = function(key)
    local members = redis.call('SMEMBERS', key)
    table.sort(members)
    return members
  end,
  list = function(key)
    return redis.call('LRANGE', key, 0, -1)
  end,
  zset = function(key)
    return redis.call('ZRANGEBYSCORE', key, '-inf', '+inf', 'WITHSCORES')
  end,
  stream = function(key)
    return flat(redis.call('XRANGE', key, '-', '+'))
  end,
}

local found = {}
for db = 0, 1 do
  redis.call('SELECT', db)
  for _, key in ipairs(redis.call('KEYS', '*')) do
    local kind = redis.call('TYPE', key).ok
    local words = words_of[kind](key)
    for i, word in ipairs(words) do
      words[i] = #word .. ':' .. word
    end
    found[#found + 1] = db .. ' ' .. key
    found[#found + 1] = kind
    found[#found + 1] = table.concat(words)
    found[#found + 1] = moment_of(key)
  end
end
redis.call('SELECT', 0)
return found
