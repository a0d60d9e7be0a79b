"""Random schedules, fields and spans: what a call is given, and what it means in the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from celery.schedules import crontab as celery_crontab
from hypothesis import strategies as st

import habeat
from tests.verification.stateful.rows import own_offset
from tests.verification.stateful.slots import At, Every, Fields, Rule, Steps, utc_of

HOME = "Europe/Berlin"
ZONES = (HOME, "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca")

#: A change of the clocks each: (zone, the instant). Lord Howe's is by half an hour; Casablanca
#: goes back for Ramadan.
CHANGES = (
    (HOME, datetime(2026, 3, 29, 1, tzinfo=UTC)),
    (HOME, datetime(2026, 10, 25, 1, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 3, 8, 7, tzinfo=UTC)),
    ("America/New_York", datetime(2026, 11, 1, 6, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2026, 10, 3, 15, 30, tzinfo=UTC)),
    ("Africa/Casablanca", datetime(2026, 2, 15, 2, tzinfo=UTC)),
    ("Africa/Casablanca", datetime(2026, 3, 22, 2, tzinfo=UTC)),
)


@dataclass(frozen=True)
class Drawn:
    """A schedule: what `add` is given, and what it means for an entry of a name."""

    given: Any
    means: Callable[[str], Rule] = field(repr=False)


def every(seconds: float, offset: float | None, align: str) -> Drawn:
    ms = round(seconds * 1_000)

    def means(name: str) -> Rule:
        if offset is not None:
            return Every(ms, round(offset * 1_000))
        own = align == "own" and ms >= 60_000
        return Every(ms, own_offset(name, ms) if own else 0)

    if offset is None and align == "own":
        return Drawn(timedelta(seconds=seconds) if seconds % 2 else seconds, means)
    return Drawn(habeat.every(seconds, offset=offset, align=align), means)  # type: ignore[arg-type]


# The text of a field, its values, and whether it counts elapsed time (a star, range or step).
Field = tuple[str, tuple[int, ...], bool]

SECONDS: list[Field] = [("0", (0,), False), ("30", (30,), False), ("0,45", (0, 45), False)]
_FIXED_MINUTES: list[Field] = [("0", (0,), False), ("30", (30,), False), ("5,45", (5, 45), False)]
MINUTES: list[Field] = [
    *_FIXED_MINUTES,
    ("*/20", (0, 20, 40), True),
    ("10-50/20", (10, 30, 50), True),
]
#: The hours that the changes above skip or repeat, more often than others.
_CHANGED_HOURS: list[Field] = [("2", (2,), False), ("1", (1,), False), ("2,3", (2, 3), False)]
HOURS: list[Field] = [
    *_CHANGED_HOURS * 2,
    ("0", (0,), False),
    ("*", tuple(range(24)), True),
    ("1-3", (1, 2, 3), True),
    ("*/6", (0, 6, 12, 18), True),
]
DAYS: list[tuple[str, tuple[int, ...] | None]] = [
    *[("*", None)] * 4,
    ("1,8,15,22,29", (1, 8, 15, 22, 29)),
]
WEEKDAYS: list[tuple[str, tuple[int, ...] | None]] = [
    *[("*", None)] * 3,
    ("sun", (0,)),
    ("mon-fri", (1, 2, 3, 4, 5)),
]


@st.composite
def wall_clock(draw: st.DrawFn, zone: str) -> Drawn:
    """Cron with five or six fields, habeat's crontab, or Celery's own."""
    kind = draw(st.sampled_from(["cron", "cron", "six", "crontab", "celery"]))
    second = draw(st.sampled_from(SECONDS)) if kind == "six" else SECONDS[0]
    minute, hour = draw(st.sampled_from(MINUTES)), draw(st.sampled_from(HOURS))
    day, weekday = draw(st.sampled_from(DAYS)), draw(st.sampled_from(WEEKDAYS))
    tz = draw(st.sampled_from([zone, zone, None])) if kind != "celery" else None
    gap = draw(st.sampled_from(["shift", "skip"])) if tz else "shift"
    fold = draw(st.sampled_from(["auto", "auto", "first", "last", "both"])) if tz else "auto"
    rule = Fields(
        tz or HOME,
        gap,
        fold,
        second[2] or minute[2] or hour[2],
        second[1],
        minute[1],
        hour[1],
        day[1],
        weekday[1],
        either=kind in ("cron", "six"),
    )
    stored = "cron" if kind in ("cron", "six") else "crontab"
    given: Any
    if kind == "celery":
        given = celery_crontab(minute[0], hour[0], weekday[0], day[0])
    elif kind == "crontab":
        given = habeat.crontab(minute[0], hour[0], weekday[0], day[0], tz=tz, gap=gap, fold=fold)
    else:
        text = f"{minute[0]} {hour[0]} {day[0]} * {weekday[0]}"
        text = f"{second[0]} {text}" if kind == "six" else text
        given = habeat.cron(text, tz=tz, gap=gap, fold=fold)
    spelled = Spelled(
        rule, (stored, str(kind == "six"), second[0], minute[0], hour[0], day[0], weekday[0])
    )
    return Drawn(given, lambda name: spelled)


class Spelled(Rule):
    """A rule and how it is written down: two spellings of one rule are two schedules."""

    def __init__(self, rule: Rule, how: tuple[str, ...]) -> None:
        self.rule, self.how = rule, how

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spelled) and (self.rule, self.how) == (other.rule, other.how)

    def __hash__(self) -> int:
        return hash((self.rule, self.how))

    def __repr__(self) -> str:
        return f"{self.rule!r}"

    def between(self, after_ms: int, until_ms: int) -> list[int]:
        return self.rule.between(after_ms, until_ms)

    def after(self, after_ms: int) -> int | None:
        return self.rule.after(after_ms)


@st.composite
def recurrence(draw: st.DrawFn, zone: str, now_ms: int) -> Drawn:
    """DAILY at its dtstart's time of day, or HOURLY and MINUTELY from there on."""
    freq, unit = draw(st.sampled_from([("DAILY", 1_440), ("HOURLY", 60), ("MINUTELY", 1)]))
    interval = draw(st.sampled_from([1, 2] if freq != "MINUTELY" else [20, 45]))
    time = draw(st.sampled_from([(2, 30), (1, 45), (0, 0), (9, 10)]))
    day = utc_of(now_ms).date() - timedelta(days=draw(st.integers(3, 9)))
    naive = datetime(day.year, day.month, day.day, *time)
    gap = draw(st.sampled_from(["shift", "skip"]))
    fold = draw(st.sampled_from(["auto", "first", "last", "both"]))
    rule = Steps(zone, gap, fold, freq != "DAILY", naive, interval * unit)
    text = f"FREQ={freq};INTERVAL={interval}"
    given = habeat.rrule(text, tz=zone, dtstart=naive.replace(tzinfo=ZoneInfo(zone)), gap=gap,
                         fold=fold)  # fmt: skip
    return Drawn(given, lambda name: rule)


