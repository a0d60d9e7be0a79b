"""Messages that go nowhere: an exchange without a queue, on a broker where kombu does the routing.

RabbitMQ routes by itself. On Redis, SQS, in memory and in files kombu's channel looks the queues up
and puts the message into each. Where there is none it drops the message and says nothing. So its
puts are counted. They are the two methods that each transport of this kind defines; a channel
without them is one that routes elsewhere.
"""

from __future__ import annotations

from typing import Any

_PUTS = ("_put", "_put_fanout")


class Deliveries:
    """How many queues or subscribers of an exchange were served since `since`."""

    def __init__(self) -> None:
        self.count = 0
        self.since = 0


def counting_deliveries(channel: Any) -> Deliveries | None:
    """Begin to count what this channel puts; None where it does not route by itself."""
    found: Deliveries | None = channel.__dict__.get("habeat_deliveries")
    if found is None:
        if not callable(getattr(channel, "_put", None)):
            return None
        found = channel.habeat_deliveries = Deliveries()
        for name in _PUTS:
            if callable(getattr(channel, name, None)):
                setattr(channel, name, _counted(getattr(channel, name), found))
    found.since = found.count
    return found


def is_unrouted(found: Deliveries | None) -> bool:
    """Whether nothing was put anywhere since."""
    return found is not None and found.count == found.since


def _counted(put: Any, found: Deliveries) -> Any:
    def counted(*args: Any, **kwargs: Any) -> Any:
        found.count += 1
        return put(*args, **kwargs)

    return counted
