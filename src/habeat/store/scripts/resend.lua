-- Moves a firing or request from :dead back to be sent, under its own identity.
--
-- ARGV 1 its field in :dead, 2 digest of the record that the caller saw, 3 entry, 4 slot ms,
--      5 request id ('' for a firing), 6 the intent or the request to store
-- Returns {'ok', now us}, or {'changed', now us} if the record is gone or has changed, or
-- {'there', now us} if the same firing or request is already under way, or {'gone', now us} if a
-- request's entry does not exist, or {'moving', now us} if `adopt` has begun to move it, as in
-- request.lua. Replay: if the reply was lost, a second call returns changed.

local kept = redis.call('HGET', DEAD, ARGV[1])
if not kept or redis.sha1hex(kept) ~= ARGV[2] then
  return {'changed', int(NOW_US)}
end
local request = ARGV[5]
local hash, field, index = INFLIGHT, ARGV[1], INFLIGHT_DUE
if request ~= '' then
  hash, field, index = REQUESTS, request, REQUESTS_DUE
  if redis.call('HEXISTS', ENTRIES, ARGV[3]) == 0 then
    return {'gone', int(NOW_US)}
  end
  if string.find(redis.call('HGET', PAUSED, ARGV[3]) or '', '"moving_to":', 1, true) then
    return {'moving', int(NOW_US)}
  end
end
if redis.call('HEXISTS', hash, field) == 1 then
  return {'there', int(NOW_US)}
end
redis.call('HSET', hash, field, ARGV[6])
redis.call('ZADD', index, int(NOW), field)
redis.call('HDEL', DEAD, ARGV[1])
redis.call('ZREM', DEAD_AT, ARGV[1])
if request == '' then
  redis.call('HINCRBY', META, 'abandoned', -1)
end
record(ARGV[3], ARGV[4], 'note', 'sent again by hand', 0, ARGV[4], '', 0, 0,
  request ~= '' and escaped(request) or request_of(string.match(field, '[^@]*$')))
wake('changed')
return {'ok', int(NOW_US)}
