-- Names of entries in order, a page at a time. Reads only.
--
-- ARGV 1 what they begin with ('' for all), 2 the name after which the page begins ('' for the
--      first page), 3 how many at most
-- Returns {'ok', name, …} or {'stale'}: the index has to be made again (reindex.lua)
--
-- The index is whole if it was made by reindex.lua once, for scripts keep it from then on. An older
-- release does not: then it has as many names as there are entries only by accident.

local prefix, after = ARGV[1], ARGV[2]
local size = redis.pcall('ZCARD', NAMES)
if redis.call('HGET', META, 'names') ~= '1' or size ~= redis.call('HLEN', ENTRIES) then
  return {'stale'}
end
local low = after ~= '' and '(' .. after or prefix ~= '' and '[' .. prefix or '-'
local high = prefix ~= '' and '(' .. prefix .. '\255' or '+'  -- no UTF-8 has that byte
local found = redis.call('ZRANGEBYLEX', NAMES, low, high, 'LIMIT', 0, math.max(1, tonumber(ARGV[3])))
return {'ok', unpack(found)}
