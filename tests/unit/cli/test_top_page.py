"""The lines of `top`: they show what was found, and none is wider than the screen."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from habeat.cli.sparkline import BLOCKS, marks_of, sparkline
from habeat.cli.top.command import press
from habeat.cli.top.looking import View
from habeat.cli.top.page import Page, Wishes, painted, unpainted
from habeat.cli.top.terminal import BACKSPACE, ENTER, ESCAPE, _keys
from habeat.cli.top.window import SPAN, Window
from habeat.cli.wrapping import width_of
from habeat.client import Event, LedgerRecord, Status
from habeat.client.events import EventReplica
from habeat.client.replicas import Leader, Replica
from habeat.client.status import EntryCounts
from habeat.core.health import Finding, Severity
from habeat.store.overview import Accounting

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
HOSTILE = "e\x1b[31m\n\u202e日本語" * 20


def replica(host: str, **other: object) -> Replica:
    at = NOW - timedelta(hours=1)
    found = Replica("id", "standby", host, 7, at, at, "1", "", "", 0, 0, "atomic", "", "")
    return replace(found, **other)  # type: ignore[arg-type]


def status(**other: object) -> Status:
    leader = Leader(
        "id", NOW - timedelta(minutes=90), 5, "crash", 3_000, replica("web-1", role="leader")
    )
    found = Status(
        at=NOW,
        leader=leader,
        standbys=(replica("web-2"),),
        inert=(),
        dispatch="atomic",
        dispatch_why="",
        entries=EntryCounts(3, 2, 1, 0),
        next_due=None,
        overdue=0,
        beyond_grace=0,
        clock_skew_ms=None,
        tzdata=(),
        quarantined={},
        clashes=(),
        unstorable={},
        history_lost=None,
        accounting=Accounting(0, 0, 0, 0),
        leader_changes=1,
    )
    return replace(found, **other)  # type: ignore[arg-type]


def record(entry: str, ago_s: float, late_ms: int | None = 3, **other: object) -> LedgerRecord:
    at = NOW - timedelta(seconds=ago_s)
    found = LedgerRecord(entry, at, at, 1, "sent", "", at, late_ms, 1, 5)
    return replace(found, **other)  # type: ignore[arg-type]


def view(*records: LedgerRecord, **other: object) -> View:
    window = Window()
    window.add(records, NOW)
    due = [("soon", NOW + timedelta(seconds=4)), ("late", NOW - timedelta(seconds=9))]
    found = View(NOW, status(), due, records, window=window)
    return replace(found, **other)  # type: ignore[arg-type]


def shown(
    found: View, columns: int = 80, lines: int | None = 24, wishes: Wishes | None = None
) -> str:
    return "\n".join(Page(columns, lines, unpainted, "keys").of(found, wishes or Wishes()))


def test_it_shows_who_leads_what_is_due_and_what_was_sent() -> None:
    text = shown(view(record("report", 2, 12), record("gone", 1, None, outcome="missed")), 100)
    for part in (
        "web-1 pid 7, since",
        "(1h 30m), after the previous leader crashed; atomic",
        "standbys  web-2 pid 7",
        "3 entries: 2 active, 1 paused",
        "p50 12 ms, p99 12 ms, max 12 ms",
        "0.1/s",
        "1 missed",
        "in 4s",
        "9s ago",
        "soon",
        "report",
        "healthy",
    ):
        assert part in text


def test_what_fails_is_named_with_how_long_it_has_lasted() -> None:
    findings = (
        Finding("no_standby", Severity.WARNING, "", "no standby"),
        Finding("slot_missed", Severity.ERROR, "e", "entry 'e' is starved", 1_000),
    )
    since = int(NOW.timestamp() * 1_000) - 65_000
    findings = (findings[0], replace(findings[1], since_ms=since))
    lines = shown(view(status=status(findings=findings))).splitlines()
    assert "UNHEALTHY" in lines[0]
    problem = next(at for at, line in enumerate(lines) if line.startswith("PROBLEM"))
    assert "1m 5s: entry 'e' is starved" in lines[problem]
    assert lines[problem + 1].startswith("note")


def test_many_problems_leave_room_for_the_rest() -> None:
    findings = tuple(Finding("x", Severity.ERROR, "", f"problem {n}") for n in range(20))
    text = shown(view(record("report", 1), status=status(findings=findings)))
    assert "and 15 more: see `status`" in text
    assert "report" in text


@pytest.mark.parametrize("columns", [20, 41, 80, 119, 120, 300])
@pytest.mark.parametrize("lines", [3, 10, 24, 70])
def test_it_fits_every_size_whatever_the_names_are(columns: int, lines: int) -> None:
    hostile = status(
        leader=None,
        standbys=tuple(replica(HOSTILE) for _ in range(9)),
        inert=(replica(HOSTILE, inert=HOSTILE),),
        findings=(Finding(HOSTILE, Severity.ERROR, HOSTILE, HOSTILE),),
    )
    records = [record(HOSTILE, n, outcome="failed", reason=HOSTILE) for n in range(100)]
    due = [(HOSTILE, NOW)] * 100
    found = view(*records, status=hostile, upcoming=due, away=HOSTILE)
    for wishes in (Wishes(), Wishes(filter=HOSTILE, is_typing=True, is_paused=True)):
        page = Page(columns, lines, unpainted, HOSTILE).of(found, wishes)
        assert len(page) == lines
        assert max(map(width_of, page)) <= columns
        assert all(line.isprintable() for line in page)


def test_before_the_first_look_and_while_redis_is_away() -> None:
    assert "connecting" in shown(View())
    text = shown(View(away="Redis cannot be reached"))
    assert "REDIS AWAY" in text
    assert "away for" in text
    assert "Redis cannot be reached" in text
    assert "report" in shown(view(record("report", 1), away="x"))  # what was known stays


def test_one_look_shows_all_problems_and_no_keys() -> None:
    findings = tuple(Finding("x", Severity.ERROR, "", f"problem {n}") for n in range(20))
    text = shown(view(status=status(findings=findings)), 120, None)
    assert "problem 19" in text
    assert "q quit" not in text


def test_colours_are_added_and_take_no_room() -> None:
    found = view(record("report", 2, outcome="failed"))
    plain = Page(80, 24, unpainted, "keys").of(found, Wishes())
    coloured = Page(80, 24, painted, "keys").of(found, Wishes())
    assert "\x1b[" not in "".join(plain)
    assert "\x1b[31mfailed\x1b[0m" in "".join(coloured)


def test_events_stand_between_the_records() -> None:
    replica = EventReplica("id", "web-2", 7, 5)
    at = NOW - timedelta(seconds=2)
    event = Event("1-0", at, "broker_available", None, replica, at, at, "", "")
    lines = shown(view(record("e-first", 3), record("e-last", 1), events=[event])).splitlines()
    order = [
        lines.index(next(line for line in lines if word in line))
        for word in ("e-first", "event", "e-last")
    ]
    assert order == sorted(order)
    assert "the broker takes messages again" in lines[order[1]]
    assert "event" not in shown(
        view(record("e-last", 1), events=[event]), wishes=Wishes(filter="e-")
    )


def test_a_filter_chooses_entries_by_a_part_of_their_names() -> None:
    found = view(record("Report/7", 1), record("other", 1))
    text = shown(found, wishes=Wishes(filter="report"))
    assert "Report/7" in text
    assert "other" not in text
    assert "soon" not in text


# -- keys ---------------------------------------------------------------------------------------


def test_keys() -> None:
    wishes = Wishes()
    assert press(wishes, "q")
    for key in ("p", "/", "日", "q", "x", BACKSPACE, ENTER):
        assert not press(wishes, key)
    assert (wishes.is_paused, wishes.filter, wishes.is_typing) == (True, "日q", False)
    press(wishes, ESCAPE)
    press(wishes, "p")
    assert (wishes.is_paused, wishes.filter) == (False, "")
    for key in ("/", "\x01", "\x00", *"a" * 200, ESCAPE):
        press(wishes, key)
        assert len(wishes.filter) <= 80
    assert (wishes.filter, wishes.is_typing) == ("", False)


def test_arrows_are_no_keys() -> None:
    assert list(_keys("a\x1b[A\x1b[1;5Cb\x1bOP\x1b[3~\r\x08\x1b")) == [
        "a",
        "b",
        "\n",
        "\x7f",
        "\x1b",
    ]


# -- figures ------------------------------------------------------------------------------------


def test_figures_are_of_the_last_five_minutes() -> None:
    window = Window()
    window.add([record("old", 301, 9_999)], NOW - timedelta(seconds=2))
    assert window.lateness() == (9_999, 9_999, 9_999)
    window.add([record("e", 10 - n / 10, n) for n in range(100)], NOW)
    assert window.lateness() == (49, 98, 99)
    assert window.rate(NOW, timedelta(seconds=10)) == 10.0
    assert window.rate(NOW, SPAN) == pytest.approx(1 / 3)
    assert window.outcomes() == {"sent": 100}
    assert window.lateness_by_time(NOW, 30) == [*[None] * 28, 0, 99]
    assert window.sent_by_time(NOW, 3) == [None, None, 100]


def test_runs_of_slots_count_each_slot_and_notes_count_none() -> None:
    window = Window()
    window.add(
        [record("e", 2, None, outcome="skipped", count=7), record("e", 1, None, outcome="note")],
        NOW,
    )
    assert window.outcomes() == {"skipped": 7}
    assert window.lateness() is None


def test_a_sparkline() -> None:
    assert sparkline([]) == ""
    assert sparkline([None, 0, 1, 8]) == " ▁▂█"
    assert sparkline([0, 0]) == "▁▁"
    assert marks_of("utf-8") == BLOCKS
    assert marks_of("ascii").isascii()
    assert marks_of("no such encoding").isascii()
