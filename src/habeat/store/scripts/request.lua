-- Stores a request for extra firings of an entry, once per request id.
--
-- ARGV 1 request id, 2 the request (JSON), 3 how long to remember its id ms, 4 entry,
--      5 mark of this call ('' or omitted: none)
-- Returns {'ok', now us}, or {'known', now us, entry} if this id was used before, or
-- {'gone', now us} if there is no such entry, or {'moving', now us} if `adopt` has begun to move it
-- to another prefix: what is requested here would be lost. Replay: if the reply was lost, a second call with the
-- same mark returns ok and stores nothing again.

local key, mark = BASE .. 'request:' .. ARGV[1], ARGV[5] or ''
-- A name may contain line breaks; a mark does not, and it is the last line.
local value = ARGV[4] .. '\n' .. mark
local found = redis.call('GET', key)
if found then
  if found == value and mark ~= '' then
    return {'ok', int(NOW_US)}
  end
  return {'known', int(NOW_US), string.match(found, '^(.*)\n[^\n]*$') or found}
end
if redis.call('HEXISTS', ENTRIES, ARGV[4]) == 0 then
  return {'gone', int(NOW_US)}
end
-- In a reason, a quote is escaped, so only the key of a move reads like this.
if string.find(redis.call('HGET', PAUSED, ARGV[4]) or '', '"moving_to":', 1, true) then
  return {'moving', int(NOW_US)}
end
redis.call('SET', key, value, 'PX', ARGV[3])
redis.call('HSET', REQUESTS, ARGV[1], ARGV[2])
redis.call('ZADD', REQUESTS_DUE, int(NOW), ARGV[1])
wake('changed')
return {'ok', int(NOW_US)}
