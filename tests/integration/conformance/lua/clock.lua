-- For servers whose clock is not ours: the moment of a call is its first argument, and all that
-- a script can learn of time comes from it. Keys keep true expiries, only as absolute moments
-- (far in the server's future, so that it never acts on one itself).
--
-- ARGV, taken away from the script: now us, number of keys whose time is over; for each: its
-- database, its name.
local clock_us = table.remove(ARGV, 1)
local clock_ms = math.floor(tonumber(clock_us) / 1000)
local server = redis
local over = tonumber(table.remove(ARGV, 1))
for _ = 1, over do
  server.call('SELECT', table.remove(ARGV, 1))
  server.call('DEL', table.remove(ARGV, 1))
end
if over > 0 then
  server.call('SELECT', '0')
end

local function moment_after(ttl_ms)
  return string.format('%.0f', clock_ms + tonumber(ttl_ms))
end

-- Redis 6.2 has no PEXPIRETIME: there, what is left, read within one millisecond.
local function moment_of(key)
  local known = server.pcall('PEXPIRETIME', key)
  if type(known) == 'number' then
    return known
  end
  while true do
    local before, left, after =
      server.call('TIME'), server.call('PTTL', key), server.call('TIME')
    local ms = math.floor(before[2] / 1000)
    if before[1] == after[1] and ms == math.floor(after[2] / 1000) then
      return before[1] * 1000 + ms + left
    end
  end
end

local timed = {
  TIME = function()
    return {string.sub(clock_us, 1, -7), tostring(tonumber(string.sub(clock_us, -6)))}
  end,
  PEXPIRE = function(command, key, ttl_ms)
    if (tonumber(ttl_ms) or 0) <= 0 then
      return server.call(command, key, ttl_ms)
    end
    return server.call('PEXPIREAT', key, moment_after(ttl_ms))
  end,
  PTTL = function(command, key)
    local left = server.call(command, key)
    return left < 0 and left or moment_of(key) - clock_ms
  end,
  SET = function(...)
    local words, count = {...}, select('#', ...)
    for at = 4, count - 1 do
      if words[at] == 'PX' and (tonumber(words[at + 1]) or 0) > 0 then
        words[at], words[at + 1] = 'PXAT', moment_after(words[at + 1])
        break
      end
    end
    return server.call(unpack(words, 1, count))
  end,
  -- `*`: the clock, or one after the last id where the clock is not beyond it.
  XADD = function(...)
    local words, count = {...}, select('#', ...)
    if server.call('TYPE', words[2]).ok == 'stream' then
      local told = server.call('XINFO', 'STREAM', words[2])
      for at = 1, #told, 2 do
        if told[at] == 'last-generated-id' then
          local ms, sequence = string.match(told[at + 1], '^(%d+)-(%d+)$')
          if tonumber(ms) >= clock_ms then
            words[3] = ms .. '-' .. (sequence + 1)
          end
        end
      end
    end
    if words[3] == '*' then
      words[3] = moment_after(0) .. '-0'
    end
    return server.call(unpack(words, 1, count))
  end,
}

local redis = setmetatable({
  call = function(...)
    return (timed[(...)] or server.call)(...)
  end,
  pcall = function(...)
    local act = timed[(...)]
    if not act then
      return server.pcall(...)
    end
    local fine, result = pcall(act, ...)
    return fine and result or {err = type(result) == 'table' and result.err or result}
  end,
}, {__index = server})
