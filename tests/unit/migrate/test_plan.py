"""Where a carried entry starts, and what is never written."""

# mypy: disable-error-code="no-untyped-def"
from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import habeat
from habeat.core.entry import Entry, EntryState
from habeat.entries.codec import decode, digest_of
from habeat.entries.draft import new_entry
from habeat.migrate.found import SourceEntry, Uncarried
from habeat.migrate.plan import Action, Here, Instant, Row, not_carried, planned
from habeat.ports.entries import Stored
from habeat.schedules import Interval
from habeat.schedules.custom import Code

NOW = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def ms(at: datetime) -> int:
    return round(at.timestamp() * 1_000)


AT = Instant(ms(NOW))


def source(schedule: Any = 3_600, **more: Any) -> SourceEntry:
    given = {"task": "proj.work", "schedule": schedule, **more.pop("arguments", {})}
    return SourceEntry("report", given, **more)


def declared(schedule: Any) -> Here:
    entry = replace(new_entry("report", {"task": "t", "schedule": schedule}, "UTC"), owner="config")
    return Here(declared={"report": entry})


def absent(name: str = "report", cursor_ms: int = 0) -> Stored:
    return Stored(name, "", None, EntryState(cursor_ms=cursor_ms))


def plan(found: SourceEntry, here: Here | None = None, at: Instant = AT) -> Row:
    return planned(found, absent(), here or Here(), at, "RedBeat")


def stored(row: Row) -> Stored:
    """What habeat has after this row was written."""
    assert row.arrival is not None
    raw = row.arrival.definition
    state = EntryState(row.arrival.position.cursor_ms, row.arrival.position.next_slot_ms)
    return Stored(row.name, digest_of(raw), decode(row.name, raw, state), state, raw=raw)


def entry_of(row: Row) -> Entry:
    found = stored(row).entry
    assert found is not None
    return found


def test_a_period_goes_on_in_the_rhythm_of_its_last_run() -> None:
    last = NOW - timedelta(minutes=17, milliseconds=5)
    row = plan(source(3_600, last_run_at=last))
    assert (row.action, row.first_slot) == (Action.CARRY, last + HOUR)
    assert entry_of(row).schedule == Interval(3_600_000, ms(last) % 3_600_000)


def test_a_crontab_goes_on_after_the_slot_that_was_sent() -> None:
    sent_late = NOW - timedelta(minutes=59, seconds=58)
    row = plan(source(habeat.cron("0 * * * *"), last_run_at=sent_late))
    assert row.first_slot == NOW


def test_slots_that_were_not_sent_are_left_to_the_policy() -> None:
    row = plan(source(habeat.cron("0 * * * *"), last_run_at=NOW - 5 * HOUR))
    assert row.first_slot == NOW - 4 * HOUR
    assert row.arrival is not None
    assert row.arrival.position.due_ms == ms(NOW - 4 * HOUR)


def test_slots_up_to_a_given_instant_count_as_sent() -> None:
    last = NOW - 5 * HOUR + timedelta(minutes=20)
    at = Instant(ms(NOW), ms(NOW))
    assert plan(source(habeat.cron("0 * * * *"), last_run_at=last), at=at).first_slot == NOW + HOUR
    row = plan(source(3_600, last_run_at=last), at=at)
    assert row.first_slot == NOW + timedelta(minutes=20), "the rhythm stays that of the last run"


def test_a_given_instant_before_the_last_run_repeats_nothing() -> None:
    last = NOW - timedelta(minutes=1)
    at = Instant(ms(NOW), ms(NOW - 5 * HOUR))
    assert plan(source(3_600, last_run_at=last), at=at).first_slot == last + HOUR


def test_an_entry_that_never_ran_starts_when_the_source_would_run_it() -> None:
    saved = NOW - timedelta(minutes=5)
    assert plan(source(3_600, first_run_at=saved)).first_slot == saved
    row = plan(source(habeat.cron("58 * * * *"), first_run_at=saved))
    assert row.first_slot == NOW - timedelta(minutes=2), "due since it was saved"


def test_an_entry_without_any_run_starts_after_now() -> None:
    row = plan(source(habeat.cron("0 * * * *")))
    assert row.first_slot == NOW + HOUR


def test_the_count_is_carried() -> None:
    row = plan(source(last_run_at=NOW, total_run_count=41))
    assert row.arrival is not None
    assert (row.arrival.fired, row.arrival.last_fired_ms) == (41, ms(NOW))


