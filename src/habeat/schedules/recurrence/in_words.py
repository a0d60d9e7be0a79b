"""Descriptions of recurrence rules for people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from habeat.schedules import in_words
from habeat.schedules.recurrence.parts import UNITS_S, Parts

_UNITS = {
    "YEARLY": "year",
    "MONTHLY": "month",
    "WEEKLY": "week",
    "DAILY": "day",
    "HOURLY": "hour",
    "MINUTELY": "minute",
    "SECONDLY": "second",
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rule(parts: Parts) -> str:
    """Frequency, days and times: "every 2 weeks on Mondays at 09:00"."""
    words = [_how_often(parts), _months(parts), _weeks(parts), *_days(parts), _times(parts)]
    return " ".join(part for part in words if part) + _positions(parts)


def end(parts: Parts) -> str:
    """The end of the rule: ", 10 times", ", until 2026-12-31 23:59:59 UTC" or ""."""
    if parts.count is not None:
        return ", once" if parts.count == 1 else f", {parts.count} times"
    if parts.until_ms is not None:
        until = _EPOCH + timedelta(milliseconds=parts.until_ms)
        return f", until {until:%Y-%m-%d %H:%M:%S} UTC"
    if parts.until_s is not None:
        return f", until {_EPOCH + timedelta(seconds=parts.until_s):%Y-%m-%d %H:%M:%S}"
    return ""


def _how_often(parts: Parts) -> str:
    unit = _UNITS[parts.freq]
    return f"every {unit}" if parts.interval == 1 else f"every {parts.interval} {unit}s"


def _months(parts: Parts) -> str:
    return "in " + in_words.months(parts.by_month) if parts.by_month else ""


def _weeks(parts: Parts) -> str:
    if not parts.by_week_no:
        return ""
    every_day = not (parts.by_day or parts.by_month_day or parts.by_year_day)
    weeks = f"{_numbered('in week', parts.by_week_no)} of the year"
    if not every_day:
        return weeks
    return f"{weeks}, on all {'their' if len(parts.by_week_no) > 1 else 'its'} days,"


def _days(parts: Parts) -> list[str]:
    words = []
    if parts.by_year_day:
        words.append(f"{_numbered('on day', parts.by_year_day)} of the year")
    if parts.by_month_day:
        ordered = sorted(parts.by_month_day, key=lambda day: (day < 0, day))
        words.append("on the " + in_words.joined([_day_of_month(day) for day in ordered]))
    if parts.by_day:
        words.append(_by_day(parts))
    return words


def _by_day(parts: Parts) -> str:
    plain = [f"{_weekday(day)}s" for day, n in parts.by_day if not n]
    nth = [f"the {_nth(n)} {_weekday(day)}" for day, n in parts.by_day if n]
    within = ""
    if nth and parts.freq == "YEARLY":
        within = " of the month" if parts.by_month else " of the year"
    return "on " + in_words.joined([*plain, *nth]) + within


def _times(parts: Parts) -> str:
    unit_s = UNITS_S.get(parts.freq)
    if unit_s is None:
        return in_words.times_of_day(parts.by_hour, parts.by_minute, parts.by_second)
    words = []
    if parts.by_second and (unit_s == 1 or parts.by_second != (0,)):
        words.append(_numbered("at second", parts.by_second))
    if parts.by_minute:
        words.append(_numbered("at minute", parts.by_minute))
    if parts.by_hour:
        words.append(_numbered("of hour", parts.by_hour))
    return " ".join(words)


def _positions(parts: Parts) -> str:
    if not parts.by_set_pos:
        return ""
    ordered = sorted(parts.by_set_pos, key=lambda n: (n < 0, n))
    return f", only the {in_words.joined([_nth(n) for n in ordered])} of them"


def _day_of_month(day: int) -> str:
    return in_words.ordinal(day) if day > 0 else f"{_nth(day)} day of the month"


def _nth(n: int) -> str:
    if n > 0:
        return in_words.NTH.get(n, in_words.ordinal(n))
    return "last" if n == -1 else f"{in_words.NTH.get(-n, in_words.ordinal(-n))} to last"


def _weekday(day: int) -> str:
    return in_words.WEEKDAYS[(day + 1) % 7]


def _numbered(unit: str, values: Sequence[int]) -> str:
    plural = "s" if len(values) > 1 else ""
    return f"{unit}{plural} {in_words.joined(in_words.runs(sorted(values), str))}"
