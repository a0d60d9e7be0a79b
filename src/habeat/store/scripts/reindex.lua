-- Rebuilds the index of names, a slice at a time: first adds every entry, then removes every name
-- that is not an entry. All scripts maintain the index meanwhile.
--
-- ARGV 1 'entries' | 'names', 2 where the slice starts ('' for the first one), 3 about how many
-- Returns {'entries' | 'names', where the next slice starts} or {'done', ''}
--
-- Replay: safe; a slice may be processed twice, and by several callers at once.

local stage, begin, count = ARGV[1], ARGV[2], math.max(1, tonumber(ARGV[3]))
if stage == 'entries' then
  if begin == '' then
    local kind = redis.call('TYPE', NAMES).ok
    if kind ~= 'zset' and kind ~= 'none' then
      redis.call('UNLINK', NAMES)
    end
    begin = '0'
  end
  local page = redis.call('HSCAN', ENTRIES, begin, 'COUNT', count)
  for i = 1, #page[2], 2 do
    redis.call('ZADD', NAMES, 0, page[2][i])
  end
  if page[1] ~= '0' then
    return {'entries', page[1]}
  end
  return {'names', ''}
end
local low = begin ~= '' and '(' .. begin or '-'
local page = redis.call('ZRANGEBYLEX', NAMES, low, '+', 'LIMIT', 0, count)
for _, name in ipairs(page) do
  if redis.call('HEXISTS', ENTRIES, name) == 0 then
    redis.call('ZREM', NAMES, name)
  end
end
if #page == count then
  return {'names', page[count]}
end
redis.call('HSET', META, 'names', '1')
return {'done', ''}