def test_a_last_run_without_any_run_is_only_a_position() -> None:
    """Celery's beat gives a new entry the moment at which it saw it first."""
    row = plan(source(last_run_at=NOW))
    assert row.arrival is not None
    assert (row.arrival.fired, row.arrival.last_fired_ms) == (0, None)
    assert row.first_slot == NOW + HOUR


def test_a_disabled_entry_is_carried_and_not_due() -> None:
    row = plan(source(enabled=False, last_run_at=NOW))
    assert (row.action, row.first_slot, row.why) == (Action.CARRY, None, "disabled")
    assert row.arrival is not None
    assert row.arrival.position.due_ms is None
    assert entry_of(row).enabled is False


def test_an_entry_whose_slots_are_over_is_not_carried() -> None:
    rule = habeat.rrule("FREQ=DAILY;COUNT=3", tz="UTC", dtstart=NOW - timedelta(days=9))
    row = plan(source(rule, last_run_at=NOW - timedelta(days=7)))
    assert (row.action, row.arrival) == (Action.SPENT, None)


def test_an_entry_whose_runs_are_used_up_is_not_carried() -> None:
    found = source(arguments={"max_runs": 3}, last_run_at=NOW, total_run_count=3)
    assert plan(found).action is Action.SPENT


@pytest.mark.parametrize(
    ("schedule", "why"), [("soon", "invalid schedule"), (0.01, "0.1 s or more")]
)
def test_an_invalid_entry_is_refused_by_name(schedule: Any, why: str) -> None:
    row = plan(source(schedule))
    assert row.action is Action.REFUSE
    assert why in row.why


def test_an_impossible_last_run_counts_as_now() -> None:
    ahead = NOW + timedelta(days=400)
    row = plan(source(habeat.cron("0 * * * *"), last_run_at=ahead))
    assert row.first_slot == NOW + HOUR
    assert "is in the future" in row.notes[0]


@pytest.mark.parametrize("year", [1, 1969, 1970])
def test_a_last_run_long_ago_is_a_position_that_can_be_stored(year: int) -> None:
    """Some code writes such a last run to have an entry run at once."""
    last = datetime(year, 1, 1, tzinfo=UTC)
    row = plan(source(habeat.cron("0 * * * *"), last_run_at=last, total_run_count=2))
    assert (row.action, row.first_slot) == (Action.CARRY, datetime(1970, 1, 1, 1, tzinfo=UTC))
    assert row.arrival is not None
    assert row.arrival.position.cursor_ms > 0
    assert row.arrival.last_fired_ms == row.arrival.position.cursor_ms


def test_a_count_that_nobody_could_count_is_one_that_can_be_stored() -> None:
    row = plan(source(last_run_at=NOW, total_run_count=10**400))
    assert row.arrival is not None
    assert row.arrival.fired < 10**15


def test_a_clock_that_is_a_little_ahead_repeats_nothing() -> None:
    ahead = NOW + timedelta(seconds=2)
    row = plan(source(habeat.every(1), last_run_at=ahead))
    assert row.first_slot == NOW + timedelta(seconds=3)


# -- entries of beat_schedule -----------------------------------------------------------------


def test_an_entry_of_code_is_written_as_the_code_has_it_at_its_position() -> None:
    here = declared(habeat.cron("0 * * * *"))
    last = NOW - timedelta(minutes=50)
    row = plan(SourceEntry("report", last_run_at=last, total_run_count=7, declared=True), here)
    assert (row.action, row.first_slot) == (Action.DECLARE, NOW)
    assert row.arrival is not None
    assert (row.arrival.owned, row.arrival.fired) == (True, 7)
    assert entry_of(row).owner == "config"


@pytest.mark.parametrize("minutes_ago", range(0, 60, 7))
def test_a_period_of_code_runs_half_a_period_to_one_and_a_half_after_the_last_run(
    minutes_ago: int,
) -> None:
    here = declared(3_600)
    last = NOW - timedelta(minutes=minutes_ago)
    row = plan(SourceEntry("report", last_run_at=last, declared=True), here)
    assert row.first_slot is not None
    assert HOUR / 2 <= row.first_slot - last < 1.5 * HOUR
    entry = here.declared["report"]
    assert ms(row.first_slot) == entry.schedule.next_after_ms(ms(row.first_slot) - 1)