def once(at_ms: int) -> Drawn:
    return Drawn(habeat.once(utc_of(at_ms)), lambda name: At(at_ms))


PERIODS = (
    every(20, None, "own"),
    every(60, None, "own"),
    every(60, 0, "own"),
    every(90, None, "epoch"),
    every(301, None, "own"),
    every(3_600, None, "own"),
    every(7_200, 5, "own"),
)


def recurring(zone: str, now_ms: int) -> st.SearchStrategy[Drawn]:
    """Every kind that continues; the wall clocks mostly in the zone whose clocks are to change."""
    zones = st.sampled_from([zone, zone, zone, *ZONES])
    return st.one_of(
        zones.flatmap(wall_clock),
        zones.flatmap(wall_clock),
        zones.flatmap(lambda one: recurrence(one, now_ms)),
        st.sampled_from(PERIODS),
    )


def schedules(zone: str, now_ms: int) -> st.SearchStrategy[Drawn]:
    """Every kind, and a single instant, which may be over already."""
    late_s = st.integers(-60, 20_000)
    return recurring(zone, now_ms) | late_s.map(lambda late: once(now_ms + late * 1_000))


#: Fields that bear on each other, given together more often than chance would have it.
TOGETHER: tuple[tuple[str, ...], ...] = (
    (),
    (),
    ("max_runs", "deadline"),
    ("max_runs", "misfire", "misfire_grace"),
    ("misfire", "misfire_grace", "misfire_limit", "misfire_pace"),
    ("misfire", "misfire_grace", "misfire_window"),
    ("jitter", "spread"),
    ("jitter", "misfire_grace", "end"),
    ("start", "end"),
)
SPANS_MS = (0, 500, 5_000, 60_000, 600_000, 7_200_000)
TAGS = ("red", "blue")


