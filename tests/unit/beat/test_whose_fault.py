"""An entry's message fails: the broker is blamed only if a probe without the entry fails, too."""

from __future__ import annotations

from typing import Any

import amqp
import pytest
from celery import Celery, Task
from celery.beat import BeatLazyFunc

from habeat.beat.broker import broker as broker_module
from habeat.beat.stopping import Stopper
from habeat.ports import (
    BrokerUnavailable,
    PublishRefused,
    PublishUnknown,
    RenderFailed,
)
from tests.unit.beat.conftest import make_app
from tests.unit.beat.test_send_path import FIRING, Bench


class Strange:
    """Nothing that can be stored or sent, with a name that is the same in every process."""

    def __repr__(self) -> str:
        return "Strange()"


ADD = {"task": "proj.add", "schedule": 60, "args": (1, 2)}


class Probe:
    """In place of the probe: whether the broker answers, and how often it was asked."""

    def __init__(self) -> None:
        self.works = True
        self.asked = 0

    def __call__(self, *_: Any) -> None:
        self.asked += 1
        if not self.works:
            raise BrokerUnavailable("refused")


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch) -> Probe:
    found = Probe()
    monkeypatch.setattr(broker_module, "probe_anew", found)
    return found


def failing(bench: Bench, error: BaseException, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """An envelope, and a producer that raises when it is published."""
    envelope = bench.publisher.render(bench.declared.entries["a"], FIRING, "cluster", 1).envelope

    def publish(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(type(bench.broker.producer), "publish", publish)
    return envelope


# -- publishing ---------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [KeyError("zstandrad"), amqp.NotFound("no exchange")])
def test_a_mistake_in_a_message_is_refused_without_asking_redis(
    app: Celery, probe: Probe, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    bench = Bench(app, {"a": ADD})
    envelope = failing(bench, error, monkeypatch)
    with pytest.raises(PublishRefused) as refused:
        bench.publish(envelope, 1, 1_000)
    assert not isinstance(refused.value, PublishUnknown)
    assert probe.asked == 0


@pytest.mark.parametrize("error", [ConnectionResetError(), amqp.FrameError("too large")])
def test_a_message_under_which_the_connection_fails_may_be_to_blame_itself(
    app: Celery, probe: Probe, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    bench = Bench(app, {"a": ADD})
    envelope = failing(bench, error, monkeypatch)
    with pytest.raises(PublishUnknown, match="though the broker answers"):
        bench.publish(envelope, 1, 1_000)
    assert probe.asked == 1


def test_a_broker_that_fails_the_probe_is_gone(
    app: Celery, probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(app, {"a": ADD})
    envelope = failing(bench, ConnectionResetError(), monkeypatch)
    probe.works = False
    with pytest.raises(BrokerUnavailable):
        bench.publish(envelope, 1, 1_000)


def test_a_connection_that_cannot_be_made_is_the_brokers(
    app: Celery, probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It contains nothing of the entry, whatever the class of the error."""
    bench = Bench(app, {"a": ADD})
    envelope = bench.publisher.render(bench.declared.entries["a"], FIRING, "cluster", 1).envelope

    def refused() -> None:
        raise amqp.AccessRefused("wrong password")

    monkeypatch.setattr(bench.broker, "_open_outlet", refused)
    with pytest.raises(BrokerUnavailable):
        bench.publish(envelope, 1, 1_000)


# -- a queue that is not there ------------------------------------------------------------------


def test_a_message_that_kombu_would_drop_is_refused(app: Celery, probe: Probe) -> None:
    nowhere = {**ADD, "options": {"exchange": "asyncserver", "routing_key": "cos"}}
    bench = Bench(app, {"a": nowhere, "b": ADD})
    for name, taken in (("a", False), ("b", True), ("a", False)):
        entry = bench.declared.entries[name]
        envelope = bench.publisher.render(entry, FIRING, "cluster", 1).envelope
        if taken:
            bench.publish(envelope, 1, 1_000)
            continue
        with pytest.raises(PublishRefused, match=r"no queue is bound to exchange 'asyncserver'"):
            bench.publish(envelope, 1, 1_000)
    assert probe.asked == 0


# -- building -----------------------------------------------------------------------------------

OPTIONS: list[dict[str, Any]] = [
    {"declare": ["x"]},
    {"headers": {"x": {1, 2}}},
    {"headers": 5},
    {"expires": "strange"},
    {"countdown": "soon"},
    {"eta": "soon"},
    {"queue": 5, "exchange": Strange()},
    {"retry_policy": "x", "retry": True, "delivery_mode": "persistant"},
    {"reply_to": Strange()},
]


@pytest.mark.parametrize("options", OPTIONS, ids=repr)
def test_no_option_is_taken_for_a_lost_broker(
    probe: Probe, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app()
    bench = Bench(app, {"a": {**ADD, "options": options}})
    try:
        rendered = bench.publisher.render(bench.declared.entries["a"], FIRING, "cluster", 1)
        bench.publish(rendered.envelope, 1, 1_000)
    except (RenderFailed, PublishRefused):
        pass
    assert probe.asked == 0


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), KeyError()])
def test_what_an_entrys_code_raises_ends_neither_beat_nor_the_turn(
    app: Celery, probe: Probe, error: BaseException
) -> None:
    def leave() -> None:
        raise error

    bench = Bench(app, {"a": {**ADD, "args": (BeatLazyFunc(leave), 2)}})
    with pytest.raises(RenderFailed, match=type(error).__name__):
        bench.render()
    assert probe.asked == 0


def test_what_a_signals_handler_raises_does_end_it(app: Celery) -> None:
    """A second SIGTERM takes effect wherever it interrupts, even in an entry's own code."""
    stopper = Stopper()

    def handler(number: int, frame: Any) -> None:
        raise SystemExit(0)

    stopper._before[15] = handler
    stopper._pending = 15
    bench = Bench(app, {"a": {**ADD, "args": (BeatLazyFunc(stopper._on_signal, 15, None), 2)}})
    bench.publisher._renderer._leaving = stopper.leaving
    with pytest.raises(SystemExit):
        bench.render()


def test_an_entrys_own_lost_connection_is_not_the_brokers(app: Celery, probe: Probe) -> None:
    """A lazy argument reads a database; it is down, the broker is not."""

    def read() -> None:
        raise ConnectionRefusedError("the entry's database")

    bench = Bench(app, {"a": {**ADD, "args": (BeatLazyFunc(read), 2)}})
    with pytest.raises(RenderFailed, match="database"):
        bench.render()
    assert probe.asked == 1
    probe.works = False
    with pytest.raises(BrokerUnavailable):
        bench.render()


def test_what_others_have_put_around_the_sending_fails_that_entry(
    app: Celery, probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(app, {"a": ADD})

    def patched(*_: Any, **__: Any) -> None:
        raise AttributeError("'NoneType' object has no attribute 'monitor_config'")

    monkeypatch.setattr(bench.publisher._renderer, "_apply_entry", patched)
    with pytest.raises(RenderFailed, match="monitor_config"):
        bench.render()


class OwnWay(Task):  # type: ignore[misc]
    """Sends by itself, and fails."""

    name = "proj.own"
    error: BaseException = RuntimeError()

    def apply_async(self, *_: Any, **__: Any) -> Any:
        raise self.error

    def run(self) -> None:
        """Never run here."""


@pytest.mark.parametrize(
    ("error", "works", "raised"),
    [
        (AttributeError("x"), True, PublishRefused),
        (AttributeError("x"), False, PublishRefused),
        (SystemExit(1), True, PublishRefused),
        (ConnectionResetError(), True, PublishUnknown),
        (ConnectionResetError(), False, BrokerUnavailable),
    ],
)
def test_what_goes_its_own_way_is_judged_alike(
    app: Celery, probe: Probe, error: BaseException, works: bool, raised: type[Exception]
) -> None:
    own = OwnWay()
    own.error = error
    app.register_task(own)
    probe.works = works
    bench = Bench(app, {"a": {"task": "proj.own", "schedule": 60}})
    rendered = bench.publisher.render(bench.declared.entries["a"], FIRING, "cluster", 1)
    with pytest.raises(raised):
        bench.publish(rendered.envelope, 1, 1_000)
