"""Arguments reach each serializer as Celery's beat would send them, or are refused by name."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from celery import Celery
from celery.beat import ScheduleEntry, Scheduler, SchedulingError
from kombu import serialization
from kombu.exceptions import DecodeError, SerializerNotInstalled

from habeat.beat.broker.envelope import Publication, Recorder
from habeat.beat.declared.beat_schedule import declare
from habeat.beat.definition_source import BeatDefinitionSource
from habeat.core.entry import Entry
from habeat.entries.codec import decode, encode
from habeat.entries.draft import new_entry
from habeat.errors import ValidationError
from tests.unit.beat.conftest import make_app
from tests.unit.beat.test_send_path import FIRING, Bench, unseal

INSTANT = datetime(2030, 1, 2, 3, 4, 5, 678, UTC)
#: Arguments, keyword arguments, and the serializers that can carry them.
GIVEN: list[tuple[Any, dict[str, Any], set[str]]] = [
    ((), {}, {"json", "yaml", "pickle", "msgpack"}),
    ((1, "é", None, 0.5, True), {"z": 1, "a": 2}, {"json", "yaml", "pickle", "msgpack"}),
    (((1, (2, 3)),), {}, {"json", "yaml", "pickle", "msgpack"}),
    (({5: "five", "b": 1, "a": 2},), {"m": {1: 2}}, {"json", "yaml", "pickle", "msgpack"}),
    (({"z": {"y": 1, "b": [{"d": 1, "c": 2}]}},), {}, {"json", "yaml", "pickle", "msgpack"}),
    ((b"\xff\x00", b"text"), {"k": b"x"}, {"json", "yaml", "pickle", "msgpack"}),
    ((INSTANT,), {"d": date(2030, 1, 2)}, {"json", "yaml", "pickle"}),
    ((INSTANT.replace(tzinfo=None),), {"t": time(1, 2)}, {"json", "pickle"}),
    ((Decimal("1.10"), UUID(int=7)), {}, {"json", "pickle"}),
    (({1, 2},), {}, {"yaml", "pickle"}),
    ((object,), {}, {"pickle"}),
]  # fmt: skip


def by_celery(app: Celery, given: dict[str, Any]) -> Publication:
    """The message that Celery's own beat sends for an entry."""
    recorder = Recorder(app.connection())
    options = {"options": {}, **given}
    entry = ScheduleEntry(name="a", app=app, **options)
    Scheduler(app, lazy=True).apply_async(entry, producer=recorder, advance=False)
    (published,) = recorder.published
    return published


def by_habeat(app: Celery, given: dict[str, Any]) -> Publication:
    """The message that a leader sends, once the entry has been stored and read."""
    bench = Bench(app, {"a": given})
    source = BeatDefinitionSource(bench.declared)
    entry = source.resolve(source.decode("a", encode(bench.declared.entries["a"])))
    assert entry is not None
    (message,) = unseal(bench.publisher.render(entry, FIRING, "cluster", 1).envelope)
    return message


@pytest.mark.parametrize("where", ["option", "setting", "task"])
@pytest.mark.parametrize("serializer", ["json", "yaml", "pickle", "msgpack"])
@pytest.mark.parametrize("at", range(len(GIVEN)))
def test_the_body_is_the_one_that_celerys_beat_sends(at: int, serializer: str, where: str) -> None:
    args, kwargs, carried = GIVEN[at]
    pytest.importorskip(serializer)
    app = make_app(**({"task_serializer": serializer} if where == "setting" else {}))

    @app.task(name="proj.any", shared=False, serializer=serializer if where == "task" else None)
    def anything(*args: Any, **kwargs: Any) -> None:
        """Takes whatever it is given."""

    options = {"serializer": serializer} if where == "option" else {}
    given = {"task": "proj.any", "schedule": 60, "args": args, "kwargs": kwargs, "options": options}
    if serializer not in carried:
        found = declare(app, {"a": given, "b": {**given, "args": (), "kwargs": {}}})
        assert list(found.entries) == ["b"]
        assert "args" in found.broken["a"]
        with pytest.raises(SchedulingError):  # Celery meets it at each firing
            by_celery(app, given)
        return
    theirs, ours = by_celery(app, given), by_habeat(app, given)
    assert (ours.content_type, ours.content_encoding) == (
        theirs.content_type,
        theirs.content_encoding,
    )
    assert read(ours) == read(theirs)
    if serializer != "pickle":  # its memo depends on which objects are the same
        assert ours.body == theirs.body


