"""Where and when to compare: the zones, their changes of clocks, random expressions."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from random import Random
from zoneinfo import ZoneInfo

FULL = os.environ.get("HABEAT_ORACLE") == "full"

START = datetime(2024, 1, 1, tzinfo=UTC)
END = datetime(2031, 1, 1, tzinfo=UTC)
APIA = (datetime(2011, 12, 27, tzinfo=UTC), datetime(2012, 1, 3, tzinfo=UTC))

ZONES = (
    "UTC",
    "Europe/Berlin",
    "Europe/London",
    "Europe/Dublin",  # summer is standard time there
    "Europe/Chisinau",
    "Atlantic/Azores",  # at midnight
    "Africa/Cairo",  # at midnight
    "Africa/Casablanca",  # for Ramadan
    "Asia/Jerusalem",
    "Asia/Beirut",  # at midnight
    "Asia/Gaza",
    "Asia/Almaty",  # once, in 2024
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Asia/Tokyo",
    "America/New_York",
    "America/Los_Angeles",
    "America/St_Johns",  # three and a half hours
    "America/Havana",  # at midnight
    "America/Santiago",  # at midnight, in the other hemisphere
    "America/Asuncion",  # for the last time in 2024
    "America/Nuuk",  # on Saturday evening
    "America/Sao_Paulo",
    "Antarctica/Troll",  # by two hours
    "Australia/Sydney",
    "Australia/Lord_Howe",  # by half an hour
    "Pacific/Auckland",
    "Pacific/Chatham",  # at a quarter to three
    "Pacific/Easter",
    "Pacific/Apia",
)


@dataclass(frozen=True)
class Change:
    """The offset becomes another one at an instant of UTC."""

    at: datetime
    before: timedelta
    after: timedelta

    def off_the_hour(self) -> bool:
        """Whether a clock shows minutes when it is changed, or is changed to show some."""
        shown = (self.at + offset for offset in (self.before, self.after))
        return any(local.minute for local in shown)


@cache
def changes(zone: str, start: datetime = START, end: datetime = END) -> tuple[Change, ...]:
    """The changes of a zone, found by looking twice a day and halving."""
    return tuple(_changes(ZoneInfo(zone), start, end))


def _changes(zone: ZoneInfo, start: datetime, end: datetime) -> Iterator[Change]:
    def offset(at: datetime) -> timedelta:
        return at.astimezone(zone).utcoffset() or timedelta(0)

    before = offset(start)
    while start < end:
        low, high = start, start + timedelta(hours=12)
        after = offset(high)
        start, was, before = high, before, after
        if was != after:
            while high - low > timedelta(seconds=1):
                middle = low + (high - low) // 2
                low, high = (middle, high) if offset(middle) == was else (low, middle)
            yield Change(high.replace(microsecond=0), was, after)


def around(change: Change, chance: Random) -> tuple[datetime, datetime]:
    """From somewhat before a change until more than a day after it."""
    lead = timedelta(minutes=chance.randint(1, 30 * 60))
    return change.at.replace(second=0) - lead, change.at + timedelta(hours=30)


def slots_ms(following: Callable[[int], int | None], start: datetime, end: datetime) -> list[int]:
    """What a `next_after_ms` finds in (start, end]."""
    found, slot_ms = [], following(ms(start))
    while slot_ms is not None and slot_ms <= ms(end):
        found.append(slot_ms)
        slot_ms = following(slot_ms)
    return found


def ms(at: datetime) -> int:
    return int(at.timestamp()) * 1000


def field(chance: Random, low: int, high: int, *, star: float, single: float) -> str:
    """One field of a cron expression; `star` and `single` are how often it is that."""
    kind = chance.random()
    if kind < star:
        return "*"
    if kind < star + single:
        return str(chance.randint(low, high))
    match chance.randrange(4):
        case 0:
            return f"*/{chance.randint(2, (high - low) // 2)}"
        case 1:
            first = chance.randint(low, high - 1)
            return f"{first}-{chance.randint(first + 1, high)}"
        case 2:
            first = chance.randint(low, high - 1)
            return f"{first}-{chance.randint(first + 1, high)}/{chance.randint(2, 9)}"
        case _:
            return ",".join(str(n) for n in sorted(chance.sample(range(low, high + 1), 3)))


def expression(chance: Random) -> str:
    """Five fields; hours at night are frequent, because that is when clocks change."""
    last_hour = chance.choice((4, 23))
    return " ".join(
        (
            field(chance, 0, 59, star=0.2, single=0.4),
            field(chance, 0, last_hour, star=0.25, single=0.3),
            field(chance, 1, 31, star=0.8, single=0.05),
            field(chance, 1, 12, star=0.95, single=0.01),
            field(chance, 0, 6, star=0.8, single=0.05),
        )
    )
