"""Connections to the app's broker, none of which waits for ever.

Sockets of the transports that we know (Redis, AMQP) are given time limits; for the others the
connection's own timeout is what there is. What the app has set itself stays as it is.
"""

from __future__ import annotations

from typing import Any

from celery import Celery
from kombu import Connection
from kombu.exceptions import KombuError, OperationalError

_REDIS = ("redis", "rediss", "sentinel", "valkey", "valkeys")
_AMQP = ("amqp", "amqps", "pyamqp")


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


def told(error: Exception) -> str:
    """The error in a few words; kombu wraps the cause, which says more."""
    cause = error.__cause__ if isinstance(error, (OperationalError, KombuError)) else None
    shown = cause or error
    return f"{type(shown).__name__}: {shown}" if str(shown) else type(shown).__name__