def read(message: Publication) -> str:
    """The arguments as a worker gets them, with their types and the order of keys."""
    accept = {message.content_type}
    body = message.body
    try:
        found = serialization.loads(body, message.content_type, message.content_encoding, accept)
    except DecodeError as error:  # msgpack packs keys that are numbers, and does not unpack them
        return str(error)
    return repr(found[:2])


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyYAML and msgpack are not installed, as kombu then has it."""

    def missing(*_: Any) -> None:
        raise SerializerNotInstalled("not here")

    encoders = serialization.registry._encoders
    monkeypatch.delitem(encoders, "yaml", raising=False)
    monkeypatch.setitem(encoders, "msgpack", encoders["msgpack"]._replace(encoder=missing))


@pytest.mark.parametrize(
    ("serializer", "cure"),
    [("yaml", "install PyYAML"), ("msgpack", "install msgpack"), ("own", "register it with kombu")],
)
@pytest.mark.usefixtures("without")
def test_a_serializer_that_is_missing_is_reported_before_anything_fires(
    serializer: str, cure: str
) -> None:
    good = {"task": "proj.add", "schedule": 60, "args": (1, 2)}
    options = {"serializer": serializer}
    found = declare(make_app(), {"good": good, "bad": {**good, "options": options}})
    assert list(found.entries) == ["good"]
    problem = f"the serializer {serializer!r} is not installed: expected one of json, pickle"
    assert found.broken["bad"].startswith(problem)
    assert cure in found.broken["bad"]
    in_json = {**good, "options": {"serializer": "json"}}
    found = declare(make_app(task_serializer=serializer), {"bad": good, "json": in_json})
    assert list(found.entries) == ["json"]
    with pytest.raises(ValidationError, match=problem):
        new_entry("a", {"task": "t", "schedule": 60, "options": options}, "UTC")


def test_a_serializer_of_ones_own_is_used() -> None:
    serialization.register("mine", lambda data: repr(data), eval, "application/x-mine", "utf-8")
    try:
        given = {"task": "proj.add", "schedule": 60, "args": (1, (2, {3: 4}))}
        given["options"] = {"serializer": "mine"}
        app = make_app()
        assert by_habeat(app, given).body == by_celery(app, given).body
    finally:
        serialization.unregister("mine")


def test_an_unknown_compression_stops_only_its_entry() -> None:
    good = {"task": "proj.add", "schedule": 60, "options": {"compression": "zlib"}}
    bad = {**good, "options": {"compression": "zib"}}
    found = declare(make_app(), {"good": good, "bad": bad})
    assert list(found.entries) == ["good"]
    assert "invalid options.compression 'zib': expected one of" in found.broken["bad"]


def api(**given: Any) -> Entry:
    options = {"serializer": given.pop("serializer", "pickle")}
    return new_entry("a", {"task": "t", "schedule": 60, "options": options, **given}, "UTC")


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"args": [1, (2, 3)]}, "args[1]"),
        ({"kwargs": {"a": {"b": {5: 6}}}}, 'kwargs["a"]["b"]["5"]'),
        ({"args": [[{"a": {1: 2, "b": 3}}]]}, 'args[0][0]["a"]["1"]'),
        ({"args": [Decimal(1)], "serializer": "yaml"}, "args"),
    ],
    ids=str,
)
def test_the_api_refuses_what_it_could_not_send_as_given(given: dict[str, Any], field: str) -> None:
    pytest.importorskip(given.get("serializer", "pickle"))
    with pytest.raises(ValidationError) as caught:
        api(**given)
    assert caught.value.field == field


def test_the_api_takes_what_stored_json_keeps() -> None:
    args = [1, "x", None, [2, {"b": 1, "a": 2}], INSTANT, Decimal("1.5"), UUID(int=1), b"\xff"]
    entry = api(args=args)
    assert repr(list(decode("a", encode(entry)).args)) == repr(args)
