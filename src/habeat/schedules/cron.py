"""Cron expressions: five fields, or six with the seconds first.

croniter parses, field by field; which days and times that means, and when they come, is decided
here. Day of the month and day of the week are combined as Vixie cron does it: either may match,
unless one of the two begins with a star, then both must.

`15W` is the Monday to Friday nearest to the 15th, in the same month (the 1st, a Saturday, makes it
the 3rd); `LW` is the last Monday to Friday. croniter knows neither: they are taken out before.
`5L` is read as `L5`, the last Friday, for other crons write it so.

`H` is a value hashed from the entry's name, so that a hundred nightly jobs do not all start at
02:00; it is known only once the schedule is bound to an entry. Refused by name are `R` (a value
drawn anew in every process: replicas would disagree) and ranges such as ``5-5`` (croniter reads
those as the whole field, other crons as 5).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

from croniter import CroniterError, croniter

from habeat.errors import ValidationError
from habeat.schedules.crontab import WEEKDAYS
from habeat.schedules.field_rule import LAST, RULES_KEPT, Days, Rule
from habeat.schedules.local import Fold, Gap, LocalSchedule
from habeat.schedules.registry import register
from habeat.schedules.schedule import Schedule

#: More than every value of every field, written out.
TEXT_MAX_CHARS = 2_000

_NAMES = ("second", "minute", "hour", "day_of_month", "month", "day_of_week")
_RANGES = ((0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
_OWN = {
    "day_of_month": ", L (the last), 15W and LW (the nearest weekday)",
    "month": " or jan to dec",
    "day_of_week": " or sun to sat (Sunday is 0 or 7), 5#2 (the second Friday), L5 (the last)",
}
_MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_ALL = ("*",)
_HASHED = re.compile(r"h(\(\d+-\d+\))?(/\d+)?", re.ASCII)
_EQUAL_RANGE = re.compile(r"(\w+)-\1(/.*)?", re.ASCII)
_NEAREST = re.compile(r"(l|[1-9]|[12]\d|3[01])w", re.ASCII)
_LAST_OF_WEEK = re.compile(rf"(\d|{'|'.join(WEEKDAYS)})l", re.ASCII)
_NTH = re.compile(r"\w+(-\w+)?#\d+|l\d", re.ASCII)


@register
@dataclass(frozen=True, repr=False)
class Cron(LocalSchedule):
    """A cron expression with a zone and policies for the change of clocks.

    `hash_id` is what `H` is hashed from; `bound` sets it to the entry's name where the expression
    has an `H`. Raises ValidationError, naming the field, for what cannot be read.
    """

    kind: ClassVar[str] = "cron"
    arithmetic: ClassVar[bool] = True

    expression: str
    tz: str | None = None
    gap: Gap = "shift"
    fold: Fold = "auto"
    hash_id: str | None = None

    def __post_init__(self) -> None:
        fields = _fields(self.expression)
        if self.hash_id is not None and not isinstance(self.hash_id, str):
            raise ValidationError("hash_id", self.hash_id, "a string, or None")
        object.__setattr__(self, "expression", " ".join(self.expression.split()))
        # An H without a name is read with some name, to find what is wrong with it early.
        name = self.hash_id if self.hash_id is not None else ""
        self._follow(_rule(self.expression, tuple(fields), name))
        if self._needs_name():
            object.__setattr__(self, "_next", self._refuse)

    def bound(self, name: str, timezone: str) -> Schedule:
        """The same rule with its zone written down, and the name that `H` is hashed from."""
        changes: dict[str, Any] = {"tz": timezone} if self.tz is None else {}
        if self._needs_name():
            changes["hash_id"] = name
        return self._with(**changes) if changes else self

    def describe(self) -> str:
        if self._needs_name():
            return f"{self.expression} (H is chosen from the entry's name){self._place()}"
        return super().describe()

    def _needs_name(self) -> bool:
        return self.hash_id is None and any(map(_is_hashed, _fields(self.expression)))

    def _refuse(self, after_ms: int) -> int | None:
        raise ValidationError(
            "expression", self.expression, "an H only with an entry's name: bound(name, timezone)"
        )


def _fields(expression: object) -> list[str]:
    """The six fields in lower case, seconds first."""
    if not isinstance(expression, str) or not expression.isascii():
        raise ValidationError("expression", expression, "a cron expression as a string")
    if len(expression) > TEXT_MAX_CHARS:
        raise ValidationError(
            "expression", f"{expression[:50]}…", f"{TEXT_MAX_CHARS} characters at most"
        )
    text = expression.strip().lower()
    fields = _MACROS.get(text, text).split()
    if text.startswith("@") and text not in _MACROS:
        raise ValidationError("expression", expression, "one of " + ", ".join(_MACROS))
    if len(fields) not in (5, 6):
        raise ValidationError("expression", expression, "5 fields, or 6 with the seconds first")
    return fields if len(fields) == 6 else ["0", *fields]


@lru_cache(RULES_KEPT)
def _rule(expression: str, fields: tuple[str, ...], hash_id: str) -> Rule:
    for name, field in zip(_NAMES, fields, strict=True):
        _check_wording(name, field)
    plain_days, nearest = _without_nearest(fields[3])
    readable = [*fields[:3], plain_days or "*", fields[4], _last_first(fields[5])]
    parsed = [
        _parsed(index, field, hash_id if _is_hashed(field) else None)
        for index, field in enumerate(readable)
    ]
    seconds, minutes, hours, of_month, months, of_week = (values for values, _ in parsed)
    if not plain_days:
        of_month = ()
    days = Days(
        months=_numbers(months, 4),
        of_month=None if of_month == _ALL else _numbers(of_month, 3),
        of_week=None if of_week == _ALL else _numbers(of_week, 5),
        nth_of_week=parsed[5][1],
        either=not fields[3].startswith(("*", "?")) and not fields[5].startswith(("*", "?")),
        nearest=nearest,
    )
    if not days.possible():
        allowed = f"a day that month {fields[4]!r} has (in {expression!r})"
        raise ValidationError("day_of_month", fields[3], allowed)
    return Rule(
        days,
        _numbers(hours, 2),
        _numbers(minutes, 1),
        _numbers(seconds, 0),
        interval_like=any(map(_counts_elapsed_time, fields[:3])),
    )


# croniter takes 70 us for a field, and many entries share the few that there are.
@lru_cache(maxsize=4096)
def _parsed(
    index: int, field: str, hash_id: str | None
) -> tuple[tuple[Any, ...], tuple[tuple[int, int], ...]]:
    """What croniter makes of one field, the others being stars; and its n-th weekdays."""
    stars = ["*"] * 6
    # Any H for a day of the month is one that every month has.
    stars[index] = "h(1-28)" if index == 3 and field == "h" else field
    try:
        expanded, nth = croniter.expand(
            " ".join(stars),
            hash_id=None if hash_id is None else hash_id.encode("utf-8", "surrogatepass"),
            second_at_beginning=True,
        )
    except CroniterError:
        raise _refused(index, field) from None
    # croniter moves the seconds to the end.
    values = tuple(expanded[(index - 1) % 6])
    weekdays: dict[Any, set[Any]] = dict(nth)
    return values, tuple(
        sorted((weekday, LAST if n == "l" else n) for weekday, ns in weekdays.items() for n in ns)
    )


def _without_nearest(field: str) -> tuple[str, tuple[int, ...]]:
    """The days of the month that croniter can read, and those with a W."""
    nearest = [_NEAREST.fullmatch(part) for part in field.split(",")]
    days = {LAST if match[1] == "l" else int(match[1]) for match in nearest if match}
    plain = [part for part in field.split(",") if not _NEAREST.fullmatch(part)]
    return ",".join(plain), tuple(sorted(days))


def _last_first(field: str) -> str:
    """The last Friday as croniter wants it, L5, where it is written 5L or FRIL."""

    def turned(part: str) -> str:
        match = _LAST_OF_WEEK.fullmatch(part)
        if match is None:
            return part
        return f"l{WEEKDAYS.index(match[1]) if match[1] in WEEKDAYS else match[1]}"

    return ",".join(map(turned, field.split(",")))


def _numbers(values: tuple[Any, ...], index: int) -> tuple[int, ...]:
    if "*" in values:
        low, high = _RANGES[index]
        return tuple(range(low, high + 1))
    return tuple(sorted(LAST if value == "l" else value for value in values))


def _check_wording(name: str, field: str) -> None:
    """Refuse by name what croniter would read in a way of its own, or lose."""
    parts = field.split(",")
    if any(part.startswith("r") for part in parts):
        raise ValidationError(name, field, "no R: it differs in each process; H is stable")
    days_with_w = [part for part in parts if "w" in part and name == "day_of_month"]
    if not all(map(_NEAREST.fullmatch, days_with_w)):
        raise ValidationError(name, field, "W behind a single day or L only: 15W, 1W,15W, LW")
    if any(_EQUAL_RANGE.fullmatch(part) for part in parts):
        raise ValidationError(name, field, "no range of one value: write the value, or *")
    if name == "day_of_week":
        nth = [_NTH.fullmatch(part) is not None for part in _last_first(field).split(",")]
        if any(nth) and not all(nth):
            raise ValidationError(name, field, "either plain days or # and L, not both")


def _refused(index: int, field: str) -> ValidationError:
    low, high = _RANGES[index]
    own = _OWN.get(_NAMES[index], "")
    allowed = f"{low} to {high}{own}, *, lists, ranges, steps, H"
    return ValidationError(_NAMES[index], field, allowed)


def _is_hashed(field: str) -> bool:
    return _HASHED.fullmatch(field) is not None


def _counts_elapsed_time(field: str) -> bool:
    # The range in H(0-29) is what the one value is chosen from.
    return any(sign in re.sub(r"\(.*\)", "", field) for sign in "*-/")
