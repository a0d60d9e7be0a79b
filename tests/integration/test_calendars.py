"""Calendars: which slots they skip, how they are stored, and the command."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import habeat
from habeat.cli.calendars import FILE_CHARS_MAX
from habeat.client import Client, Guard
from habeat.core.calendars import Calendar
from habeat.core.catchup import plan
from habeat.core.entry import Entry, Policies
from habeat.core.firing import Firing
from habeat.core.holds import Holds
from habeat.errors import NotAllowed, ValidationError
from tests.integration.scripts.bench import Bench
from tests.integration.test_cli import Shell

XMAS = date(2026, 12, 25)
DAY = timedelta(days=1)


def ms(*at: int) -> int:
    return round(datetime(*at, tzinfo=UTC).timestamp() * 1_000)  # type: ignore[arg-type, misc]


def entry(schedule: Any, calendar: str = "c") -> Entry:
    return Entry("a", "t", schedule, calendar=calendar)


def skipped(who: Entry, calendar: Calendar, start: datetime, days: int) -> list[str]:
    """The slots from `start` on that do not fire, each found when it is due."""
    holds = Holds(calendars={calendar.name: calendar}).of(who)
    found, cursor = [], round(start.timestamp() * 1_000) - 1
    ends = cursor + days * 86_400_000
    while (slot := who.next_slot_ms(cursor)) is not None and slot <= ends:
        [step] = plan(who, Policies(), cursor_ms=cursor, now_ms=slot, holds=holds)
        if not isinstance(step.what, Firing):
            assert step.what.reason == f"calendar: {calendar.name}"
            at = datetime.fromtimestamp(slot / 1_000, UTC)
            found.append(at.strftime("%d %H:%M"))
        cursor = step.cursor_ms
    return found


def test_the_day_is_local_to_the_zone_of_the_schedule() -> None:
    calendar = Calendar("c", (XMAS,))
    who = entry(habeat.cron("0 */6 * * *", tz="Asia/Tokyo"))
    start = datetime(2026, 12, 24, tzinfo=UTC)
    assert skipped(who, calendar, start, 3) == ["24 15:00", "24 21:00", "25 03:00", "25 09:00"]


def test_a_schedule_without_a_zone_has_the_calendars() -> None:
    calendar = Calendar("c", (XMAS,), zone="America/New_York")
    who = entry(habeat.every(6 * 3_600, offset=0))
    start = datetime(2026, 12, 25, tzinfo=UTC)
    assert skipped(who, calendar, start, 2) == ["25 06:00", "25 12:00", "25 18:00", "26 00:00"]


def test_a_day_of_every_year_and_days_in_a_row() -> None:
    calendar = Calendar("c", (date(2026, 12, 26),), ((12, 25), (2, 29)))
    who = entry(habeat.cron("0 8 * * *", tz="UTC"))
    for year in (2026, 2027):
        days = ["25 08:00", "26 08:00"] if year == 2026 else ["25 08:00"]
        assert skipped(who, calendar, datetime(year, 12, 20, tzinfo=UTC), 10) == days
    assert calendar.next_day(date(2027, 12, 31)) == date(2028, 2, 29)
    assert calendar.next_day(date(2026, 2, 1)) == date(2026, 12, 25)


@pytest.mark.parametrize("day", [date(2026, 3, 29), date(2026, 10, 25)])
def test_a_day_on_which_the_clocks_change(day: date) -> None:
    calendar = Calendar("c", (day,))
    who = entry(habeat.cron("30 * * * *", tz="Europe/Berlin"))
    start = datetime(day.year, day.month, day.day, tzinfo=UTC) - DAY
    assert len(skipped(who, calendar, start, 3)) == (23 if day.month == 3 else 25)


def test_slots_of_many_days_are_accounted_for_as_runs_and_what_fires_is_none_of_them() -> None:
    calendar = Calendar("c", (date(2026, 12, 24), date(2026, 12, 26)), ((12, 25),))
    who = entry(habeat.cron("0 */8 * * *", tz="UTC"))
    holds = Holds(calendars={"c": calendar}).of(who)
    cursor, now, outcomes = ms(2026, 12, 20), ms(2026, 12, 26, 12), []
    while steps := plan(who, Policies(), cursor_ms=cursor, now_ms=now, holds=holds):
        outcomes += [step.what for step in steps]
        cursor = steps[-1].cursor_ms
    count = sum(1 if isinstance(what, Firing) else what.count for what in outcomes)
    run = who.count_between(ms(2026, 12, 20), now)
    assert run is not None
    assert count == run.count
    fired = [what.slot_ms for what in outcomes if isinstance(what, Firing)]
    assert fired == [ms(2026, 12, 23, 16)], "the newest misfire that may fire"


def test_what_is_due_after_the_day_fires_also_if_it_is_found_together_with_it() -> None:
    who = entry(habeat.cron("0 8 * * *", tz="UTC"))
    holds = Holds(calendars={"c": Calendar("c", (XMAS,))}).of(who)
    cursor, now = ms(2026, 12, 24, 9), ms(2026, 12, 26, 8)
    off, fires = plan(who, Policies(), cursor_ms=cursor, now_ms=now, holds=holds)
    assert off.cursor_ms == ms(2026, 12, 25, 8)
    assert isinstance(fires.what, Firing)
    assert fires.what.slot_ms == now


def test_a_calendar_that_does_not_exist_takes_nothing_and_is_named() -> None:
    who = entry(habeat.cron("0 8 * * *"), "gone,c")
    holds = Holds(calendars={"c": Calendar("c", (XMAS,))})
    assert holds.missing(who) == ("gone",)
    assert Holds().missing(who) == ("gone", "c")
    assert not Holds().of(who)


# -- through the client ------------------------------------------------------------------------


def test_a_calendar_is_set_listed_used_and_removed(client: Client) -> None:
    days = client.set_calendar("de", [XMAS, "2026-12-24", "01-01"], timezone="Europe/Berlin")
    assert client.calendars() == (days,)
    assert (days.dates, days.yearly) == ((date(2026, 12, 24), XMAS), ("01-01",))
    added = client.add("a", "proj.tick", habeat.cron("0 8 * * *", tz="UTC"), calendar=["de", "x"])
    assert added.calendars == ("de", "x")
    assert client.get("a").calendar == "de,x"
    start = datetime(2026, 12, 23, tzinfo=UTC)
    marks = [each.marks for each in client.preview("a", 4, start)]
    assert marks == [(), ("calendar: de",), ("calendar: de",), ()]
    assert client.update("a", calendar=None).calendars == ()
    assert client.remove_calendar("de")
    assert not client.remove_calendar("de")


@pytest.mark.parametrize(
    ("name", "days"),
    [
        ("a b", [XMAS]),
        ("", [XMAS]),
        ("c", []),
        ("c", ["2026-02-30"]),
        ("c", ["13-01"]),
        ("c", [5]),
        ("c", "2026-12-24"),
        ("c", [datetime(2026, 1, 1)]),
        ("c", [date(2026, 1, 1) + n * DAY for n in range(1_001)]),
    ],
)
def test_wrong_calendars_are_refused(client: Client, name: str, days: Any) -> None:
    with pytest.raises(ValidationError):
        client.set_calendar(name, days)
    assert client.calendars() == ()


@pytest.mark.parametrize("wrong", [5, ["a b"], "a,,b", ["x"] * 2 + [f"c{n}" for n in range(9)]])
def test_wrong_names_in_an_entry_are_refused(client: Client, wrong: Any) -> None:
    with pytest.raises(ValidationError):
        client.add("a", "proj.tick", 60, calendar=wrong)


def test_a_calendar_that_does_not_exist_is_named_when_an_entry_is_added(shell: Shell) -> None:
    shell.ok("calendar", "set", "closed", "12-25")
    out = shell.ok("add", "e", "t", "--every", "60", "--calendar", "closed,typo")
    assert "there is no calendar typo" in out
    assert "no calendar closed" not in out
    assert "closed, typo" in shell.ok("show", "e")


def test_no_tenant_changes_calendars(client: Client, shell: Shell) -> None:
    client.set_calendar("c", [XMAS])
    with Client(shell.app, guard=Guard(prefix="t:")) as tenant:
        for call in (lambda: tenant.set_calendar("d", [XMAS]), lambda: tenant.remove_calendar("c")):
            with pytest.raises(NotAllowed):
                call()
    assert [each.name for each in client.calendars()] == ["c"]


def test_a_damaged_calendar_is_named_and_takes_nothing(bench: Bench, client: Client) -> None:
    client.set_calendar("c", ["12-25"])
    bench.admin.hset(bench.keys.controls, "calendar:c", '{"dates": ["x"]}')
    assert client.calendars() == ()
    assert any("'calendar:c' cannot be read" in remark for remark in client.status().remarks)


def test_the_command(shell: Shell, tmp_path: Path) -> None:
    assert "2 days, 1 of them every year" in shell.ok(
        "calendar", "set", "de", "2026-12-24", "12-25"
    )
    (tmp_path / "days").write_text("# closed\n2026-05-01  # a holiday\n\n2026-05-02\n")
    (tmp_path / "c.ics").write_text(
        "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART;VALUE=DATE:20260814\nEND:VEVENT\nEND:VCALENDAR\n"
    )
    assert "2 days" in shell.ok("calendar", "set", "file", "--file", str(tmp_path / "days"))
    assert shell.json("calendar", "set", "ics", "--file", str(tmp_path / "c.ics"))["dates"] == [
        "2026-08-14"
    ]
    assert "de" in shell.ok("calendar", "list")
    assert "12-25 every year" in shell.ok("calendar", "show", "de")
    shell.ok("add", "a", "proj.tick", "--cron", "0 8 * * *", "--calendar", "de")
    assert "calendar: de" in shell.ok("preview", "a", "--start", "2026-12-23", "--count", "3")
    shell.ok("calendar", "remove", "de")
    assert shell("calendar", "show", "de").exit_code == 1
    shell.fails(2, "calendar", "set", "de")
    shell.fails(2, "calendar", "set", "de", "tomorrow")
    (tmp_path / "long").write_text("2026-05-01\n" + "#" * FILE_CHARS_MAX)
    error = shell.fails(2, "calendar", "set", "de", "--file", str(tmp_path / "long"))
    assert "give a file with fewer days" in error


def test_the_day_of_the_slot_counts_for_the_load_too(client: Client) -> None:
    client.set_calendar("c", [XMAS])
    start, end = datetime(2026, 12, 24, tzinfo=UTC), datetime(2026, 12, 28, tzinfo=UTC)
    for number in range(8):
        schedules = habeat.cron("30 23 * * *"), habeat.every(86_400, offset=84_600)
        schedule = schedules[number % 2]
        client.add(f"e{number}", "t", schedule, calendar="c", spread=timedelta(hours=6))
    shown = [
        each
        for number in range(8)
        for each in client.preview(f"e{number}", start=start - DAY, end=end)
        if start <= each.effective_utc < end
    ]
    fires = [each for each in shown if "calendar: c" not in each.marks]
    assert any(each.effective_utc.date() == XMAS for each in fires), "a slot of the day before"
    assert len(shown) - len(fires) == 8
    assert client.simulate(start, end).load.firings == len(fires)
