-- For every side: what a server may do one way or another is done one way. Fields and members
-- come in the order of their bytes; HSCAN shows two fields at a time, and some of them twice, as
-- it is allowed to; trimming is exact. PUBSUB is denied where the first argument says so.
local deaf = table.remove(ARGV, 1) == '1'
local unordered = redis

local function comes_before(left, right)  -- `<` would follow the locale of the server
  for i = 1, math.min(#left, #right) do
    local a, b = string.byte(left, i), string.byte(right, i)
    if a ~= b then
      return a < b
    end
  end
  return #left < #right
end

local function in_order(pairs_of)
  local fields, values, sorted = {}, {}, {}
  for i = 1, #pairs_of, 2 do
    fields[#fields + 1] = pairs_of[i]
    values[pairs_of[i]] = pairs_of[i + 1]
  end
  table.sort(fields, comes_before)
  for _, field in ipairs(fields) do
    sorted[#sorted + 1] = field
    sorted[#sorted + 1] = values[field]
  end
  return sorted
end

local ordered = {
  HGETALL = function(...)
    return in_order(unordered.call(...))
  end,
  SDIFF = function(...)
    local members = unordered.call(...)
    table.sort(members, comes_before)
    return members
  end,
  HSCAN = function(_, key, cursor)
    cursor = tostring(cursor)
    local all, page = in_order(unordered.call('HGETALL', key)), {}
    for i = 1, #all, 2 do
      if cursor == '0' or not comes_before(all[i], cursor) then
        page[#page + 1], page[#page + 2] = all[i], all[i + 1]
      end
      if #page == 4 then
        return {i + 1 == #all and '0' or page[3], page}
      end
    end
    return {'0', page}
  end,
  -- By places, as a cursor has to be a number: two members at a time, one of them again.
  SSCAN = function(_, key, cursor)
    local all = unordered.call('SMEMBERS', key)
    table.sort(all, comes_before)
    local from = tonumber(cursor)
    local page = {all[from + 1], all[from + 2]}
    return {from + 2 >= #all and '0' or tostring(from + 1), page}
  end,
  XTRIM = function(command, key, how, _, bound)
    return unordered.call(command, key, how, '=', bound)
  end,
}

local redis = setmetatable({
  call = function(...)
    return (ordered[(...)] or unordered.call)(...)
  end,
  pcall = function(...)
    if deaf and (...) == 'PUBSUB' then
      return {err = 'NOPERM this user has no permissions to run the command'}
    end
    return unordered.pcall(...)
  end,
}, {__index = redis})
