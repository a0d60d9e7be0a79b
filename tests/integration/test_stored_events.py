"""`client.events`: changes of leader, outages, losses of data, in words and for tenants."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import pytest

import habeat
from habeat.client import AsyncClient, Client, EventCode
from habeat.clock import SystemClock
from habeat.core.lease import Token
from habeat.errors import NotAllowed, ValidationError
from habeat.ports import Known, Won
from habeat.ports.events import Happening, Report
from habeat.store.calling import Caller
from habeat.store.connection import Connections
from habeat.store.events import RedisEventLog
from habeat.store.keys import Keys
from habeat.store.leases import RedisElectionStore
from tests.support.servers.redis_server import Server

PREFIX = "habeat:proj"


@pytest.fixture
def client(valkey: Server) -> Iterator[Client]:
    with Client(valkey.url(), prefix=PREFIX) as made:
        yield made


@pytest.fixture
def caller(client: Client) -> Iterator[Caller]:
    connections = Connections(client._calls.location.target)
    yield Caller(connections, Keys(PREFIX))
    connections.close()


def lead(caller: Caller, nonce: str, host: str, pid: int) -> Token:
    leases = RedisElectionStore(caller, SystemClock(), PREFIX, host=host, pid=pid)
    won = leases.acquire(nonce, 6_000, Known())
    assert isinstance(won, Won)
    return won.token


def hand_over(caller: Caller) -> None:
    """From alpha to beta."""
    token = lead(caller, "aa", "alpha", 11)
    RedisElectionStore(caller, SystemClock(), PREFIX).release(token, "aa", "stop")
    lead(caller, "bb", "beta", 22)


def test_a_change_of_leader_names_both_replicas_and_the_gap(client: Client, caller: Caller) -> None:
    assert client.events() == []
    hand_over(caller)
    newest, first = client.events()
    assert first.sentence == "alpha pid 11 leads: the first leader"
    assert (newest.code, newest.cause, newest.detail) == ("leader_acquired", "released", "stop")
    assert newest.previous is not None
    assert (newest.previous.where, newest.by.where) == ("alpha pid 11", "beta pid 22")
    assert newest.span_ms is not None
    assert newest.sentence == (
        f"beta pid 22 leads: alpha pid 11 was stopped; gap {newest.span_ms} ms"
    )


def test_a_leader_of_an_older_release_is_named_by_its_id(
    client: Client, caller: Caller, valkey: Server
) -> None:
    keys = Keys(PREFIX)
    valkey.admin.hset(keys.meta, mapping={"leader": "7:old", "epoch": "7", "cluster": "c"})
    lead(caller, "bb", "beta", 22)
    (event,) = client.events()
    assert event.previous is not None
    assert event.previous.where == "replica old"
    assert event.previous.lease_epoch == 7


def test_outages_are_told_with_their_span_and_error(client: Client, caller: Caller) -> None:
    log = RedisEventLog(caller, "aa", "alpha", 11)
    down = ("unreachable", "Connection refused")
    log.add(Happening(EventCode.REDIS_UNAVAILABLE, 1_000, 31_000, *down, Report.SEEN, "redis"))
    begin = {"report": Report.BEGIN, "subject": "broker"}
    log.add(Happening(EventCode.BROKER_UNAVAILABLE, 5_000, detail="no route", **begin))
    end = {"report": Report.END, "subject": "broker"}
    log.add(Happening(EventCode.BROKER_AVAILABLE, 9_500, 9_500, **end))
    assert [event.sentence for event in client.events()] == [
        "the broker takes messages again after 4.5 s",
        "the broker takes no messages: no route",
        "Redis could not be reached for 30.0 s: Connection refused",
    ]


def test_events_are_chosen_by_time_and_code(client: Client, caller: Caller) -> None:
    hand_over(caller)
    log = RedisEventLog(caller, "aa", "alpha", 11)
    log.add(Happening(EventCode.REDIS_UNAVAILABLE, 1, 2))
    codes = [event.code for event in client.events()]
    assert codes == ["redis_unavailable", "leader_acquired", "leader_acquired"]
    assert [e.code for e in client.events(code=EventCode.REDIS_UNAVAILABLE)] == codes[:1]
    assert [e.code for e in client.events(limit=2)] == codes[:2]
    assert [e.code for e in client.events(since=timedelta(hours=1))] == codes
    assert client.events(until=timedelta(hours=1)) == []
    with pytest.raises(ValidationError, match="an event code"):
        client.events(code="restarted")
    with pytest.raises(ValidationError, match="until"):
        client.events(until=5)  # type: ignore[arg-type]


def test_a_tenant_does_not_see_the_replicas(client: Client, valkey: Server) -> None:
    guard = habeat.Guard(prefix="t7:")
    with (
        Client(valkey.url(), prefix=PREFIX, guard=guard) as tenant,
        pytest.raises(NotAllowed, match="events"),
    ):
        tenant.events()


def test_the_async_client_reads_them_too(client: Client, caller: Caller, valkey: Server) -> None:
    hand_over(caller)

    async def read() -> int:
        async with AsyncClient(valkey.url(), prefix=PREFIX) as other:
            return len(await other.events())

    assert asyncio.run(read()) == 2


def test_purge_removes_the_events(client: Client, caller: Caller, valkey: Server) -> None:
    hand_over(caller)
    valkey.admin.delete(Keys(PREFIX).lease)
    client.purge(force=True)
    assert valkey.admin.exists(Keys(PREFIX).events) == 0
