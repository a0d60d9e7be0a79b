"""Single commands that a model of Redis easily gets wrong, although scripts depend on them.

A trap is a short list of commands on an empty server; what each of them answers is compared.
Those with Lua see a reply as a script sees it, or a script's result as a client sees it.
"""

from __future__ import annotations

Command = tuple[str, ...]

_TYPES = (
    ("SET", "s", "x"), ("HSET", "h", "f", "v"), ("ZADD", "z", "1", "m"), ("SADD", "u", "m"),
    ("LPUSH", "l", "v"), ("XADD", "x", "*", "f", "v"),
)  # fmt: skip
#: Each command on a key of each type, and on none.
ON_EVERY_TYPE: tuple[Command, ...] = (
    ("GET", "?"), ("HGET", "?", "f"), ("HMGET", "?", "f", "g"), ("HGETALL", "?"),
    ("HSET", "?", "f", "w"), ("HSETNX", "?", "f", "w"), ("HDEL", "?", "f"), ("HLEN", "?"),
    ("HEXISTS", "?", "f"), ("HINCRBY", "?", "n", "1"), ("HSCAN", "?", "0"), ("HKEYS", "?"),
    ("ZADD", "?", "2", "m"), ("ZREM", "?", "m"), ("ZSCORE", "?", "m"), ("ZCARD", "?"),
    ("ZRANGEBYSCORE", "?", "-inf", "+inf"), ("SADD", "?", "m"), ("SREM", "?", "m"),
    ("SCARD", "?"), ("SDIFF", "?"), ("SDIFF", "u", "?"), ("SMEMBERS", "?"), ("LPUSH", "?", "w"),
    ("SMISMEMBER", "?", "m", "no"), ("LRANGE", "?", "0", "-1"),
    ("XTRIM", "?", "MAXLEN", "=", "5"), ("SET", "?", "y"),
    ("SET", "?", "y", "NX"), ("SET", "?", "y", "XX"), ("TYPE", "?"), ("EXISTS", "?"),
    ("DEL", "?"), ("PEXPIRE", "?", "100000"), ("PTTL", "?"), ("RENAME", "?", "other"),
)  # fmt: skip

TRAPS: dict[str, tuple[Command, ...]] = {
    f"{command[0]} on {kind}": (
        *_TYPES,
        tuple(key if word == "?" else word for word in command),
        ("EXISTS", key),
        ("TYPE", key),
    )
    for command in ON_EVERY_TYPE
    for kind, key in (
        ("string", "s"), ("hash", "h"), ("zset", "z"), ("set", "u"), ("list", "l"),
        ("stream", "x"), ("nothing", "none"),
    )
    if command[0] not in ("TYPE", "PTTL") or kind != "stream"
}  # fmt: skip

