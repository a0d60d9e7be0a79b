-- fakeredis' Lua has no `redis.sha1hex`: a check sum in its place, on all sides.
local redis = setmetatable({
  sha1hex = function(raw)
    local sum = 0
    for i = 1, #raw do
      sum = (sum + i * string.byte(raw, i)) % 2147483647
    end
    return string.format('%d-%.0f', #raw, sum)
  end,
}, {__index = redis})
