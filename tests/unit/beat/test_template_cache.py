"""A message made from a template is Celery's own, byte for byte, whatever the entry's options."""

from __future__ import annotations

import decimal
import functools
import importlib
import inspect
import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import celery
import pytest
from celery import Celery, signals
from celery.app.amqp import AMQP
from celery.app.defaults import NAMESPACES
from celery.app.routes import MapRoute, Router
from kombu import Exchange, Producer, Queue
from kombu.transport import memory, resolve_transport, virtual

from habeat.beat.message.template_cache import Templates
from habeat.beat.message.template_limits import why_not_app, why_not_transport
from habeat.config import Settings
from habeat.core.firing import Firing
from habeat.errors import SettingsError
from habeat.ports import RenderFailed
from tests.unit.beat.conftest import make_app
from tests.unit.beat.test_send_path import Bench

SLOT_MS = 1_750_000_000_123
TAKEN = ""


def bench_of(app: Celery, entries: dict[str, Any], *, template: bool) -> Bench:
    bench = Bench(app, entries)
    if not template:
        bench.publisher.templates = None
    return bench


def entries_of(**given: Any) -> dict[str, Any]:
    """Three entries of one shape that differ in name and arguments."""
    base = {"task": "proj.any", "schedule": 60, **given}
    return {
        "first": {"args": (1, 2), **base},
        'second "é" \\': {
            "args": ("it's", "é", None),
            "kwargs": {"k": [1, {"deep": (2,)}]},
            **base,
        },
        "third": base,
    }


def envelopes(app: Celery, entries: dict[str, Any], *, template: bool) -> list[bytes]:
    """The envelopes of three firings of each entry, as they would be kept in Redis."""
    bench = bench_of(app, entries, template=template)
    found = []
    for turn in range(3):
        for name, entry in bench.declared.entries.items():
            firing = Firing(name, SLOT_MS + turn * 60_000, SLOT_MS + turn * 60_000 + 7)
            found.append(bench.publisher.render(entry, firing, "cluster", 17 + turn).envelope)
    return found


def why(app: Celery, entries: dict[str, Any]) -> str:
    """What is said of the first entry after its messages have been rendered."""
    bench = bench_of(app, entries, template=True)
    for turn in range(3):
        for name, entry in bench.declared.entries.items():
            bench.publisher.render(entry, Firing(name, SLOT_MS + turn, SLOT_MS), "cluster", 1)
    templates = bench.publisher.templates
    assert templates is not None
    said = templates.why(next(iter(bench.declared.entries.values())))
    assert bool(said) == (templates.filled == 0), "what is result is not what is done"
    return said


def app_with(**conf: Any) -> Celery:
    app = make_app(**conf)

    @app.task(name="proj.any", shared=False)
    def anything(*args: Any, **kwargs: Any) -> None:
        """Takes whatever it is given."""

    return app


