"""Another Redis takes over: chosen by Sentinel, after a SIGKILL or on request, or by a Cluster.

Writes that had not been copied are lost. Only that may explain a repeat.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import redis
from redis.sentinel import Sentinel

from tests.support.servers.children import until
from tests.support.servers.cluster import Cluster, start_cluster
from tests.support.servers.rabbitmq import RabbitMQ
from tests.support.servers.redis_server import Server, start_server, valkey_binary
from tests.support.servers.sentinel import Sentinels
from tests.system.acceptance.arrivals import QUEUE
from tests.system.acceptance.durations import FULL
from tests.system.chaos import inflicting
from tests.system.chaos.arena import BASE, Arena
from tests.system.chaos.beats import Beats
from tests.system.chaos.conftest import BOTH, OUTBOX, schedule
from tests.system.chaos.masters import Masters
from tests.system.chaos.queue import Queue
from tests.verification.history.events import Kind

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

MakeBeats = Callable[..., Beats]


@pytest.mark.parametrize("dispatch", BOTH if FULL else ("atomic",))
def test_sentinel(
    request: pytest.FixtureRequest, troupe: MakeBeats, sentinels: Sentinels, dispatch: str
) -> None:
    """Atomic, where the queue fails over too; and by the outbox, waiting for one copy."""
    options = {"master_name": sentinels.master_name}
    conf: dict[str, Any] = {"habeat_redis_url": sentinels.url, "habeat_redis_options": options}
    queue = None
    if dispatch == "atomic":
        conf |= {"broker_url": sentinels.url, "broker_transport_options": options}
    else:
        queue = Queue(request.getfixturevalue("rabbitmq").fresh_vhost())
        conf |= {"broker_url": queue.url, "habeat_wait_redis_replicas": 1}
    ports = [(watcher.host, watcher.port) for watcher in sentinels.watchers]
    client = Sentinel(ports, socket_timeout=2).master_for(sentinels.master_name)
    masters = Masters(BASE.decode(), "" if queue else QUEUE)
    masters.watch(sentinels.redises)
    arena = Arena(
        request.node.name, troupe(client, conf, schedule(OUTBOX)), queue is None, queue=queue
    )
    arena.history = masters.events
    arena.start()
    deposed = sentinels.master
    _fails_over(arena, lambda: sentinels.failover(kill=True))
    arena.fires()
    deposed.start()
    until(lambda: _two_copies(sentinels.master), 30, "the deposed one is a Redis replica")
    inflicting.kill(arena, arena.leader())
    arena.top_up()
    arena.fires()
    _fails_over(arena, lambda: sentinels.failover(kill=False))
    arena.finish()


def test_cluster(
    request: pytest.FixtureRequest, troupe: MakeBeats, copied: Copied, rabbitmq: RabbitMQ
) -> None:
    owner, heir = copied.owner, copied.heir
    queue = Queue(rabbitmq.fresh_vhost())
    conf = {
        "habeat_redis_url": copied.another.url(),
        "habeat_redis_options": {"cluster": True},
        "broker_url": queue.url,
    }
    client = copied.cluster.client()
    masters = Masters(BASE.decode())
    masters.watch([owner, heir])
    arena = Arena(request.node.name, troupe(client, conf, schedule(OUTBOX)), False, queue=queue)
    arena.history = masters.events
    arena.start()
    _fails_over(arena, lambda: _killed(owner, heir))
    arena.fires()
    owner.start()
    until(lambda: _is(owner, "slave"), 30, "the old owner follows the new one")
    inflicting.kill(arena, arena.leader())
    arena.top_up()
    arena.fires()
    _fails_over(arena, lambda: _asked(owner))
    arena.finish()


def _fails_over(arena: Arena, act: Callable[[], object]) -> None:
    with arena.during(Kind.REDIS_DOWN):
        act()


def _two_copies(master: Server) -> bool:
    return master.admin.info("replication")["connected_slaves"] == 2


def _killed(owner: Server, heir: Server) -> Server:
    owner.kill()
    until(lambda: _is(heir, "master"), 30, "the heir has been elected")
    return heir


def _asked(heir: Server) -> Server:
    def accepted() -> bool:
        with contextlib.suppress(redis.ResponseError):  # not in touch with its master yet
            heir.admin.execute_command("CLUSTER", "FAILOVER")
        return _is(heir, "master")

    until(accepted, 30, "the heir has taken over", every_s=0.2)
    return heir


def _is(server: Server, role: str) -> bool:
    fields: Any = server.admin.role()
    return bool(fields[0].decode() == role)


@dataclass
class Copied:
    """A Cluster; the owner of the schedule's hash slot has a Redis replica, `heir`."""

    cluster: Cluster
    owner: Server
    another: Server
    heir: Server


@pytest.fixture
def copied() -> Iterator[Copied]:
    cluster = start_cluster(valkey_binary())
    heir = start_server(valkey_binary(), extra_args=_CLUSTERED)
    try:
        owner = cluster.owner(BASE.decode() + "meta")
        another = next(node for node in cluster.nodes if node is not owner)
        heir.admin.execute_command("CLUSTER", "MEET", owner.host, owner.port)
        name = owner.admin.execute_command("CLUSTER", "MYID").decode()
        until(lambda: _follows(heir, name), 20, "the heir follows the owner")
        link = "master_link_status"
        until(lambda: heir.admin.info("replication").get(link) == "up", 20, "it has a copy")
        until(lambda: len(owner.admin.role()[2]) == 1, 20, "the owner knows of it")
        yield Copied(cluster, owner, another, heir)
    finally:
        heir.dispose()
        cluster.dispose()


_CLUSTERED = (
    *("--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf"),
    *("--cluster-node-timeout", "2000", "--repl-diskless-sync-delay", "0"),
)


def _follows(heir: Server, name: str) -> bool:
    try:
        heir.admin.execute_command("CLUSTER", "REPLICATE", name)
    except redis.ResponseError:
        return False
    return True
