-- Reads entries with their state, as a consistent snapshot. Reads only.
--
-- ARGV names
-- Returns {now us, {definition, state, due ms, paused, quarantined, circuit}, …}; '' for what is
-- missing

local reply = {int(NOW_US)}
local circuits = #ARGV > 0 and redis.call('HLEN', CIRCUITS) > 0
for _, name in ipairs(ARGV) do
  reply[#reply + 1] = {
    redis.call('HGET', ENTRIES, name) or '',
    redis.call('HGET', STATE, name) or '',
    redis.call('ZSCORE', DUE, name) or '',
    redis.call('HGET', PAUSED, name) or '',
    redis.call('HGET', QUARANTINE, name) or '',
    circuits and redis.call('HGET', CIRCUITS, name) or '',
  }
end
return reply
