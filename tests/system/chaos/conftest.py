"""Fixtures of the chaos suite: arenas on each kind of server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.servers.processes import Processes
from tests.support.servers.proxy import Proxy
from tests.support.servers.rabbitmq import RabbitMQ
from tests.support.servers.redis_server import Server
from tests.system.acceptance.apps import write_app
from tests.system.chaos.arena import BASE, TTL_S, Arena
from tests.system.chaos.beats import IN_THE_APP, Beats
from tests.system.chaos.queue import Queue
from tests.system.chaos.tape import Tape

#: Each once a second, spread over its quarters: something is always about to happen.
SCHEDULE = """{{
    f"e{{i:05d}}": {{"task": "proj.work", "schedule": habeat.every(1, offset=i % 4 / 4)}}
    for i in range({count})
}}"""
#: Both dispatches where it matters in every run; otherwise the one that can lose more.
BOTH = ("atomic", "outbox")

MakeArena = Callable[..., Arena]


#: By the outbox each message is published, confirmed and settled by itself: on a machine that is
#: busy with other things too, no more than this keeps up.
ATOMIC, OUTBOX = 80, 30


def schedule(count: int) -> str:
    return SCHEDULE.format(count=count)


@pytest.fixture
def troupe(tmp_path: Path, processes: Processes) -> Callable[..., Beats]:
    """`troupe(client, conf)`: an app in the test's folder, its beats not started."""

    def make(client: Any, conf: dict[str, Any], source: str, more: str = "") -> Beats:
        # However slow a busy machine is, only what the test delays on purpose is a misfire.
        settled = {"habeat_lease_ttl": TTL_S, "habeat_misfire_grace": 600, **conf}
        write_app(tmp_path, settled, source, more=IN_THE_APP + more)
        return Beats(processes, tmp_path, client, conf=settled)

    return make


@pytest.fixture
def arena_on(
    request: pytest.FixtureRequest,
    troupe: Callable[..., Beats],
    proxy: Callable[[Any], Proxy],
) -> Iterator[MakeArena]:
    """`arena_on(server, rabbit or None, …)`: the schedule on one Redis, its way a proxy.

    Without a RabbitMQ the broker is the same Redis, and the dispatch atomic.
    """
    made: list[Arena] = []

    def make(
        server: Server,
        rabbit: RabbitMQ | None = None,
        source: str = "",
        *,
        conf: dict[str, Any] | None = None,
        more: str = "",
        proxied: bool = True,
    ) -> Arena:
        way = proxy(server) if proxied else None
        count = ATOMIC if rabbit is None else OUTBOX
        url = way.url() if way else server.url()
        settled: dict[str, Any] = {"habeat_redis_url": url}
        broker_way, queue = None, None
        if rabbit is None:
            settled["broker_url"] = way.url(1) if way else server.url(1)
        else:
            vhost = rabbit.fresh_vhost()
            queue, broker_way = Queue(vhost), proxy(rabbit)
            settled["broker_url"] = vhost.replace(f":{rabbit.port}/", f":{broker_way.port}/")
        settled |= conf or {}
        tape = Tape(server.host, server.port, BASE)
        tape.attach()
        arena = Arena(
            name=request.node.name,
            beats=troupe(server.client(), settled, source or schedule(count), more),
            atomic=rabbit is None,
            server=server,
            way=way,
            tape=tape,
            queue=queue,
            rabbit=rabbit,
            broker_way=broker_way,
        )
        made.append(arena)
        return arena

    yield make
    for arena in made:
        if arena.tape is not None:
            arena.tape.stop()
