-- Ask for extra firings of an entry, once for a request id.
--
-- ARGV 1 request id, 2 the request (JSON), 3 how long its id is remembered ms, 4 entry
-- Returns {'ok', now us} or {'known', now us} if this id was used before, or {'gone', now us} if
-- there is no such entry. Replay: who lost the reply finds its id known.

if redis.call('HEXISTS', ENTRIES, ARGV[4]) == 0 then
  return {'gone', int(NOW_US)}
end
if not redis.call('SET', BASE .. 'request:' .. ARGV[1], ARGV[4], 'PX', ARGV[3], 'NX') then
  return {'known', int(NOW_US)}
end
redis.call('HSET', REQUESTS, ARGV[1], ARGV[2])
wake('changed')
return {'ok', int(NOW_US)}
