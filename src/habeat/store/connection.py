"""Clients for the schedule's Redis, configured so that no call hangs and none is sent twice.

redis-py's defaults suit a web request, not a lease. Depending on the constructor, a call is retried
up to ten times with seconds in between, and a retried script runs twice. A Sentinel that hangs
costs as much again. RESP3 maintenance notifications extend timeouts that the trust in a lease
relies on. So every option is set explicitly here: no retries, a limit on each wait, RESP2, raw
bytes.

**Forks.** If a child process holds its parent's socket, Redis keeps that connection open when the
parent dies, and crash detection by connection (NUMSUB) never notices. So this module keeps track of
each live socket, and a child closes its copies at once. It sends nothing to the server:
`shutdown()` would also end the parent's connection. The parent's client objects are kept unused
until the child ends, because their destructors may need a lock that another thread held at the
time of the fork.

**Cluster.** All of habeat's keys share one hash tag, so one node owns them. Commands find that node
by key. A plain pub/sub connection does not, and NUMSUB counts the subscribers of one node only. So
`pubsub` connects to the owner of the key and stays there. After an error, or when the leader's own
listener count reads 0, close it and take a new one.
"""

from __future__ import annotations

import contextlib
import os
import socket
import weakref
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import redis
from redis.client import PubSub
from redis.cluster import RedisCluster
from redis.connection import AbstractConnection, ConnectionPool
from redis.exceptions import RedisClusterException
from redis.sentinel import Sentinel

from habeat.config.redis_target import RedisTarget
from habeat.forking import drop_in_children
from habeat.store.credentials import of_provider
from habeat.store.redis_clients import (
    Met,
    Timeouts,
    as_redis_error,
    cluster_client,
    connection_arguments,
    plain_pool,
    sentinel_pool,
    sentinels,
    short_timeouts,
    unnamed,
)

if TYPE_CHECKING:  # a probe, which needs no port, does not import them
    from habeat.ports import Clock

AnyRedis = redis.Redis | RedisCluster


