"""A Redis Cluster of three masters, put together by commands since no redis-cli is shipped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
from redis.cluster import ClusterNode, RedisCluster
from redis.crc import key_slot

from tests.support.servers.children import until
from tests.support.servers.redis_server import HOST, Server, start_server

_HASH_SLOTS = 16384


@dataclass
class Cluster:
    """`nodes[i]` owns the i-th third of the hash slots."""

    nodes: list[Server]

    @property
    def url(self) -> str:
        return self.nodes[0].url()

    def client(self) -> RedisCluster:
        return RedisCluster(startup_nodes=[ClusterNode(HOST, node.port) for node in self.nodes])

    def owner(self, key: str) -> Server:
        """The node that serves the hash slot of `key`."""
        return self.nodes[key_slot(key.encode()) * len(self.nodes) // _HASH_SLOTS]

    def each(self, command: Callable[[redis.Redis], Any]) -> list[Any]:
        """The answers of all nodes, in their order."""
        return [command(node.admin) for node in self.nodes]

    def dispose(self) -> None:
        for node in self.nodes:
            node.dispose()


def start_cluster(binary: Path, size: int = 3) -> Cluster:
    """Start `size` masters without Redis replicas and wait until each says "ok"."""
    cluster = Cluster([])
    try:
        for _ in range(size):
            cluster.nodes.append(start_server(binary, extra_args=CLUSTERED))
        _join(cluster)
        until(lambda: all(cluster.each(_is_ok)), 20, "each node calls the Cluster ok")
    except BaseException:
        cluster.dispose()
        raise
    return cluster


CLUSTERED = (
    *("--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf"),
    *("--cluster-node-timeout", "2000", "--cluster-require-full-coverage", "no"),
)


def _join(cluster: Cluster) -> None:
    size = len(cluster.nodes)
    for index, node in enumerate(cluster.nodes):
        # The hash slots s with s * size // 16384 == index, see Cluster.owner.
        first = -(-index * _HASH_SLOTS // size)
        last = -(-(index + 1) * _HASH_SLOTS // size) - 1
        node.admin.execute_command("CLUSTER", "SET-CONFIG-EPOCH", index + 1)
        node.admin.execute_command("CLUSTER", "ADDSLOTS", *range(first, last + 1))
    for node in cluster.nodes[1:]:
        cluster.nodes[0].admin.execute_command("CLUSTER", "MEET", HOST, node.port)


def _is_ok(client: redis.Redis) -> bool:
    info = client.execute_command("CLUSTER INFO")
    return info["cluster_state"] == "ok" and info["cluster_slots_assigned"] == str(_HASH_SLOTS)
