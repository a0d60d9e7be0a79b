"""habeat_wait_redis_replicas on real servers: nothing is sent while the only one is frozen.

A WAIT over another connection, or at another node of a Cluster, answers at once and proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from queue import Queue
from typing import Any

import pytest
import redis

from habeat.core.lease import Fence, Token
from habeat.ports import Recovered, Statuses, StoreUnavailable
from habeat.store.calling import Caller
from habeat.store.dispatch import RedisDispatchStore
from tests.integration.scripts.bench import TTL_MS, Bench, One
from tests.support.servers.children import until
from tests.support.servers.cluster import CLUSTERED, Cluster, start_cluster
from tests.support.servers.redis_server import HOST, Server, start_server, valkey_binary

LIMITS = {"dedup_ttl_ms": 60_000, "ledger_age_ms": 86_400_000, "ledger_length": 100}
Case = tuple[Bench, RedisDispatchStore, Server]


def _copied(server: redis.Redis) -> bool:
    """A Redis replica is in step and confirms what is written from now on."""
    server.flushall()  # a write without a key, which each node of a Cluster takes
    return bool(server.wait(1, 100) == 1)


def _store(bench: Bench, client: Any) -> RedisDispatchStore:
    return RedisDispatchStore(Caller(One(client), bench.keys), wait_redis_replicas=1, **LIMITS)


@pytest.fixture
def alone(private_server: Callable[..., Server]) -> Case:
    """One master and its Redis replica."""
    master = private_server()
    replica = private_server(extra_args=["--replicaof", HOST, str(master.port)])
    until(lambda: _copied(master.admin), 20, "the Redis replica is in step")
    bench = Bench(master)
    return bench, _store(bench, _taking_turns(master)), replica


def _taking_turns(server: Server) -> redis.Redis:
    """A client with two connections, which calls use alternately."""
    pool = redis.BlockingConnectionPool(
        host=HOST, port=server.port, max_connections=2, queue_class=Queue
    )
    return redis.Redis(connection_pool=pool)


@pytest.fixture(scope="module")
def masters() -> Iterator[tuple[Cluster, list[Server]]]:
    """Three masters with a Redis replica each."""
    cluster = start_cluster(valkey_binary())
    replicas: list[Server] = []
    try:
        for node in cluster.nodes:
            replicas.append(_introduced(node))
        for node, replica in zip(cluster.nodes, replicas, strict=True):
            _follow(node, replica)
        for node in cluster.nodes:
            until(lambda node=node: _copied(node.admin), 20, "the Redis replica is in step")
        yield cluster, replicas
    finally:
        for replica in replicas:
            replica.dispose()
        cluster.dispose()


@pytest.fixture
def clustered(masters: tuple[Cluster, list[Server]]) -> Case:
    """The replica is that of the node that owns the schedule's hash slot."""
    cluster, replicas = masters
    owner = cluster.owner(Bench(cluster.nodes[0]).keys.meta)
    owner.admin.flushall()
    bench = Bench(owner)
    return bench, _store(bench, cluster.client()), replicas[cluster.nodes.index(owner)]


def _introduced(node: Server) -> Server:
    """A new node, which the others discover gradually."""
    replica = start_server(valkey_binary(), extra_args=CLUSTERED)
    replica.admin.execute_command("CLUSTER", "MEET", HOST, node.port)
    return replica


def _follow(node: Server, replica: Server) -> None:
    name = node.admin.execute_command("CLUSTER", "MYID")

    def follows() -> bool:
        try:
            replica.admin.execute_command("CLUSTER", "REPLICATE", name)
        except redis.ResponseError:  # it has not met that node
            return False
        return True

    until(follows, 20, "the Redis replica follows its master")


def _claim(bench: Bench, store: RedisDispatchStore, token: Token) -> Any:
    claim = bench.claim_of(bench.place(f"e{len(bench.flying())}", ago_ms=100))
    return store.claim(Fence(token, TTL_MS), [claim], atomic=False)


def _recover(bench: Bench, store: RedisDispatchStore, token: Token) -> Any:
    return store.recover(Fence(token, TTL_MS), 10)


def _mark(bench: Bench, store: RedisDispatchStore, token: Token) -> Any:
    bench.claim(token, bench.claim_of(bench.place("marked", ago_ms=100)), atomic=False)
    bench.hasten()
    found = bench.store.recover(Fence(token, TTL_MS), 10)
    assert isinstance(found, Recovered)
    return store.mark(Fence(token, TTL_MS), found.intents[0], 5, "", 1_000)


@pytest.mark.parametrize("call", [_claim, _recover, _mark])
@pytest.mark.parametrize("where", ["alone", pytest.param("clustered", marks=pytest.mark.slow)])
def test_with_the_only_redis_replica_frozen_nothing_may_be_sent(
    request: pytest.FixtureRequest, where: str, call: Callable[..., Any]
) -> None:
    bench, store, replica = request.getfixturevalue(where)
    token = bench.lead()
    assert isinstance(_claim(bench, store, token), Statuses)
    replica.pause()
    try:
        with pytest.raises(StoreUnavailable, match="0 of 1 Redis replicas"):
            call(bench, store, token)
    finally:
        replica.resume()
    bench.admin.wait(1, 5_000)
    assert isinstance(_claim(bench, store, token), Statuses)
