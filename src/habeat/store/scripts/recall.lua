-- What became of a write whose reply was lost.
--
-- ARGV 1 mark of the write, 2 how long the answer is kept ms
-- Returns {'done'} or {'closed'}: it was not done, and will not be if it comes later.
--
-- Replay: a closed mark stays closed, a done one done.

local key = call_key(ARGV[1])
if redis.call('GET', key) == 'done' then
  return {'done'}
end
redis.call('SET', key, 'closed', 'PX', ARGV[2])
return {'closed'}
