-- Stores or closes the circuits of entries. Fenced.
--
-- ARGV 1 token, 2 ttl ms, 3 heartbeat known, 4 number of entries; for each: name, digest of
--      the definition that failed ('' if unknown), the circuit as JSON ('' to close it)
-- Returns {'ok', now us, heartbeat} or {'lost', holder}
--      or {'behind', now us, heartbeat}. Replay: changes nothing more.
--
-- An edit closes a circuit (write.lua), so a circuit is not stored if the definition has changed.

local refused = fenced(ARGV[1], ARGV[2], ARGV[3])
if refused then
  return refused
end
for i = 0, tonumber(ARGV[4]) - 1 do
  local name, digest, circuit = unpack(ARGV, 5 + 3 * i, 7 + 3 * i)
  local raw = redis.call('HGET', ENTRIES, name)
  if circuit == '' then
    redis.call('HDEL', CIRCUITS, name)
  elseif raw and (digest == '' or redis.sha1hex(raw) == digest) then
    redis.call('HSET', CIRCUITS, name, circuit)
  end
end
return {'ok', int(NOW_US), beat()}
