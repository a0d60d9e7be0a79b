-- Lists the names of entries in order, a page at a time. Reads only.
--
-- ARGV 1 prefix ('' for all), 2 the name after which the page starts ('' for the first page),
--      3 how many at most
-- Returns {'ok', name, …} or {'stale'}: the index must be rebuilt first (reindex.lua)

local prefix, after = ARGV[1], ARGV[2]
if not index_is_whole() then
  return {'stale'}
end
local low = after ~= '' and '(' .. after or names_from(prefix)
return {'ok', unpack(redis.call('ZRANGEBYLEX', NAMES, low, names_to(prefix),
  'LIMIT', 0, math.max(1, tonumber(ARGV[3]))))}
