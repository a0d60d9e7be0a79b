-- The change log: one record in :changes for each change of an entry, added by the script that makes
-- the change. control.lua adds those of pauses of the whole schedule, holds and calendars, which name
-- the control and no entry.
--
-- A script that changes entries ends its arguments with: who makes the change, by which way, and for
-- each entry the fields that differ (JSON). If these arguments are missing, the record has no more
-- than the digests. :changes_last has the newest record of each entry that exists; if that key is
-- damaged, the record is written all the same.

local CHANGES, LAST_CHANGES = BASE .. 'changes', BASE .. 'changes_last'
-- The leader trims the log by its settings (sweep.lua). This bounds it where no beat leads.
local CHANGES_MOST = 100000

-- Call this before the first write: a key of a foreign type would fail the call in the middle.
local function open_change_log()
  set_foreign_aside(CHANGES, 'stream')
end

-- Call this after the last write: first, it would let a call continue that Redis refuses for lack of
-- memory.
local function trim_change_log()
  redis.call('XTRIM', CHANGES, 'MAXLEN', '~', CHANGES_MOST)
end

-- Adds a record. `author_at` is where the arguments for the log begin, `number` counts the entries
-- of the call from 1.
local function log_change(name, act, before, after, author_at, number)
  local id = redis.call('XADD', CHANGES, '*', 'entry', name, 'act', act, 'by', ARGV[author_at] or '',
    'way', ARGV[author_at + 1] or '', 'before', before, 'after', after,
    'fields', ARGV[author_at + 1 + number] or '')
  if act == 'removed' then
    redis.pcall('HDEL', LAST_CHANGES, name)
  else
    redis.pcall('HSET', LAST_CHANGES, name, id)
  end
end
