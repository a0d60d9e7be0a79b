"""What the Client refuses at the call, and in which words."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from celery.schedules import crontab, schedule, solar

import habeat
from habeat.core.entry import Delivery, EntryState, Misfire
from habeat.entries.codec import digest_of, encode
from habeat.entries.draft import changed_entry, check_has_slots, new_entry
from habeat.errors import DefinitionError, ValidationError
from habeat.ports.entries import Stored


class Strange:
    """Nothing that can be stored or sent, with a name that is the same in every process."""

    def __repr__(self) -> str:
        return "Strange()"


def made(**given: Any) -> Any:
    return new_entry("a", {"task": "proj.a", "schedule": 300, **given}, "UTC")


class Task:
    """Looks like one of Celery's."""

    name = "proj.task"

    def __call__(self) -> None:
        pass


REFUSED = [
    ("task", ""),
    ("task", 7),
    ("task", {"args": []}),
    ("task", {"task": ""}),
    ("schedule", 0.05),
    ("schedule", True),
    ("schedule", "*/5 * * * *"),
    ("schedule", float("inf")),
    ("schedule", float("nan")),
    ("args", "abc"),
    ("args", {"a": 1}),
    ("args[0]", [Strange()]),
    ("args[0]", [float("nan")]),
    ("args[1]", [1, 2**2_100]),
    ('kwargs["a"]["b"]', {"a": {"b": "\ud800"}}),
    ('kwargs["a"]', {"a": {"__type__": "decimal", "__value__": "abc"}}),
    ('kwargs["a"][0]', {"a": [{"__type__": "no such", "__value__": 1}]}),
    ("kwargs", [1]),
    ("kwargs", {1: 2}),
    ('kwargs["a"]', {"a": Strange()}),
    ("options", "queue"),
    ("options", {1: 2}),
    ("options.task_id", {"task_id": "x"}),
    ("options.producer", {"producer": 1}),
    ("options.args", {"args": [1]}),
    ("options.countdown", {"countdown": -1}),
    ("options.countdown", {"countdown": True}),
    ("options.expires", {"expires": 0}),
    ("options.expires", {"expires": float("nan")}),
    ("options.expires", {"expires": datetime(2030, 1, 1)}),
    ("options.expires", {"expires": timedelta()}),
    ("options.eta", {"eta": "tomorrow"}),
    ("options.eta", {"eta": datetime(2030, 1, 1)}),
    ("options.priority", {"priority": 1.5}),
    ("options.priority", {"priority": 256}),
    ("options.headers", {"headers": [1]}),
    ("options.queue", {"queue": ""}),
    ("options.queue", {"queue": 5}),
    ("options.time_limit", {"time_limit": 0}),
    ("enabled", "yes"),
    ("tags", "tag"),
    ("tags", [1]),
    ("tags", [""]),
    ("tags", ["two\nlines"]),
    ("tags", ["\u202eturned"]),
    ("tags", ["\ud800"]),
    ("tags", 5),
    ("description", 5),
    ("misfire", "never"),
    ("misfire_grace", -1),
    ("misfire_grace", True),
    ("misfire_grace", "60"),
    ("misfire_grace", float("inf")),
    ("misfire_limit", 0),
    ("misfire_limit", 1.5),
    ("delivery", "maybe"),
    ("start", datetime(2030, 1, 1)),
    ("start", "2030-01-01T00:00:00+00:00"),
    ("start", 1_900_000_000),
    ("end", datetime(2030, 1, 1)),
    ("end", timedelta(days=1)),
    ("max_runs", 0),
    ("max_runs", True),
    ("max_runs", 1.0),
    ("jitter", -1),
    ("jitter", "5m"),
    ("jitter", float("nan")),
    ("jitter", timedelta(days=4_000)),
    ("spread", -0.5),
    ("spread", True),
    ("deadline", 0),
    ("deadline", 0.0001),
    ("deadline", timedelta(seconds=-1)),
    ("misfire_window", -1),
    ("misfire_window", "1d"),
    ("misfire_pace", 0),
    ("misfire_pace", 1_001),
    ("misfire_pace", float("nan")),
    ("misfire_pace", "fast"),
    ("misfire_pace", True),
    ("cron", "* * * * *"),
]


@pytest.mark.parametrize(("field", "given"), REFUSED, ids=lambda value: repr(value)[:40])
def test_a_value_that_is_not_allowed_is_named_with_its_entry(field: str, given: Any) -> None:
    argument = re.split(r"[.\[]", field)[0]
    with pytest.raises(ValidationError) as caught:
        made(**{argument: given})
    assert (caught.value.entry, caught.value.allowed != "") == ("a", True)
    assert caught.value.field == field
    assert str(caught.value).startswith("entry 'a': ")