class Connections:
    """The clients of one process for one target, created when first used.

    Timeouts are in seconds. They apply to each wait (connecting or reading), not to a whole call.
    Host name lookup is left to the operating system and not bounded. Errors are redis-py's (see
    `faults`); `reset`, `close` and `drop_after_fork` raise none.
    """

    _client: AnyRedis | None
    _sentinel: Sentinel | None

    def __init__(
        self,
        target: RedisTarget,
        *,
        socket_timeout_s: float = 1.0,
        connect_timeout_s: float = 1.0,
        client_name: str = "habeat",
    ) -> None:
        self._target = target
        self._timeouts = Timeouts(connect_timeout_s, socket_timeout_s)
        self._client_name = str(target.checked_options.get("client_name", client_name))
        self._credentials = of_provider(target.checked_options.get("credential_provider"))
        self._inherited: list[object] = []
        #: Number of connections made, including those that redis-py silently reopens.
        self.made = 0
        self._forget()
        drop_in_children(self)

    def client(self) -> AnyRedis:
        """The client for commands and scripts. Do not keep it: `reset` may replace it.

        Creating the client of a Cluster reads the hash slots, which is I/O.
        """
        self._own_process()
        if self._client is None:
            self._client = self._make()
        return self._client

    def pubsub(self, key: str) -> PubSub:
        """A subscriber with its own connection, to the server that owns `key`."""
        self._own_process()
        pool = self._pool_for(key)
        self._pools.add(pool)
        return PubSub(pool)

    def short_lived(self, timeout_s: float, key: str | None = None) -> AnyRedis:
        """A client with a new connection, for one call that must end within `timeout_s`.

        It shares nothing with other clients, so a signal handler can use it whatever it has
        interrupted. It connects to the last known server without asking Sentinel or the Cluster
        again; for a Cluster, that needs `key`. Close it after use.
        """
        self._own_process()
        timeouts, met = short_timeouts(timeout_s, self._target), self._met_briefly
        arguments = self._arguments_with(timeouts, met) | unnamed()
        known = self._last_known(key)
        if known is not None:
            pool = plain_pool(self._target, arguments, *known)
        elif self._target.cluster:
            return cluster_client(self._target, arguments)
        else:
            pool = self._pool(arguments, lambda: sentinels(self._target, timeouts, met))
        return redis.Redis.from_pool(pool)  # closing the client also closes the pool

    def credentials(self, clock: Clock) -> int:
        """A number that grows when the credentials change; 0 if they cannot change."""
        return self._credentials.look(clock) if self._credentials else 0

    def drop_idle(self) -> None:
        """Disconnect what is not in use, so that the next call logs in with new credentials."""
        self._own_process()
        client = self._client
        if isinstance(client, RedisCluster):
            nodes = [node.redis_connection for node in client.get_nodes()]  # type: ignore[no-untyped-call]
            pools = [node.connection_pool for node in nodes if node is not None]
        else:
            pools = [] if client is None else [client.connection_pool]
        for pool in pools:
            _quietly(partial(pool.disconnect, inuse_connections=False))

    def reset(self) -> None:
        """Disconnect everything, including subscribers: for example, from a demoted master.

        Clients and subscribers reconnect when next used. For a Cluster, take new ones.
        """
        self._own_process()
        for pool in list(self._pools):
            _quietly(pool.disconnect)
        client = self._client
        if isinstance(client, RedisCluster):
            self._client = None
            _quietly(client.close)
        elif client is not None:
            _quietly(client.connection_pool.disconnect)

    def close(self) -> None:
        """Disconnect and forget everything; a later call starts from scratch."""
        self.reset()
        for sentinel in self._sentinel.sentinels if self._sentinel else ():
            _quietly(sentinel.close)
        self._forget()

    def drop_after_fork(self) -> None:
        """In a forked child: close inherited sockets, sending nothing, and forget the clients."""
        for connection in list(self._live):
            inherited: socket.socket | None = connection._sock
            connection._sock = None
            if inherited is not None:
                _quietly(inherited.close)
        self._inherited += [self._client, self._sentinel, *self._pools]
        if self._credentials:
            self._credentials.forget()
        self._forget()

    def _forget(self) -> None:
        self._pid = os.getpid()
        self._client = None
        self._sentinel = None
        self._pools: weakref.WeakSet[ConnectionPool] = weakref.WeakSet()
        self._live: weakref.WeakSet[AbstractConnection] = weakref.WeakSet()

    def _own_process(self) -> None:
        if self._pid != os.getpid():
            self.drop_after_fork()

    def _make(self) -> AnyRedis:
        if self._target.cluster:
            return cluster_client(self._target, self._arguments())
        return redis.Redis(connection_pool=self._pool(self._arguments(), self._sentinels))

    def _pool(self, arguments: dict[str, Any], asked: Callable[[], Sentinel]) -> ConnectionPool:
        address = self._target.address
        if address.sentinel:
            return sentinel_pool(self._target, asked(), arguments)
        host, port = address.hosts[0] if address.hosts else ("", 0)
        return plain_pool(self._target, arguments, host, port)

    def _pool_for(self, key: str) -> ConnectionPool:
        if not self._target.cluster:
            return self._pool(self._arguments(), self._sentinels)
        return plain_pool(self._target, self._arguments(), *self._owner(key))

    def _sentinels(self) -> Sentinel:
        if self._sentinel is None:
            self._sentinel = sentinels(self._target, self._timeouts, self._met)
        return self._sentinel

    def _owner(self, key: str) -> tuple[str, int]:
        cluster = self.client()
        assert isinstance(cluster, RedisCluster)
        try:
            node = cluster.get_node_from_key(key)  # type: ignore[no-untyped-call]
        except RedisClusterException as error:
            raise as_redis_error(error) from error
        if node is None:
            raise redis.ConnectionError(f"no node of the Cluster owns the hash slot of {key!r}")
        return node.host, int(node.port)

    def _last_known(self, key: str | None) -> tuple[str, int] | None:
        """Where the last call went, if that is known without I/O."""
        if isinstance(self._client, RedisCluster):
            with contextlib.suppress(redis.RedisError):
                return None if key is None else self._owner(key)
        elif self._client is not None and self._target.address.sentinel:
            return getattr(self._client.connection_pool, "master_address", None)
        return None

    def _arguments(self) -> dict[str, Any]:
        return self._arguments_with(self._timeouts, self._met)

    def _arguments_with(self, timeouts: Timeouts, met: Met) -> dict[str, Any]:
        arguments = connection_arguments(self._target, timeouts, met)
        if self._credentials:
            arguments["credential_provider"] = self._credentials
        return arguments

    def _met(self, connection: AbstractConnection, *, handshake: bool = True) -> None:
        """Called by redis-py for each new connection, in place of its own handshake."""
        self.made += 1
        self._met_briefly(connection, handshake=handshake)
        name = self._client_name
        # Not by redis-py: it gives the connection up if an ACL forbids CLIENT SETNAME.
        connection.send_command("CLIENT", "SETNAME", name)  # type: ignore[no-untyped-call]
        with contextlib.suppress(redis.ResponseError):
            connection.read_response()

    def _met_briefly(self, connection: AbstractConnection, *, handshake: bool = True) -> None:
        self._live.add(connection)
        if handshake:
            connection.on_connect()  # type: ignore[no-untyped-call]


def _quietly(action: Callable[[], object]) -> None:
    with contextlib.suppress(redis.RedisError, OSError):
        action()
