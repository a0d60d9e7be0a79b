"""Creates redis-py pools and clients that behave alike in redis-py 5.0.3 to 8.1.

Pools are created directly, not by `Redis(...)` or `from_url`, whose defaults differ between
releases. This way, the arguments reach the connection unchanged.
"""

from __future__ import annotations

import functools
import inspect
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.connection import AbstractConnection, ConnectionPool
from redis.exceptions import RedisClusterException
from redis.retry import Retry
from redis.sentinel import (
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)

from habeat.config.redis_target import OPTIONS_SETTING, TLS_OPTIONS, RedisTarget
from habeat.errors import SettingsError
from habeat.store.credentials import of_provider

Met = Callable[..., None]
Pool = ConnectionPool
#: A pooled connection may be idle for hours. NATs forget idle flows, and with the kernel's default
#: the first keepalive probe would be sent only after two hours.
KEEPALIVE = {
    getattr(socket, option): value
    for option, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
    if hasattr(socket, option)
}
_TCP_ONLY = frozenset(("socket_keepalive", "socket_keepalive_options"))
_FOR_A_CONNECTION = _TCP_ONLY | {"username", "password", "credential_provider"}


@dataclass(frozen=True)
class Timeouts:
    """How long a single wait may last, in seconds."""

    connect_s: float
    read_s: float

    def arguments(self) -> dict[str, Any]:
        """All arguments that determine how long a call may take, as redis-py names them."""
        return {
            "socket_connect_timeout": self.connect_s,
            "socket_timeout": self.read_s,
            "retry": Retry(NoBackoff(), 0),
            "health_check_interval": 0,
            "protocol": 2,
            "decode_responses": False,
        }


def short_timeouts(timeout_s: float, target: RedisTarget) -> Timeouts:
    """Divide `timeout_s` among the waits of one call on a new connection.

    These are connecting and the call itself, plus TLS, AUTH and SELECT if they are needed.
    """
    options = target.checked_options
    login = any(name in options for name in ("password", "credential_provider"))
    each_s = timeout_s / (2 + target.tls + login + bool(target.db))
    return Timeouts(each_s, each_s)


def connection_arguments(target: RedisTarget, timeouts: Timeouts, met: Met) -> dict[str, Any]:
    """The arguments of each connection to Redis, however its address is found."""
    chosen = {k: v for k, v in target.checked_options.items() if k in _FOR_A_CONNECTION}
    if target.address.path:
        chosen = {k: v for k, v in chosen.items() if k not in _TCP_ONLY}
    else:
        chosen.setdefault("socket_keepalive", True)
        chosen.setdefault("socket_keepalive_options", dict(KEEPALIVE))
    if target.tls:
        chosen |= _tls(target)
    if not target.cluster:
        chosen["db"] = target.db
    return {**chosen, **timeouts.arguments(), "redis_connect_func": met}


def unnamed() -> dict[str, Any]:
    """Arguments that save the two requests by which redis-py reports its name and version."""
    if "driver_info" in inspect.signature(AbstractConnection.__init__).parameters:
        return {"driver_info": None}
    return {"lib_name": None, "lib_version": None}


def plain_pool(target: RedisTarget, arguments: dict[str, Any], host: str, port: int) -> Pool:
    """A pool for one server; if `target` is a Unix socket, host and port are ignored."""
    if target.address.path:
        return ConnectionPool(_UnixConnection, path=target.address.path, **arguments)
    kind = redis.SSLConnection if target.tls else redis.Connection
    return ConnectionPool(kind, host=host, port=port, **arguments)


def sentinel_pool(target: RedisTarget, sentinel: Sentinel, arguments: dict[str, Any]) -> Pool:
    """A pool whose connections ask the Sentinels for the master each time they connect."""
    kind = SentinelManagedSSLConnection if target.tls else SentinelManagedConnection
    name = str(target.checked_options["master_name"])
    return SentinelConnectionPool(name, sentinel, connection_class=kind, **arguments)  # type: ignore[no-untyped-call]


def sentinels(target: RedisTarget, timeouts: Timeouts, met: Met) -> Sentinel:
    """The Sentinels of `target`, with the same limit on each wait as for Redis itself."""
    options = target.checked_options
    known = inspect.signature(redis.Redis.__init__).parameters
    given = {k: v for k, v in dict(options.get("sentinel_kwargs") or {}).items() if k in known}
    if "credential_provider" in given:
        given["credential_provider"] = of_provider(given["credential_provider"])
    return Sentinel(  # type: ignore[no-untyped-call]
        list(target.address.hosts),
        min_other_sentinels=int(options.get("min_other_sentinels", 0)),
        sentinel_kwargs={**given, **timeouts.arguments(), "redis_connect_func": met},
    )


def cluster_client(target: RedisTarget, arguments: dict[str, Any]) -> RedisCluster:
    """A Cluster client that does not retry. Creating it reads the hash slots, which is I/O.

    It tolerates hash slots that no node serves, because all of ours are on one node.
    """
    met = arguments.pop("redis_connect_func")
    arguments["redis_connect_func"] = functools.partial(met, handshake=False)
    if redis.VERSION < (6,):
        arguments["cluster_error_retry_attempts"] = 0
    try:
        return _Cluster(
            startup_nodes=[ClusterNode(*each) for each in target.address.hosts],  # type: ignore[no-untyped-call]
            require_full_coverage=False,
            ssl=target.tls,
            **arguments,
        )
    except RedisClusterException as error:
        raise as_redis_error(error) from error


def as_redis_error(error: RedisClusterException) -> redis.RedisError:
    """The cause of a RedisClusterException, which itself is not a RedisError and says little."""
    cause = error.__cause__
    return cause if isinstance(cause, redis.RedisError) else redis.ConnectionError(str(error))


class _Cluster(RedisCluster):
    def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().execute_command(*args, **kwargs)  # type: ignore[no-untyped-call]
        except RedisClusterException as error:
            raise as_redis_error(error) from error


class _UnixConnection(redis.UnixDomainSocketConnection):
    """Sets the timeout of a Unix socket, which the constructor of old releases ignores."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)  # type: ignore[no-untyped-call]
        self.socket_timeout = arguments["socket_timeout"]


def _tls(target: RedisTarget) -> dict[str, Any]:
    options = target.checked_options
    chosen = {name: value for name, value in options.items() if name in TLS_OPTIONS}
    accepted = inspect.signature(redis.SSLConnection.__init__).parameters
    for name in chosen:
        if name not in accepted:
            raise SettingsError(
                OPTIONS_SETTING,
                f"{OPTIONS_SETTING}: redis-py {redis.__version__} does not support {name!r}",
            )
    required = chosen.setdefault("ssl_cert_reqs", "required") != "none"
    # Old releases check the host name in the certificate only on request, and refuse to do so if
    # the certificate itself is not verified. What Celery reaches with the broker's options, habeat
    # reaches too, so redis-py's own default applies to them.
    default = True if target.strict else accepted["ssl_check_hostname"].default
    chosen["ssl_check_hostname"] = required and chosen.get("ssl_check_hostname", default)
    return chosen
