"""A window of messages to a real Redis broker in one packet: which message gets which answer."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from celery import Celery
from kombu import Exchange, Queue

from habeat.beat.broker.broker import Broker
from habeat.beat.broker.envelope import Publication, seal
from habeat.beat.message.publisher import CeleryPublisher
from habeat.beat.message.redis_packets import RedisPackets
from habeat.ports import Answered, BrokerUnavailable, Parcel, PublishRefused, PublishUnknown
from tests.support.servers.proxy import Proxy
from tests.support.servers.redis_server import Server

TIMEOUT_MS = 5_000


def now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


class Replica:
    """A publisher whose broker is this server, connected."""

    def __init__(self, url: str, timeout_s: float = 5.0, **options: Any) -> None:
        app = Celery("proj", broker=url)
        app.conf.broker_transport_options = options
        self.broker = Broker(app, timeout_s, now_ms)
        self.publisher = CeleryPublisher(
            renderer=None,  # type: ignore[arg-type]
            broker=self.broker,
            wanted="outbox",
            impossible="",
            same_server=lambda db, key: "",
            use_database=lambda db: None,
            now_ms=now_ms,
        )
        self.publisher.prepare(TIMEOUT_MS)
        self.publisher.connect(TIMEOUT_MS)

    def prepared(self, name: str) -> Parcel:
        """With its commands, as from a template."""
        assert self.publisher._outgoing.packets is not None
        made = parcel(name)
        packet = self.publisher._outgoing.packets.commands([message(name)], 1)
        assert packet
        return replace(made, packet=packet)

    def send(self, parcels: Sequence[Parcel], timeout_ms: int = TIMEOUT_MS) -> Sequence[Answered]:
        return self.publisher.publish(parcels, timeout_ms).answers(timeout_ms)


@pytest.fixture
def replica() -> Iterator[Callable[..., Replica]]:
    made: list[Replica] = []

    def make(url: str, *given: Any, **options: Any) -> Replica:
        made.append(Replica(url, *given, **options))
        return made[-1]

    yield make
    for each in made:
        each.broker.discard()


def message(text: str, queue: str = "work", **arguments: Any) -> Publication:
    declared = Queue(queue, Exchange(queue, type="direct"), routing_key=queue)
    given = {"exchange": queue, "routing_key": queue, "declare": [declared], "headers": {}}
    return Publication(json.dumps(text), "application/json", "utf-8", {**given, **arguments})


def parcel(name: str, *messages: Publication, attempt: int = 1) -> Parcel:
    return Parcel(name, "1000", seal(list(messages or [message(name)])), attempt)


def bodies(server: Server, queue: str = "work") -> list[dict[str, Any]]:
    found: Any = server.admin.lrange(queue, 0, -1)
    return [json.loads(raw) for raw in reversed(found)]


def spoiled(here: Replica, server: Server) -> None:
    """A queue that kombu knows, and whose key has become something else."""
    assert here.send([parcel("bad", message("bad", "bad"))]) == [None]
    server.admin.set("bad", "no list")


def writes(server: Server, act: Callable[[], object]) -> int:
    """How many packets of commands a server read from clients meanwhile."""
    before = server.admin.info("stats")["total_reads_processed"]
    act()
    return int(server.admin.info("stats")["total_reads_processed"]) - int(before) - 1


def test_a_window_is_one_packet_and_keeps_its_order(
    replica: Callable[..., Replica], redis70: Server
) -> None:
    here = replica(redis70.url())
    here.send([parcel("first")])  # which declares the queue
    window = [here.prepared(f"m{n}") for n in range(50)]
    read = writes(redis70, lambda: here.send(window))
    assert read <= 6, "fifty messages were not sent one by one"
    found = bodies(redis70)
    assert len(found) == 51
    assert len({each["properties"]["delivery_tag"] for each in found}) == 51


def test_a_message_is_what_kombu_sends(replica: Callable[..., Replica], redis70: Server) -> None:
    here = replica(redis70.url())
    publication = message("same", headers={"id": "7", "habeat_attempt": 1}, priority=3)
    here.send([parcel("a", publication)])
    here.publisher._outgoing.packets = None
    here.send([parcel("a", publication)])
    key = next(key for key in redis70.admin.keys("work*"))  # type: ignore[union-attr]
    ours, kombus = bodies(redis70, key.decode())
    for each in (ours, kombus):
        each["properties"].pop("delivery_tag")
    assert ours == kombus


def test_one_message_that_is_refused_is_reported_and_the_others_arrive(
    replica: Callable[..., Replica], redis70: Server
) -> None:
    here = replica(redis70.url())
    spoiled(here, redis70)
    names = ["a", "bad", "b", "c"]
    fields = here.send([parcel(name, message(name, "bad" if name == "bad" else "work"))
                      for name in names])  # fmt: skip
    assert [type(answer) for answer in fields] == [type(None), PublishRefused, *[type(None)] * 2]
    assert len(bodies(redis70)) == 3
    assert here.send([parcel("d")]) == [None], "the connection is as good as before"


def test_an_acl_that_forbids_one_queue_is_that_messages_failure(
    replica: Callable[..., Replica], redis70: Server
) -> None:
    redis70.admin.execute_command(
        "ACL", "SETUSER", "some", "on", ">pw", "~work*", "~other*", "~_kombu*", "~habeat*", "+@all"
    )
    try:
        here = replica(f"redis://some:pw@{redis70.host}:{redis70.port}/0")
        here.send([parcel("a", message("a", "other"))])
        redis70.admin.execute_command("ACL", "SETUSER", "some", "resetkeys", "~work*", "~_kombu*")
        fields = here.send([parcel("a"), parcel("no", message("no", "other")), parcel("b")])
        assert fields[0] is fields[2] is None
        assert isinstance(fields[1], PublishRefused)
        assert "NOPERM" in str(fields[1]) or "permissions" in str(fields[1])
        assert len(bodies(redis70)) == 2
    finally:
        redis70.admin.execute_command("ACL", "DELUSER", "some")


def test_the_messages_of_one_firing_stay_together(
    replica: Callable[..., Replica], redis70: Server
) -> None:
    here = replica(redis70.url())
    spoiled(here, redis70)
    group = [message("g1"), message("g2", "bad"), message("g3")]
    fields = here.send([parcel("a"), parcel("group", *group), parcel("b")])
    assert fields[0] is fields[2] is None
    assert isinstance(fields[1], PublishRefused)
    assert len(bodies(redis70)) == 4, "what was accepted of the group has arrived"


def test_a_resend_says_its_attempt_and_has_a_tag_of_its_own(
    replica: Callable[..., Replica], redis70: Server
) -> None:
    here = replica(redis70.url())
    publication = message("again", headers={"habeat_attempt": 1})
    here.send([parcel("a", publication)])
    here.send([parcel("a", publication, attempt=2)])
    first, second = bodies(redis70)
    assert [each["headers"]["habeat_attempt"] for each in (first, second)] == [1, 2]
    assert first["properties"]["delivery_tag"] != second["properties"]["delivery_tag"]


def test_a_kept_envelope_that_cannot_be_read_is_refused_by_itself(
    replica: Callable[..., Replica], redis70: Server
) -> None:
    here = replica(redis70.url())
    broken = Parcel("broken", "1000", b"no json", 1)
    fields = here.send([parcel("a"), broken, parcel("b")])
    assert fields[0] is fields[2] is None
    assert isinstance(fields[1], PublishRefused)
    assert len(bodies(redis70)) == 2


def test_what_cannot_be_captured_is_published_by_kombu(
    replica: Callable[..., Replica], redis70: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = replica(redis70.url())
    commands = RedisPackets.commands

    def some(self: RedisPackets, published: Sequence[Publication], attempt: int) -> Any:
        return () if "odd" in str(published[0].body) else commands(self, published, attempt)

    monkeypatch.setattr(RedisPackets, "commands", some)
    assert here.send([parcel("a"), parcel("odd"), parcel("b")]) == [None, None, None]
    assert len(bodies(redis70)) == 3


@pytest.mark.parametrize("how", ["cut", "lost reply", "silent"])
def test_of_a_packet_whose_connection_fails_everything_may_have_arrived(
    replica: Callable[..., Replica], redis70: Server, proxy: Callable[..., Proxy], how: str
) -> None:
    way = proxy(redis70)
    here = replica(way.url(), 0.5)
    here.send([parcel("first")])
    window = [here.prepared(f"m{n}") for n in range(20)]
    if how == "cut":
        way.cut()
    elif how == "silent":
        way.stall()
    else:
        way.lose_next_reply()
    began_ms = now_ms()
    fields = here.send(window, 400)
    # Where a probe is answered, the broker is well, and one of the messages may be at fault.
    expected = PublishUnknown if how == "lost reply" else BrokerUnavailable
    assert all(isinstance(answer, expected) for answer in fields)
    assert now_ms() - began_ms < 2_000, "it ended within its time, more or less"
    way.heal()
    here.publisher.connect(TIMEOUT_MS)
    assert here.send([parcel("after")]) == [None]


def test_what_has_to_be_captured_first_does_not_wait_for_each_message(
    replica: Callable[..., Replica], redis70: Server, proxy: Callable[..., Proxy]
) -> None:
    way = proxy(redis70)
    here = replica(way.url(), 0.5)
    here.send([parcel("first")])
    way.stall()
    began_ms = now_ms()
    fields = here.send([parcel(f"m{n}") for n in range(20)], 400)
    assert all(isinstance(answer, BrokerUnavailable) for answer in fields)
    assert now_ms() - began_ms < 3_000, "one of them waited, and not twenty"
    way.heal()


def test_a_server_that_takes_no_writes_is_the_brokers_failure(
    replica: Callable[..., Replica], private_server: Callable[..., Server]
) -> None:
    server = private_server()
    here = replica(server.url())
    here.send([parcel("first")])
    server.admin.execute_command("REPLICAOF", "127.0.0.1", "1")
    fields = here.send([parcel("a"), parcel("b")])
    assert all(isinstance(answer, BrokerUnavailable) for answer in fields)
    server.admin.execute_command("REPLICAOF", "NO", "ONE")
    here.publisher.connect(TIMEOUT_MS)
    assert here.send([parcel("a"), parcel("b")]) == [None, None]


def test_a_connection_that_the_server_closed_meanwhile_is_replaced(
    replica: Callable[..., Replica], redis70: Server
) -> None:
    here = replica(redis70.url())
    here.send([parcel("first")])
    redis70.admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    time.sleep(0.05)
    fields = here.send([parcel("a")])
    if fields != [None]:  # kombu's own connection was found closed first
        here.publisher.connect(TIMEOUT_MS)
        fields = here.send([parcel("a")])
    assert fields == [None]


def test_the_time_limit_of_the_connection_is_put_back(
    replica: Callable[..., Replica], redis70: Server
) -> None:
    here = replica(redis70.url(), 5.0)
    here.send([parcel("a"), parcel("b")], 300)
    assert here.publisher._outgoing.packets is not None
    pool = here.publisher._outgoing.packets._command_recorder.pool()
    connection = pool.get_connection()
    assert connection._sock.gettimeout() == connection.socket_timeout == 5.0
    pool.release(connection)


def test_a_key_prefix_of_the_app_is_kept(replica: Callable[..., Replica], redis70: Server) -> None:
    here = replica(redis70.url(), global_keyprefix="app:")
    assert here.send([parcel("a"), parcel("b")]) == [None, None]
    assert len(bodies(redis70, "app:work")) == 2