TRAPS |= {
    "the last field takes its hash along": (
        ("HSET", "h", "f", "v"), ("PEXPIRE", "h", "100000"), ("HDEL", "h", "f"), ("EXISTS", "h"),
        ("TYPE", "h"), ("PTTL", "h"), ("HSET", "h", "f", "v"), ("PTTL", "h"),
    ),
    "the last member takes its set along": (
        ("ZADD", "z", "1", "m"), ("ZREM", "z", "m", "m"), ("EXISTS", "z"), ("SADD", "u", "a"),
        ("SREM", "u", "a"), ("EXISTS", "u"), ("SCARD", "u"),
    ),
    "a stream stays when it is empty": (
        ("XADD", "x", "*", "f", "v"), ("XTRIM", "x", "MAXLEN", "=", "0"), ("EXISTS", "x"),
        ("TYPE", "x"),
    ),
    "an error makes no key": (
        ("HINCRBY", "h", "n", "x"), ("EXISTS", "h"), ("ZADD", "z", "x", "m"), ("EXISTS", "z"),
        ("ZADD", "z", "1", "a", "x", "b"), ("EXISTS", "z"), ("HSET", "h", "f"), ("EXISTS", "h"),
        ("SET", "s", "x", "PX", "0"), ("EXISTS", "s"), ("SET", "s", "x", "PX", "-5"),
        ("SET", "s", "x", "PX", "1.5"), ("SET", "s", "x", "PX"), ("EXISTS", "s"),
        ("XADD", "x", "*", "f"), ("EXISTS", "x"),
    ),
    "HINCRBY of what is no integer": tuple(
        command
        for value in ("", "x", "1.0", "1e3", " 1", "1 ", "01", "+1", "-0", "-", "0x10", "9" * 19)
        for command in (
            ("HSET", "h", "n", value), ("HINCRBY", "h", "n", "1"), ("HGET", "h", "n"),
        )
    ),
    "HINCRBY by what is no integer": tuple(
        ("HINCRBY", "h", "n", by)
        for by in ("", "x", "1.0", "1e3", " 1", "01", "+1", "-0", "-3", "4102444800000000")
    ),
    # Not -0 and 0x10, on which servers differ.
    "scores as they are found": tuple(
        command
        for score in ("1", "007", "17.5", "4102444800000", "4102444800000000", "1e14",
                      "-3", "1e20", "inf", "-inf", "0.25", "+5", "1e3", "-12.75")
        for command in (("ZADD", "z", score, "m"), ("ZSCORE", "z", "m"))
    ),
    "scores that are none": tuple(
        ("ZADD", "z", score, "m") for score in ("", "x", "nan", " 1", "1 ", "1_0", "--1", "1,5")
    ),
    "members of one score go by their bytes": (
        ("ZADD", "z", "1", "b", "1", "a", "1", "B", "1", "aa", "1", "", "1", "\u00e9", "0", "z"),
        ("ZRANGEBYSCORE", "z", "-inf", "+inf"), ("ZADD", "z", "2", "a", "2", "new"),
        ("ZRANGEBYSCORE", "z", "-inf", "+inf", "WITHSCORES"), ("ZCARD", "z"),
        ("ZRANGE", "z", "0", "1"), ("ZRANGE", "z", "-2", "-1"), ("ZRANGE", "z", "-9", "9"),
        ("ZRANGE", "none", "0", "-1"), ("ZRANGE", "z", "2", "1"), ("ZRANGE", "z", "x", "1"),
    ),
    "a range by score": (
        ("ZADD", "z", "1", "a", "2", "b", "2", "c", "3", "d", "-1", "e"),
        *(
            ("ZRANGEBYSCORE", "z", *rest)
            for rest in (
                ("2", "2"), ("(1", "3"), ("(2", "(3"), ("3", "1"), ("-inf", "(-1"), ("1.5", "2.5"),
                ("-inf", "+inf", "LIMIT", "0", "2"), ("-inf", "+inf", "LIMIT", "2", "-1"),
                ("-inf", "+inf", "LIMIT", "9", "1"), ("-inf", "+inf", "LIMIT", "0", "0"),
                ("-inf", "+inf", "LIMIT", "-1", "2"), ("1", "3", "WITHSCORES", "LIMIT", "1", "2"),
                ("1", "3", "LIMIT", "1", "1", "withscores"), ("1", "3", "LIMIT", "1"),
                ("x", "3"), ("1", "y"), ("", "1"), ("(", "1"), ("1", "3", "LIMIT", "0", "1.0"),
                ("1", "3", "NONSENSE"), ("inf", "inf"), ("-inf", "inf"),
                ("1", "3", "LIMIT", "x", "1"),
            )
        ),
    ),
    "a range of members": (
        ("ZADD", "z", "0", "a", "0", "b", "0", "ba", "0", "c", "0", "\u00e9"),
        *(
            ("ZRANGEBYLEX", "z", *rest)
            for rest in (
                ("-", "+"), ("[b", "(b\u00ff"), ("(b", "+"), ("-", "[b"), ("(c", "(a"),
                ("-", "+", "LIMIT", "0", "2"), ("(a", "+", "LIMIT", "1", "2"),
                ("-", "+", "LIMIT", "9", "1"), ("b", "c"), ("-", "+", "LIMIT", "0"),
            )
        ),
        ("ZRANGEBYLEX", "none", "-", "+"),
        *(
            ("ZLEXCOUNT", "z", *rest)
            for rest in (("-", "+"), ("[b", "(b\u00ff"), ("(c", "(a"), ("b", "c"), ("-",))
        ),
        ("ZLEXCOUNT", "none", "-", "+"),
    ),
    "SET and what it does to a time": (
        ("SET", "s", "x", "PX", "100000"), ("SET", "s", "y"), ("PTTL", "s"),
        ("SET", "s", "z", "NX"), ("SET", "s", "z", "NX", "PX", "5"), ("GET", "s"), ("PTTL", "s"),
        ("SET", "n", "z", "XX"), ("EXISTS", "n"), ("SET", "n", "z", "nx", "px", "100000"),
        ("GET", "n"), ("SET", "n", "q", "XX"), ("PTTL", "n"), ("SET", "n", "a", "NONSENSE"),
        ("HSET", "h", "f", "v"), ("SET", "h", "now a string"), ("TYPE", "h"),
    ),
    "PEXPIRE into the past": (
        *(
            command
            for ttl in ("0", "-1", "-100000")
            for command in (("SET", "s", "x"), ("PEXPIRE", "s", ttl), ("EXISTS", "s"))
        ),
        ("PEXPIRE", "none", "5"), ("PEXPIRE", "none", "x"), ("SET", "s", "x"),
        ("PEXPIRE", "s", "x"), ("PEXPIRE", "s", "1.5"), ("PEXPIRE", "s", ""), ("PTTL", "s"),
        ("PTTL", "none"),
    ),
    "RENAME": (
        ("RENAME", "none", "x"), ("SET", "a", "1"), ("HSET", "b", "f", "v"), ("RENAME", "a", "b"),
        ("GET", "b"), ("EXISTS", "a"), ("RENAME", "b", "b"), ("GET", "b"),
        ("PEXPIRE", "b", "100000"),
        ("SET", "c", "1"), ("RENAME", "b", "c"), ("PTTL", "c"),
        ("SET", "d", "1"), ("RENAME", "d", "c"), ("PTTL", "c"),
    ),
    "LPUSH puts each in front": (
        ("LPUSH", "l", "a", "b", "c"), ("LPUSH", "l", "d"), ("LRANGE", "l", "0", "-1"),
        ("LRANGE", "l", "1", "2"), ("LRANGE", "l", "-2", "-1"), ("LRANGE", "l", "5", "9"),
        ("LRANGE", "l", "-9", "0"), ("LPUSH", "l"), ("LRANGE", "l", "x", "1"),
    ),
    "what is there already": (
        ("HSET", "h", "f", "1", "g", "2"), ("HSET", "h", "f", "3", "k", "4"), ("HGETALL", "h"),
        ("HSETNX", "h", "f", "9"), ("HGET", "h", "f"), ("HDEL", "h", "f", "f", "no"),
        ("HMGET", "h", "f", "g"), ("SADD", "u", "a", "a", "b"), ("SADD", "u", "b"),
        ("SCARD", "u"), ("ZADD", "z", "1", "a", "2", "a"), ("ZSCORE", "z", "a"),
        ("DEL", "h", "h", "no"), ("EXISTS", "u", "u", "no"),
    ),
    "binary words": (
        ("HSET", "h", "", "\x00\n", "a b", "'"), ("HGETALL", "h"), ("HGET", "h", ""),
        ("SET", "", "empty key"), ("GET", ""), ("LPUSH", "l", ""), ("LRANGE", "l", "0", "-1"),
    ),
    "SDIFF": (
        ("SADD", "a", "1", "2", "3"), ("SADD", "b", "2"), ("SDIFF", "a", "b"),
        ("SDIFF", "a", "none"), ("SDIFF", "none", "a"), ("SDIFF", "a", "a"), ("SMEMBERS", "a"),
        ("SMISMEMBER", "a", "2", "9", "2"), ("UNLINK", "a", "none"), ("EXISTS", "a"),
    ),
    # Not of the others: the model does not count the words of each command.
    "too few words": tuple((name, "k") for name in ("HSET", "ZADD", "SADD", "LPUSH", "SET")),
}  # fmt: skip

