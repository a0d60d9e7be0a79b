"""Connections to the app's broker, all with time limits.

The sockets of known transports (Redis, AMQP) get timeouts; other transports have only kombu's
connect timeout. Options that the app sets itself are not changed.
"""

from __future__ import annotations

import select
from typing import Any

from celery import Celery
from kombu import Connection

#: kombu's transports that write to a Redis.
REDIS_TRANSPORTS = ("redis", "rediss", "sentinel", "valkey", "valkeys")
_AMQP = ("amqp", "amqps", "pyamqp")
#: The most unread events to process: confirmations, heartbeats, "blocked".
HEARD_AT_MOST = 100


def connection_of(app: Celery, timeout_s: float) -> Connection:
    """A new connection to the broker that the app publishes to, not connected yet."""
    connection = app.connection_for_write(connect_timeout=timeout_s)
    connection.transport_options = {
        **_limits(transport_of(connection), timeout_s),
        **(connection.transport_options or {}),
    }
    return connection


def transport_of(connection: Connection) -> str:
    """The name of the connection's transport, such as redis or amqp."""
    return str(connection.transport_cls or "").partition("+")[0]


def _limits(transport: str, timeout_s: float) -> dict[str, Any]:
    if transport in REDIS_TRANSPORTS:
        return {"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s, "max_retries": 0}
    if transport in _AMQP:
        return {"read_timeout": timeout_s, "write_timeout": timeout_s, "confirm_publish": True}
    return {}


def connect(connection: Connection, timeout_s: float) -> None:
    """Connect within `timeout_s`, trying each of its addresses once."""
    connection.connect_timeout = timeout_s
    connection.ensure_connection(
        max_retries=max(0, len(connection.alt) - 1),
        interval_start=0,
        interval_step=0,
        timeout=timeout_s,
    )


def was_closed(connection: Connection) -> bool:
    """Whether the broker has closed an AMQP connection that we still have open.

    Check it before sending: a message written to a closed connection is lost, and neither the
    message nor its entry is to blame. For Redis, redis-py does the same check itself.
    """
    if transport_of(connection) not in _AMQP or not connection.connected:
        return False
    try:
        for _ in range(HEARD_AT_MOST):
            if not _readable(connection):
                return False
            connection.drain_events(timeout=0.01)
    except TimeoutError:
        return False  # half a frame
    except Exception:
        return True
    return False


def _readable(connection: Connection) -> bool:
    return bool(select.select([connection.connection.sock], [], [], 0)[0])
