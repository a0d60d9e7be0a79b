"""beat_schedule, entry by entry: what is bad is named, and the others go on."""

from __future__ import annotations

import enum
import os
import threading
import uuid
from collections import OrderedDict, deque
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest
from celery import Celery, chain, chord, group
from celery.beat import BeatLazyFunc, ScheduleEntry
from celery.schedules import crontab, schedule
from kombu import Exchange, Queue

from habeat.beat.declared.beat_schedule import BeatSchedule, declare
from habeat.beat.definition_source import BeatDefinitionSource
from habeat.beat.message.send_path import CANVAS
from habeat.core.entry import Delivery, Misfire
from habeat.core.limits import Limits
from habeat.entries.codec import decode, encode
from habeat.entries.names import DECLARED_MAX_BYTES
from habeat.errors import DefinitionError
from habeat.schedules.custom import DueState, LiveCode

GOOD = {"task": "proj.add", "schedule": 60, "args": (1, 2)}


def test_an_entry_beyond_the_limits_is_named_and_the_others_go_on(app: Celery) -> None:
    found = declare(app, {"big": {**GOOD, "kwargs": {"x": "y" * 70_000}}, "a": GOOD})
    assert list(found.entries) == ["a"]
    assert "at most 65536 bytes (habeat_definition_bytes)" in found.broken["big"]


def test_an_empty_name_becomes_one_that_can_be_read(app: Celery) -> None:
    """Celery takes it."""
    found = declare(app, {"": GOOD, "a": GOOD})
    assert (list(found.entries), found.broken) == (["(empty)", "a"], {})
    assert found.raw["(empty)"] == GOOD
    twice = declare(app, {"": GOOD, "(empty)": GOOD})
    [why] = twice.broken.values()
    assert "a name that no other entry has" in why


def test_what_celerys_beat_takes_is_taken(app: Celery) -> None:
    """Forms of schedules, arguments, options and names that real configurations have."""
    timely = schedule(60, nowfun=lambda: datetime.now(UTC))
    whens = [1, 1.0, timedelta(seconds=1), schedule(1), timely, crontab()]
    given: dict[Any, Any] = {f"when {at}": {**GOOD, "schedule": it} for at, it in enumerate(whens)}
    arguments: list[Any] = [None, [1], "ab", {5}, range(3), deque([1]), (n for n in (1, 2))]
    given |= {f"args {at}": {**GOOD, "args": it} for at, it in enumerate(arguments)}
    mappings: list[Any] = [None, OrderedDict(b=1, a=2), MappingProxyType({"a": 1}), {}]
    given |= {f"kwargs {at}": {**GOOD, "kwargs": it} for at, it in enumerate(mappings)}
    options = [{"expires": timedelta(60)}, {"queue": Queue("q")}, {"priority": 0, "queue": None}]
    given |= {f"options {at}": {**GOOD, "options": it} for at, it in enumerate(options)}
    given |= dict.fromkeys([5, ("a", "b"), None, b"bytes", 1.5, True, Delivery.AT_LEAST_ONCE], GOOD)
    whole = ScheduleEntry("e", "proj.add", schedule=schedule(1), args=(1,), app=app)
    given |= {"an entry": whole, "more": {**GOOD, "name": "x", "total_run_count": 5}}
    found = declare(app, given)
    assert found.broken == {}
    assert len(found.entries) == len(given)
    assert (found.entries["args 2"].args, found.entries["an entry"].args) == (("a", "b"), (1,))
    assert list(found.entries["kwargs 1"].kwargs) == ["b", "a"]


