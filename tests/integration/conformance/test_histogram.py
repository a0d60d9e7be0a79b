"""The histogram of lateness counts in Lua as it does in Python."""

from __future__ import annotations

import random

from habeat.core.lateness import bucket_of
from habeat.store.scripting import source
from tests.integration.conformance.steps import KEYS
from tests.support.servers.redis_server import Server


def test_the_histogram_in_lua_is_the_one_in_python(valkey: Server) -> None:
    wanted = [0, 1, 255, 256, 257, 511, 512, 1_000, 4_095, 4_096, 59_999, 86_400_000, 10**10]
    chance = random.Random(5)
    wanted += [chance.randrange(10**9) for _ in range(300)]
    lua = source("common.lua") + "\nlocal found = {}\nfor i, late in ipairs(ARGV) do\n"
    lua += "  found[i] = int(bucket_of(tonumber(late)))\nend\nreturn found"
    found = valkey.admin.eval(lua, len(KEYS.fixed), *KEYS.fixed, *wanted)
    assert [int(bucket) for bucket in found] == [bucket_of(late) for late in wanted]
