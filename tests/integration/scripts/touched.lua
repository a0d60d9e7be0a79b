-- Counts what a script touches: commands, the elements of their replies, and what a command goes
-- through without showing it. The sums are in the hash `touched`, by command.
local server = redis

local SIZES = {
  hash = 'HLEN', set = 'SCARD', zset = 'ZCARD', list = 'LLEN', stream = 'XLEN', string = 'EXISTS',
}

local function size_of(key)
  local command = SIZES[server.call('TYPE', key).ok]
  return command and server.call(command, key) or 0
end

local function sizes(_, ...)
  local sum = 0
  for _, key in ipairs({...}) do
    sum = sum + size_of(key)
  end
  return sum
end

local function offset(...)
  local words = {...}
  for at, word in ipairs(words) do
    if word == 'LIMIT' then
      return tonumber(words[at + 1])
    end
  end
  return 0
end

local HIDDEN = {
  DEL = sizes, SDIFF = sizes, SINTER = sizes, SUNION = sizes, KEYS = function() return 1e9 end,
  ZRANGEBYSCORE = offset, ZRANGEBYLEX = offset, ZREVRANGEBYSCORE = offset,
  XTRIM = function(_, key) return size_of(key) end,  -- less what is left: see below
}

local function elements(reply)
  if type(reply) ~= 'table' then
    return 1
  end
  local sum = 0
  for _, part in ipairs(reply) do
    sum = sum + elements(part)
  end
  return sum
end

local function counted(act)
  return function(name, ...)
    local hidden = HIDDEN[name] and HIDDEN[name](name, ...) or 0
    local reply = act(name, ...)
    if name == 'XTRIM' then
      hidden = hidden - size_of((...))
    end
    server.call('HINCRBY', 'touched', name, string.format('%.0f', 1 + hidden + elements(reply)))
    return reply
  end
end

-- Hashing a quarter of a kilobyte takes about as long as a short command.
local function sha1hex(text)
  local count = string.format('%.0f', 1 + math.floor(#text / 256))
  server.call('HINCRBY', 'touched', 'sha1hex', count)
  return server.sha1hex(text)
end

local redis = setmetatable(
  {call = counted(server.call), pcall = counted(server.pcall), sha1hex = sha1hex},
  {__index = server})
