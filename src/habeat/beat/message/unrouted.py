"""Watch kombu's routing: refuse messages that reach no queue, or a key of habeat's own.

RabbitMQ routes messages itself. On Redis, SQS, in memory and in files, kombu's channel looks up the
queues and puts the message into each. If there is no queue, it silently drops the message; and a
binding may lead to a queue that is a key of habeat's own. So its puts are counted and checked. Each
such transport defines the same two methods for them; a channel without those methods leaves routing
to the broker.
"""

from __future__ import annotations

from typing import Any

_PUTS = ("_put", "_put_fanout")


class Deliveries:
    """`count`: how many puts there were; `since`: the count when watching last began."""

    def __init__(self) -> None:
        self.count = 0
        self.since = 0


class OwnKey(ValueError):
    """A queue or exchange leads to a key of habeat's own."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name!r} leads to a key of habeat's own")


def counting_deliveries(channel: Any, own: tuple[str, ...]) -> Deliveries | None:
    """Start counting this channel's puts; None if kombu does not route on it.

    A put to a name that begins with one of `own` then raises OwnKey.
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
    """OwnKey if declaring one of these would write to a name that begins with one of `own`."""
    for entity in entities or ():
        exchange = getattr(entity, "exchange", None)
        for name in (getattr(entity, "name", ""), getattr(exchange, "name", "")):
            if str(name or "").startswith(own):
                raise OwnKey(str(name))


def is_unrouted(found: Deliveries | None) -> bool:
    """Whether there was no put since the last `counting_deliveries`."""
    return found is not None and found.count == found.since


def _counted(put: Any, found: Deliveries, own: tuple[str, ...]) -> Any:
    def counted(*args: Any, **kwargs: Any) -> Any:
        if args and str(args[0]).startswith(own):  # the queue, or the exchange of a fan-out
            raise OwnKey(str(args[0]))
        found.count += 1
        return put(*args, **kwargs)

    return counted
