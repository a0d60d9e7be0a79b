"""Definitions as JSON: there and back, and what is refused; a kind of the user's own."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest

import habeat.schedules
from habeat.errors import ValidationError
from habeat.schedules import (
    Schedule,
    cron,
    crontab,
    every,
    from_json,
    once,
    register,
    registry,
    rrule,
    solar,
)

SCHEDULES = [
    every(30),
    every(3600, offset=90),
    every(3600, align="epoch"),
    every(3600).bound("nightly", "UTC"),
    crontab(),
    crontab(minute=[0, 30], hour="9-17", day_of_week="mon-fri", tz="Europe/Berlin"),
    crontab(30, 2, gap="skip", fold="both"),
    cron("*/5 9-17 * * 1-5", tz="Europe/Berlin", gap="skip", fold="last"),
    cron("@daily"),
    cron("H H * * *"),
    cron("H H * * *").bound("nightly", "America/New_York"),
    once(datetime(2026, 1, 1, tzinfo=UTC)),
    solar("sunset", 52.5, 13.4),
    rrule("FREQ=DAILY", dtstart=datetime(2026, 1, 1, 9, tzinfo=UTC)),
    rrule("FREQ=WEEKLY;COUNT=9", tz="Europe/Berlin", dtstart=datetime(2026, 1, 1, 9, tzinfo=UTC)),
    rrule("DTSTART:20260101T090000\nFREQ=DAILY\nEXDATE;TZID=Europe/Berlin:20260102T090000"),
    rrule("DTSTART:20260101T090000Z\nRRULE:FREQ=DAILY;UNTIL=20270101", gap="skip", fold="both"),
]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_round_trips(schedule: Schedule) -> None:
    text = json.dumps(schedule.to_json())
    again = from_json(json.loads(text))
    assert again == schedule
    assert hash(again) == hash(schedule)
    assert type(again) is type(schedule)
    assert json.dumps(again.to_json()) == text
    assert type(schedule).from_json(schedule.to_json()) == schedule
    assert eval(repr(schedule), vars(habeat.schedules)) == schedule
    assert copy.deepcopy(schedule) == pickle.loads(pickle.dumps(schedule)) == schedule


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
def test_schedules_are_immutable(schedule: Schedule) -> None:
    for field in dataclasses.fields(schedule):  # type: ignore[arg-type]
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(schedule, field.name, None)


def test_schedules_are_equal_by_value_and_differ_by_kind() -> None:
    assert len(set(SCHEDULES)) == len(SCHEDULES)
    assert every(60) != once(datetime(2026, 1, 1, tzinfo=UTC))
    assert crontab(0, 0) == crontab("0", [0])
    assert crontab(0, 0) != crontab(0, 0, tz="UTC")


def test_binding_twice_changes_nothing() -> None:
    for schedule in SCHEDULES:
        bound = schedule.bound("nightly", "Europe/Berlin")
        assert bound.bound("other", "Asia/Tokyo") is bound
        assert from_json(bound.to_json()) == bound


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({}, "kind"),
        ({"kind": "moon"}, "kind"),
        ({"kind": None}, "kind"),
        ({"kind": ["interval"]}, "kind"),
        ([], "schedule"),
        ("interval", "schedule"),
        (None, "schedule"),
        ({"kind": "interval"}, "every_ms"),
        ({"kind": "interval", "every_ms": "60000"}, "every_ms"),
        ({"kind": "interval", "every_ms": 60000.0}, "every_ms"),
        ({"kind": "interval", "every_ms": None}, "every_ms"),
        ({"kind": "interval", "every_ms": 60000, "relative": True}, "relative"),
        ({"kind": "interval", "every_ms": 60000, "offset_ms": "0"}, "offset_ms"),
        ({"kind": "interval", "every_ms": 60000, "align": None}, "align"),
        ({"kind": "crontab", "minutes": "1"}, "minutes"),
        ({"kind": "crontab", "minute": {"1": 2}}, "minute"),
        ({"kind": "crontab", "tz": 5}, "tz"),
        ({"kind": "crontab", "fold": ["both"]}, "fold"),
        ({"kind": "cron"}, "expression"),
        ({"kind": "cron", "expression": 5}, "expression"),
        ({"kind": "cron", "expression": "H * * * *", "hash_id": 5}, "hash_id"),
        ({"kind": "cron", "expression": "* * * * *", "gap": "Shift"}, "gap"),
        ({"kind": "cron", "expression": "* * * * *", "tz": "CEST"}, "tz"),
        ({"kind": "once"}, "at_ms"),
        ({"kind": "once", "at_ms": 1.5}, "at_ms"),
        ({"kind": "once", "at_ms": 10**18}, "at_ms"),
        ({"kind": "rrule", "text": "FREQ=DAILY"}, "dtstart"),
        ({"kind": "rrule", "dtstart": "2026-01-01T09:00:00"}, "text"),
        ({"kind": "rrule", "text": "FREQ=DAILY", "dtstart": "yesterday"}, "dtstart"),
        ({"kind": "rrule", "text": "FREQ=DAILY", "dtstart": 5}, "dtstart"),
        ({"kind": "rrule", "text": "FREQ=DAILY", "dtstart": "2026-01-01", "tz": "CEST"}, "tz"),
        ({"kind": "rrule", "text": 5, "dtstart": "2026-01-01T09:00:00"}, "text"),
        ({"kind": "solar", "event": "sunset", "lat": "52", "lon": 13}, "lat"),
        ({"kind": "solar", "event": "sunset", "lat": 52}, "lon"),
        ({"kind": "solar", "event": ["sunset"], "lat": 52, "lon": 13}, "event"),
    ],
)
def test_what_cannot_be_read_is_refused(data: Any, field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        from_json(data)
    assert caught.value.field == field


def test_an_unknown_kind_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValidationError) as caught:
        from_json({"kind": "moon"})
    assert {"cron", "crontab", "interval", "once", "rrule", "solar"} <= set(registry._kinds)
    assert all(kind in caught.value.allowed for kind in registry._kinds)


def test_thousands_of_equal_crontabs_are_read_as_one_object() -> None:
    noon = crontab(0, 12, tz="Europe/Berlin")
    first, second = (from_json(json.loads(json.dumps(noon.to_json()))) for _ in range(2))
    assert first is second
    assert first == noon
    assert from_json(crontab(0, 13, tz="Europe/Berlin").to_json()) != noon


def test_what_only_compares_equal_is_not_taken_for_one_that_was_read() -> None:
    at_one = {"kind": "crontab", "minute": 1, "hour": "1"}
    assert from_json(at_one) == crontab(1, 1)
    for _ in range(2):
        with pytest.raises(ValidationError, match="minute"):
            from_json({**at_one, "minute": True})
        with pytest.raises(ValidationError, match="hour"):
            from_json({**at_one, "minute": "1", "hour": "25"})


@pytest.mark.parametrize("data", [None, [], "* * * * *"])
def test_a_kind_asked_directly_refuses_what_is_no_object(data: Any) -> None:
    with pytest.raises(ValidationError, match="schedule"):
        type(crontab()).from_json(data)


def test_a_kind_reads_only_its_own() -> None:
    with pytest.raises(ValidationError, match="invalid kind 'once'"):
        type(every(1)).from_json({"kind": "once", "at_ms": 5})


@pytest.fixture
def kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_kinds", dict(registry._kinds))


@dataclass(frozen=True, repr=False)
class Doubling(Schedule):
    """Slots at 1 ms, 2 ms, 4 ms ..."""

    kind: ClassVar[str] = "doubling"
    limit_ms: int = 1000

    def next_after_ms(self, after_ms: int) -> int | None:
        slot_ms = 1 << max(after_ms, 0).bit_length()
        return slot_ms if slot_ms <= self.limit_ms else None

    def describe(self) -> str:
        return "less and less"


@pytest.mark.usefixtures("kinds")
def test_a_kind_of_ones_own() -> None:
    register(Doubling)
    register(Doubling)
    schedule = from_json({"kind": "doubling", "limit_ms": 8})
    assert schedule == Doubling(8)
    assert repr(schedule) == "Doubling(limit_ms=8)"
    assert schedule.bound("name", "UTC") is schedule
    run = schedule.count_between(0, 10**6)
    assert run is not None
    assert (run.count, run.first_ms, run.last_ms) == (4, 1, 8)


@pytest.mark.usefixtures("kinds")
def test_a_kind_cannot_take_anothers_name() -> None:
    class Other(Doubling):
        kind: ClassVar[str] = "cron"

    class Nameless(Doubling):
        kind: ClassVar[str] = ""

    for cls, message in ((Other, "Cron has this one"), (Nameless, "Nameless")):
        with pytest.raises(ValidationError, match=message):
            register(cls)
