"""Faults of one entry and faults of the broker are told apart, on a real Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from habeat.beat.message.kombu_redis import CommandRecorder
from habeat.ports import BrokerUnavailable, PublishRefused, RenderFailed
from tests.support.servers.redis_server import Server
from tests.unit.beat.conftest import make_app
from tests.unit.beat.test_send_path import FIRING, Bench

ADD = {"task": "proj.add", "schedule": 60, "args": (1, 2)}
NOWHERE = {**ADD, "options": {"exchange": "asyncserver", "routing_key": "cos"}}


@pytest.fixture
def server(private_server: Callable[..., Server]) -> Server:
    return private_server()


class Case:
    """Two entries on a broker of their own: `good` goes to the default queue."""

    def __init__(self, url: str, bad: dict[str, Any], *, atomic: bool) -> None:
        self.bench = Bench(make_app(broker_url=url), {"good": ADD, "bad": bad})
        self.publisher = self.bench.publisher
        if atomic:
            self.publisher._command_recorder = CommandRecorder(self.bench.broker)

    def send(self, name: str) -> None:
        rendered = self.publisher.render(self.bench.declared.entries[name], FIRING, "cluster", 1)
        if not rendered.commands:
            self.bench.publish(rendered.envelope, 1, 2_000)


@pytest.fixture(params=[True, False], ids=["atomic", "outbox"])
def made(request: pytest.FixtureRequest, server: Server) -> Iterator[Callable[..., Case]]:
    cases: list[Case] = []

    def make(bad: dict[str, Any], url: str = "") -> Case:
        cases.append(Case(url or server.url(), bad, atomic=request.param))
        return cases[-1]

    yield make
    for case in cases:
        case.publisher.discard()


def test_an_exchange_without_a_queue(made: Callable[..., Case]) -> None:
    case = made(NOWHERE)
    for _ in range(2):
        case.send("good")
        with pytest.raises((RenderFailed, PublishRefused), match="no queue is bound to exchange"):
            case.send("bad")
    case.send("good")


def test_bindings_of_a_foreign_type(made: Callable[..., Case], server: Server) -> None:
    server.client().set("_kombu.binding.asyncserver", "no set")
    case = made(NOWHERE)
    with pytest.raises((RenderFailed, PublishRefused), match="WRONGTYPE"):
        case.send("bad")
    case.send("good")


def test_a_binding_that_leads_to_a_key_of_our_own(
    made: Callable[..., Case], server: Server
) -> None:
    own = "{habeat:proj}:requests"
    server.client().sadd("_kombu.binding.asyncserver", f"cos\x06\x16\x06\x16{own}")
    case = made(NOWHERE)
    case.bench.broker.own_names = ("{habeat:proj}:",)
    with pytest.raises((RenderFailed, PublishRefused), match="habeat's own"):
        case.send("bad")
    assert not server.client().exists(own)
    case.send("good")


def test_a_queue_that_an_acl_forbids(made: Callable[..., Case], server: Server) -> None:
    admin = server.client()
    admin.acl_setuser(
        "beat",
        enabled=True,
        passwords=["+secret"],
        keys=["celery*", "_kombu.binding.celery*", "_kombu.binding_permanent.celery*"],
        commands=["+@all"],
        channels=["*"],
    )
    url = server.url().replace("redis://", "redis://beat:secret@")
    case = made({**ADD, "options": {"queue": "private"}}, url)
    with pytest.raises((RenderFailed, PublishRefused)):
        case.send("bad")
    case.send("good")


def test_a_full_redis_is_blamed_on_no_entry(server: Server) -> None:
    case = Case(server.url(), ADD, atomic=False)
    case.send("good")
    admin = server.client()
    admin.config_set("maxmemory-policy", "noeviction")
    admin.config_set("maxmemory", 1)
    with pytest.raises(BrokerUnavailable, match=r"OutOfMemory|OOM"):
        case.send("good")
    admin.config_set("maxmemory", 0)
    case.send("good")
    case.publisher.discard()


def test_a_redis_that_is_gone(made: Callable[..., Case], server: Server) -> None:
    case = made(NOWHERE)
    case.send("good")
    server.stop()
    with pytest.raises(BrokerUnavailable):
        case.send("bad")