def fields(now_ms: int, *, bounded: bool = True) -> st.SearchStrategy[dict[str, Any]]:
    """Some of the fields of `add`, in the model's terms: spans and instants in milliseconds.

    Without `bounded`, none that may keep the entry from having slots.
    """
    span = st.sampled_from(SPANS_MS)
    instant = st.integers(-7_200, 90_000).map(lambda s: now_ms + s * 1_000)
    few = {
        "args": st.sampled_from([(), (1,), ("x", 2)]),
        "kwargs": st.sampled_from([{}, {"a": 1}]),
        "options": st.sampled_from([{}, {"priority": 3}, {"expires": 60}, {"expires": 7_200}]),
        "enabled": st.sampled_from([True, True, False]),
        "tags": st.lists(st.sampled_from(TAGS), unique=True).map(tuple),
        "description": st.sampled_from(["", "nightly"]),
        "start": st.none() | instant,
        "end": st.none() | instant,
        "max_runs": st.none() | st.integers(1, 4),
        "jitter": span,
        "spread": span,
        "deadline": st.none() | st.sampled_from(SPANS_MS[1:]),
        "misfire": st.sampled_from([None, "latest", "all", "skip"]),
        "misfire_grace": st.none() | span,
        "misfire_limit": st.none() | st.integers(1, 4),
        "misfire_window": st.none() | span,
        "misfire_pace": st.sampled_from([None, 1.0, 20.0, 50.0]),
        "delivery": st.sampled_from([None, "at_least_once", "at_most_once"]),
    }
    if not bounded:
        few |= {"start": st.none(), "end": st.none(), "enabled": st.just(True)}
    some = st.lists(st.sampled_from(sorted(few)), max_size=4, unique=True)
    return st.tuples(some, st.sampled_from(TOGETHER)).flatmap(
        lambda names: st.fixed_dictionaries({name: few[name] for name in {*names[0], *names[1]}})
    )


def as_given(parts: dict[str, Any]) -> dict[str, Any]:
    """The same as the Client is given it: spans in seconds, instants as aware datetimes."""
    given = dict(parts)
    for name in ("jitter", "spread", "deadline", "misfire_grace", "misfire_window"):
        if given.get(name) is not None:
            given[name] = timedelta(milliseconds=given[name])
    for name in ("start", "end"):
        if given.get(name) is not None:
            given[name] = utc_of(given[name])
    return given


def catching_up() -> st.SearchStrategy[dict[str, Any]]:
    """The fields that say what becomes of a backlog, all at once."""
    span = st.sampled_from((0, 5_000, 60_000, 600_000))
    return st.fixed_dictionaries(
        {
            "misfire": st.sampled_from(["latest", "all", "all", "skip"]),
            "misfire_grace": st.none() | span,
            "misfire_limit": st.sampled_from([None, 1, 2, 2, 3, 3, 4]),
            "misfire_pace": st.sampled_from([None, 1.0, 20.0]),
            "misfire_window": st.sampled_from([None, None, 0, 60_000, 600_000]),
            "max_runs": st.sampled_from([None, None, None, 1, 2, 3]),
            "deadline": st.sampled_from([None, None, None, 500, 5_000, 60_000]),
            "tags": st.sampled_from([(), ("red",), ("blue",), ("red", "blue")]),
        }
    )
