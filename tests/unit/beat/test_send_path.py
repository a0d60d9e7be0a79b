"""Celery's send path, run for one firing: options, headers, expires; nothing is changed."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import Celery, chain, chord, group
from celery.beat import BeatLazyFunc, Scheduler
from kombu import Exchange, Queue
from kombu.utils import json

from habeat.beat.broker.broker import Broker
from habeat.beat.broker.envelope import Publication, unseal
from habeat.beat.declared.beat_schedule import declare
from habeat.beat.definition_source import BeatDefinitionSource
from habeat.beat.message.kombu_redis import CommandRecorder
from habeat.beat.message.publisher import CeleryPublisher
from habeat.beat.message.record import EntryRenderer
from habeat.beat.message.send_path import goes_its_own_way, iso
from habeat.core.entry import Entry
from habeat.core.firing import Firing
from habeat.ports import (
    BrokerUnavailable,
    Parcel,
    PublishRefused,
    RenderBypassed,
    RenderFailed,
    Unsent,
)
from tests.unit.beat.conftest import make_app
from tests.unit.engine.world import FakeClock

SLOT_MS = 1_750_000_000_123
FIRING = Firing("a", SLOT_MS, SLOT_MS + 500)


class HabeatsShape(Scheduler):
    """What habeat's scheduler is for `apply_entry`: Celery's, with the firing's own sending."""

    def __init__(self, app: Celery) -> None:
        super().__init__(app, lazy=True)

    def apply_async(self, entry: Any, producer: Any = None, advance: bool = True, **_: Any) -> Any:
        return entry.sending.run(entry, producer)


