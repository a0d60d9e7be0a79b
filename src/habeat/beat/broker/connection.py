"""Connections to the app's broker, none of which waits for ever.

Sockets of the transports that we know (Redis, AMQP) are given time limits; for the others the
connection's own timeout is what there is. What the app has set itself stays as it is.
"""

from __future__ import annotations

import select
from typing import Any

from celery import Celery
from kombu import Connection

_REDIS = ("redis", "rediss", "sentinel", "valkey", "valkeys")
_AMQP = ("amqp", "amqps", "pyamqp")
#: What a broker says by itself: confirmations, heartbeats, that it is blocked.
HEARD_AT_MOST = 100


def connection_of(app: Celery, timeout_s: float) -> Connection:
    """A connection to where the app publishes, not connected yet."""
    connection = app.connection_for_write(connect_timeout=timeout_s)
    scheme = (connection.transport_cls or "").partition("+")[0]
    connection.transport_options = {
        **_limits(scheme, timeout_s),
        **(connection.transport_options or {}),
    }
    return connection


def _limits(scheme: str, timeout_s: float) -> dict[str, Any]:
    if scheme in _REDIS:
        return {"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s, "max_retries": 0}
    if scheme in _AMQP:
        return {"read_timeout": timeout_s, "write_timeout": timeout_s, "confirm_publish": True}
    return {}


def was_closed(connection: Connection) -> bool:
    """Whether the other side of an open AMQP connection has closed it meanwhile.

    Looked at before anything is sent: a message written to a closed connection is lost, and
    neither that message nor its entry is to blame. redis-py looks by itself.
    """
    if (connection.transport_cls or "").partition("+")[0] not in _AMQP or not connection.connected:
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
