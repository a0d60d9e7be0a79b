-- Finds out whether the broker's database is on this server, by reading a key that was written
-- through the broker's connection. Reads only.
--
-- ARGV 1 the broker's database, 2 our own, 3 the key
-- Returns its value, or '' if it does not exist here.

redis.call('SELECT', ARGV[1])
local value = redis.pcall('GET', ARGV[3])
redis.call('SELECT', ARGV[2])
if type(value) == 'table' then
  return ''
end
return value or ''