class Bench:
    """A publisher with the outbox, over an app that connects to nothing."""

    def __init__(self, app: Celery, schedule: dict[str, Any] | None = None) -> None:
        self.app = app
        self.declared = declare(app, schedule or {})
        assert not self.declared.broken
        definitions = BeatDefinitionSource(self.declared)
        self.clock = FakeClock()
        self.broker = Broker(app, 3.0, lambda: self.clock.us // 1_000)
        self.renderer = EntryRenderer(
            app,
            definitions,
            HabeatsShape(app).apply_entry,
            monotonic_us=lambda: self.clock.us,
        )
        self.publisher = CeleryPublisher(
            renderer=self.renderer,
            broker=self.broker,
            wanted="outbox",
            impossible="",
            same_server=lambda *_: "",
            use_database=lambda _: None,
            now_ms=lambda: self.clock.us // 1_000,
        )
        self.publisher.prepare(100)

    def render(self, name: str = "a", firing: Firing = FIRING) -> list[Publication]:
        entry: Entry = self.declared.entries[name]
        rendered = self.publisher.render(entry, firing, "cluster", 17)
        assert rendered.repeatable
        return unseal(rendered.envelope)

    def publish(self, envelope: bytes, attempt: int, timeout_ms: int) -> None:
        """A packet of one message; what became of it is raised."""
        handed = self.publisher.publish([Parcel("a", "1", envelope, attempt)], timeout_ms)
        (answer,) = handed.answers(timeout_ms)
        assert not isinstance(answer, Unsent)
        if answer is not None:
            raise answer


def one(app: Celery, **given: Any) -> Publication:
    bench = Bench(app, {"a": {"task": "proj.add", "schedule": 60, "args": (1, 2), **given}})
    (message,) = bench.render()
    return message


def head(message: Publication) -> dict[str, Any]:
    found: dict[str, Any] = message.arguments["headers"]
    return found


def test_a_message_says_which_firing_it_is(app: Celery) -> None:
    headers = head(one(app))
    assert headers["id"] == FIRING.task_id("cluster")
    assert headers["habeat_entry"] == "a"
    assert headers["habeat_slot"] == "2025-06-15T15:06:40.123Z" == iso(SLOT_MS)
    assert headers["habeat_lease_epoch"] == 17
    assert headers["habeat_attempt"] == 1
    assert headers["celery_beat_task"] is True
    assert headers["task"] == "proj.add"


def test_the_same_firing_is_the_same_message_id(app: Celery) -> None:
    assert head(one(app))["id"] == head(one(app))["id"]


def test_an_unregistered_task_is_sent_by_its_name(app: Celery) -> None:
    message = one(app, task="elsewhere.task")
    assert head(message)["task"] == "elsewhere.task"


@pytest.mark.parametrize("expires", [30, 30.0, timedelta(seconds=30)])
def test_expires_is_absolute_from_the_effective_time(app: Celery, expires: Any) -> None:
    message = one(app, options={"expires": expires})
    result = datetime.fromisoformat(head(message)["expires"])
    assert result == datetime.fromtimestamp((SLOT_MS + 500 + 30_000) / 1_000, UTC)


def test_the_tasks_own_expires_too(app: Celery) -> None:
    message = one(app, task="proj.expiring", args=())
    result = datetime.fromisoformat(head(message)["expires"])
    assert result == datetime.fromtimestamp((SLOT_MS + 500 + 30_000) / 1_000, UTC)


def test_an_expires_that_is_an_instant_stays_that_instant(app: Celery) -> None:
    at = datetime(2030, 1, 1, tzinfo=UTC)
    assert datetime.fromisoformat(head(one(app, options={"expires": at}))["expires"]) == at


def test_the_entrys_dictionaries_are_never_changed(app: Celery) -> None:
    given = {
        "task": "proj.add",
        "schedule": 60,
        "args": (1, 2),
        "kwargs": {},
        "options": {"headers": {"mine": {"deep": 1}}, "queue": "q", "expires": 30},
    }
    before = copy.deepcopy(given)
    bench = Bench(app, {"a": given})
    entry = copy.deepcopy(bench.declared.entries["a"])
    for _ in range(3):
        (message,) = bench.render()
        assert head(message)["mine"] == {"deep": 1}
    assert given == before
    assert bench.declared.entries["a"] == entry
    assert "habeat_slot" not in bench.declared.entries["a"].options["headers"]


def test_every_option_arrives(app: Celery) -> None:
    options = {
        "exchange": "x", "routing_key": "r.k", "priority": 7, "headers": {"h": 1},
        "countdown": 5, "delivery_mode": 1, "shadow": "seen as",
    }  # fmt: skip
    message = one(app, options=options)
    assert message.arguments["exchange"] == "x"
    assert message.arguments["routing_key"] == "r.k"
    assert message.arguments["priority"] == 7
    assert head(message)["h"] == 1
    assert head(message)["shadow"] == "seen as"
    assert head(message)["eta"]


def test_a_queue_object_in_the_options_arrives_as_a_declaration(app: Celery) -> None:
    queue = Queue("special", Exchange("x", type="topic"), routing_key="k")
    message = one(app, options={"queue": queue})
    assert message.arguments["routing_key"] == "k"
    assert queue in message.arguments["declare"]


def test_lazy_arguments_are_called_for_each_firing(app: Celery) -> None:
    numbers = iter(range(100))
    lazy = BeatLazyFunc(lambda: next(numbers))
    bench = Bench(app, {"a": {"task": "proj.add", "schedule": 60, "args": (lazy, 5)}})
    bodies = [json.loads(bench.render()[0].body)[0] for _ in range(3)]
    assert bodies == [[0, 5], [1, 5], [2, 5]]


def test_a_lazy_argument_that_fails_is_a_failure_to_render(app: Celery) -> None:
    def broken() -> int:
        raise RuntimeError("no database")

    bench = Bench(
        app, {"a": {"task": "proj.add", "schedule": 60, "args": (BeatLazyFunc(broken), 1)}}
    )
    with pytest.raises(RenderFailed, match="no database"):
        bench.render()


def test_arguments_that_a_task_does_not_take_are_a_failure_to_render(app: Celery) -> None:
    bench = Bench(app, {"a": {"task": "proj.add", "schedule": 60, "args": (1, 2, 3)}})
    with pytest.raises(RenderFailed):
        bench.render()


@pytest.mark.parametrize("kind", ["chain", "group", "chord"])
def test_a_canvas_is_recorded_whole(kind: str) -> None:
    app = make_app(result_backend="cache+memory://")
    add = app.tasks["proj.add"]
    parts = [add.si(1, 2), add.si(3, 4)]
    canvas = {
        "chain": lambda: chain(*parts),
        "group": lambda: group(parts),
        "chord": lambda: chord(parts, add.si(0, 0)),
    }[kind]()
    bench = Bench(app, {"a": {"task": canvas, "schedule": 60}})
    messages = bench.render()
    assert len(messages) == (1 if kind == "chain" else 2)
    assert all(head(message)["task"] == "proj.add" for message in messages)
    ids = {head(message)["id"] for message in messages}
    assert len(ids) == len(messages)


def test_a_canvas_is_stamped_with_its_firing(app: Celery) -> None:
    add = app.tasks["proj.add"]
    bench = Bench(app, {"a": {"task": group([add.si(1, 2), add.si(3, 4)]), "schedule": 60}})
    for message in bench.render():
        assert head(message)["habeat_slot"] == iso(SLOT_MS)


# -- tasks that go their own way ----------------------------------------------------------------


def test_an_eager_app_and_an_overridden_apply_async_go_their_own_way(app: Celery) -> None:
    class Own(app.Task):  # type: ignore[name-defined,misc]
        name = "proj.own"

        def apply_async(self, *args: Any, **kwargs: Any) -> Any:
            return None

    app.register_task(Own())
    assert goes_its_own_way(app, "proj.own")
    assert goes_its_own_way(app, "proj.add") == ""
    assert goes_its_own_way(app, "unknown") == ""
    app.conf.task_always_eager = True
    assert goes_its_own_way(app, "proj.add")


def test_what_goes_its_own_way_is_not_rendered_but_run_once_it_is_claimed(app: Celery) -> None:
    sent: list[str] = []

    class Own(app.Task):  # type: ignore[name-defined,misc]
        name = "proj.own"

        def apply_async(self, *args: Any, **kwargs: Any) -> Any:
            sent.append(kwargs["task_id"])

    app.register_task(Own())
    bench = Bench(app, {"a": {"task": "proj.own", "schedule": 60}})
    rendered = bench.publisher.render(bench.declared.entries["a"], FIRING, "cluster", 1)
    assert not rendered.repeatable
    assert sent == []
    bench.publish(rendered.envelope, 1, 1_000)
    assert sent == [FIRING.task_id("cluster")]
    with pytest.raises(PublishRefused):  # it is not sent twice, by this process or another
        bench.publish(rendered.envelope, 2, 1_000)
    assert len(sent) == 1


def test_a_message_sent_past_the_recorder_is_a_bypass_and_then_its_own_way(
    app: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(app, {"a": {"task": "proj.add", "schedule": 60, "args": (1, 2)}})
    monkeypatch.setattr(app.tasks["proj.add"], "apply_async", lambda *_, **__: None)
    with pytest.raises(RenderBypassed):
        bench.render()
    rendered = bench.publisher.render(bench.declared.entries["a"], FIRING, "cluster", 1)
    assert not rendered.repeatable


# -- the outbox and kombu's inside --------------------------------------------------------------


def test_the_outbox_touches_nothing_of_kombus_inside_where_the_broker_is_not_redis(
    app: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To such a broker no packet is sent: the module that knows kombu's inside is never used."""
    import habeat.beat.message.kombu_redis as capture
    import habeat.beat.message.publisher as publisher

    def used(*_: Any, **__: Any) -> Any:
        raise AssertionError("the outbox has used habeat.beat.message.kombu_redis")

    for name, value in list(vars(capture).items()):
        if callable(value) and getattr(value, "__module__", "") == capture.__name__:
            if isinstance(value, type) and issubclass(value, Exception):
                continue
            monkeypatch.setattr(capture, name, used)
    monkeypatch.setattr(publisher, "CommandRecorder", used)
    monkeypatch.setattr(CommandRecorder, "commands", used)
    monkeypatch.setattr(CommandRecorder, "check_shape", used)
    bench = Bench(app, {"a": {"task": "proj.add", "schedule": 60, "args": (1, 2)}})
    rendered = bench.publisher.render(bench.declared.entries["a"], FIRING, "cluster", 1)
    assert rendered.commands == ()
    bench.publish(rendered.envelope, 1, 1_000)
    bench.publisher.connect(1_000)
    bench.publish(rendered.envelope, 2, 1_000)
    bench.publisher.discard()
    assert not bench.publisher.atomic


def test_the_outbox_uses_no_private_name_of_kombus() -> None:
    """The names it uses of kombu and Celery are public, by their source."""
    import ast
    import inspect

    import habeat.beat.broker.broker as broker
    import habeat.beat.broker.envelope as envelope

    for module in (broker, envelope):
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
                ours = isinstance(node.value, ast.Name) and node.value.id == "self"
                dunder = node.attr.startswith("__")
                assert ours or dunder, f"{module.__name__}:{node.lineno} uses {node.attr}"


def test_a_resend_carries_its_attempt_and_the_same_id() -> None:
    app = make_app()
    bench = Bench(app, {"a": {"task": "proj.add", "schedule": 60, "args": (1, 2)}})
    rendered = bench.publisher.render(bench.declared.entries["a"], FIRING, "cluster", 1)
    with app.connection_for_write() as connection:
        connection.default_channel.queue_purge("celery")  # memory:// is one for the process
    for attempt in (1, 2):
        bench.publish(rendered.envelope, attempt, 1_000)
    with app.connection_for_read() as connection:
        queue = connection.SimpleQueue("celery")
        found = [queue.get(timeout=1).headers for _ in range(2)]
        queue.close()
    assert [headers["habeat_attempt"] for headers in found] == [1, 2]
    assert len({headers["id"] for headers in found}) == 1
    assert len({headers["habeat_slot"] for headers in found}) == 1


def test_all_messages_of_a_group_leave_within_the_one_time(
    app: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a limit for each, sending would continue long after the trust in the lease has ended."""
    add = app.tasks["proj.add"]
    canvas = group([add.si(n, n) for n in range(10)])
    bench = Bench(app, {"a": {"task": canvas, "schedule": 60}})
    rendered = bench.publisher.render(bench.declared.entries["a"], FIRING, "cluster", 1)
    timeouts: list[float] = []

    def slow(message: Publication, attempt: int, timeout_s: float) -> None:
        timeouts.append(timeout_s)
        bench.clock.advance(400)

    monkeypatch.setattr(bench.broker, "publish", slow)
    with pytest.raises(BrokerUnavailable):
        bench.publish(rendered.envelope, 1, 1_000)
    assert timeouts == pytest.approx([1.0, 0.6, 0.2])


def test_what_goes_its_own_way_is_bounded_too(app: Celery, monkeypatch: pytest.MonkeyPatch) -> None:
    """Celery's own send would be tried again for as long as `task_publish_retry_policy` says."""

    class Own(app.Task):  # type: ignore[name-defined,misc]
        name = "proj.own"

        def apply_async(self, *args: Any, **kwargs: Any) -> Any:
            return super().apply_async(*args, **kwargs)

    app.register_task(Own())
    bench = Bench(app, {"a": {"task": "proj.own", "schedule": 60}})
    rendered = bench.publisher.render(bench.declared.entries["a"], FIRING, "cluster", 1)
    result: list[dict[str, Any]] = []
    monkeypatch.setattr(
        type(bench.broker.producer), "publish", lambda self, *args, **given: result.append(given)
    )
    bench.publish(rendered.envelope, 1, 1_500)
    (given,) = result
    assert (given["retry"], given["timeout"], given["confirm_timeout"]) == (False, 1.5, 1.5)


def test_a_kept_message_that_cannot_be_read_is_refused_alone(app: Celery) -> None:
    with pytest.raises(PublishRefused):
        Bench(app).publish(b"garbage", 1, 1_000)
