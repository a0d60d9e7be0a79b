-- Fair queues. Each is a hash with an index: a ZSET that maps the hash's fields to the time (ms) at
-- which to look at each next. The hash is authoritative. A field missing from the index is due now
-- (an older release wrote it, or the index was lost); an index member without its field is dropped.

-- Fields swept at once: a tick may sweep three hashes and also read what is due, in less than 2 ms.
local SWEPT = 50
local SWEEP_EVERY, HASTENED = 50, 100
local FURTHEST = 86400000  -- habeat never writes a time further ahead than this

local function is_index(key)
  local kind = redis.call('TYPE', key).ok
  if kind ~= 'zset' and kind ~= 'none' then
    redis.call('DEL', key)
  end
end

-- Indexes one page of the hash; META stores how far the sweep has come.
local function sweep(hash, index, progress)
  local page = redis.call('HSCAN', hash, redis.call('HGET', META, progress) or '0', 'COUNT', SWEPT)
  redis.call('HSET', META, progress, page[1])
  for i = 1, #page[2], 2 do
    if not redis.call('ZSCORE', index, page[2][i]) then
      redis.call('ZADD', index, int(NOW), page[2][i])
    end
  end
  local garbled = redis.call('ZRANGEBYSCORE', index, '(' .. int(NOW + FURTHEST), '+inf',
    'LIMIT', 0, SWEPT)
  for _, field in ipairs(garbled) do
    redis.call('ZADD', index, int(NOW), field)
  end
end

-- After the server's clock went back: makes everything that is due later due now, because those
-- times are from the old clock.
local function hasten(index)
  local later = redis.call('ZRANGEBYSCORE', index, '(' .. int(NOW), '+inf', 'LIMIT', 0, HASTENED)
  for _, field in ipairs(later) do
    redis.call('ZADD', index, int(NOW), field)
  end
end

-- When to look at the queue next; '' if it is empty. Also repairs the index.
local function next_look(hash, index, progress, turn, went_back)
  is_index(index)
  if went_back then
    hasten(index)
  end
  if turn % SWEEP_EVERY == 1 or redis.call('HLEN', hash) ~= redis.call('ZCARD', index) then
    sweep(hash, index, progress)
  end
  local first = redis.call('ZRANGEBYSCORE', index, '-inf', int(NOW + FURTHEST), 'WITHSCORES',
    'LIMIT', 0, 1)
  return first[2] and int(math.max(0, tonumber(first[2]))) or ''
end

-- Returns up to `limit` due fields, alternating between groups: the first of each group, then the
-- second of each, and so on. It reads at most `page` fields; if more are due, those it has read are
-- moved behind the others.
local function take_turns(index, limit, page, group_of)
  local due = redis.call('ZRANGEBYSCORE', index, '-inf', int(NOW), 'LIMIT', 0, page)
  local turns, counts = {}, {}
  for _, field in ipairs(due) do
    local group = group_of(field)
    local turn = (counts[group] or 0) + 1
    counts[group] = turn
    turns[turn] = turns[turn] or {}
    table.insert(turns[turn], field)
  end
  local taken = {}
  for _, fields in ipairs(turns) do
    for _, field in ipairs(fields) do
      if #taken < limit then
        taken[#taken + 1] = field
      end
    end
  end
  if #due == page then
    for _, field in ipairs(due) do
      redis.call('ZADD', index, int(NOW + 1), field)
    end
  end
  return taken
end
