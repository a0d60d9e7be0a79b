-- Finds out whether a write was done whose reply was lost.
--
-- ARGV 1 mark of the write, 2 how long to keep the answer ms
-- Returns {'done'} or {'closed'}: it was not done, and will be refused if it arrives later.
--
-- Replay: safe; a closed mark stays closed, and a done one stays done.

local key = call_key(ARGV[1])
if redis.call('GET', key) == 'done' then
  return {'done'}
end
redis.call('SET', key, 'closed', 'PX', ARGV[2])
return {'closed'}
