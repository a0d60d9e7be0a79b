-- Whether the broker's database is on this very server: read here what was written there.
--
-- ARGV 1 the broker's database, 2 our own, 3 a key written through the broker's connection
-- Returns its value, or '' if it is not here. Reads only.

redis.call('SELECT', ARGV[1])
local value = redis.pcall('GET', ARGV[3])
redis.call('SELECT', ARGV[2])
if type(value) == 'table' then
  return ''
end
return value or ''