def test_an_error_says_which_entry_and_field_what_was_given_and_what_is_allowed() -> None:
    with pytest.raises(ValidationError) as caught:
        made(end=datetime(2030, 1, 1))
    assert str(caught.value) == (
        "entry 'a': invalid end 2030-01-01 00:00:00: expected a datetime with a timezone"
    )
    with pytest.raises(ValidationError, match="entry 'a': invalid deadline 0: expected seconds"):
        made(deadline=0)
    with pytest.raises(ValidationError, match=r"entry 'a': invalid end .*2029.* after the start"):
        made(start=datetime(2030, 1, 1, tzinfo=UTC), end=datetime(2029, 1, 1, tzinfo=UTC))


def test_bounds_offsets_and_catch_up_in_their_stored_form() -> None:
    tokyo = timezone(timedelta(hours=9))
    entry = made(
        start=datetime(2030, 1, 1, 9, tzinfo=tokyo),
        end=datetime(2031, 1, 1, tzinfo=UTC),
        max_runs=5,
        jitter=1.5,
        spread=timedelta(minutes=2),
        deadline=60,
        misfire_window=timedelta(days=1),
        misfire_pace=2,
    )
    assert entry.start_ms == round(datetime(2030, 1, 1, tzinfo=UTC).timestamp() * 1_000)
    assert entry.end_ms == round(datetime(2031, 1, 1, tzinfo=UTC).timestamp() * 1_000)
    assert (entry.max_runs, entry.jitter_ms, entry.spread_ms) == (5, 1_500, 120_000)
    assert (entry.deadline_ms, entry.misfire_window_ms) == (60_000, 86_400_000)
    assert entry.misfire_pace == 2.0
    none = made(start=None, end=None, max_runs=None, jitter=None, spread=None, deadline=None)
    assert none == made()


def test_an_entry_that_would_never_fire_is_refused_by_what_keeps_it_from_it() -> None:
    now_ms = 1_893_456_000_000  # 2030
    for field, given in (
        ("schedule", {"schedule": habeat.once(datetime(2029, 1, 1, tzinfo=UTC))}),
        (
            "schedule",
            {
                "schedule": habeat.once(datetime(2031, 1, 1, tzinfo=UTC)),
                "start": datetime(2032, 1, 1, tzinfo=UTC),
            },
        ),
        ("end", {"end": datetime(2029, 1, 1, tzinfo=UTC)}),
        (
            "end",
            {
                "schedule": habeat.cron("0 0 1 1 *", tz="UTC"),
                "start": datetime(2031, 1, 2, tzinfo=UTC),
                "end": datetime(2031, 6, 1, tzinfo=UTC),
            },
        ),
    ):
        with pytest.raises(ValidationError) as caught:
            check_has_slots(made(**given), now_ms)
        assert (caught.value.field, caught.value.entry) == (field, "a")
    check_has_slots(made(end=datetime(2030, 1, 2, tzinfo=UTC)), now_ms)


