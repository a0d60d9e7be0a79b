"""What `preview` shows: bounds, runs that are left, and what is special about a slot."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import habeat
from habeat.client.preview import COUNT_MAX, Span, instants, instants_of
from habeat.core.entry import Entry, EntryState
from habeat.errors import ValidationError
from habeat.schedules import Schedule

START = datetime(2026, 3, 1, tzinfo=UTC)
START_MS = round(START.timestamp() * 1_000)
MINUTE = timedelta(minutes=1)
EACH_MINUTE = habeat.every(60, offset=0)


def entry_of(
    schedule: Schedule = EACH_MINUTE, *, fired: int = 0, cursor_ms: int = START_MS, **given: Any
) -> Entry:
    state = EntryState(cursor_ms=cursor_ms, fired=fired)
    return Entry("a", "proj.a", schedule, state=state, **given)


def nominal(entry: Entry, start: datetime = START, **given: Any) -> list[datetime]:
    span = Span.checked(start, given.get("end"), given.get("count"))
    return [slot.nominal for slot in instants_of(entry, span)]


def test_ten_where_nothing_is_said_and_all_up_to_an_end() -> None:
    assert nominal(entry_of()) == [START + MINUTE * n for n in range(1, 11)]
    end = START + 30 * MINUTE
    assert nominal(entry_of(), end=end) == [START + MINUTE * n for n in range(1, 31)]
    assert len(nominal(entry_of(), end=end, count=4)) == 4


def test_it_is_half_open() -> None:
    middle = START + 3 * MINUTE
    first, second = nominal(entry_of(), end=middle), nominal(entry_of(), middle, count=3)
    assert first[-1] == middle
    assert first + second == nominal(entry_of(), count=6)


def test_slots_are_within_the_bounds_of_the_entry() -> None:
    entry = entry_of(start_ms=START_MS + 5 * 60_000, end_ms=START_MS + 8 * 60_000)
    assert nominal(entry) == [START + MINUTE * n for n in (5, 6, 7, 8)]


def test_no_more_slots_than_it_may_still_run() -> None:
    assert len(nominal(entry_of(max_runs=5, fired=2))) == 3
    assert nominal(entry_of(max_runs=5, fired=5)) == []
    # What lies between the cursor and a later start has used up its runs ...
    assert nominal(entry_of(max_runs=5, fired=2), START + 2 * MINUTE) == [START + 3 * MINUTE]
    assert nominal(entry_of(max_runs=5, fired=2), START + 9 * MINUTE) == []
    # ... and what lies before the cursor is not counted.
    early = nominal(entry_of(max_runs=5, fired=2), START - 4 * MINUTE)
    assert early == [START + MINUTE * n for n in range(-3, 4)]


def test_the_clocks_marks_are_shown() -> None:
    nightly = habeat.cron("30 2 * * *", tz="Europe/Berlin", fold="both")
    spring = Span.checked(datetime(2026, 3, 28, tzinfo=UTC), None, 2)
    assert [slot.marks for slot in instants(nightly, spring)] == [(), ("gap",)]
    autumn = Span.checked(datetime(2026, 10, 25, tzinfo=UTC), None, 2)
    first, second = instants(nightly, autumn)
    assert (first.marks, second.marks) == (("fold first",), ("fold second",))
    assert first.nominal.replace(tzinfo=None) == second.nominal.replace(tzinfo=None)
    assert second.nominal_utc - first.nominal_utc == timedelta(hours=1)


def test_spread_and_jitter_are_shown_with_what_they_come_to() -> None:
    entry = entry_of(spread_ms=30_000, jitter_ms=10_000)
    slots = instants_of(entry, Span.checked(START, None, 50))
    assert all("spread" in slot.marks for slot in slots)
    assert len({slot.offset for slot in slots}) > 10
    for slot in slots:
        slot_ms = round(slot.nominal.timestamp() * 1_000)
        due_ms = round(slot.effective.timestamp() * 1_000)
        assert due_ms == entry.effective_ms(slot_ms)
        assert timedelta(0) < slot.offset < MINUTE


def test_instants_are_in_the_zone_of_the_schedule() -> None:
    (slot,) = instants_of(
        entry_of(habeat.cron("0 8 * * *", tz="Asia/Tokyo"), spread_ms=60_000),
        Span.checked(START, None, 1),
    )
    assert (slot.nominal.hour, slot.effective.hour, slot.nominal_utc.hour) == (8, 8, 23)
    assert slot.effective_utc == slot.effective


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("count", {"count": 0}),
        ("count", {"count": COUNT_MAX + 1}),
        ("count", {"count": True}),
        ("start", {"start": datetime(2026, 1, 1)}),
        ("end", {"end": datetime(2026, 4, 1)}),
        ("end", {"end": START}),
        ("end", {"end": START + timedelta(days=8)}),
    ],
)
def test_what_cannot_be_shown_is_refused(field: str, given: dict[str, Any]) -> None:
    span = {"start": START, "end": None, "count": None, **given}
    with pytest.raises(ValidationError) as caught:
        instants(EACH_MINUTE, Span.checked(span["start"], span["end"], span["count"]))
    assert caught.value.field == field


def test_ten_thousand_at_once_ask_the_schedule_once_for_each() -> None:
    asked = 0

    class Counting(type(EACH_MINUTE)):  # type: ignore[misc]
        def next_after_ms(self, after_ms: int) -> int | None:
            nonlocal asked
            asked += 1
            return after_ms // 60_000 * 60_000 + 60_000

    schedule = Counting(60_000, 0)
    assert len(instants(schedule, Span.checked(START, None, COUNT_MAX))) == COUNT_MAX
    assert asked <= COUNT_MAX + 2