def test_a_plain_entry(app: Celery) -> None:
    found = declare(app, {"a": GOOD})
    entry = found.entries["a"]
    assert (entry.task, entry.args, entry.owner) == ("proj.add", (1, 2), "config")
    assert entry.schedule.every_ms == 60_000  # type: ignore[attr-defined]
    assert found.broken == {}


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        ({"schedule": 60}, "task"),
        ({"task": "t"}, "schedule"),
        ({"task": "t", "schedule": 0}, ""),
        ({"task": "t", "schedule": "soon"}, "schedule"),
        ({"task": "t", "schedule": 60, "kwarg": {}}, "kwarg"),
        (5, "a mapping with task, schedule"),
        (None, "a mapping with task, schedule"),
        (["task", "t"], "a mapping with task, schedule"),
        ({"task": "t", "schedule": 60, "args": 5}, "args: expected a list or tuple"),
        ({"task": "t", "schedule": 60, "kwargs": ["x"]}, "kwargs: expected a mapping"),
        ({"task": "t", "schedule": 60, "options": ["x"]}, "options: expected a mapping"),
        ({"task": "t", "schedule": 60, "kwargs": {1: 2}}, "kwargs"),
        ({"task": "", "schedule": 60}, "task"),
        ({"task": "t", "schedule": 60, "misfire": "sometimes"}, "misfire"),
        ({"task": "t", "schedule": 60, "delivery": "maybe"}, "delivery"),
        ({"task": "t", "schedule": 60, "misfire_grace": -1}, "misfire_grace"),
        ({"task": "t", "schedule": 60, "misfire_limit": "many"}, "misfire_limit"),
        ({"task": "t", "schedule": 60, "enabled": "yes"}, "enabled"),
        ({"task": "t", "schedule": 60, "args": (threading.Lock(),)}, "args"),
        ({"task": "t", "schedule": 60, "args": (object(),)}, "args"),
        ({"task": "t", "schedule": 60, "kwargs": {"x": {1, 2}.__iter__()}}, "kwargs"),
        ({"task": "t", "schedule": 60, "misfire_window": "1d"}, "misfire_window"),
        ({"task": "t", "schedule": 60, "misfire_pace": 0}, "misfire_pace"),
        ({"task": "t", "schedule": 60, "max_runs": 0}, "max_runs"),
        ({"task": "t", "schedule": 60, "jitter": -1}, "jitter"),
        ({"task": "t", "schedule": 60, "spread": "5m"}, "spread"),
        ({"task": "t", "schedule": 60, "deadline": 0}, "deadline"),
        ({"task": "t", "schedule": 60, "start": datetime(2030, 1, 1)}, "start"),
        ({"task": "t", "schedule": 60, "end": "tomorrow"}, "end"),
        ({"task": "t", "schedule": 60, "tags": "nightly"}, "tags"),
        ("not a mapping", ""),
        (None, ""),
    ],
)
def test_a_bad_entry_fails_alone_with_a_reason(app: Celery, bad: Any, problem: str) -> None:
    found = declare(app, {"a": GOOD, "bad": bad, "z": GOOD})
    assert sorted(found.entries) == ["a", "z"]
    assert list(found.broken) == ["bad"]
    assert problem in found.broken["bad"]


@pytest.mark.parametrize("name", ["x" * (DECLARED_MAX_BYTES + 1), "ü" * 4_097, "\ud800"])
def test_a_name_that_cannot_be_is_refused(app: Celery, name: str) -> None:
    assert list(declare(app, {name: GOOD}).broken) == [name]


class Names(str, enum.Enum):  # noqa: UP042 - its str() is not its value
    NIGHTLY = "nightly"


@pytest.mark.parametrize(
    ("key", "name"), [(Names.NIGHTLY, "nightly"), (7, "7"), (None, "None"), ("two\nlines",) * 2]
)
def test_a_name_is_the_text_of_its_key(app: Celery, key: Any, name: str) -> None:
    found = declare(app, {key: GOOD})
    assert list(found.entries) == list(found.raw) == [name]
    assert type(found.entries[name].name) is str


def test_of_two_keys_with_the_same_text_the_second_is_refused(app: Celery) -> None:
    found = declare(app, {"7": GOOD, 7: {**GOOD, "schedule": 5}})
    assert found.entries["7"].schedule.every_ms == 60_000  # type: ignore[attr-defined]
    assert "no other entry" in found.broken["7 (int)"]


def test_a_key_that_has_no_text_is_refused_alone(app: Celery) -> None:
    class Odd:
        def __str__(self) -> str:
            raise ZeroDivisionError

    found = declare(app, {Odd(): GOOD, "good": GOOD})
    assert list(found.entries) == ["good"]
    assert list(found.broken.values()) == ["ZeroDivisionError: "]


ARGUMENTS = (
    datetime(2025, 6, 1, 12, tzinfo=UTC),
    uuid.UUID(int=5),
    Decimal("1.50"),
    {"nested": [datetime(2025, 6, 1), Decimal("2")]},
    "ü",
    None,
    1.5,
)


def test_what_kombus_json_carries_comes_back_as_it_was(app: Celery) -> None:
    entry = declare(app, {"a": {**GOOD, "args": ARGUMENTS}}).entries["a"]
    assert decode("a", encode(entry)).args == ARGUMENTS


def test_policies_beside_celerys_keys(app: Celery) -> None:
    given = {
        **GOOD, "misfire": "all", "misfire_grace": 2.5, "misfire_limit": 7,
        "delivery": "at_most_once", "tags": ["x"], "description": "why", "enabled": False,
    }  # fmt: skip
    entry = declare(app, {"a": given}).entries["a"]
    assert (entry.misfire, entry.misfire_grace_ms, entry.misfire_limit, entry.delivery) == (
        Misfire.ALL,
        2_500,
        7,
        Delivery.AT_MOST_ONCE,
    )
    assert (entry.tags, entry.description, entry.enabled) == (("x",), "why", False)


