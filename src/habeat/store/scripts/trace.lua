-- Reads the newest ledger records of one entry, by following the chain of its records. Reads only.
--
-- ARGV 1 entry, 2 id of the record to start at ('' for the newest), 3 oldest time ms,
--      4 how many at most
-- Returns {id of the next record ('' at the end of the chain), since when records have been chained
--          without a break ms, {id, {word, …}}, …}
--
-- A chain ends where its records were trimmed, or at the entry's first record. A leader of an older
-- release does not chain its records: while one leads, no record counts as chained.

local id, low = ARGV[2], tonumber(ARGV[3])
if id == '' then
  local newest = redis.pcall('HGET', LAST_RECORDS, ARGV[1])
  id = type(newest) == 'string' and newest or ''
end

-- Each id must be older than the record that names it; otherwise, a chain could be a circle.
local function comes_before(left, right)
  local a, b = string.match(left, '^(%d+)-(%d+)$')
  local c, d = string.match(right, '^(%d+)-(%d+)$')
  return a and c and (tonumber(a) < tonumber(c) or a == c and tonumber(b) < tonumber(d))
end

local leader, chains, chained = unpack(redis.call('HMGET', META, 'leader', 'chains', 'chained'))
local reply = {'', chained and leader == chains and chained or int(NOW + 1)}
for _ = 1, tonumber(ARGV[4]) do
  local at = tonumber(string.match(id, '^(%d+)%-%d+$'))
  local found = at and at > 0 and at >= low and redis.call('XRANGE', LEDGER, id, id)[1]
  if not found then
    id = ''
    break
  end
  reply[#reply + 1] = found
  local previous = found[2][#found[2]]  -- `prev` is the last field of a record
  id = comes_before(previous, id) and previous or ''
end
reply[1] = id
return reply