#: Lua whose result is compared, after a few keys were made: see `LUA_KEYS`.
LUA_KEYS: tuple[Command, ...] = (*_TYPES, ("HSET", "h", "n", "17"))
LUA: dict[str, str] = {
    "numbers lose what is behind the point": "return {3.99, -3.99, 0.5, -0.5, 2^40, -(2^40)}",
    "one number": "return 4102444800123.7",
    "an array ends at its first nil": "return {1, nil, 3}",
    "false is nil, and ends nothing": "return {1, false, 3, true}",
    "true is 1": "return true",
    "false alone": "return false",
    "nothing": "return",
    "no return": "local x = 1",
    "an empty table": "return {}",
    "a table without an array": "return {a = 1}",
    "tables in tables": "return {{}, {1, {2, 'x'}}, {ok = 'fine'}}",
    "a status": "return {ok = 'fine'}",
    "status_reply": "return redis.status_reply('fine')",
    "an error table": "return {err = 'WRONGTYPE as if'}",
    "error_reply": "return redis.error_reply('WRONGTYPE as if')",
    "an error is thrown": "error('WRONGTYPE as if')",
    "a table is thrown": "error({err = 'WRONGTYPE as if'})",
    "call throws a table or text, which pcall catches": (
        "local ok, e = pcall(redis.call, 'GET', 'h')\n"
        "return {ok, tostring(type(e) == 'table' and e.err or e)}"
    ),
    "redis.pcall returns the error": (
        "local r = redis.pcall('GET', 'h') return {type(r), type(r.err), r.ok == nil}"
    ),
    "redis.pcall of what is well": "return redis.pcall('HGET', 'h', 'f')",
    "what an error has written stays": "redis.call('SET', 'k', '1') return redis.call('GET', 'h')",
    "nil replies are false": (
        "local r = redis.call('HMGET', 'h', 'f', 'no', 'n')\n"
        "return {type(r[2]), tostring(r[2]), #r, tostring(redis.call('GET', 'no'))}"
    ),
    "types of replies": (
        "local t = {}\n"
        "for i, c in ipairs({{'GET', 's'}, {'HLEN', 'h'}, {'ZSCORE', 'z', 'm'}, {'TYPE', 'h'},\n"
        "    {'SET', 's', 'y'}, {'HGET', 'h', 'no'}, {'HGETALL', 'no'}, {'SET', 's', 'z', 'NX'},\n"
        "    {'HINCRBY', 'h', 'n', 1}, {'PEXPIRE', 's', 90000}}) do\n"
        "  local r = redis.call(unpack(c))\n"
        "  t[i] = type(r) == 'table' and 'table ' .. tostring(r.ok) or type(r) .. tostring(r)\n"
        "end\n"
        "return t"
    ),
    "numbers as words": (
        "local t = {}\n"
        "for _, n in ipairs({1, -1, 0, 1.5, 2^53, 4102444800123, 4102444800123456, 1e15,\n"
        "    1e16, -0.25, 100000000000000000000, 3.0}) do\n"
        "  redis.call('SET', 'k', n)\n"
        "  t[#t + 1] = redis.call('GET', 'k')\n"
        "end\n"
        "return t"
    ),
    "a boolean is no word": "return redis.call('SET', 'k', true)",
    "nil is no word": "return redis.call('SET', 'k', nil)",
    "a table is no word": "return redis.call('SET', 'k', {})",
    "names of commands in lower case": "return redis.call('hget', 'h', 'f')",
    "an unknown command": "return redis.pcall('NOSUCH').err ~= nil",
    "no command": "return redis.pcall().err ~= nil",
    "SELECT lasts as long as its script": (
        "redis.call('SELECT', 1) redis.call('SET', 'k', 'there')\n"
        "local there = redis.call('GET', 'k') redis.call('SELECT', 0)\n"
        "return {there, tostring(redis.call('GET', 'k'))}"
    ),
    "a script that ends in another database": "redis.call('SELECT', 1) redis.call('SET', 'k', '1')",
    "a script that fails there": "redis.call('SELECT', 1) redis.call('SET', 'k', '1') unpack()",
    "a database that is not there": "return redis.call('SELECT', 16)",
    "a database of no number": "return redis.call('SELECT', 'x')",
    "the digest": "return {redis.sha1hex('abc'), redis.sha1hex('')}",
    "the digest of a number": "return redis.sha1hex(12)",
    "a global may not be made": "made = 1",
    "a global that is not there": "return nowhere",
    "string.format of moments": "return string.format('%.0f %d', 4102444800123456, 17.9)",
    "tostring of a moment": "return tostring(4102444800123456)",
    "integer division of a moment": "return tostring(math.floor(4102444800123456 / 1000))",
    "tonumber": "return {tostring(tonumber('')), tonumber(' 5 '), tonumber('0x10'), "
    "tostring(tonumber('1e3')), tostring(tonumber('x')), tostring(tonumber('5.5.5'))}",
    "PUBSUB NUMSUB": "return redis.call('PUBSUB', 'NUMSUB', 'a', 'b')",
    "PUBLISH to nobody": "return redis.call('PUBLISH', 'a', 'm')",
    "KEYS and ARGV": "return {#KEYS, #ARGV, KEYS[1], ARGV[1], ARGV[2], type(ARGV[2])}",
}
