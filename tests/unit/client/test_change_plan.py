"""`compare_schedules`: which slots a change makes appear, vanish or move."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from habeat import cron, crontab, every, once
from habeat.client.change_plan import (
    ChangePlan,
    EntryChange,
    SavedSchedule,
    Window,
    compare_schedules,
)
from habeat.client.change_plan.intervals import shared_slots
from habeat.client.change_plan.pairing import paired
from habeat.client.change_plan.slot_changes import Budget, compare
from habeat.core.entry import Entry
from habeat.entries.draft import new_entry
from habeat.errors import ValidationError

START = datetime(2026, 3, 2, tzinfo=UTC)
DAYS = 35


def ms(at: datetime) -> int:
    return int(at.timestamp() * 1_000)


def window(days: int = DAYS, start: datetime = START) -> Window:
    return Window(ms(start), ms(start + timedelta(days=days)))


def entry(schedule: Any, name: str = "e", tz: str = "Europe/Berlin", **fields: Any) -> Entry:
    return new_entry(name, {"task": "proj.t", "schedule": schedule, **fields}, tz)


def change(before: Any, after: Any, days: int = DAYS) -> EntryChange | None:
    sides = [
        None if each is None else each if isinstance(each, Entry) else entry(each)
        for each in (before, after)
    ]
    return compare("e", *sides, window(days), Budget(1_000_000))


def figures(found: EntryChange | None) -> tuple[int, int, int]:
    assert found is not None
    return found.appear, found.vanish, found.move


def saved(*entries: Entry, **more: Any) -> SavedSchedule:
    return SavedSchedule.of(
        {each.name: each for each in entries}, more.get("broken", {}), more.get("unknown", {})
    )


def plan(before: SavedSchedule, after: SavedSchedule, **more: Any) -> ChangePlan:
    limits = {"most_per_second": 50, "most_per_minute": 500, "window": window(2), **more}
    return compare_schedules(before, after, limits.pop("window"), **limits)


# -- one entry -------------------------------------------------------------------------------


def test_a_run_at_another_hour_moves_once_a_day() -> None:
    found = change(cron("0 8 * * *"), cron("0 9 * * *"))
    assert figures(found) == (0, 0, 35)
    assert found is not None
    assert found.shift_ms == 3_600_000
    assert [f"{at:%d %H:%M}" for at in found.moving[0]] == ["02 08:00", "02 09:00"]
    assert (found.before, found.after) == ("at 08:00, Europe/Berlin", "at 09:00, Europe/Berlin")


def test_a_run_past_midnight_moves_to_its_nearest_neighbour() -> None:
    found = change(cron("0 23 * * *", tz="UTC"), cron("0 1 * * *", tz="UTC"))
    # The first 01:00 of the window appears, and the last 23:00 vanishes.
    assert figures(found) == (1, 1, 34)
    assert found is not None
    assert found.shift_ms == 7_200_000


def test_what_both_have_is_kept() -> None:
    found = change(cron("*/10 * * * *"), cron("*/15 * * * *"), days=1)
    # 0 and 30 are kept; 10 or 20 moves to 15, 40 or 50 to 45, and the others vanish.
    assert figures(found) == (0, 48, 48)
    assert change(cron("*/20 * * * *"), cron("0,20,40 * * * *")) is None


def test_entries_that_come_and_go_have_all_of_their_slots() -> None:
    assert figures(change(None, cron("0 8 * * *"))) == (35, 0, 0)
    assert figures(change(cron("0 8 * * *"), None)) == (0, 35, 0)
    off = entry(cron("0 8 * * *"), enabled=False)
    assert figures(change(cron("0 8 * * *"), off)) == (0, 35, 0)
    assert figures(change(off, cron("0 8 * * *"))) == (35, 0, 0)


def test_another_zone_moves_slots_by_another_distance_after_the_clocks_change() -> None:
    found = change(cron("0 8 * * *", tz="Europe/Berlin"), cron("0 8 * * *", tz="UTC"))
    assert figures(found) == (0, 0, 35)
    assert found is not None
    assert found.shift_ms is None  # one hour in winter, two in summer


def test_slots_at_a_clock_change_are_shown_with_what_becomes_of_them() -> None:
    found = change(cron("0 2 * * *"), cron("30 2 * * *"))
    assert found is not None
    assert [(at.isoformat(), what) for at, what in found.clock_changes] == [
        ("2026-03-29T03:00:00+02:00", "gap")
    ]
    # Both forms fire at 03:00 in that night.
    assert figures(found) == (0, 0, 34)
    assert change(cron("0 8 * * *"), cron("0 9 * * *")).clock_changes == ()  # type: ignore[union-attr]


def test_a_slot_that_a_clock_change_takes_away_is_shown() -> None:
    found = change(cron("0 2 * * *"), cron("30 2 * * *", gap="skip"))
    assert found is not None
    assert [(f"{at:%d %H:%M}", what) for at, what in found.clock_changes] == [
        ("29 03:00", "skipped")
    ]
    assert figures(found) == (0, 1, 34)
    autumn = Window(ms(START) + 210 * 86_400_000, ms(START) + 245 * 86_400_000)
    folded = compare("e", None, entry(cron("*/30 2 * * *", fold="both")), autumn, Budget(1_000))
    assert folded is not None
    assert [what for _, what in folded.clock_changes] == ["fold first"] * 2 + ["fold second"] * 2


def test_a_change_that_shows_after_the_window_only_is_a_change() -> None:
    found = change(cron("0 0 1 5 *"), cron("0 0 1 7 *"))
    assert figures(found) == (0, 0, 0)
    assert found is not None
    assert "was 2026-04-30 22:00 UTC, is 2026-06-30 22:00 UTC" in found.notes[0]
    assert change(cron("0 0 1 5 *"), cron("0 0 1 MAY *")) is None


@pytest.mark.parametrize(
    ("field", "words"), [("spread", "its spread"), ("jitter", "its jitter"), ("max_runs", "times")]
)
def test_a_change_of_due_times_or_of_their_number_is_noted(field: str, words: str) -> None:
    found = change(cron("0 8 * * *"), entry(cron("0 8 * * *"), **{field: 60}))
    assert figures(found) == (0, 0, 0)
    assert found is not None
    assert words in found.notes[0]


def test_a_limit_cuts_the_slots() -> None:
    ends = entry(cron("0 8 * * *"), end=START + timedelta(days=10))
    assert figures(change(cron("0 8 * * *"), ends)) == (0, 25, 0)


def test_an_entry_each_second_is_counted_by_arithmetic() -> None:
    seconds = DAYS * 86_400
    assert figures(change(every(1), every(2))) == (0, seconds // 2, 0)
    found = change(None, every(1))
    assert figures(found) == (seconds, 0, 0)
    assert found is not None
    assert "arithmetic" in found.notes[0]
    assert figures(change(every(10, offset=0), every(10, offset=3))) == (0, 0, seconds // 10)
    assert change(every(1), every(1, offset=0)) is None
    found = change(cron("* * * * * *"), crontab())
    assert found is not None
    assert f"the whole time has {seconds} slots before" in found.notes[0]


@pytest.mark.parametrize(
    ("before", "after", "appear", "vanish", "move"),
    [
        ("* * * * * *", "*/2 * * * * *", 0, 1 / 2, 0),
        ("*/2 * * * * *", "*/3 * * * * *", 1 / 3 - 1 / 6, 1 / 2 - 1 / 6, 0),
        ("*/2 * * * * *", "1-59/2 * * * * *", 0, 0, 1 / 2),
        ("* * * * * *", "* */2 * * * *", 0, 1 / 2, 0),
    ],
)
def test_crons_of_each_second_are_compared_over_the_whole_time(
    before: str, after: str, appear: float, vanish: float, move: float
) -> None:
    """The time has a change of the clocks, which takes no seconds away: they are counted."""
    seconds = DAYS * 86_400
    found = change(cron(before), cron(after))
    assert figures(found) == tuple(round(each * seconds) for each in (appear, vanish, move))


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["*", "*/2", "*/3", "1-59/2", "5-40", "0"]),
    st.sampled_from(["*", "*/7"]),
    st.sampled_from(["*", "*/5", "3-50", "7"]),
    st.sampled_from(["*", "1-5", "*/4", "2"]),
    st.sampled_from([(3, 29), (10, 25)]),
)
def test_shared_slots_of_crons_are_those_that_enumeration_finds(
    second: str, other: str, minute: str, hour: str, night: tuple[int, int]
) -> None:
    """Around the moments when the clocks go forward and back."""
    a, b = (cron(f"{each} {minute} {hour} * * *", tz="Europe/Berlin") for each in (second, other))
    begin = datetime(2026, *night, 0, 57, tzinfo=UTC)
    start, end = ms(begin), ms(begin + timedelta(minutes=6))
    counted = a.count_shared(b, start, end)
    if counted is None:
        return
    sides = [set(_slots(each, start, end)) for each in (a, b)]
    assert counted == len(sides[0] & sides[1])


def _slots(schedule: Any, after: int, until: int) -> Iterator[int]:
    slot = schedule.next_after_ms(after)
    while slot is not None and slot <= until:
        yield slot
        slot = schedule.next_after_ms(slot)


@given(
    st.tuples(st.integers(1, 60), st.integers(0, 59)),
    st.tuples(st.integers(1, 60), st.integers(0, 59)),
)
def test_arithmetic_counts_what_enumeration_finds(a: tuple[int, int], b: tuple[int, int]) -> None:
    old, new = (entry(every(each[0], offset=each[1] % each[0])) for each in (a, b))
    span = Window(ms(START), ms(START + timedelta(hours=2)))
    common = shared_slots(old, new, span)
    both = set(range(0, 7_200, 1))
    for period, offset in (a, b):
        start = ms(START) // 1_000
        both &= {at for at in both if (start + at - offset % period) % period == 0}
    assert common == len(both)


times = st.lists(st.integers(0, 60), unique=True).map(sorted)


@given(times, times)
def test_each_slot_is_kept_moved_gone_or_come(old: list[int], new: list[int]) -> None:
    found = paired(old, new)
    gone, come, moves = found.vanish, found.appear, found.moves
    kept = set(old) & set(new)
    assert sorted([*gone, *kept, *(a for a, _ in moves)]) == old
    assert sorted([*come, *kept, *(b for _, b in moves)]) == new
    for a, b in moves:  # nothing lies between the two
        assert not {*old, *new} & set(range(min(a, b) + 1, max(a, b)))


# -- whole schedules -------------------------------------------------------------------------


def test_a_plan_names_what_changes_and_nothing_else() -> None:
    same, moved = entry(3600, "same"), entry(cron("0 8 * * *"), "moved")
    found = plan(
        saved(same, moved, entry(60, "gone")),
        saved(same, entry(cron("0 9 * * *"), "moved"), entry(cron("0 0 * * *"), "new")),
    )
    assert [(each.name, each.what) for each in found.changes] == [
        ("gone", "removed"),
        ("moved", "changed"),
        ("new", "added"),
    ]
    assert (found.total("appear"), found.total("vanish"), found.total("move")) == (2, 2_880, 2)
    assert found.changed
    assert not plan(saved(same), saved(same)).changed


def test_the_digest_is_that_of_the_change_and_not_of_the_day() -> None:
    before, after = saved(entry(cron("0 8 * * *"))), saved(entry(cron("0 9 * * *")))
    later = plan(before, after, window=window(start=START + timedelta(days=3)))
    assert plan(before, after).digest == later.digest
    assert plan(before, after).digest != plan(after, before).digest
    other = saved(entry(cron("0 10 * * *")))
    assert plan(before, after).digest != plan(before, other).digest
    # What it sends is not part of the plan.
    args = saved(entry(cron("0 9 * * *"), args=["secret"]))
    assert plan(before, args).digest == plan(before, after).digest


def test_unknown_tasks_and_broken_entries_are_a_change_if_they_are_new() -> None:
    same = entry(3600, "same")
    old = saved(same, unknown={"same": "proj.t"}, broken={"b": "why"})
    assert not plan(old, old).changed
    found = plan(saved(same), old)
    assert found.changed
    assert (found.newly_broken, found.unknown_tasks[0].new) == (("b",), True)
    assert not plan(old, saved(same)).changed


def test_entries_without_a_slot_in_the_window_are_named() -> None:
    schedule = saved(
        entry(cron("0 0 1 7 *", tz="UTC"), "july"),
        entry(once(START - timedelta(days=1)), "past"),
        entry(60, "off", enabled=False),
        entry(60, "often"),
    )
    assert plan(schedule, schedule).never == {
        "july": datetime(2026, 7, 1, tzinfo=UTC),
        "past": None,
    }


def test_pile_ups_are_counted_before_and_after() -> None:
    def many(minute: int, count: int) -> list[Entry]:
        return [entry(cron(f"{minute} 8 * * *", tz="UTC"), f"{minute}-{n}") for n in range(count)]

    found = plan(
        saved(*many(0, 30)),
        saved(*many(0, 60), *many(1, 5)),
        most_per_second=50,
        most_per_minute=55,
    )
    second, minute = found.pile_ups
    assert (second.unit, second.before, second.after) == ("second", 0, 2)
    assert (minute.before, minute.after) == (0, 2)
    peak = second.peaks[0]
    assert (peak.at.hour, peak.before, peak.after) == (8, 30, 60)
    assert peak.entries[0].startswith("0-")


def test_spread_entries_do_not_pile_up() -> None:
    entries = [entry(cron("0 8 * * *"), f"e{n}", spread=600) for n in range(100)]
    found = plan(saved(), saved(*entries), most_per_second=20)
    assert (found.pile_ups[0].after, found.not_counted) == (0, 0)


def test_entries_each_second_pile_up_everywhere() -> None:
    entries = [entry(every(1), f"e{n}") for n in range(60)]
    found = plan(saved(), saved(*entries))
    assert found.pile_ups[0].after == 2 * 86_400
    assert found.pile_ups[0].peaks[0].after == 60
    assert found.not_counted == 0


def test_what_takes_too_much_work_is_not_counted_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("habeat.client.change_plan.pile_ups.WORK_MOST", 10_000)
    schedule = saved(entry(cron("0 8 * * *"), "daily"), entry(every(7), "often"))
    assert plan(schedule, schedule).not_counted == 1


def test_ten_thousand_changed_entries_stay_within_the_budget(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("habeat.client.change_plan.plan.SLOTS_MOST", 5_000)
    before = saved(*(entry(crontab(), f"e{n}") for n in range(20)))
    after = saved(*(entry(cron("*/2 * * * *"), f"e{n}") for n in range(20)))
    found = plan(before, after)
    assert len(found.changes) == 20
    assert found.changes[0].notes == ()
    assert all("compared up to" in each.notes[0] for each in found.changes[5:])


def test_a_saved_schedule_reads_back_without_arguments() -> None:
    one = entry(crontab(minute=5), "one", args=["secret"], kwargs={"k": "secret"}, tags=["x"])
    whole = saved(one, entry(60, "two", spread=5), broken={"b": "why"}, unknown={"one": "t"})
    text = whole.to_text()
    assert "secret" not in text
    again = SavedSchedule.from_text(text)
    assert (again.broken, again.unknown) == (whole.broken, whole.unknown)
    assert not plan(whole, again).changed


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"habeat_plan": 2}', '{"habeat_plan": 1, "entries": []}', "[" * 10_000],
)
def test_another_file_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="file"):
        SavedSchedule.from_text(text)


def test_a_file_of_another_form_is_said_to_be_no_json() -> None:
    with pytest.raises(ValidationError, match="the file is not JSON: expected a file written by"):
        SavedSchedule.from_text("app = Celery()")


def test_an_entry_that_cannot_be_read_is_broken_and_the_others_are_compared() -> None:
    text = saved(entry(60, "good"), entry(60, "bad")).to_text()
    again = SavedSchedule.from_text(text.replace('"every_ms": 60000', '"every_ms": "x"', 1))
    assert list(again.entries) == ["good"]
    assert "every_ms" in again.broken["bad"]
