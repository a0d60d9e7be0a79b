"""A pub/sub connection that cannot be opened leaves the connection for commands alone."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from habeat.beat.preflight import LOOK_EVERY_MS, Preflight
from habeat.clock import SystemClock
from habeat.config.redis_target import redis_target
from habeat.ports import StoreUnavailable
from habeat.store.calling import Caller
from habeat.store.connection import Connections
from habeat.store.keys import Keys
from habeat.store.pubsub import REOPEN_EVERY_MS, RedisWakeChannel
from tests.support.servers.redis_server import Server
from tests.unit.engine.world import FakeClock

KEYS = Keys("habeat:line")


def test_no_room_for_a_subscriber_is_not_redis_being_away(
    private_server: Callable[..., Server], caplog: pytest.LogCaptureFixture
) -> None:
    server = private_server()
    connections, clock = Connections(redis_target(server.url())), FakeClock()
    caller = Caller(connections, KEYS)
    line = RedisWakeChannel(connections, KEYS, "n1", clock)
    connected_as = caller.do(lambda client: client.client_id())
    admin = server.client()
    admin.config_set("maxclients", len(admin.client_list()))
    for _ in range(3):
        assert not line.open()
        line.wait(1)
    problem = "the connection for commands was given up"
    assert caller.do(lambda client: client.client_id()) == connected_as, problem
    assert caplog.text.count("cannot be opened") == 1
    admin.config_set("maxclients", 100)
    assert not line.open(), "it is not tried at each turn"
    clock.advance(REOPEN_EVERY_MS + 1)
    assert line.open()
    assert caplog.text.count("is open again") == 1
    line.resubscribe()
    connections.close()


def test_a_server_that_answers_nothing_is_away(private_server: Callable[..., Server]) -> None:
    server = private_server()
    connections = Connections(redis_target(server.url()))
    line = RedisWakeChannel(connections, KEYS, "n1", SystemClock())
    server.stop()
    with pytest.raises(StoreUnavailable):
        line.open()
    connections.close()


def test_a_memory_policy_that_is_changed_meanwhile_is_reported_once(
    private_server: Callable[..., Server], caplog: pytest.LogCaptureFixture
) -> None:
    server = private_server()
    connections, clock = Connections(redis_target(server.url())), FakeClock()
    preflight = Preflight(connections, Caller(connections, KEYS), "n1", clock)
    preflight._memory_policy()
    admin = server.client()
    with caplog.at_level(logging.WARNING):
        for policy, level in (
            ("allkeys-lru", "ERROR"),
            ("volatile-ttl", "WARNING"),
            ("noeviction", "WARNING"),
        ):
            caplog.clear()
            admin.config_set("maxmemory-policy", policy)
            preflight.look_again()
            assert not caplog.records, "it is looked at once a minute"
            for _ in range(2):
                clock.advance(LOOK_EVERY_MS)
                preflight.look_again()
            assert [each.levelname for each in caplog.records] == [level]
            assert policy in caplog.text
    server.stop()
    clock.advance(LOOK_EVERY_MS)
    preflight.look_again()
    connections.close()
