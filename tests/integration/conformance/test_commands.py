"""The model answers single commands and bits of Lua as real servers do, on their own clocks.

There is no prologue here: this file checks what a server does with PX, PEXPIRE and `XADD *`.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from tests.integration.conformance.comparison import plain
from tests.integration.conformance.traps import LUA, LUA_KEYS, TRAPS, Command
from tests.support.servers.redis_server import Server
from tests.verification.simulation.model import ReplyError
from tests.verification.simulation.model import Server as Model

Ask = Callable[[Command], Any]

#: Where servers differ among themselves: (server, trap) -> how. The scripts lean on none of it.
APART = {
    ("redis62", "a table is thrown"): "6.2 can only tell of text that was thrown",
}


@pytest.fixture(params=["valkey", "redis70", "redis62"])
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def apart(request: pytest.FixtureRequest) -> set[str]:
    which = request.node.callspec.params["server"]
    if which == "valkey" and os.environ.get("HABEAT_TEST_SERVER") == "redis-6.2":
        which = "redis62"
    return {trap for name, trap in APART if name == which}


def _of_server(server: Server) -> Ask:
    # The words as they come over the wire, not as redis-py understands them.
    pool = server.admin.connection_pool
    try:
        connection = pool.get_connection()
    except TypeError:  # redis-py before 5.3 wants to know for which command
        connection = pool.get_connection("PING")

    def ask(command: Command) -> Any:
        connection.send_command(*command)
        try:
            return connection.read_response()
        except Exception as error:
            return error

    return ask


def _of_model(model: Model) -> Ask:
    def ask(command: Command) -> Any:
        try:
            if command[0] == "EVAL":
                return model.evalsha(command[1], command[1], command[3:4], command[4:])
            return model.call(*command)
        except ReplyError as error:
            return error

    return ask


def _comparable(reply: Any, command: Command) -> Any:
    if command[0] == "PTTL" and isinstance(reply, int) and reply > 0:
        return "a while"
    if command[0] == "XADD" and isinstance(reply, bytes):
        return "an id"
    if command[0] in ("SMEMBERS", "SDIFF") and isinstance(reply, list):
        return sorted(reply)
    return plain(reply)


def _differences(server: Server, traps: Mapping[str, Sequence[Command]]) -> list[str]:
    found, theirs = [], _of_server(server)
    for name, commands in traps.items():
        theirs(("FLUSHALL",))
        ours = _of_model(Model(lambda: 1_700_000_000_000_000))
        for command in commands:
            answers = [_comparable(ask(command), command) for ask in (ours, theirs)]
            if answers[0] != answers[1]:
                shown = " ".join(map(repr, command))
                found.append(f"{name}: {shown}\n  model {answers[0]!r}\n  server {answers[1]!r}")
    return found


def test_single_commands(server: Server) -> None:
    found = _differences(server, TRAPS)
    assert not found, "\n".join(found)


def test_lua_and_replies(server: Server, apart: set[str]) -> None:
    found = _differences(
        server,
        {
            name: (*LUA_KEYS, ("EVAL", text, "1", "key", "one", "2"), ("GET", "k"))
            for name, text in LUA.items()
            if name not in apart
        },
    )
    assert not found, "\n".join(found)


def _pttls_until_it_is_gone(server: Server) -> Iterator[int]:
    server.admin.set("k", "v", px=3)
    while True:
        with server.admin.pipeline(transaction=False) as pipe:
            for _ in range(200):
                pipe.pttl("k")
            for left in pipe.execute():
                if left == -2:
                    return
                yield left


def test_the_last_millisecond_of_a_key_is_its_own(server: Server) -> None:
    """A key is there while its PTTL is 0, and PTTL is never rounded up; so is it in the model."""
    seen: list[int] = []
    for _ in range(300):  # a busy machine may sleep through that millisecond
        seen = list(_pttls_until_it_is_gone(server))
        if 0 in seen:
            break
    assert seen[-1] == 0
    assert max(seen) <= 3

    now_us = [1_700_000_000_000_900]
    model = Model(lambda: now_us[0])
    model.call("SET", "k", "v", "PX", "2")
    lefts = []
    for now_us[0] in range(1_700_000_000_000_900, 1_700_000_000_004_000, 100):
        lefts.append(model.call("PTTL", "k"))
    assert [left for left, _ in itertools.groupby(lefts)] == [2, 1, 0, -2]
    assert lefts.count(1) == lefts.count(0) == 10


def test_the_ids_of_a_stream_when_the_clock_goes_back(server: Server) -> None:
    """`*` continues from the last id, which was made here with an id from the future."""
    theirs = _of_server(server)
    ahead_ms = 4_102_444_800_000
    theirs(("XADD", "x", f"{ahead_ms}-0", "f", "v"))
    found = [theirs(("XADD", "x", "*", "f", "v")) for _ in range(2)]
    now_us = [ahead_ms * 1_000]
    ours = _of_model(Model(lambda: now_us[0]))
    ours(("XADD", "x", "*", "f", "v"))
    now_us[0] -= 10**9
    assert [ours(("XADD", "x", "*", "f", "v")) for _ in range(2)] == found


def test_hscan_of_a_large_hash_shows_every_field(server: Server) -> None:
    pairs = [str(word) for n in range(700) for word in (n, n)]
    for ask in (_of_server(server), _of_model(Model(lambda: 1))):
        ask(("HSET", "h", *pairs))
        cursor, fields = b"0", set()
        while True:
            cursor, page = ask(("HSCAN", "h", cursor.decode(), "COUNT", "200"))
            fields |= set(page[::2])
            if cursor == b"0":
                break
        assert len(fields) == 700
