-- Reads entries with their state, as a consistent snapshot. Reads only.
--
-- ARGV names
-- Returns {now us, {definition, state, due ms, paused, quarantined}, …}; '' for what is missing

local reply = {int(NOW_US)}
for _, name in ipairs(ARGV) do
  reply[#reply + 1] = {
    redis.call('HGET', ENTRIES, name) or '',
    redis.call('HGET', STATE, name) or '',
    redis.call('ZSCORE', DUE, name) or '',
    redis.call('HGET', PAUSED, name) or '',
    redis.call('HGET', QUARANTINE, name) or '',
  }
end
return reply
