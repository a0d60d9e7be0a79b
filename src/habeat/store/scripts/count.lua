-- Counts the entries whose names have a prefix. Reads only.
--
-- ARGV 1 prefix ('' for all)
-- Returns {'ok', count} or {'stale'}: the index must be rebuilt first (reindex.lua)

local count = count_names(ARGV[1])
return count and {'ok', count} or {'stale'}