def test_a_schedule_entry_object_is_taken_as_celery_takes_it(app: Celery) -> None:
    given = ScheduleEntry(name="a", task="proj.add", schedule=schedule(60), args=(1, 2), app=app)
    found = declare(app, {"a": given})
    assert found.broken == {}
    assert found.entries["a"].args == (1, 2)


def test_a_task_object_is_its_name(app: Celery) -> None:
    found = declare(app, {"a": {**GOOD, "task": app.tasks["proj.add"]}})
    assert found.entries["a"].task == "proj.add"


def test_periodic_tasks_named_and_unnamed(app: Celery) -> None:
    add = app.tasks["proj.add"]
    app.add_periodic_task(10, add.s(1, 2), name="named")
    app.add_periodic_task(crontab(minute=5), add.s(3, 4))
    found = declare(app, app.conf.beat_schedule)
    assert found.broken == {}
    assert len(found.entries) == 2
    assert found.entries["named"].args == (1, 2)


@pytest.mark.parametrize("make", [chain, group, chord])
def test_a_canvas_is_stored_whole(app: Celery, make: Any) -> None:
    add = app.tasks["proj.add"]
    parts = [add.si(1, 2), add.si(3, 4)]
    canvas = make(parts, add.si(0, 0)) if make is chord else make(parts)
    found = declare(app, {"a": {"task": canvas, "schedule": 60}})
    assert found.broken == {}
    stored = decode("a", encode(found.entries["a"]))
    assert dict(stored.task)["task"] in CANVAS  # type: ignore[call-overload]


# -- what only code can express ----------------------------------------------------------------


def test_lazy_arguments_stay_a_matter_of_code_and_are_not_called(app: Celery) -> None:
    called: list[int] = []
    lazy = BeatLazyFunc(called.append, 1)
    declared = declare(app, {"a": {**GOOD, "args": (1, lazy)}})
    entry = declared.entries["a"]
    assert entry.from_code == ("args",)
    assert entry.args == ()
    assert called == []
    parts = BeatDefinitionSource(declared).code_parts(decode("a", encode(entry)))
    assert parts["args"] == (1, lazy)
    assert called == []


def test_the_planner_knows_expires_whatever_the_options_are(app: Celery) -> None:
    minute = timedelta(minutes=1)
    beside_a_queue = {"queue": Queue("reports"), "expires": minute}
    declared = declare(
        app,
        {
            "alone": {**GOOD, "options": {"expires": minute}},
            "beside": {**GOOD, "options": beside_a_queue},
        },
    )
    assert declared.broken == {}
    assert declared.entries["alone"].options == {"expires": 60}
    assert declared.entries["alone"].from_code == ()
    assert declared.entries["beside"].options == {"expires": 60}
    assert declared.entries["beside"].from_code == ("options",)
    assert beside_a_queue["expires"] is minute


def test_queues_and_exchanges_in_options_stay_a_matter_of_code(app: Celery) -> None:
    queue = Queue("q", Exchange("x", type="topic"), routing_key="a.b")
    declared = declare(app, {"a": {**GOOD, "options": {"queue": queue, "priority": 3}}})
    entry = declared.entries["a"]
    assert "options" in entry.from_code
    parts = BeatDefinitionSource(declared).code_parts(decode("a", encode(entry)))
    assert parts["options"]["queue"] is queue
    assert parts["options"]["priority"] == 3


def test_a_schedule_class_is_looked_up_in_this_code(app: Celery) -> None:
    class Mine(schedule):
        def is_due(self, last_run_at: datetime) -> Any:
            return super().is_due(last_run_at)

    declared = declare(app, {"a": {**GOOD, "schedule": Mine(60)}})
    stored = decode("a", encode(declared.entries["a"]))
    assert stored.next_slot_ms(0) is None  # no process computes wrong slots from what is stored
    resolved = BeatDefinitionSource(declared).resolve(stored)
    assert resolved is not None
    assert isinstance(resolved.schedule, LiveCode)
    assert resolved.schedule.ask(0, 60_000) == DueState(True, 60_000)
    assert resolved.next_slot_ms(0) is None  # nor is it enumerated where the code is


def test_another_deploys_code_is_not_ours(app: Celery) -> None:
    class Mine(schedule):
        def is_due(self, last_run_at: datetime) -> Any:
            return super().is_due(last_run_at)

    theirs = declare(app, {"a": {**GOOD, "args": (9,), "schedule": Mine(60)}})
    ours = BeatDefinitionSource(declare(app, {"a": {**GOOD, "schedule": Mine(60)}}))
    assert ours.resolve(theirs.entries["a"]) is None
    assert BeatDefinitionSource(declare(app, {})).resolve(theirs.entries["a"]) is None


# -- fingerprints -------------------------------------------------------------------------------


