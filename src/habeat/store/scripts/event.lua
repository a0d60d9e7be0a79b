-- Adds a stored event that a replica has seen. Not fenced: standbys see outages too.
--
-- ARGV 1 code, 2 nonce, 3 host, 4 pid, 5 lease epoch ('' if it does not lead), 6 since ms,
--      7 until ms ('' if it lasts), 8 cause, 9 detail, 10 kind: '' | 'seen' | 'begin' | 'end',
--      11 subject of an outage
-- Returns 'ok' or 'known'
--
-- All replicas see an outage of Redis and report it when it is over ('seen'). The first report
-- counts. Another is added only if its outage began earlier or ended later by more than ALIKE.
-- An outage of the broker is reported by leaders, when it begins and when it is over; the one that
-- reports the end may be another. It gets the time of the beginning from here.
-- Replay: the second call of an outage answers 'known'. Other events may be added twice.

local who = {nonce = ARGV[2], host = ARGV[3], pid = ARGV[4], epoch = ARGV[5]}
local since, until_ms, kind = ARGV[6], ARGV[7], ARGV[10]
local seen, open = 'outage_' .. ARGV[11], 'outage_since_' .. ARGV[11]

-- How much two reports of one outage may differ, ms: a replica may look only every few seconds.
local ALIKE = 5000

local function is_seen()
  local from, to = string.match(redis.call('HGET', META, seen) or '', '^(%d+)|(%d+)$')
  return from and tonumber(since) >= tonumber(from) - ALIKE
    and tonumber(until_ms) <= tonumber(to) + ALIKE
end

local began = redis.call('HGET', META, open)
if kind == 'seen' then
  if is_seen() then
    return 'known'
  end
  redis.call('HSET', META, seen, since .. '|' .. until_ms)
elseif kind == 'begin' then
  if began then
    return 'known'
  end
  redis.call('HSET', META, open, since)
elseif kind == 'end' then
  if not began then
    return 'known'
  end
  redis.call('HDEL', META, open)
  since = began
end
add_event(ARGV[1], who, since, until_ms, ARGV[8], ARGV[9])
return 'ok'
