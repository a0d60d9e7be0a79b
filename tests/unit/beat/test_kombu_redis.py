"""The atomic way: whose fault it is that a message cannot be made into commands, or pushed."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from celery import Celery

from habeat.beat.broker import broker as broker_module
from habeat.beat.message.kombu_redis import NoQueue
from habeat.ports import BrokerUnavailable, Rendered, RenderFailed
from tests.unit.beat.test_send_path import FIRING, Bench

ADD = {"task": "proj.add", "schedule": 60, "args": (1, 2)}


class Captured:
    """In place of CommandRecorder: where the app's messages go, and what it meets."""

    def __init__(self) -> None:
        self.queue = "celery"
        self.errors: list[Exception] = []
        self.calls = 0

    def commands(self, published: Any) -> list[tuple[str, str, str]]:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return [("LPUSH", self.queue, "message")]

    def default_queue(self) -> str:
        return "celery"


class Case:
    def __init__(self, app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bench = Bench(app, {"a": ADD})
        self.publisher = self.bench.publisher
        self.captured = Captured()
        self.publisher._command_recorder = self.captured  # type: ignore[assignment]
        self.publisher._wanted = "auto"
        self.publisher.atomic = True
        self.publisher.templates = None
        self.broker_works = True
        self.asked = 0
        monkeypatch.setattr(broker_module, "probe_anew", self._probe)

    def _probe(self, *_: Any) -> None:
        self.asked += 1
        if not self.broker_works:
            raise BrokerUnavailable("refused")

    def render(self) -> Rendered:
        return self.publisher.render(self.bench.declared.entries["a"], FIRING, "cluster", 1)


@pytest.fixture
def case(app: Celery, monkeypatch: pytest.MonkeyPatch) -> Case:
    return Case(app, monkeypatch)


# -- building -----------------------------------------------------------------------------------


def test_a_connection_that_died_between_two_messages_is_no_entrys_fault(case: Case) -> None:
    case.captured.errors = [redis.ConnectionError("Connection closed by server")]
    assert case.render().commands
    assert (case.captured.calls, case.asked) == (2, 0)


def test_one_that_dies_twice_is_the_entrys_if_the_broker_answers(case: Case) -> None:
    case.captured.errors = [redis.ConnectionError("closed")] * 2
    with pytest.raises(RenderFailed, match="though the broker answers"):
        case.render()
    assert case.asked == 1


def test_and_the_brokers_if_it_does_not(case: Case) -> None:
    case.captured.errors = [redis.ConnectionError("closed")] * 2
    case.broker_works = False
    with pytest.raises(BrokerUnavailable):
        case.render()


def test_a_server_that_says_so_itself_is_believed(case: Case) -> None:
    case.captured.errors = [redis.ResponseError("LOADING Redis is loading")] * 2
    with pytest.raises(BrokerUnavailable):
        case.render()
    assert case.asked == 0


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (NoQueue("no queue is bound to exchange 'x' with routing key 'y'"), "no queue is bound"),
        (redis.ResponseError("WRONGTYPE Operation against a key"), "another kind of key"),
        (redis.exceptions.NoPermissionError("NOPERM no access to a key"), "NOPERM"),
        (KeyError("persistant"), "persistant"),
        (AttributeError("'str' object has no attribute 'declare'"), "declare"),
    ],
)
def test_all_else_fails_the_entry_at_once(case: Case, error: Exception, says: str) -> None:
    case.captured.errors = [error]
    with pytest.raises(RenderFailed, match=says):
        case.render()
    assert (case.captured.calls, case.asked) == (1, 0)


# -- a queue that the claim may not push to -----------------------------------------------------


def refuse(case: Case, *queues: str) -> bool:
    return case.publisher.refused_push([("LPUSH", queue, "m") for queue in queues], "NOPERM")


def test_one_forbidden_queue_is_served_by_the_outbox_and_no_other_is(case: Case) -> None:
    case.captured.queue = "private"
    assert case.render().commands
    assert refuse(case, "private")
    rendered = case.render()
    assert rendered.envelope
    assert not rendered.commands
    case.captured.queue = "other"
    assert case.render().commands
    assert case.publisher.atomic


def test_the_apps_default_queue_is_everybodys(case: Case) -> None:
    assert refuse(case, "celery")
    assert not case.publisher.atomic
    assert case.render().envelope


def test_of_several_queues_it_is_not_known_which_one_is_meant(case: Case) -> None:
    assert refuse(case, "celery", "private")
    assert case.publisher.atomic
    assert case.render().commands, "the default queue is served as before"


def test_who_insists_on_the_claim_gets_an_answer(case: Case) -> None:
    case.publisher._wanted = "atomic"
    assert not refuse(case, "private")
    assert case.render().commands
