"""The same firings over every way to reach a Redis: a socket's path, TLS with a user that has only
the necessary permissions, Sentinel with a failover, Cluster."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import redis
from redis.sentinel import Sentinel

from tests import DOCS
from tests.support.servers.children import until
from tests.support.servers.cluster import Cluster
from tests.support.servers.redis_server import Server, redis70_binary
from tests.support.servers.sentinel import Sentinels
from tests.system.acceptance.accounts import (
    LEFT,
    assert_counters_add_up,
    assert_every_slot_once,
    assert_ids_are_stable,
    assert_ledger_accounts,
    ledger,
    slots,
)
from tests.system.acceptance.apps import entries
from tests.system.acceptance.arrivals import Arrival, Broker, OnRedis, redis_broker
from tests.system.acceptance.fleet import Fleet, MakeFleet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]

ENTRIES = 5

CONNECTIONS = DOCS / "reference" / "connections.md"
#: Keys and commands as the docs have them, and beside that what a broker on the same server needs.
RULES = re.compile(r"ACL SETUSER beat on >secret (.*?)```", re.DOTALL)
BROKER_RULES = re.compile(r"atomic dispatch \| `([^`]*)`")
USER, PASSWORD = "beat", "s3cret"
#: Two looks at what is none of habeat's, at start, whose refusal is an answer too: is the broker
#: on this server, and are there entries of RedBeat's?
LOOKS = ("habeat.probe.", "redbeat::schedule", "{habeat}:prefixes")


def test_unix_socket(make_fleet: MakeFleet, private_server: Callable[..., Server]) -> None:
    server = private_server()
    broker = redis_broker(server)
    fleet = make_fleet(server, {**broker.conf, "habeat_redis_url": server.unix_url}, _schedule())
    _assert_fires_and_takes_over(fleet, broker, "atomic")


@pytest.mark.parametrize("dispatch", ["atomic", "outbox"])
def test_tls_and_a_user_with_no_more_than_needed(
    make_fleet: MakeFleet, private_server: Callable[..., Server], valkey: Server, dispatch: str
) -> None:
    server = private_server(redis70_binary(), tls=True, aclfile=_acl(dispatch == "atomic"))
    assert server.certificates is not None
    own = f"rediss://{USER}:{PASSWORD}@localhost:{server.port}/0"
    tls = {"ssl_cert_reqs": "required", "ssl_ca_certs": str(server.certificates.ca)}
    broker = OnRedis(server.client(), own) if dispatch == "atomic" else redis_broker(valkey)
    conf: dict[str, Any] = {**broker.conf, "habeat_redis_url": own, "habeat_redis_options": tls}
    if dispatch == "atomic":
        conf["broker_use_ssl"] = tls
    fleet = make_fleet(server, conf, _schedule())
    _assert_fires_and_takes_over(fleet, broker, dispatch)
    refused: Any = server.admin.acl_log()
    assert [line for line in refused if not any(look in line["object"] for look in LOOKS)] == []


def test_sentinel_with_a_failover(make_fleet: MakeFleet, sentinels: Sentinels) -> None:
    """The queue moves with the schedule, for both are on the Redis that fails over."""
    options = {"master_name": sentinels.master_name}
    conf = {"broker_url": sentinels.url, "broker_transport_options": options}
    conf |= {"habeat_redis_url": sentinels.url, "habeat_redis_options": options}
    fleet = make_fleet(sentinels.master, conf, _schedule())
    ports = [(watcher.host, watcher.port) for watcher in sentinels.watchers]
    fleet.client = Sentinel(ports, socket_timeout=2).master_for(sentinels.master_name)
    fleet.start(2)
    _wait_for_slots(fleet, 3)
    assert "dispatch is atomic" in fleet.logs()
    before = _slots_fired(fleet)
    sentinels.failover()
    _wait_for_slots(fleet, before + 5, 60)
    assert fleet.all_alive, fleet.logs()
    fleet.stop()
    arrivals = until(lambda: _taken(fleet), 20, "the new master gives its queue")
    records = ledger(fleet)
    # What the old master had not replicated is lost with it; what is in the new one agrees.
    assert_ledger_accounts(records, slots(fleet))
    assert_ids_are_stable(arrivals)
    left = sorted((r.entry, r.slot_ms) for r in records if r.outcome in LEFT)
    assert sorted(arrival.firing for arrival in arrivals) == left
    assert_counters_add_up(fleet)


def test_cluster(make_fleet: MakeFleet, cluster: Cluster, valkey: Server) -> None:
    broker = redis_broker(valkey)
    conf = {"habeat_redis_url": cluster.url, "habeat_redis_options": {"cluster": True}}
    fleet = make_fleet(cluster.nodes[0], {**broker.conf, **conf}, _schedule())
    fleet.client = cluster.client()  # type: ignore[assignment]
    _assert_fires_and_takes_over(fleet, broker, "outbox")


def _schedule() -> str:
    return entries(ENTRIES)


def _acl(with_broker: bool) -> str:
    text = CONNECTIONS.read_text()
    found = [rules.search(text) for rules in (RULES, *([BROKER_RULES] if with_broker else []))]
    assert all(found), "the documented permissions have moved"
    problem = " ".join(" ".join(each[1] for each in found if each).split())
    return f"user {USER} on >{PASSWORD} {problem}\n"


def _assert_fires_and_takes_over(fleet: Fleet, broker: Broker, dispatch: str) -> None:
    """Two beats; the leader is killed, and the other sees the crash and takes over."""
    fleet.start(2)
    _wait_for_slots(fleet, 3)
    assert f"dispatch is {dispatch}" in fleet.logs(), fleet.logs()
    leader = fleet.wait_for_leader()
    fleet.kill(leader)
    fleet.wait_for_leader(other_than=leader)
    assert fleet.meta()["leader_cause"] == "crash", fleet.logs()
    _wait_for_slots(fleet, _slots_fired(fleet) + 3)
    fleet.stop()
    expected: Mapping[str, Sequence[int]] = slots(fleet)
    assert_every_slot_once(broker.take(), expected, repeats=0 if dispatch == "atomic" else ENTRIES)
    assert_ledger_accounts(ledger(fleet), expected)
    assert_counters_add_up(fleet)


def _taken(fleet: Fleet) -> list[Arrival] | None:
    """The queue; our own client may still be connected to what was the master, and is refused."""
    try:
        return OnRedis(fleet.client, "").take()
    except redis.RedisError:
        return None


def _slots_fired(fleet: Fleet) -> int:
    try:
        return int(fleet.meta().get("settled", 0)) // ENTRIES
    except redis.RedisError:
        return 0


def _wait_for_slots(fleet: Fleet, count: int, timeout_s: float = 30) -> None:
    until(
        lambda: _slots_fired(fleet) >= count,
        timeout_s,
        lambda: f"{count} slots were sent; they said:\n{fleet.logs()}",
    )
