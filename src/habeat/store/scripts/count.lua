-- How many entries have names that begin so. Reads only.
--
-- ARGV 1 what they begin with ('' for all)
-- Returns {'ok', count} or {'stale'}: the index has to be made again (reindex.lua)

local count = count_names(ARGV[1])
return count and {'ok', count} or {'stale'}
