-- A model of a Redis server: one table of data, scripts run in it, one crossing to Python each.
--
-- `commands.lua` stands in front of this file. Here is what a server does around a command:
-- it turns numbers into words, refuses writes when it has no memory left or is a replica, and
-- keeps a list of those writes that the checker of histories asks for. Errors are as in Redis:
-- `redis.call` raises a table with `err`, `redis.pcall` returns it; a write that is refused
-- for want of memory is the first of its script, or it is let through.
--
-- A reply goes to Python flat: `true, how many` stands in front of the items of a table; behind
-- it stand the writes that are watched, flat as well, for one crossing is cheaper than two.

if jit then jit.off() end  -- scripts this short cost more to compile than to interpret
collectgarbage('setpause', 1000)  -- memory is cheaper than time here

db, now_us = nil, 0  -- of the server that is being asked; globals of this chunk's environment

local server = nil
local dirty = false
local log, out, out_n = {}, {}, 0
local sha_of, sha_count = {}, 0

function fail(text)
  error({err = text}, 0)
end

local function fresh_db()
  return {data = {}, ends = {}}
end

local function select_db(number)
  local name = whole(tostring(number))
  if name < 0 or name > 15 then fail('ERR DB index is out of range') end
  server.dbs[name] = server.dbs[name] or fresh_db()
  db, server.selected = server.dbs[name], name
end

-- Which writes the checker wants to hear of: commands by the key behind the prefix.
local WANTED = {
  lease = {SET = true, DEL = true, PEXPIRE = true},
  state = {HSET = true, HDEL = true},
  inflight = {HSET = true, HDEL = true},
  dead = {HSET = true, HDEL = true},
  untrusted = {HSET = true},
  paused = {HSET = true, HDEL = true},
  controls = {HSET = true, HDEL = true},
  circuits = {HSET = true, HDEL = true},
  quarantine = {HSET = true, HDEL = true},
  entries = {HSET = true, HDEL = true},
  ledger = {XADD = true},
}
local FIRED, META, NONE = {SET = true}, {HINCRBY = true}, {}
local COUNTERS = {claimed = true, settled = true, abandoned = true}