def test_replicas_of_one_deploy_agree(app: Celery) -> None:
    one = declare(app, {"a": GOOD, "b": {**GOOD, "schedule": crontab()}})
    other = declare(app, {"b": {**GOOD, "schedule": crontab()}, "a": dict(GOOD)})
    assert one.fingerprint == other.fingerprint
    assert one.fingerprint != declare(app, {"a": GOOD}).fingerprint


@pytest.mark.parametrize(
    "change", [{"args": (1, 3)}, {"schedule": 61}, {"options": {"queue": "q"}}, {"task": "t"}]
)
def test_each_change_shows_in_the_fingerprint(app: Celery, change: dict[str, Any]) -> None:
    one, other = declare(app, {"a": GOOD}), declare(app, {"a": {**GOOD, **change}})
    assert one.entries["a"].fingerprint != other.entries["a"].fingerprint


def test_the_process_plays_no_part_in_a_fingerprint(app: Celery) -> None:
    """Not the address of an object, nor the hash seed."""
    import subprocess
    import sys

    code = (
        "from celery import Celery; from celery.beat import BeatLazyFunc\n"
        "from celery.schedules import schedule\n"
        "from habeat.beat.declared.beat_schedule import declare\n"
        "class Mine(schedule): pass\n"
        "app = Celery('p', set_as_current=False)\n"
        "given = {'a': {'task': 't', 'schedule': Mine(60), 'args': (BeatLazyFunc(print, 1),)},\n"
        "         'b': {'task': 't', 'schedule': 5, 'kwargs': {'x': 1, 'y': 2}}}\n"
        "print(declare(app, given).fingerprint)\n"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(seen) == 1


def test_declaring_changes_nothing_of_what_was_given(app: Celery) -> None:
    options = {"headers": {"a": 1}, "queue": "q"}
    given = {"a": {**GOOD, "options": options, "kwargs": {}}}
    declare(app, given)
    assert given == {"a": {**GOOD, "options": {"headers": {"a": 1}, "queue": "q"}, "kwargs": {}}}


def test_an_entry_says_the_same_as_add_does(app: Celery) -> None:
    end = datetime(2030, 1, 2, tzinfo=UTC)
    found = declare(
        app,
        {
            "a": {
                **GOOD,
                "start": datetime(2030, 1, 1, tzinfo=UTC),
                "end": end,
                "max_runs": 3,
                "jitter": 5,
                "spread": timedelta(minutes=1),
                "deadline": 30,
                "misfire": "all",
                "misfire_grace": timedelta(seconds=5),
                "misfire_limit": 7,
                "misfire_window": 3_600,
                "misfire_pace": 2,
                "delivery": "at_most_once",
                "tags": ["nightly"],
                "description": "what",
                "enabled": False,
            },
            "none": {**GOOD, **dict.fromkeys(("start", "max_runs", "jitter", "misfire", "tags"))},
        },
    )
    assert found.broken == {}
    entry = found.entries["a"]
    assert entry.end_ms == entry.start_ms + 86_400_000 == round(end.timestamp() * 1_000)  # type: ignore[operator]
    assert (entry.max_runs, entry.jitter_ms, entry.spread_ms) == (3, 5_000, 60_000)
    assert (entry.deadline_ms, entry.misfire, entry.misfire_grace_ms) == (30_000, "all", 5_000)
    assert (entry.misfire_limit, entry.misfire_window_ms) == (7, 3_600_000)
    assert (entry.misfire_pace, entry.delivery) == (2.0, "at_most_once")
    assert (entry.tags, entry.description, entry.enabled) == (("nightly",), "what", False)
    plain = declare(app, {"none": GOOD}).entries["none"]
    assert found.entries["none"] == plain


@pytest.mark.parametrize("decode", ["decode", "decode_request"])
def test_what_is_larger_than_the_limit_is_not_decoded(decode: str) -> None:
    definitions = BeatDefinitionSource(BeatSchedule(), limits=Limits(definition_bytes=1_000))
    given = ("a",) if decode == "decode" else ()
    most = Limits(definition_bytes=1_000).stored_bytes
    with pytest.raises(DefinitionError, match=f"it has {most + 1} bytes, more than"):
        getattr(definitions, decode)(*given, b" " * (most + 1))
    with pytest.raises(DefinitionError, match="Expecting value"):
        getattr(definitions, decode)(*given, b" " * most)


def test_the_order_of_keys_does_not_make_another_configuration(app: Celery) -> None:
    """It may come from a set, and so be another one in each process."""
    given = {"task": "proj.tick", "schedule": 60}
    one, other = (
        declare(app, {"a": {**given, "kwargs": {"k": kwargs}}})
        for kwargs in ({"x": 1, "y": 2}, {"y": 2, "x": 1})
    )
    assert one.fingerprint == other.fingerprint
    assert list(other.entries["a"].kwargs["k"]) == ["y", "x"], "messages keep the order"
