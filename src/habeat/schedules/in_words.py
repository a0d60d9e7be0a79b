"""Descriptions of schedules for people who do not read cron."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from habeat.schedules.field_rule import LAST, Days, Rule

_UNITS = (
    ("day", 86_400_000),
    ("hour", 3_600_000),
    ("minute", 60_000),
    ("second", 1000),
    ("millisecond", 1),
)
WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
NTH = {1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth", LAST: "last"}

# List up to this many times of day; describe longer lists by a pattern.
_TIMES_LISTED = 4
_YEARS_LISTED = 6


def duration(ms: int) -> str:
    """A duration: "1 hour 30 minutes"."""
    parts = []
    for unit, unit_ms in _UNITS:
        count, ms = divmod(ms, unit_ms)
        if count:
            parts.append(_counted(count, unit))
    return " ".join(parts) or "0 seconds"


def period(ms: int) -> str:
    """A period to follow "every", in the largest unit that divides it: "90 seconds", "hour"."""
    unit, unit_ms = next(found for found in _UNITS if ms % found[1] == 0)
    return _counted(ms // unit_ms, unit).removeprefix("1 ")


def rule(rule: Rule) -> str:
    """The times and the days of a wall-clock rule."""
    days = rule.days
    words = (_times(rule), _days(days), _months(days), _years(days))
    return " ".join(part for part in words if part)


def times_of_day(hours: tuple[int, ...], minutes: tuple[int, ...], seconds: tuple[int, ...]) -> str:
    """Times of day as a list or a pattern: "at 09:00 and 17:00"."""
    return _times(Rule(Days(tuple(range(1, 13))), hours, minutes, seconds, interval_like=False))


def months(values: Sequence[int]) -> str:
    """Months by name: "January to March and June"."""
    return joined(runs(values, lambda month: _MONTHS[month - 1]))


def _times(rule: Rule) -> str:
    hours, minutes, seconds = rule.hours, rule.minutes, rule.seconds
    by_the_hour = rule.interval_like and minutes == (0,) and seconds == (0,)
    if by_the_hour and (cycle := _cycle(hours, 24, "hour")):
        return cycle
    if len(hours) * len(minutes) * len(seconds) <= _TIMES_LISTED:
        shown = "{:02}:{:02}" if seconds == (0,) else "{:02}:{:02}:{:02}"
        return "at " + joined(
            shown.format(hour, minute, second)
            for hour in hours
            for minute in minutes
            for second in seconds
        )
    return " ".join(part for part in (_seconds(rule), _minutes(rule), _hours(rule)) if part)


def _seconds(rule: Rule) -> str:
    if rule.seconds == (0,):
        return ""
    return _cycle(rule.seconds, 60, "second") or _numbered("at", "second", rule.seconds)


def _minutes(rule: Rule) -> str:
    after_seconds = rule.seconds != (0,)
    if after_seconds and len(rule.minutes) == 60:
        return "" if _cycle(rule.seconds, 60, "second") else "of every minute"
    if after_seconds:
        return _numbered("of", "minute", rule.minutes)
    return _cycle(rule.minutes, 60, "minute") or _numbered("at", "minute", rule.minutes)


def _hours(rule: Rule) -> str:
    hours = rule.hours
    if len(hours) == 24:
        every_minute = len(rule.minutes) == 60
        cycle = rule.seconds == (0,) and _cycle(rule.minutes, 60, "minute")
        return "" if every_minute or cycle else "of every hour"
    if hours == tuple(range(hours[0], hours[-1] + 1)):
        return f"from {hours[0]:02}:00 to {hours[-1]:02}:59"
    return _numbered("of", "hour", hours)


def _days(days: Days) -> str:
    nth, plain = _nth_weekdays(days), _weekdays(days)
    by_week = f"{plain} and {nth}" if nth and plain else nth or plain
    if days.of_month is None:
        return by_week if not days.either else ""
    by_month = "on the " + joined([*runs(days.of_month, ordinal), *map(_nearest, days.nearest)])
    if not by_week:
        return "" if days.either else by_month
    return f"{by_month} or {by_week}" if days.either else f"{by_week}, only {by_month}"


def _weekdays(days: Days) -> str:
    wanted = days.of_week
    if wanted is None:
        return ""
    if len(wanted) > 2 and wanted == tuple(range(wanted[0], wanted[-1] + 1)):
        return f"from {WEEKDAYS[wanted[0]]} to {WEEKDAYS[wanted[-1]]}"
    return "on " + joined(f"{WEEKDAYS[day]}s" for day in wanted)


def _nth_weekdays(days: Days) -> str:
    if not days.nth_of_week:
        return ""
    return "on the " + joined(f"{NTH[n]} {WEEKDAYS[day]}" for day, n in days.nth_of_week)


def _months(days: Days) -> str:
    if len(days.months) == 12:
        return ""
    return "in " + months(days.months)


def _years(days: Days) -> str:
    """The years after the months: "of 2027", "in 2027 to 2030"; long lists by their ends."""
    if days.years is None:
        return ""
    named = list(runs(days.years, str))
    if len(named) > _YEARS_LISTED:
        return f"in {len(days.years)} years from {days.years[0]} to {days.years[-1]}"
    return f"{'of' if len(days.months) < 12 else 'in'} {joined(named)}"


def _cycle(values: Sequence[int], size: int, unit: str) -> str:
    """ "every 5 minutes" if the values are evenly spread over the field, else ""."""
    step = size // len(values)
    if len(values) == 1 or tuple(values) != tuple(range(0, size, step)) or size % step:
        return ""
    return "every " + (unit if step == 1 else f"{step} {unit}s")


def _numbered(word: str, unit: str, values: Sequence[int]) -> str:
    return f"{word} {unit}{'s' if len(values) > 1 else ''} {joined(runs(values, str))}"


def runs(values: Sequence[int], named: Callable[[int], str]) -> Iterable[str]:
    """The values by name; three or more in a row become "a to c"."""
    start = 0
    for i, value in enumerate(values):
        if i + 1 < len(values) and values[i + 1] == value + 1 and value != LAST:
            continue
        if i - start >= 2:
            yield f"{named(values[start])} to {named(value)}"
        else:
            yield from map(named, values[start : i + 1])
        start = i + 1


def _nearest(day: int) -> str:
    if day == LAST:
        return "last weekday of the month"
    return f"weekday nearest to the {ordinal(day)}"


def ordinal(day: int) -> str:
    """A day of month as an ordinal: "1st", "22nd", "last day of the month"."""
    if day == LAST:
        return "last day of the month"
    if day < LAST:
        return f"{ordinal(LAST - day)} day before the last of the month"
    ending = "th" if 10 < day < 20 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"{day}{ending}"


def joined(parts: Iterable[str]) -> str:
    """A list in words: "a, b and c"."""
    *most, last = parts
    return f"{', '.join(most)} and {last}" if most else last


def _counted(count: int, unit: str) -> str:
    return f"{count} {unit}{'' if count == 1 else 's'}"