def test_tags_are_text_of_any_language() -> None:
    tags = ["Auf\u00adtrag", "family \U0001f468\u200d\U0001f469", "\u06af\u200c\u0647", "a\u00a0b"]
    given = {"task": "proj.a", "schedule": 60, "tags": tags}
    assert list(new_entry("a", given, "UTC").tags) == tags


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 2_000, None, 5])
def test_names(name: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        new_entry(name, {"task": "proj.a", "schedule": 60}, "UTC")
    assert caught.value.field == "name"


def test_what_is_given_in_another_form_is_stored_in_one() -> None:
    entry = made(
        task=Task(),
        schedule=timedelta(seconds=90),
        args=[1],
        options={"expires": timedelta(minutes=1), "queue": None},
        tags=["b", "a", "b"],
        misfire="all",
        misfire_grace=1.5,
        delivery="at_most_once",
    )
    assert entry.task == "proj.task"
    assert entry.schedule == habeat.every(90).bound("a", "UTC")
    assert entry.args == (1,)
    assert entry.options == {"expires": 60}
    assert entry.tags == ("b", "a")
    assert (entry.misfire, entry.misfire_grace_ms) == (Misfire.ALL, 1_500)
    assert entry.delivery is Delivery.AT_MOST_ONCE


def test_a_schedule_takes_the_zone_and_offset_of_its_entry() -> None:
    zoned = new_entry("a", {"task": "t", "schedule": habeat.cron("0 8 * * *")}, "Asia/Tokyo")
    assert zoned.schedule == habeat.cron("0 8 * * *", tz="Asia/Tokyo")
    own = new_entry("a", {"task": "t", "schedule": habeat.cron("H 8 * * *")}, "UTC")
    other = new_entry("b", {"task": "t", "schedule": habeat.cron("H 8 * * *")}, "UTC")
    assert own.schedule != other.schedule


@pytest.mark.parametrize(
    ("given", "same"),
    [
        (crontab(minute="*/5", hour=8), habeat.crontab(minute="*/5", hour=8, tz="UTC")),
        (crontab(), habeat.crontab(tz="UTC")),
        (schedule(30), habeat.every(30, offset=0)),
        (schedule(90, relative=True), habeat.every(90, offset=0, align="epoch")),
        (solar("sunset", 52.5, 13.4), habeat.solar("sunset", 52.5, 13.4)),
    ],
)
def test_a_schedule_of_celery_is_translated(given: Any, same: Any) -> None:
    assert made(schedule=given).schedule == same


def test_a_canvas_is_kept_as_plain_json() -> None:
    class Signature(dict[str, Any]):
        """Looks like one of Celery's."""

    inner = Signature(task="proj.b", args=(1,), kwargs={})
    canvas = Signature(task="celery.chord", kwargs={"header": [inner], "body": inner}, args=())
    task = made(task=canvas).task
    assert type(task) is dict
    assert type(task["kwargs"]["header"][0]) is dict
    assert task["kwargs"]["body"]["args"] == [1]


# -- changes ------------------------------------------------------------------------------------


def stored(entry: Any) -> Stored:
    raw = encode(entry)
    return Stored("a", digest_of(raw), entry, EntryState(cursor_ms=1))


def test_a_change_leaves_the_rest() -> None:
    old = made(args=[1], options={"queue": "q"}, misfire="all", tags=["t"])
    new = changed_entry(stored(old), {"description": "new", "misfire": None}, "UTC")
    assert (new.description, new.misfire) == ("new", None)
    assert (new.args, new.options, new.tags) == (old.args, old.options, old.tags)


def test_a_change_of_no_field_is_refused() -> None:
    with pytest.raises(
        ValidationError,
        match=r"unknown field 'shedule' \(did you mean 'schedule'\?\): expected one of task, ",
    ) as caught:
        changed_entry(stored(made()), {"shedule": 5}, "UTC")
    assert caught.value.field == "shedule"


def unreadable(raw: bytes) -> Stored:
    return Stored("a", digest_of(raw), None, EntryState(quarantined="bad"), "bad", raw)


def test_a_change_mends_what_cannot_be_read() -> None:
    raw = encode(made(args=[1], description="kept")).replace(b'"interval"', b'"tides"')
    with pytest.raises(DefinitionError):
        changed_entry(unreadable(raw), {"description": "x"}, "UTC")
    mended = changed_entry(unreadable(raw), {"schedule": 60}, "UTC")
    assert (mended.args, mended.description) == ((1,), "kept")
    assert mended.schedule == habeat.every(60).bound("a", "UTC")
    reset = changed_entry(unreadable(raw), {"schedule": 60, "description": ""}, "UTC")
    assert reset.description == ""
    whole = changed_entry(unreadable(b"{rubbish"), {"schedule": 60, "task": "proj.b"}, "UTC")
    assert (whole.task, whole.owner) == ("proj.b", "api")
    with pytest.raises(DefinitionError):
        changed_entry(unreadable(b"{rubbish"), {"schedule": 60}, "UTC")


def test_dates_need_a_zone_and_keep_it() -> None:
    at = datetime(2030, 1, 1, tzinfo=timezone(timedelta(hours=2)))
    assert made(options={"eta": at, "expires": at}).options["eta"] == at.astimezone(UTC)


def test_what_is_nested_without_end_is_refused_by_its_path() -> None:
    deep: list[Any] = []
    for _ in range(5_000):
        deep = [deep]
    endless: list[Any] = []
    endless.append(endless)
    for given in (deep, endless):
        for field in ("args", "kwargs", "options", "task"):
            value = {"args": [given], "kwargs": {"a": given}, "options": {"x": given}}.get(
                field, {"task": "proj.a", "args": given}
            )
            with pytest.raises(ValidationError) as caught:
                made(**{field: value})
            assert caught.value.field.startswith(field)


@pytest.mark.parametrize("keys", [{(1,): 2}, {b"a": 1, "b": 2}])
def test_keys_of_an_argument_that_json_cannot_carry(keys: dict[Any, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        made(kwargs={"a": keys})
    assert caught.value.field == 'kwargs["a"]'


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"options": {"kwargs": {"token": "s3cret"}}}, "got a dict"),
        ({"options": {"connection": "redis://:s3cret@h"}}, "got a str"),
        ({"options": {"tokn": "s3cret"}}, "'tokn'"),
        ({"options": [("headers", {"Authorization": "s3cret"})]}, "got a list"),
        ({"task": {"tsk": "t", "kwargs": {"token": "s3cret"}}}, "with the keys 'tsk', 'kwargs'"),
        ({"task": ["s3cret"]}, "got a list"),
    ],
    ids=str,
)
def test_errors_do_not_quote_what_may_be_secret(given: Any, said: str) -> None:
    with pytest.raises(ValidationError) as error:
        new_entry("e", {"task": "t", "schedule": 60, **given}, "UTC")
    assert said in str(error.value)
    assert "s3cret" not in f"{error.value} {error.value.given!r}"
