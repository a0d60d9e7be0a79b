"""What becomes of habeat's entries in another scheduler, and that it goes on at the next slot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import celery.schedules
import pytest

from habeat.core.entry import Entry, EntryState
from habeat.entries.draft import new_entry
from habeat.migrate.returning import Abilities, NotReturned, Returned, Spent, returned
from habeat.schedules import Crontab, Interval, Schedule, Solar
from habeat.schedules.constructors import cron, crontab, every, once, rrule, solar
from habeat.schedules.custom import Code

NOW = datetime(2026, 11, 29, 12, 0, 7, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1_000)
ALL = Abilities(
    "other",
    kinds=("interval", "crontab", "solar", "once", "rrule"),
    ends=True,
    counts=True,
    describes=True,
)
LESS = Abilities("less", kinds=("interval", "crontab"), zone="UTC", options=("queue", "expires"))


def entry(schedule: Any = 60, state: Mapping[str, Any] | None = None, **fields: Any) -> Entry:
    made = new_entry("e", {"task": "t", "schedule": schedule, **fields}, "UTC")
    return replace(made, state=EntryState(**{"cursor_ms": NOW_MS, **(state or {})}))


def why_not(given: Entry, target: Abilities = LESS) -> str:
    with pytest.raises(NotReturned) as caught:
        returned(given, target)
    return caught.value.why


# -- where it goes on -------------------------------------------------------------------------

SCHEDULES: dict[str, Schedule] = {
    "10 s": every(10),
    "10 s, offset 3": every(10, 3),
    "1 h": every(3600),
    "1 h on the hour": every(3600, align="epoch"),
    "0.25 s": every(0.25),
    "each minute": crontab(),
    "08:00 in Berlin": crontab(0, 8, tz="Europe/Berlin"),
    "mondays": crontab("*/7", "6-9", "mon", tz="America/New_York"),
    "last days": crontab(30, 23, "*", "28-31", "2,11"),
    "sunset": solar("sunset", 52.5, 13.4),
    "sunrise": solar("sunrise", -33.9, 151.2),
}
CURSORS = [NOW + timedelta(days=n, milliseconds=n * 7_777_777) for n in range(12)]


def next_by_celery(found: Returned, now: datetime) -> datetime:
    """When Celery would run it next."""
    schedule, zone = found.schedule, ZoneInfo("UTC")
    if isinstance(schedule, Interval):
        theirs: Any = celery.schedules.schedule(schedule.every_ms / 1_000, nowfun=lambda: now)
    elif isinstance(schedule, Solar):
        place = (schedule.lat, schedule.lon)
        theirs = celery.schedules.solar(schedule.event, *place, nowfun=lambda: now)
    else:
        assert isinstance(schedule, Crontab)
        zone = ZoneInfo(schedule.tz or "UTC")
        names = ("minute", "hour", "day_of_week", "day_of_month", "month_of_year")
        fields = {name: getattr(schedule, name) for name in names}
        theirs = celery.schedules.crontab(**fields, nowfun=lambda: now.astimezone(zone))
        theirs.tz = zone
    theirs.utc_enabled = True
    return now + theirs.remaining_estimate(found.last_run.astimezone(zone))  # type: ignore[no-any-return]


@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_celery_comes_from_the_last_run_to_the_first_slot_after_the_cursor(
    schedule: Schedule,
) -> None:
    given = entry(schedule)
    for moment in CURSORS:
        cursor_ms = int(moment.timestamp() * 1_000)
        slot_ms = given.next_slot_ms(cursor_ms)
        assert slot_ms is not None
        for handled_ms in (cursor_ms, slot_ms):  # between two slots, and on one
            found = returned(replace(given, state=EntryState(handled_ms)), ALL)
            expected = given.next_slot_ms(handled_ms)
            assert expected is not None
            assert found.first_slot == datetime.fromtimestamp(expected / 1_000, UTC)
            theirs = next_by_celery(found, found.last_run)
            margin = timedelta(seconds=1 if schedule.kind == "solar" else 0)
            assert abs(theirs - found.first_slot) <= margin, (found.last_run, theirs)


def test_slots_until_the_given_instant_count_as_handled() -> None:
    found = returned(entry(every(10)), ALL, NOW_MS + 60_000)
    assert found.first_slot == datetime(2026, 11, 29, 12, 1, 10, tzinfo=UTC)
    assert found.last_run == datetime(2026, 11, 29, 12, 1, tzinfo=UTC)
    earlier = returned(entry(every(10)), ALL, NOW_MS - 60_000)
    assert earlier.first_slot == datetime(2026, 11, 29, 12, 0, 10, tzinfo=UTC)


def test_an_entry_that_starts_later_starts_then_also_where_there_is_no_start() -> None:
    start = datetime(2027, 3, 1, 9, tzinfo=UTC)
    period = returned(entry(every(3600, align="epoch"), start=start), LESS)
    assert (period.last_run, period.first_slot) == (start - timedelta(hours=1), start)
    daily = returned(entry(crontab(0, 8), start=start), LESS)
    assert daily.first_slot == datetime(2027, 3, 2, 8, tzinfo=UTC)
    assert next_by_celery(daily, NOW) == daily.first_slot


def test_an_entry_without_slots_is_spent() -> None:
    for given in (
        entry(once(NOW)),
        entry(60, end=NOW - timedelta(hours=1)),
        entry(60, max_runs=3, state={"fired": 3}),
    ):
        with pytest.raises(Spent):
            returned(given, ALL)


def test_an_entry_in_quarantine_has_no_position() -> None:
    assert why_not(entry(state={"quarantined": "bad"})) == "it is quarantined (bad)"
    assert why_not(entry(state={"cursor_ms": 0})) == "it is quarantined (its state is missing)"


# -- what the other beat can express ----------------------------------------------------------


def test_a_cron_expression_is_a_crontab_where_it_can_be() -> None:
    found = returned(entry(cron("*/5 8 * * 1-5", tz="UTC")), LESS)
    assert isinstance(found.schedule, Crontab)
    assert (found.schedule.minute, found.schedule.day_of_week) == ("*/5", "1-5")


@pytest.mark.parametrize(
    "expression", ["30 0 8 * * *", "0 8 L * *", "0 8 13 * 5", "0 0 8 * * * 2030"]
)
def test_a_cron_expression_that_no_crontab_expresses_is_named(expression: str) -> None:
    assert why_not(entry(cron(expression, tz="UTC"))).startswith("less has no cron expression with")


def test_a_kind_that_the_other_beat_lacks_is_named() -> None:
    rule = rrule("FREQ=DAILY", "UTC", NOW)
    assert why_not(entry(rule)) == "less has no schedule of the kind rrule"


def test_a_crontab_of_another_zone_is_named() -> None:
    why = why_not(entry(crontab(0, 8, tz="Asia/Tokyo")))
    assert why == "its zone is Asia/Tokyo, and crontabs of less count in UTC"
    assert returned(entry(crontab(0, 8, tz="Etc/UTC")), LESS)


def test_what_else_is_wrong_with_a_schedule_is_named() -> None:
    picky = replace(LESS, why_not=lambda schedule: f"{schedule.kind} is too much")
    assert why_not(entry(), picky) == "interval is too much"


def test_a_signature_is_named() -> None:
    signature = {"task": "t", "args": [], "kwargs": {}, "options": {}}
    given = replace(entry(), task=signature)
    assert why_not(given).startswith("it sends a signature")


def test_an_end_is_named_where_there_is_none() -> None:
    ends = NOW + timedelta(days=1)
    assert why_not(entry(60, end=ends)).startswith("less has no end, and it ends at 2026-11-30")
    assert returned(entry(60, end=ends), ALL).ends == ends + timedelta(milliseconds=1)


def test_the_last_of_several_runs_is_a_one_off_where_there_are_such() -> None:
    assert returned(entry(60, max_runs=3, state={"fired": 2}), ALL).one_off
    assert why_not(entry(60, max_runs=1)) == "less has no limit of runs, and it has 1 runs left"
    why = why_not(entry(60, max_runs=2), ALL)
    assert why == "other runs an entry once or without end, and it has 2 runs left"


def test_a_pause_becomes_disabled_and_says_so() -> None:
    found = returned(entry(state={"paused": "why"}), ALL)
    assert (found.enabled, found.lost) == (False, ("the pause (it is disabled instead)",))
    assert returned(entry(enabled=False), ALL).enabled is False


def test_an_entry_that_is_off_is_named_where_none_can_be() -> None:
    stiff = replace(LESS, switches=False)
    assert why_not(entry(enabled=False), stiff).startswith("it is disabled here, and less cannot")
    assert why_not(entry(state={"paused": ""}), stiff).startswith("it is paused here")


def test_what_no_other_beat_knows_is_named() -> None:
    given = entry(
        crontab(0, 2, tz="UTC", gap="skip", fold="last"),
        tags=["x"],
        jitter=1,
        spread=2,
        misfire="all",
        misfire_grace=3,
        misfire_limit=4,
        misfire_window=500,
        misfire_pace=6,
        delivery="at_most_once",
        description="d",
        options={"queue": "q", "countdown": 3},
    )
    found = returned(given, LESS)
    assert set(found.lost) == {
        *("tags", "jitter", "spread", "gap", "fold", "delivery", "description"),
        *("misfire", "misfire_grace", "misfire_limit", "misfire_window", "misfire_pace"),
        "options.countdown",
    }
    assert found.options == {"queue": "q"}
    assert "description" not in returned(given, ALL).lost


@pytest.mark.parametrize(
    ("fields", "options", "lost"),
    [
        ({"deadline": 30}, {"expires": 30.0}, ()),
        ({"deadline": 30, "options": {"expires": 10}}, {"expires": 10}, ()),
        ({"deadline": 30, "options": {"expires": NOW}}, {"expires": NOW}, ("deadline",)),
    ],
)
def test_a_deadline_becomes_the_expiry_of_the_messages(
    fields: dict[str, Any], options: dict[str, Any], lost: tuple[str, ...]
) -> None:
    found = returned(entry(**fields), LESS)
    assert (found.options, found.lost) == (options, lost)


def test_with_an_end_the_messages_expire_at_the_end() -> None:
    ends = NOW + timedelta(days=1)
    found = returned(entry(end=ends, options={"expires": 10}), ALL)
    assert (found.options, found.lost) == ({}, ("options.expires",))
    exact = ends + timedelta(milliseconds=1)
    found = returned(entry(end=ends, options={"expires": exact}), ALL)
    assert (found.options, found.lost, found.ends) == ({}, (), exact)


def test_the_header_that_other_beats_set_themselves_is_left_out() -> None:
    headers = {"periodic_task_name": "e", "tenant": "x"}
    found = returned(entry(options={"headers": headers}), ALL)
    assert found.options == {"headers": {"tenant": "x"}}


# -- entries of beat_schedule -----------------------------------------------------------------


def declared(given: Entry, **fields: Any) -> Entry:
    return replace(given, owner="config", **fields)


def test_an_entry_of_the_code_gets_its_last_run() -> None:
    found = returned(declared(entry(every(10))), LESS)
    assert found.declared
    assert found.last_run == datetime(2026, 11, 29, 12, 0, 0, tzinfo=UTC)


def test_an_entry_of_the_code_is_not_refused_for_what_only_habeat_knows() -> None:
    given = declared(entry(cron("30 0 8 * * *"), end=NOW + timedelta(days=9), tags=["x"]))
    found = returned(given, LESS)
    assert found.schedule is None
    assert found.last_run == NOW
    assert found.lost == ("tags", "end")


def test_slots_that_only_code_knows_follow_from_the_cursor() -> None:
    given = declared(entry(), schedule=Code("code"), from_code=("schedule",))
    found = returned(given, ALL)
    assert (found.last_run, found.first_slot, found.schedule) == (NOW, None, None)
