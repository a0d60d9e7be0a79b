"""RedBeat's JSON read without RedBeat: what its own encoder writes, and what it could not run."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from celery.schedules import crontab, schedule
from hypothesis import given
from hypothesis import strategies as st

from habeat.core.entry import EntryState
from habeat.entries.celery_schedules import of_celery
from habeat.errors import HabeatError, ValidationError
from habeat.migrate.found import SourceEntry
from habeat.migrate.plan import Here, Instant, planned
from habeat.migrate.sources.redbeat.decode import Undecodable, decoded
from habeat.ports.entries import Stored
from habeat.schedules import Crontab, RRule
from tests.support.redbeat import redbeat

ZONE = "Europe/Berlin"
LAST = datetime(2026, 3, 1, 12, 0, 5, 250_000, UTC)


def written(what: Any) -> bytes:
    """As RedBeat writes it."""
    redbeat()
    from redbeat.decoder import RedBeatJSONEncoder

    return json.dumps(what, cls=RedBeatJSONEncoder).encode()


def definition(**more: Any) -> dict[str, Any]:
    return {
        "name": "report",
        "task": "proj.work",
        "args": None,
        "kwargs": {},
        "options": {},
        "schedule": {"__type__": "interval", "every": 60.0, "relative": False},
        "enabled": True,
        **more,
    }


def read(given: Any, meta: Any = b"", saved_at: datetime | None = None) -> SourceEntry:
    text, meta_text = (
        each if isinstance(each, bytes) else json.dumps(each).encode() for each in (given, meta)
    )
    return decoded(text, meta_text, ZONE, saved_at)


def plain(**more: Any) -> SourceEntry:
    return read(definition(**more))


def test_all_of_an_entry_is_read() -> None:
    found = read(
        definition(
            args=[1, {"a": [2]}], kwargs={"x": "é"}, options={"queue": "q", "expires": 60},
            enabled=False,
        ),
        written({"last_run_at": LAST, "total_run_count": 41}),
    )  # fmt: skip
    assert found == SourceEntry(
        "report",
        {
            "task": "proj.work",
            "schedule": 60.0,
            "args": [1, {"a": [2]}],
            "kwargs": {"x": "é"},
            "options": {"queue": "q", "expires": 60},
        },
        last_run_at=LAST,
        total_run_count=41,
        enabled=False,
    )


@pytest.mark.parametrize(
    "at",
    [
        LAST,
        LAST.astimezone(ZoneInfo("America/New_York")),
        LAST.astimezone(timezone(timedelta(hours=5, minutes=30))),
        LAST.replace(tzinfo=None),
    ],
    ids=["UTC", "zone", "offset", "without zone"],
)
def test_a_last_run_is_read_in_each_form(at: datetime) -> None:
    assert read(definition(), written({"last_run_at": at})).last_run_at == LAST


def test_the_form_of_old_releases_means_utc() -> None:
    parts = {"year": 2016, "month": 2, "day": 29, "hour": 8, "minute": 0, "second": 1}
    old = {"last_run_at": {"__type__": "datetime", **parts, "microsecond": 7}}
    assert read(definition(), old).last_run_at == datetime(2016, 2, 29, 8, 0, 1, 7, UTC)


def test_an_entry_that_never_ran_starts_when_it_was_saved() -> None:
    assert read(definition(), b"", LAST).first_run_at == LAST
    assert read(definition(), written({"last_run_at": None}), LAST).first_run_at == LAST
    assert read(definition(), written({"last_run_at": LAST}), LAST).first_run_at is None


def test_datetimes_in_arguments_become_datetimes() -> None:
    found = read(written(definition(args=[LAST], kwargs={"since": {"at": [LAST]}})))
    assert found.arguments["args"] == [LAST]
    assert found.arguments["kwargs"] == {"since": {"at": [LAST]}}


def test_a_type_that_redbeat_does_not_know_stays_a_dictionary() -> None:
    value = {"__type__": "order", "id": 7}
    assert plain(args=[value]).arguments["args"] == [value]


# -- schedules --------------------------------------------------------------------------------


def test_a_relative_interval_runs_on_round_times() -> None:
    daily = schedule(timedelta(days=1), relative=True)
    found = read(written(definition(schedule=daily)))
    assert found.arguments["schedule"] == of_celery(daily, zone=ZONE)
    assert found.arguments["schedule"] == Crontab(0, 0, tz=ZONE)


@pytest.mark.parametrize("every", [1, 90, 0.5, 86_400])
def test_an_interval_is_its_seconds(every: float) -> None:
    found = read(written(definition(schedule=schedule(every))))
    assert found.arguments["schedule"] == every
    assert plain(schedule=every).arguments["schedule"] == every


@pytest.mark.parametrize(
    "given",
    [
        crontab(),
        crontab(minute="*/5", hour="8-18", day_of_week="mon-fri"),
        crontab(minute=0, hour=3, day_of_month="1,15", month_of_year="*/3"),
        crontab(minute=[0, 30], hour=0),
    ],
    ids=str,
)
def test_a_crontab_is_the_one_that_celery_runs(given: crontab) -> None:
    found = read(written(definition(schedule=given)))
    assert found.arguments["schedule"] == of_celery(given)


RULES = {
    "daily": {"freq": "DAILY"},
    "every other week": {"freq": "WEEKLY", "interval": 2, "byweekday": [0, 4]},
    "number as freq": {"freq": 4, "interval": 6},
    "times of day": {"freq": "DAILY", "byhour": [9, 17], "byminute": 30, "bysecond": 0},
    "last workday": {"freq": "MONTHLY", "byweekday": [0, 1, 2, 3, 4], "bysetpos": -1},
    "week numbers": {"freq": "YEARLY", "byweekno": [1, 20], "byweekday": 2, "wkst": 6},
    "days of the year": {"freq": "YEARLY", "byyearday": [1, -1]},
    "months": {"freq": "MONTHLY", "bymonth": [2, 3], "bymonthday": [1, -1]},
    "counted": {"freq": "HOURLY", "count": 40},
    "until": {"freq": "DAILY", "until": datetime(2026, 4, 20, 9, tzinfo=UTC)},
    "seconds": {"freq": "SECONDLY", "interval": 90},
}


@pytest.mark.parametrize("offset", [0, 120, -570])
@pytest.mark.parametrize("rule", RULES.values(), ids=list(RULES))
def test_a_rule_has_the_slots_that_redbeat_gives_it(rule: dict[str, Any], offset: int) -> None:
    redbeat()
    from redbeat import decoder as coder
    from redbeat import schedules as kinds

    start = datetime(2026, 3, 2, 9, 15, tzinfo=timezone(timedelta(minutes=offset)))
    text = json.dumps(kinds.rrule(dtstart=start, **rule), cls=coder.RedBeatJSONEncoder)
    theirs = json.loads(text, cls=coder.RedBeatJSONDecoder).rrule
    found = read(definition(schedule=json.loads(text)))
    ours = found.arguments["schedule"]
    assert isinstance(ours, RRule)
    at = expected = start - timedelta(days=1)
    for _ in range(40):
        expected = theirs.after(expected)
        at = ours.next_after(at)
        assert at == expected
        if expected is None:
            break
    assert bool(found.notes) == bool(offset)


def test_a_numbered_weekday_is_every_such_weekday_as_in_redbeat() -> None:
    redbeat()
    from dateutil.rrule import MO
    from redbeat import schedules as kinds

    rule = kinds.rrule("MONTHLY", dtstart=datetime(2026, 3, 2, 9, tzinfo=UTC), byweekday=MO(1))
    found = read(written(definition(schedule=rule)))
    assert found.arguments["schedule"].text.endswith("BYDAY=MO")


def test_the_rule_of_old_releases_means_utc() -> None:
    """Releases before 1.0 wrote every part, and timestamps without an offset."""
    start = datetime(2017, 5, 4, 9, 30, tzinfo=UTC)
    parts = dict.fromkeys(("wkst", "count", "until", "bysetpos", "bymonth", "byeaster", "byhour"))
    rule = {"__type__": "rrule", "freq": 3, "interval": 2, **parts, "dtstart": start.timestamp()}
    found = plain(schedule=rule)
    assert found.arguments["schedule"] == RRule("FREQ=DAILY;INTERVAL=2", "UTC", start)
    assert found.notes == ()


# -- what cannot be carried -------------------------------------------------------------------

RULE = {"__type__": "rrule", "freq": 3, "dtstart": 1_770_000_000, "dtstart_tz": 0}
BAD: dict[str, tuple[Any, str]] = {
    "no JSON": (b"{", "not JSON"),
    "not UTF-8": (b'"\xff"', "not JSON"),
    "no object": ([1], "not a JSON object"),
    "too deep": (b"[" * 100_000, "not JSON"),
    "no name": (definition(name=None), "no name"),
    "an unknown key": (definition(priority=9), "unknown key 'priority'"),
    "no schedule": (definition(schedule=None), "no schedule"),
    "an unknown type": (definition(schedule={"__type__": "moon"}), "unknown __type__ 'moon'"),
    "no type": (definition(schedule={"every": 60}), "unknown __type__ None"),
    "no relative": (definition(schedule={"__type__": "interval", "every": 60}), "no 'relative'"),
    "no every": (definition(schedule={"__type__": "interval", "relative": False}), "no 'every'"),
    "an unknown field": (
        definition(schedule={"__type__": "crontab", "tz": "UTC"}),
        "unknown key 'tz'",
    ),
    "a field out of bounds": (
        definition(schedule={"__type__": "crontab", "minute": "99"}),
        "minute",
    ),
    "Easter": (definition(schedule={**RULE, "byeaster": 0}), "Easter"),
    "no start": (definition(schedule={**RULE, "dtstart": None}), "no dtstart"),
    "a start that is no number": (definition(schedule={**RULE, "dtstart": "x"}), "dtstart"),
    "an unknown frequency": (definition(schedule={**RULE, "freq": "FORTNIGHTLY"}), "freq"),
    "an unknown weekday": (definition(schedule={**RULE, "byweekday": 9}), "weekday"),
    "an interval of zero": (definition(schedule={**RULE, "interval": "2"}), "interval"),
    "a schedule as argument": (
        definition(args=[{"__type__": "crontab", "minute": 0}]),
        "args[0] is a RedBeat crontab",
    ),
    "a datetime that is none": (definition(kwargs={"a": {"__type__": "datetime"}}), "datetime"),
}


@pytest.mark.parametrize(("given", "why"), BAD.values(), ids=list(BAD))
def test_what_redbeat_could_not_run_is_named(given: Any, why: str) -> None:
    with pytest.raises((Undecodable, ValidationError)) as caught:
        read(given)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    "meta",
    [
        b"{",
        [1],
        {"last_run_at": 7},
        {"last_run_at": {"__type__": "datetime", "year": 2026, "month": 13, "day": 1}},
        {"last_run_at": {"__type__": "datetime", "year": 2026, "month": 1, "day": 1,
                         "timezone": "Mars/Olympus"}},
        {"total_run_count": "9"},
        {"enabled": 1},
    ],
)  # fmt: skip
def test_a_meta_that_cannot_be_read_is_named(meta: Any) -> None:
    with pytest.raises(HabeatError):
        read(definition(), meta)


@pytest.mark.parametrize("depth", [200, 900])
@pytest.mark.parametrize("around", ["[]", '{"a":}'])
def test_values_in_each_other_are_refused_in_time(depth: int, around: str) -> None:
    values = around[:-1] * depth + "1" + around[-1] * depth
    text = json.dumps(definition(args="HERE")).replace('"HERE"', values)
    with pytest.raises(Undecodable, match="nested more than 100 levels deep"):
        decoded(text.encode(), b"", "UTC", None)


def test_values_of_arguments_are_not_shown() -> None:
    secret = {"__type__": "datetime", "year": "s3cret"}
    with pytest.raises(Undecodable) as caught:
        plain(kwargs={"token": secret})
    assert "s3cret" not in str(caught.value)


# -- anything at all --------------------------------------------------------------------------

ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["*/5", "99", "DAILY", "UTC", 10**30, -(10**30), 1e300, 1_770_000_000]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["__type__", "every", "relative", "minute", "wkday", "year", "x"]),
            inner | st.sampled_from(["datetime", "interval", "crontab", "rrule", "weekday"]),
            max_size=4,
        )
    ),
    max_leaves=6,
)
KINDS: list[dict[str, Any]] = [
    {"__type__": "interval", "every": 60.0, "relative": False},
    {"__type__": "crontab", "minute": "*", "hour": "*", "day_of_week": "*"},
    {**RULE, "interval": 1, "byhour": [9], "byweekday": {"__type__": "weekday", "wkday": 1}},
]
MOMENT = {"__type__": "datetime", "year": 2026, "month": 1, "day": 1, "timezone": "UTC"}


@given(st.data())
def test_whatever_is_stored_is_an_entry_a_row_or_a_named_error(data: st.DataObject) -> None:
    """One part of a good entry is replaced by anything; nothing else than HabeatError is raised."""
    whole = definition(schedule=dict(data.draw(st.sampled_from(KINDS))))
    meta: dict[str, Any] = {"last_run_at": dict(MOMENT), "total_run_count": 3}
    part = data.draw(st.sampled_from([whole, whole["schedule"], meta, meta["last_run_at"]]))
    part[data.draw(st.sampled_from(sorted(part)))] = data.draw(ODD)
    try:
        found = read(whole, meta)
    except HabeatError:
        return
    stored = Stored(found.name, "", None, EntryState())
    row = planned(found, stored, Here(), Instant(1_790_000_000_000), "RedBeat")
    assert row.name == found.name
