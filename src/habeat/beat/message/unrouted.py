"""Where kombu puts a message, on a broker where it does the routing itself: nowhere, and where not.

RabbitMQ routes by itself. On Redis, SQS, in memory and in files kombu's channel looks the queues up
and puts the message into each. Where there is none it drops the message and says nothing; and a
binding may lead to a queue that is a key of habeat's own. So its puts are watched. They are the two
methods that each transport of this kind defines; a channel without them is one that routes
elsewhere.
"""

from __future__ import annotations

from typing import Any

_PUTS = ("_put", "_put_fanout")


class Deliveries:
    """How many queues or subscribers of an exchange were served since `since`."""

    def __init__(self) -> None:
        self.count = 0
        self.since = 0


class OwnKey(ValueError):
    """A queue or exchange that leads to a key of habeat's own."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name!r} leads to a key of habeat's own")


def counting_deliveries(channel: Any, own: tuple[str, ...]) -> Deliveries | None:
    """Begin to count what this channel puts; None where it does not route by itself.

    A put to a name that begins with one of `own` is an OwnKey.
    """
    found: Deliveries | None = channel.__dict__.get("habeat_deliveries")
    if found is None:
        if not callable(getattr(channel, "_put", None)):
            return None
        found = channel.habeat_deliveries = Deliveries()
        for name in _PUTS:
            if callable(getattr(channel, name, None)):
                setattr(channel, name, _counted(getattr(channel, name), found, own))
    found.since = found.count
    return found


def check_declared(entities: Any, own: tuple[str, ...]) -> None:
    """OwnKey if the declaration of one of these would write to such a name."""
    for entity in entities or ():
        exchange = getattr(entity, "exchange", None)
        for name in (getattr(entity, "name", ""), getattr(exchange, "name", "")):
            if str(name or "").startswith(own):
                raise OwnKey(str(name))


def is_unrouted(found: Deliveries | None) -> bool:
    """Whether nothing was put anywhere since."""
    return found is not None and found.count == found.since


def _counted(put: Any, found: Deliveries, own: tuple[str, ...]) -> Any:
    def counted(*args: Any, **kwargs: Any) -> Any:
        if args and str(args[0]).startswith(own):  # the queue, or the exchange of a fan-out
            raise OwnKey(str(args[0]))
        found.count += 1
        return put(*args, **kwargs)

    return counted