OPTIONS: list[dict[str, Any]] = [
    {},
    {"queue": "other"},
    {"exchange": "mine", "routing_key": "a.b"},
    {"priority": 7},
    {"headers": {"mine": {"deep": ["é", 1, None, "()"]}, "args": "()"}},
    {"headers": {"periodic_task_name": "a name of its own"}},
    {"serializer": "json"},
    {"compression": "zlib"},
    {"time_limit": 10, "soft_time_limit": 5},
    {"ignore_result": True},
    {"shadow": "another name"},
    {"retry": False, "retry_policy": {"max_retries": 3}},
    {"delivery_mode": 1},
    {"reply_to": "somewhere"},
    {"mandatory": True},
    {"user_id": "guest", "app_id": "x", "message_id": "m"},
    {"root_id": "r", "parent_id": "p", "group_id": "g"},
    {"origin": "here"},
    {"MessageGroupId": "g", "correlation_id": "c"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda each: ",".join(each) or "none")
def test_the_same_bytes_for_every_option(options: dict[str, Any]) -> None:
    given = entries_of(options=options)
    assert why(app_with(), given) == TAKEN
    app = app_with()
    ours = envelopes(app, given, template=True)
    assert ours == envelopes(app, given, template=False)
    assert len(set(ours)) == len(ours)


CONF: list[dict[str, Any]] = [
    {"task_default_queue": "elsewhere", "task_default_priority": 3},
    {"task_routes": {"proj.*": {"queue": "routed", "priority": 2}}},
    {"task_queues": [Queue("celery", Exchange("tops", type="topic"), routing_key="a.#")]},
    {"task_default_delivery_mode": "transient"},
    {"task_ignore_result": True, "task_publish_retry": False},
    {"enable_utc": False},
    {"result_backend": "cache+memory://"},
    *([{"task_repr_maxlevels": 1}] if "repr_maxlevels" in NAMESPACES["task"] else []),
]


@pytest.mark.parametrize("conf", CONF, ids=lambda each: ",".join(each))
def test_the_same_bytes_for_every_configuration(conf: dict[str, Any]) -> None:
    app = app_with(**conf)
    assert why(app, entries_of()) == TAKEN
    assert envelopes(app, entries_of(), template=True) == envelopes(
        app, entries_of(), template=False
    )


ARGUMENTS: list[tuple[Any, ...]] = [
    (),
    (1,),
    (True, None, -5, 10**30, 1.5, float("1e300")),
    ("plain", "it's", 'a "quote"', "back\\slash", "é", "\n", "", "x" * 3_000),
    ([1, [2, [3, [4, [5]]]]], {"a": {"b": {"c": {"d": 1}}}}, {}),
    (datetime(2026, 1, 2, 3, 4, tzinfo=UTC), uuid.UUID(int=5), decimal.Decimal("1.50")),
    tuple(range(400)),
    ("habeat é", "7258118399123", "()", "{}"),
]


@pytest.mark.parametrize("args", ARGUMENTS, ids=lambda args: repr(args)[:30])
def test_the_same_bytes_for_all_kinds_of_arguments(args: tuple[Any, ...]) -> None:
    app = app_with()
    given = {
        "plain": {"task": "proj.any", "schedule": 60, "args": (1,)},
        "these": {"task": "proj.any", "schedule": 60, "args": args},
        "named": {
            "task": "proj.any",
            "schedule": 60,
            "kwargs": {f"k{at} é'": each for at, each in enumerate(args)},
        },
        "unknown here": {"task": "else.where", "schedule": 60, "args": args},
    }
    assert why(app, given) == TAKEN
    assert envelopes(app, given, template=True) == envelopes(app, given, template=False)


NOT_TAKEN: list[tuple[dict[str, Any], str]] = [
    ({"options": {"countdown": 5}}, "countdown"),
    ({"options": {"expires": 30}}, "expires"),
    ({"options": {"eta": "2030-01-01T00:00:00+00:00"}}, "eta"),
    ({"options": {"serializer": "pickle"}}, "serializer"),
    ({"options": {"link": {"task": "proj.any", "args": [], "kwargs": {}, "options": {}}}}, "link"),
    ({"task": "celery.chain"}, "canvas"),
]


@pytest.mark.parametrize(("given", "said"), NOT_TAKEN, ids=lambda each: str(each)[:30])
def test_what_depends_on_more_than_the_firing_is_left_to_celery(
    given: dict[str, Any], said: str
) -> None:
    app = app_with()
    entry = {"task": "proj.any", "schedule": 60, **given}
    bench = Bench(app, {"a": entry})
    if entry["task"] != "celery.chain":
        for turn in range(3):
            bench.publisher.render(
                bench.declared.entries["a"], Firing("a", SLOT_MS + turn, SLOT_MS), "cluster", 1
            )
    assert bench.publisher.templates is not None
    assert said in bench.publisher.templates.why(bench.declared.entries["a"])


def test_a_receiver_of_the_publish_signals_sees_every_message(app: Celery) -> None:
    seen: list[str] = []

    def see(headers: dict[str, Any], **_: Any) -> None:
        seen.append(headers["id"])

    signals.before_task_publish.connect(see)
    try:
        app = app_with()
        assert "before_task_publish" in why(app, entries_of())
        assert len(set(seen)) == 9
    finally:
        signals.before_task_publish.disconnect(see)
    assert why(app, entries_of()) == TAKEN


def test_a_receiver_that_comes_later_sees_every_later_message() -> None:
    app = app_with()
    bench = bench_of(app, entries_of(), template=True)
    entry = bench.declared.entries["first"]
    render = bench.publisher.render
    for turn in range(3):
        render(entry, Firing("first", SLOT_MS + turn, SLOT_MS), "cluster", 1)
    seen: list[Any] = []

    def see(**_: Any) -> None:
        seen.append(1)

    signals.after_task_publish.connect(see)
    try:
        bench.publisher.prepare(100)
        render(entry, Firing("first", SLOT_MS + 9, SLOT_MS), "cluster", 1)
    finally:
        signals.after_task_publish.disconnect(see)
    assert bench.publisher.templates is not None
    assert "after_task_publish" in bench.publisher.templates.why(entry)


@pytest.mark.parametrize(
    ("owner", "name"),
    [("celery.app.base.Celery", "send_task"), ("celery.app.task.Task", "apply_async"),
     ("kombu.messaging.Producer", "publish"), ("celery.beat.Scheduler", "apply_entry")],
)  # fmt: skip
def test_a_patched_class_is_left_alone(
    owner: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Sentry, OpenTelemetry and ddtrace do: the patch must see each firing."""
    module, _, cls = owner.rpartition(".")
    target = getattr(importlib.import_module(module), cls)
    whole = getattr(target, name)
    calls: list[int] = []

    def patched(self: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        return whole(self, *args, **kwargs)

    app = app_with()
    monkeypatch.setattr(target, name, patched)
    said = why(app, entries_of())
    assert name in said, said


@pytest.mark.parametrize("name", ["basic_publish", "prepare_message", "_put", "encode_body"])
def test_a_patched_channel_sees_every_message(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project may write its tenant into each message there."""
    calls: list[int] = []
    for owner in (memory.Channel, virtual.Channel):
        whole = vars(owner).get(name)
        if whole is not None:
            monkeypatch.setattr(owner, name, _counting(whole, calls))
    assert f"Channel.{name} is not kombu's own" in why(app_with(), entries_of())


def _counting(whole: Any, calls: list[int]) -> Any:
    def patched(self: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        return whole(self, *args, **kwargs)

    return patched


def test_a_transport_of_ones_own_sees_every_message() -> None:
    class OwnChannel(memory.Channel):
        """Of the project."""

    class OfItsChannel(memory.Transport):
        Channel = OwnChannel

    class Own(memory.Transport):
        """Of the project."""

    OfItsChannel.__module__ = memory.__name__
    for transport in (Own, OfItsChannel):
        assert "not kombu's own" in why_not_transport(transport)


@pytest.mark.parametrize(
    "name", ["memory", "redis", "sentinel", "pyamqp", "amqp", "filesystem", "SQS"]
)
def test_the_transports_of_kombu_are_its_own(name: str) -> None:
    try:
        transport = resolve_transport(name)
    except ImportError as error:
        pytest.skip(str(error))
    assert why_not_transport(transport) == ""


def test_a_router_that_is_a_function_is_asked_each_time() -> None:
    asked: list[str] = []

    def route(name: str, *_: Any, **__: Any) -> dict[str, str]:
        asked.append(name)
        return {"queue": f"q{len(asked)}"}

    app = app_with(task_routes=[route], task_create_missing_queues=True)
    assert "router" in why(app, entries_of())
    assert len(asked) == 9


def test_arguments_that_the_task_refuses_are_refused_all_the_same() -> None:
    """Celery checks them against the function's signature at each send."""
    app = app_with()
    entries = {
        "good": {"task": "proj.add", "schedule": 60, "args": (1, 2)},
        "bad": {"task": "proj.add", "schedule": 60, "args": (1, 2, 3)},
    }
    bench = Bench(app, entries)
    for turn in range(3):
        bench.publisher.render(
            bench.declared.entries["good"], Firing("good", SLOT_MS + turn, SLOT_MS), "cluster", 1
        )
    with pytest.raises(RenderFailed, match="argument"):
        bench.publisher.render(
            bench.declared.entries["bad"], Firing("bad", SLOT_MS, SLOT_MS), "cluster", 1
        )


def test_an_app_whose_backend_cannot_be_made_is_left_to_celery() -> None:
    """Celery fails each message then, and says why; the ticks go on."""
    app = app_with(result_backend="no.such.module:Backend")
    bench = Bench(app, entries_of())
    bench.publisher.prepare(100)
    assert bench.publisher.templates is not None
    assert "Error" in bench.publisher.templates.why(bench.declared.entries["first"])


def test_the_number_of_shapes_kept_is_bounded() -> None:
    app = app_with()
    entries = {f"e{at}": {"task": f"no.such.task.{at}", "schedule": 60} for at in range(1_100)}
    bench = Bench(app, entries)
    for name, entry in bench.declared.entries.items():
        bench.publisher.render(entry, Firing(name, SLOT_MS, SLOT_MS), "cluster", 1)
    templates = bench.publisher.templates
    assert isinstance(templates, Templates)
    assert len(templates._shapes) <= 1_000


def test_it_can_be_switched_off() -> None:
    conf = {"broker_url": "redis://localhost"}
    assert Settings.from_conf(conf, app_main="a").template
    assert not Settings.from_conf({**conf, "habeat_template": False}, app_main="a").template
    with pytest.raises(SettingsError, match="True or False"):
        Settings.from_conf({**conf, "habeat_template": "yes"}, app_main="a")


def _wrapped(whole: Any) -> Any:
    """As `functools.wraps` does it."""

    @functools.wraps(whole)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return whole(*args, **kwargs)

    return wrapper


def _with_tenant(app: Celery) -> None:
    """A build function that writes an argument of the entry into a header."""
    stock = app.amqp.as_task_v2

    def build(*args: Any, **kwargs: Any) -> Any:
        return stock(*args, **kwargs)

    app.amqp.task_protocols = {**app.amqp.task_protocols, 2: build}


class OwnProducer(Producer):
    def publish(self, *args: Any, **kwargs: Any) -> Any:
        return super().publish(*args, **kwargs)


def _own_producer(app: Celery) -> None:
    app.amqp.Producer = OwnProducer


def _wrap_on(owner: str, name: str) -> Callable[[Celery], None]:
    def wrap(app: Celery) -> None:
        target = {"amqp": app.amqp, "router": app.amqp.router, "app": app}[owner]
        setattr(target, name, _wrapped(getattr(target, name)))

    return wrap


ON_THE_WAY = {
    "send_task_message": _wrap_on("amqp", "send_task_message"),
    "create_task_message": _wrap_on("amqp", "create_task_message"),
    "as_task_v2": _wrap_on("amqp", "as_task_v2"),
    "task_protocols": _with_tenant,
    "route": _wrap_on("router", "route"),
    "expand_destination": _wrap_on("router", "expand_destination"),
    "send_task": _wrap_on("app", "send_task"),
    "producer": _own_producer,
}


@pytest.mark.parametrize("name", ON_THE_WAY)
def test_a_method_of_other_code_on_the_way_to_the_channel_leaves_messages_to_celery(
    name: str,
) -> None:
    app = app_with()
    ON_THE_WAY[name](app)
    assert name in why(app, entries_of())


@pytest.mark.parametrize(
    ("cls", "name"),
    [
        (AMQP, "send_task_message"),
        (AMQP, "as_task_v1"),
        (AMQP, "_create_task_sender"),
        (Router, "route"),
        (MapRoute, "__call__"),
        (Producer, "maybe_declare"),
    ],
)
def test_a_class_patched_on_the_way_to_the_channel_leaves_messages_to_celery(
    cls: type, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = app_with()
    stock = inspect.getattr_static(cls, name)
    whole = getattr(stock, "func", stock)
    wrapper = _wrapped(whole)
    monkeypatch.setattr(cls, name, property(wrapper) if whole is not stock else wrapper)
    assert name in why(app, entries_of())


def test_a_receiver_that_connects_within_a_turn_sees_the_next_message() -> None:
    seen: list[Any] = []

    def see(**_: Any) -> None:
        seen.append(1)

    # Before 5.7, Celery's sender keeps the list of receivers that it has found when it is made. A
    # signal replaces that list when it drops receivers that are gone, here those of other tests.
    signals.before_task_publish.connect(see)
    signals.before_task_publish.disconnect(see)
    app = app_with()
    bench = bench_of(app, entries_of(), template=True)
    entry = bench.declared.entries["first"]
    for turn in range(3):
        bench.publisher.render(entry, Firing("first", SLOT_MS + turn, SLOT_MS), "cluster", 1)
    signals.before_task_publish.connect(see)
    try:
        bench.publisher.render(entry, Firing("first", SLOT_MS + 9, SLOT_MS), "cluster", 1)
    finally:
        signals.before_task_publish.disconnect(see)
    assert seen == [1]


def test_learning_logs_no_line_and_the_firing_is_logged_when_it_is_claimed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = app_with()
    bench = bench_of(app, entries_of(), template=True)
    entry = bench.declared.entries["first"]
    with caplog.at_level("INFO", "celery.beat"):
        ahead = [
            bench.publisher.foresee(entry, Firing("first", SLOT_MS + turn, SLOT_MS), "cluster", 1)
            for turn in range(3)
        ]
    assert [each.task for each in ahead if each is not None] == ["proj.any"] * 3
    assert "Sending due task" not in caplog.text


def test_a_task_cannot_forge_a_line_where_celery_logs_it(caplog: pytest.LogCaptureFixture) -> None:
    app = app_with()
    bench = bench_of(app, entries_of(task="proj.any)\nScheduler: forged"), template=False)
    entry = bench.declared.entries["third"]
    with caplog.at_level("INFO", "celery.beat"):
        rendered = bench.publisher.render(entry, Firing("third", SLOT_MS, SLOT_MS), "cluster", 1)
    assert [line for line in caplog.messages if "Sending due task" in line] == [
        r"Scheduler: Sending due task third (proj.any)\nScheduler: forged)"
    ]
    assert json.dumps(entry.task) in rendered.envelope.decode()  # it is sent as it is


@pytest.mark.parametrize("package", ["celery_once", "celery.py", "kombu_extra"])
def test_a_package_whose_name_begins_like_celerys_is_not_celerys(package: str, app: Celery) -> None:
    """Two of them stand in the same folder of installed packages."""
    folder = Path(next(iter(celery.__path__))).parent
    code = "def send_task(self, *args, **more): return None"
    space: dict[str, Any] = {}
    exec(compile(code, str(folder / package / "app.py"), "exec"), space)
    assert why_not_app(app) == ""
    app.__class__ = type("Mine", (Celery,), space)
    assert why_not_app(app) == "Celery.send_task is not Celery's own"
