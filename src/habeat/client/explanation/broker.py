"""Ask the broker about the queue of an entry: how many messages wait, and who consumes them.

The broker may hang, and a client of it may wait in many places. So the question is asked in a
thread of its own, and after `TIMEOUT_S` there is no answer.
"""

from __future__ import annotations

from threading import Thread
from typing import Any

from habeat.client.explanation.facts import QueueLook
from habeat.client.queues import Queues
from habeat.core.entry import Entry
from habeat.printable import printable

TIMEOUT_S = 2.0

_AMQP = ("amqp", "amqps", "pyamqp")
_REDIS = ("redis", "rediss", "sentinel", "valkey", "valkeys")
_ERROR_MAX_CHARS = 200


class BrokerQuestion:
    """Asks once, however often it is called; None if there is nothing to ask."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._look: QueueLook | None = None

    def __call__(self, entry: Entry) -> QueueLook | None:
        if self._look is None:
            self._look = self._asked(entry)
        return self._look

    def _asked(self, entry: Entry) -> QueueLook:
        if self._app is None:
            return QueueLook("?", problem="this client has no app, so it does not know the broker")
        name = Queues(self._app).of(entry)
        if name == "?" or "/" in name:
            return QueueLook(name, problem="an exchange decides which queues get its messages")
        found: list[QueueLook] = []
        thread = Thread(target=lambda: found.append(look(self._app, name)), daemon=True)
        thread.start()
        thread.join(TIMEOUT_S)
        late = f"the broker did not answer within {TIMEOUT_S:g} s"
        return found[0] if found else QueueLook(name, problem=late)


def look(app: Any, name: str) -> QueueLook:
    """What the app's broker says about the queue of this name."""
    try:
        with app.connection_for_write(connect_timeout=TIMEOUT_S) as connection:
            transport = str(connection.transport_cls or "").partition("+")[0]
            if transport not in _AMQP + _REDIS:
                return QueueLook(name, problem=f"{transport} is not asked about its queues")
            return _declared(connection, name, _limits(transport), counts=transport in _AMQP)
    except Exception as error:  # a broker that is away, or the app's own code
        why = printable(str(error) or type(error).__name__, _ERROR_MAX_CHARS)
        return QueueLook(name, problem=f"the broker cannot be asked: {why}")


def _declared(connection: Any, name: str, limits: dict[str, Any], *, counts: bool) -> QueueLook:
    """Ask by a passive declaration, which creates nothing."""
    connection.transport_options = {**limits, **(connection.transport_options or {})}
    connection.ensure_connection(max_retries=1, interval_start=0, timeout=TIMEOUT_S)
    try:
        found = connection.default_channel.queue_declare(name, passive=True)
    except connection.channel_errors:
        # On Redis, an empty queue has no key.
        return QueueLook(name, messages=0, is_missing=counts)
    return QueueLook(name, int(found[1]), int(found[2]) if counts else None)


def _limits(transport: str) -> dict[str, Any]:
    if transport in _AMQP:
        return {"read_timeout": TIMEOUT_S, "write_timeout": TIMEOUT_S}
    return {"socket_timeout": TIMEOUT_S, "socket_connect_timeout": TIMEOUT_S, "max_retries": 0}