-- The commands wanted of a key; kept for the few fixed keys, for they come again and again.
local function names_of(key)
  local base = server.base
  if string.sub(key, 1, #base) ~= base then return NONE end
  local rest = string.sub(key, #base + 1)
  if string.sub(rest, 1, 6) == 'fired:' then return FIRED end
  local names = rest == 'meta' and META or WANTED[rest] or NONE
  if not string.find(rest, ':', 1, true) then server.names[key] = names end
  return names
end

local function wanted(name, a)
  if server.base == '' or name == 'LPUSH' then return true end
  local names = server.names[a[1]] or names_of(a[1])
  return names[name] and (names ~= META or COUNTERS[a[2]])
end

local function subscribers(a, n)
  local reply = {}
  for i = 2, n do
    reply[#reply + 1] = a[i]
    reply[#reply + 1] = server.listeners[a[i]] or 0
  end
  return reply
end

function commands.SELECT(a)
  select_db(a[1])
  return {ok = 'OK'}
end

function commands.PUBSUB(a, n)
  if string.upper(a[1]) ~= 'NUMSUB' then fail('ERR only PUBSUB NUMSUB is modelled') end
  return subscribers(a, n)
end

function commands.PUBLISH(a)
  log[#log + 1], log[#log + 2] = 'PUBLISH', a
  return server.listeners[a[1]] or 0
end

local function refuse_write(name)
  if server.read_only then
    fail("READONLY You can't write against a read only replica.")
  end
  if server.no_memory and not dirty and NEEDS_MEMORY[name] then
    fail("OOM command not allowed when used memory > 'maxmemory'.")
  end
  dirty = true
end

local function run_command(name, ...)
  local command = commands[name]
  if not command then
    name = string.upper(tostring(name))
    command = commands[name] or fail('ERR unknown command ' .. name)
  end
  local a, n = {...}, select('#', ...)
  for i = 1, n do
    local word = a[i]
    if type(word) == 'number' then
      a[i] = written(word)
    elseif type(word) ~= 'string' then
      fail('ERR Lua redis lib command arguments must be strings or integers')
    end
  end
  if not WRITES[name] then return command(a, n) end
  refuse_write(name)
  local reply = command(a, n)
  local changed = reply and reply ~= 0 or name == 'HSET' or name == 'HINCRBY'
  if server.base and changed and wanted(name, a) then
    log[#log + 1], log[#log + 2] = name, a
  end
  return reply
end

local function sha1hex(text)
  if type(text) == 'number' then text = written(text) end
  local known = sha_of[text]
  if not known then
    if sha_count > 20000 then sha_of, sha_count = {}, 0 end
    known, sha_count = python_sha1(text), sha_count + 1
    sha_of[text] = known
  end
  return known
end

local redis = {
  call = run_command,
  pcall = function(...)
    local fine, reply = pcall(run_command, ...)
    if fine then return reply end
    return type(reply) == 'table' and reply or {err = 'ERR ' .. tostring(reply)}
  end,
  sha1hex = sha1hex,
  error_reply = function(text) return {err = text} end,
  status_reply = function(text) return {ok = text} end,
}

-- Replies -----------------------------------------------------------------------------------

local function flatten(value)
  local kind = type(value)
  out_n = out_n + 1
  if kind == 'string' then
    out[out_n] = value
  elseif kind == 'number' then
    out[out_n] = value >= 0 and floor(value) or math.ceil(value)
  elseif value == true then
    out[out_n] = 1
  elseif kind ~= 'table' then
    out[out_n] = false
  elseif value.err then
    fail(value.err)
  elseif value.ok then
    out[out_n] = value.ok
  else
    out[out_n], out_n = true, out_n + 1
    local at = out_n
    local n = 0
    while value[n + 1] ~= nil do
      n = n + 1
      flatten(value[n])
    end
    out[at] = n
  end
end

-- What a script sees. Redis lets none make a global, or read one that is not there.
local seen_by_scripts = setmetatable({
  redis = redis, string = string, table = table, math = math, pairs = pairs, ipairs = ipairs,
  pcall = pcall, error = error, type = type, tonumber = tonumber, tostring = tostring,
  unpack = unpack, select = select, next = next, assert = assert, setmetatable = setmetatable,
  KEYS = {}, ARGV = {},
}, {
  __newindex = function(_, name) fail('ERR Attempt to modify a readonly table: ' .. name) end,
  __index = function(_, name)
    fail('ERR Script attempted to access nonexistent global variable ' .. tostring(name))
  end,
})

local function compiled(text)
  local script, problem = loadstring(text, '=user_script')
  if not script then fail('ERR Error compiling script: ' .. problem) end
  return setfenv(script, seen_by_scripts)
end

local MOST = 4000  -- values that one return hands over

local function run_script(script, keys, args)
  seen_by_scripts.KEYS, seen_by_scripts.ARGV = keys, args
  return script()
end

-- The log, flat, into `flat` behind its first n items: for each write how many words, the name,
-- the words.
local function drained(flat, n)
  for i = 1, #log, 2 do
    local a = log[i + 1]
    flat[n + 1], flat[n + 2] = #a + 1, log[i]
    n = n + 2
    for j = 1, #a do flat[n + j] = a[j] end
    n = n + #a
  end
  log = {}
  return n
end

-- An error or false, how many words of the log, how many of the reply, both as far as they fit.
local function answer(act, ...)
  out_n, dirty = 0, false
  local home = server.selected
  local fine, reply = pcall(act, ...)
  if fine then fine, reply = pcall(flatten, reply) end
  if server.selected ~= home then select_db(home) end
  local text = false
  if not fine then
    text, out_n = type(reply) == 'table' and reply.err or ('ERR ' .. tostring(reply)), 0
  end
  local size = out_n
  if log[1] then out_n = drained(out, out_n) end
  return text, out_n - size, size, unpack(out, 1, math.min(out_n, MOST))
end

local function attend(which, clock_us)
  server, now_us = which, clock_us
  db = server.dbs[server.selected]
end

local function call_script(which, clock_us, script, keys, ...)
  attend(which, clock_us)
  return answer(run_script, script, keys, {...})
end

local function call_script_with(which, clock_us, script, keys, args)
  attend(which, clock_us)
  return answer(run_script, script, keys, args)
end

local function call_command(which, clock_us, ...)
  attend(which, clock_us)
  return answer(run_command, ...)
end

local function rest_of_reply(from)
  return unpack(out, from, math.min(out_n, from + MOST - 1))
end

-- Servers -----------------------------------------------------------------------------------

local function copied(value)
  if type(value) ~= 'table' then return value end
  local copy = {}
  for key, item in pairs(value) do copy[key] = copied(item) end
  return copy
end

return {
  new = function()
    return {dbs = {[0] = fresh_db()}, selected = 0, listeners = {}, base = nil}
  end,
  script = call_script,
  script_with = call_script_with,
  command = call_command,
  rest = rest_of_reply,
  snapshot = function(which) return copied(which.dbs) end,
  restore = function(which, snapshot) which.dbs = copied(snapshot) end,
  empty = function(which) which.dbs = {[0] = fresh_db()} end,
  watch = function(which, base) which.base, which.names = base, {} end,
  listen = function(which, channel, count) which.listeners[channel] = count end,
  limits = function(which, read_only, no_memory)
    which.read_only, which.no_memory = read_only, no_memory
  end,
  compiled = compiled,
}