def test_an_entry_of_code_that_was_disabled_there_is_paused_here() -> None:
    found = source(3_600, declared=True, enabled=False, last_run_at=NOW)
    row = plan(found, declared(3_600))
    assert row.arrival is not None
    assert '"reason": "disabled in RedBeat"' in row.arrival.paused
    assert row.arrival.position.due_ms is None
    assert (row.first_slot, row.why) == (None, "paused, because it is disabled there")


def test_a_solar_event_that_ran_a_moment_before_its_rounded_slot_is_not_repeated() -> None:
    sunset = habeat.solar("sunset", 52.5, 13.4)
    slot = sunset.next_after(NOW)
    assert slot is not None
    found = source(sunset, last_run_at=slot - timedelta(milliseconds=400))
    row = plan(found, at=Instant(ms(slot)))
    assert row.first_slot is not None
    assert row.first_slot - slot > timedelta(hours=20)


def test_a_schedule_of_code_is_left_to_the_leader() -> None:
    entry = Entry("report", "t", Code("proj.Moon"), owner="config", from_code=("schedule",))
    found = SourceEntry("report", last_run_at=NOW - HOUR, declared=True)
    row = plan(found, Here(declared={"report": entry}))
    assert (row.action, row.first_slot) == (Action.DECLARE, None)
    assert row.arrival is not None
    assert row.arrival.position.cursor_ms == ms(NOW - HOUR)


def test_an_entry_of_code_that_habeat_cannot_use_is_refused() -> None:
    row = plan(SourceEntry("report", declared=True), Here(broken={"report": "no task"}))
    assert row.action is Action.REFUSE
    assert "no task" in row.why


# -- what is here -----------------------------------------------------------------------------


def test_what_was_carried_before_is_present() -> None:
    found = source(3_600, last_run_at=NOW)
    before = stored(plan(found))
    row = planned(found, before, Here(), AT, "RedBeat")
    assert (row.action, row.arrival) == (Action.PRESENT, None)


def test_a_disabled_entry_that_was_carried_before_shows_no_slot() -> None:
    found = source(3_600, enabled=False, last_run_at=NOW)
    row = planned(found, stored(plan(found)), Here(), AT, "RedBeat")
    assert (row.action, row.first_slot) == (Action.PRESENT, None)


