-- Releases the lease (compare-and-delete) and notifies the standbys.
--
-- ARGV 1 token ('' if none is held), 2 nonce, 3 why: stop, broker, failures, step-down ('' if unknown)
-- Returns 1 if the lease was ours, otherwise 0. Replay: a second call finds nothing to delete.

redis.call('ZREM', SEEN, ARGV[2])
redis.call('HDEL', REPLICAS, ARGV[2])
if ARGV[1] == '' or redis.call('GET', LEASE) ~= ARGV[1] then
  return 0
end
redis.call('DEL', LEASE)
redis.call('HSET', META, 'released', ARGV[1], 'released_us', int(NOW_US),
  'released_at', table.concat({ARGV[1], int(NOW), ARGV[3] or ''}, ' '))
wake('released')
return 1
