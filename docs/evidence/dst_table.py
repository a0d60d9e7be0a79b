"""Prints dst-table.md from the code: ``python docs/evidence/dst_table.py > …/dst-table.md``.

A test compares the page with what this prints.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from habeat.schedules import Schedule, cron

YEAR = 2026
HOUR = timedelta(hours=1)

HEAD = f"""# What runs when the clocks change

Printed by `python docs/evidence/dst_table.py` from the code that runs; the words are explained in
[schedules](../concepts/schedules.md#when-the-clocks-change). All days are of {YEAR}, and all times
are local. The tables show what runs from two hours before the change until two hours after it.

- *gap*: it stands in for a local time that the clocks skipped;
- *1st*, *2nd*: the local time comes twice, and this is the first or the second pass.
"""

# The zone, and times of day that are skipped or repeated there.
ZONES = {
    "Europe/Berlin": ["30 2", "0 2,3"],
    "America/New_York": ["30 2", "30 1"],
    "Europe/London": ["30 1"],
    "Australia/Lord_Howe": ["15 2", "45 1"],
    "Africa/Cairo": ["0 0", "30 23"],
}

FIXED = ({}, {"gap": "skip"}, {"fold": "last"}, {"fold": "both"})
BY_THE_HOUR = (("0 *", {}), ("*/30 *", {}), ("*/30 *", {"fold": "first"}), ("*/30 1-3", {}))


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *(line for zone in ZONES for line in section(zone))])


def section(zone: str) -> Iterator[str]:
    """One zone: what its clocks do, and a table."""
    gap, fold = sorted(changes(ZoneInfo(zone)), key=lambda at: shift(at, zone) < timedelta(0))
    yield f"## {zone}\n"
    yield f"O{clocks(gap, zone)[1:]}; {clocks(fold, zone)}.\n"
    yield f"| rule | policy | {gap.astimezone(ZoneInfo(zone)):%-d %B} | {at_fold(fold, zone)} |"
    yield "|---|---|---|---|"
    rows = [(times, policy) for times in ZONES[zone] for policy in FIXED]
    for times, policy in [*rows, *BY_THE_HOUR]:
        schedule = cron(f"{times} * * *", tz=zone, **policy)
        said = ", ".join(f'`{name}="{value}"`' for name, value in policy.items())
        cells = (", ".join(slots(schedule, change)) or "nothing" for change in (gap, fold))
        yield f"| `{times} * * *` | {said} | {' | '.join(cells)} |"
    yield ""


def at_fold(fold: datetime, zone: str) -> str:
    """The day on which the repeated time comes for the first time."""
    return f"{(fold - timedelta(seconds=1)).astimezone(ZoneInfo(zone)):%-d %B}"


def clocks(change: datetime, zone: str) -> str:
    """What the clocks do at a change."""
    before = (change + offset(change - HOUR, ZoneInfo(zone))).replace(tzinfo=None)
    after = change.astimezone(ZoneInfo(zone))
    return f"on {before:%-d %B} at {before:%H:%M} they are set to {after:%H:%M}"


def slots(schedule: Schedule, change: datetime) -> Iterator[str]:
    """What runs around a change, with the remarks."""
    short = {"": "", "gap": " *gap*", "fold first": " *1st*", "fold second": " *2nd*"}
    start = change - 2 * HOUR - timedelta(seconds=1)
    for slot in schedule.between(start, change + 2 * HOUR):
        yield f"{slot:%H:%M}{short[schedule.remark(round(slot.timestamp() * 1000))]}"


def changes(zone: ZoneInfo) -> list[datetime]:
    """The two changes of the year; those of all the zones above are at a half hour of UTC."""
    start = datetime(YEAR, 1, 1, tzinfo=UTC)
    times = [start + n * HOUR / 2 for n in range(365 * 48)]
    return [b for a, b in pairwise(times) if offset(a, zone) != offset(b, zone)]


def shift(change: datetime, zone: str) -> timedelta:
    """By how much the clocks are set forward."""
    return offset(change, ZoneInfo(zone)) - offset(change - HOUR, ZoneInfo(zone))


def offset(at: datetime, zone: ZoneInfo) -> timedelta:
    """The offset from UTC at an instant."""
    return at.astimezone(zone).utcoffset() or timedelta(0)


if __name__ == "__main__":
    print(page(), end="")
