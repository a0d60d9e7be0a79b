"""Entries made through the Client, as many as are asked for, 10,000 to a call."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from tests.support.servers.redis_server import Server

import habeat

PREFIX = "habeat:bench"
AT_ONCE = 10_000
FAR_S = 30 * 86_400


def client_of(server: Server) -> habeat.Client:
    """A client of the schedule, without an app."""
    return habeat.Client(server.url(0), prefix=PREFIX, timezone="UTC")


def warm_up(server: Server) -> None:
    """Make an entry and remove it, so that scripts are loaded and buffers have grown."""
    with client_of(server) as client:
        client.add_many([{"name": "warm-up", "task": "bench.work", "schedule": 86_400}])
        client.remove("warm-up")


def fill(
    server: Server,
    count: int,
    every: timedelta | None = None,
    schedule: Any = None,
    say: Callable[[str], None] = lambda text: None,
) -> None:
    """Make `count` entries: with this period, or this schedule, or else none due for weeks.

    The far ones fall due two weeks from now; their periods differ a little.
    """
    offset_s = (int(time.time()) + FAR_S // 2) % FAR_S
    with client_of(server) as client:
        for start in range(0, count, AT_ONCE):
            client.add_many(
                {
                    "name": f"entry-{i:06d}",
                    "task": "bench.work",
                    "schedule": schedule or every or habeat.every(FAR_S + i % 7, offset=offset_s),
                    "args": (i,),
                    "kwargs": {"tenant": "abc"},
                }
                for i in range(start, min(start + AT_ONCE, count))
            )
            if start + AT_ONCE < count:
                say(f"{start + AT_ONCE:,} of {count:,} entries are stored")