@pytest.mark.parametrize("minutes_after", [0, 90])
def test_an_entry_that_comes_again_in_the_words_of_the_other_beat_continues(
    minutes_after: int,
) -> None:
    """It went there as a crontab and without its tags: only its form differs."""
    mine = source(habeat.cron("0 * * * *", tz="UTC"), arguments={"tags": ["x"]}, last_run_at=NOW)
    before = stored(plan(mine))
    at = Instant(ms(NOW) + minutes_after * 60_000)
    ran = NOW + timedelta(minutes=minutes_after // 60 * 60)
    again = source(habeat.crontab(minute=0, tz="UTC"), last_run_at=ran)
    row = planned(again, before, Here(), at, "RedBeat")
    assert row.action is (Action.CONTINUE if minutes_after else Action.PRESENT)
    assert row.first_slot == ran + HOUR


def test_an_entry_with_the_same_slots_that_sends_something_else_stays() -> None:
    before = stored(plan(source(habeat.cron("0 * * * *", tz="UTC"), last_run_at=NOW)))
    other = source(habeat.crontab(minute=0, tz="UTC"), last_run_at=NOW, arguments={"args": [1]})
    assert planned(other, before, Here(), AT, "RedBeat").action is Action.KEEP
    later = source(habeat.crontab(minute=30, tz="UTC"), last_run_at=NOW)
    assert planned(later, before, Here(), AT, "RedBeat").action is Action.KEEP


def test_an_entry_that_was_changed_here_stays() -> None:
    found = source(3_600, last_run_at=NOW)
    before = stored(plan(replace(found, arguments={**found.arguments, "args": [1]})))
    row = planned(found, before, Here(), AT, "RedBeat")
    assert (row.action, row.arrival) == (Action.KEEP, None)


def test_an_entry_of_code_that_is_here_keeps_its_position() -> None:
    here = declared(3_600)
    found = SourceEntry("report", last_run_at=NOW - HOUR, declared=True)
    before = stored(plan(found, here))
    row = planned(found, before, here, AT, "RedBeat")
    assert (row.action, row.arrival, row.write) == (Action.PRESENT, None, None)


def test_a_state_without_its_definition_is_kept() -> None:
    row = planned(source(), absent(cursor_ms=ms(NOW)), Here(), AT, "RedBeat")
    assert (row.action, row.arrival) == (Action.KEEP, None)


def test_what_the_source_would_drop_needs_nothing() -> None:
    assert not_carried(Uncarried("x", "why")).action is Action.REFUSE
    assert not_carried(Uncarried("x", "why", dropped=True)).action is Action.DROP


def test_an_entry_that_the_source_ran_after_habeat_moves_on() -> None:
    hourly = habeat.cron("0 * * * *")
    before = stored(plan(source(hourly, last_run_at=NOW - 9 * HOUR)))
    since = source(hourly, last_run_at=NOW - timedelta(minutes=59))
    row = planned(since, before, Here(), AT, "RedBeat")
    assert (row.action, row.first_slot, row.arrival) == (Action.CONTINUE, NOW, None)
    assert row.write is not None
    assert row.write.definition == b""
    assert row.write.cursor_ms == before.state.cursor_ms
    assert row.write.position is not None
    assert row.write.position.cursor_ms == ms(NOW - timedelta(minutes=59))


def test_a_period_that_the_source_ran_in_another_rhythm_is_the_same_entry() -> None:
    before = stored(plan(source(3_600, last_run_at=NOW - 9 * HOUR)))
    last = NOW - timedelta(minutes=25)
    row = planned(source(3_600, last_run_at=last), before, Here(), AT, "RedBeat")
    assert row.action is Action.CONTINUE
    assert row.first_slot is not None
    assert HOUR / 2 <= row.first_slot - last < 1.5 * HOUR
    assert row.first_slot.minute == 0, "the rhythm that is stored stays"


def test_an_entry_of_code_that_the_source_ran_after_habeat_moves_on() -> None:
    here = declared(habeat.cron("0 * * * *"))
    found = SourceEntry("report", last_run_at=NOW - 9 * HOUR, declared=True)
    before = stored(plan(found, here))
    row = planned(replace(found, last_run_at=NOW - HOUR), before, here, AT, "RedBeat")
    assert (row.action, row.first_slot) == (Action.CONTINUE, NOW)


def test_an_entry_that_is_off_here_moves_on_and_shows_no_slot() -> None:
    hourly = habeat.cron("0 * * * *")
    before = stored(plan(source(hourly, last_run_at=NOW - 9 * HOUR, enabled=False)))
    since = source(hourly, last_run_at=NOW - HOUR, enabled=False)
    row = planned(since, before, Here(), AT, "RedBeat")
    assert (row.action, row.first_slot) == (Action.CONTINUE, None)


def test_a_given_instant_counts_also_for_what_was_carried_before() -> None:
    found = source(habeat.cron("0 * * * *"), first_run_at=NOW - 3 * HOUR)
    before = stored(plan(found))
    at = replace(AT, sent_until_ms=ms(NOW - HOUR))
    row = planned(found, before, Here(), at, "RedBeat")
    assert (row.action, row.first_slot) == (Action.CONTINUE, NOW)


def test_an_impossible_last_run_moves_nothing_that_was_carried_before() -> None:
    found = source(habeat.cron("0 * * * *"), last_run_at=NOW + timedelta(days=400))
    before = stored(plan(found))
    later = replace(AT, now_ms=AT.now_ms + 2 * 3_600_000)
    assert planned(found, before, Here(), later, "RedBeat").action is Action.PRESENT


def test_a_last_run_before_the_position_here_moves_nothing() -> None:
    hourly = habeat.cron("0 * * * *")
    before = stored(plan(source(hourly, last_run_at=NOW)))
    row = planned(source(hourly, last_run_at=NOW - HOUR), before, Here(), AT, "RedBeat")
    assert row.action is Action.PRESENT


def test_slots_that_are_lost_because_habeat_was_started_first_are_said() -> None:
    here = declared(habeat.cron("0 * * * *"))
    found = SourceEntry("report", last_run_at=NOW - timedelta(hours=3, minutes=1), declared=True)
    seeded = stored(plan(SourceEntry("report", declared=True), here))
    row = planned(found, seeded, here, AT, "RedBeat")
    assert row.action is Action.PRESENT
    assert "09:00:00" in row.notes[0]
    earlier = Instant(AT.now_ms - 60_000)
    before = stored(planned(SourceEntry("report", declared=True), absent(), here, earlier, "x"))
    recent = replace(found, last_run_at=NOW - timedelta(minutes=2))
    assert planned(recent, before, here, AT, "RedBeat").notes == ()
