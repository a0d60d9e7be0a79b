"""Cron expressions: five fields, six with the seconds first, or seven with the years last as well.

croniter parses each field; this module decides which days and times the fields mean and when they
occur. Day of month and day of week combine as in Vixie cron: either may match, unless one of the
two fields begins with a star; then both must match. A plus before the day of week demands both, as
in croner: ``0 0 13 * +5`` is Friday the 13th.

`L-3` is the third day before the last day of the month, as in Quartz. `15W` is the weekday (Monday
to Friday) nearest to the 15th in the same month; for `1W`, a 1st on a Saturday gives the 3rd. `LW`
is the last weekday of the month, `L-1W` the one nearest to the day before the last. croniter knows
none of these, so they are removed before it parses. `5L` is read as `L5`, the last Friday, because
other crons write it so. Plain weekdays and those with # or L are parsed separately: croniter would
not say which is which.

`H` is a value hashed from the entry's name, so that a hundred nightly jobs do not all start at
02:00; it is known only once the schedule is bound to an entry. Two forms are refused by name: `R`,
because each process would draw another random value and replicas would disagree, and ranges such
as ``5-5``, which croniter reads as the whole field and other crons as 5.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby, pairwise
from typing import Any, ClassVar

from habeat.errors import ValidationError
from habeat.schedules import search_budget
from habeat.schedules.crontab import WEEKDAYS, Crontab
from habeat.schedules.field_rule import LAST, RULES_KEPT, Days, Rule
from habeat.schedules.local import Fold, Gap, LocalSchedule
from habeat.schedules.registry import register
from habeat.schedules.schedule import Schedule

#: Enough to list every value of every field.
TEXT_MAX_CHARS = 2_000

_NAMES = ("second", "minute", "hour", "day_of_month", "month", "day_of_week")
_RANGES = ((0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
_OWN = {
    "day_of_month": (
        ", L (the last day), L-3 (three days before it), 15W or LW (the nearest weekday)"
    ),
    "month": ", jan–dec",
    "day_of_week": ", sun–sat (Sunday is 0 or 7), 5#2 (the second Friday), L5 (the last)",
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
FIRST_YEAR, LAST_YEAR = 1970, 2099
_YEARS = re.compile(r"(?:\*|(\d{4})(?:-(\d{4}))?)(?:/(\d{1,3}))?", re.ASCII)
_HASHED = re.compile(r"h(\(\d+-\d+\))?(/\d+)?", re.ASCII)
_EQUAL_RANGE = re.compile(r"(\w+)-\1(/.*)?", re.ASCII)
_BEFORE_LAST = re.compile(r"l-([1-9]|[12]\d|30)", re.ASCII)
_NEAREST = re.compile(r"(l|l-(?:[1-9]|[12]\d|30)|[1-9]|[12]\d|3[01])w", re.ASCII)
_FULL_NAME = re.compile(
    # Whole words only, with or without the L of "fridayL".
    r"(?<![a-z])(sun|mon|tues|wednes|thurs|fri|satur)day(?=l?(?![a-z]))"
    r"|(?<![a-z])(january|february|march|april|june|july|august|september|october|november"
    r"|december)(?![a-z])"
)
_ZONE_PREFIX = re.compile(r"(?:cron_)?tz=(\S+)", re.IGNORECASE)
_LAST_OF_WEEK = re.compile(rf"(\d|{'|'.join(WEEKDAYS)})l", re.ASCII)
_NTH = re.compile(r"\w+(-\w+)?#\d+|l\d", re.ASCII)


@register
@dataclass(frozen=True, repr=False)
class Cron(LocalSchedule):
    """A cron expression with a zone and policies for clock changes.

    `hash_id` is what `H` is hashed from; `bound` sets it to the entry's name if the expression has
    an `H`. Raises ValidationError, which names the field, for an invalid expression.
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
        # Without a name, parse an H with any name, to find errors now and not when it is bound.
        name = self.hash_id if self.hash_id is not None else ""
        self._follow(_rule(self.expression, tuple(fields), name))
        if self._needs_name():
            object.__setattr__(self, "_next", self._refuse)

    def bound(self, name: str, timezone: str) -> Schedule:
        """The same rule with an explicit zone, and with the name that `H` is hashed from."""
        changes: dict[str, Any] = {"tz": timezone} if self.tz is None else {}
        if self._needs_name():
            changes["hash_id"] = name
        return self._with(**changes) if changes else self

    def as_crontab(self) -> Crontab | None:
        """The same rule as Celery's crontab; None if it has none.

        A crontab has no seconds, no years, no special days, and demands both day fields.
        """
        rule = self._rule
        if self._needs_name() or not isinstance(rule, Rule) or rule.seconds != (0,):
            return None
        days = rule.days
        either = days.either and days.of_month is not None and days.of_week is not None
        from_the_end = any(day < 0 for day in days.of_month or ())
        if days.nth_of_week or days.nearest or days.years or either or from_the_end:
            return None
        return Crontab(
            minute=_as_field(rule.minutes, 1),
            hour=_as_field(rule.hours, 2),
            day_of_month=_as_field(days.of_month, 3),
            month_of_year=_as_field(days.months, 4),
            day_of_week=_as_field(days.of_week, 5),
            tz=self.tz,
            gap=self.gap,
            fold=self.fold,
        )

    def count_shared(self, other: Cron, after_ms: int, until_ms: int) -> int | None:
        """How many slots in ``after < slot <= until`` both have.

        None if that is not a matter of arithmetic: they have other days, zones or policies, or name
        fixed times of day, which a change of the clocks shifts onto each other.
        """
        mine, theirs = self._rule, other._rule
        alike = (self.tz, self.gap, self.fold) == (other.tz, other.gap, other.fold)
        days = [each.expression.split()[-3:] for each in (self, other)]
        if not (isinstance(mine, Rule) and isinstance(theirs, Rule) and alike):
            return None
        if days[0] != days[1] or len(days[0]) < 3 or mine.days.years or theirs.days.years:
            return None
        if not (mine.interval_like and theirs.interval_like):
            return None
        fields = [
            tuple(sorted({*getattr(mine, name)} & {*getattr(theirs, name)}))
            for name in ("hours", "minutes", "seconds")
        ]
        if not all(fields):
            return 0
        rule = Rule(mine.days, *fields, interval_like=True)
        search_budget.begin(search_budget.COUNT_STEPS)
        try:
            return self._clock.count(rule, after_ms, until_ms)
        except search_budget.TooManySteps:
            return None

    def describe(self) -> str:
        if self._needs_name():
            return f"{self.expression} (H is chosen from the entry's name){self._place()}"
        return super().describe()

    def _needs_name(self) -> bool:
        return self.hash_id is None and any(map(_is_hashed, _fields(self.expression)))

    def _refuse(self, after_ms: int) -> int | None:
        raise ValidationError(
            "expression", self.expression, "an entry's name for the H: call bound(name, timezone)"
        )


def _fields(expression: object) -> list[str]:
    """The seven fields in lower case: seconds first, years last."""
    if not isinstance(expression, str) or not expression.isascii():
        raise ValidationError("expression", expression, "a cron expression as a string")
    if len(expression) > TEXT_MAX_CHARS:
        raise ValidationError(
            "expression", f"{expression[:50]}…", f"at most {TEXT_MAX_CHARS} characters"
        )
    text = expression.strip().lower()
    fields = _MACROS.get(text, text).split()
    if text.startswith("@") and text not in _MACROS:
        raise ValidationError("expression", expression, "one of " + ", ".join(_MACROS))
    if zone := _ZONE_PREFIX.match(text):
        written = expression.strip()[zone.start(1) : zone.end(1)]
        allowed = f"the fields alone, and the time zone as the argument tz={written!r}"
        raise ValidationError("expression", expression, allowed)
    if len(fields) not in (5, 6, 7):
        allowed = "5 fields, 6 with the seconds first, or 7 with the years last"
        raise ValidationError("expression", expression, allowed)
    if len(fields) == 6 and re.fullmatch(r"\d{4}.*", fields[5]):
        allowed = f"seconds first if there is a year: {' '.join(['0', *fields])!r}"
        raise ValidationError("year", fields[5], allowed)
    return ["0"] * (len(fields) == 5) + fields + ["*"] * (len(fields) < 7)


@lru_cache(RULES_KEPT)
def _rule(expression: str, fields: tuple[str, ...], hash_id: str) -> Rule:
    wanted_years = _years(fields[6])
    both = fields[5].startswith("+")
    # Vixie cron: either day field may match, unless one begins with a star; then both must.
    either = not both and not fields[3].startswith(("*", "?")) and fields[5][0] not in "*?"
    of_week_field = fields[5].removeprefix("+")
    short = [_FULL_NAME.sub(_short_name, field) for field in (*fields[:5], of_week_field)]
    for name, field in zip(_NAMES, short, strict=True):
        _check_wording(name, field)
    seconds, minutes, hours, months = (
        _numbers(_parsed(index, short[index], hash_id)[0], index) for index in (0, 1, 2, 4)
    )
    of_month, nearest = _days_of_month(short[3], hash_id)
    of_week, nth_of_week = _days_of_week(short[5], hash_id)
    days = Days(
        months=months,
        of_month=of_month,
        of_week=of_week,
        nth_of_week=nth_of_week,
        either=either,
        nearest=nearest,
        years=wanted_years,
    )
    if not days.possible():
        in_years = "" if wanted_years is None else f" of the years {fields[6]!r}"
        allowed = f"a day that occurs in month {fields[4]!r}{in_years} (in {expression!r})"
        raise ValidationError("day_of_month", fields[3], allowed)
    interval_like = any(map(_counts_elapsed_time, fields[:3]))
    return Rule(days, hours, minutes, seconds, interval_like=interval_like)


def _days_of_month(field: str, hash_id: str) -> tuple[tuple[int, ...] | None, tuple[int, ...]]:
    """The days of month, None for any, and the days with a W."""
    parts = field.split(",")
    nearest = {_day(match[1]) for part in parts if (match := _NEAREST.fullmatch(part))}
    before_last = {_day(part) for part in parts if _BEFORE_LAST.fullmatch(part)}
    plain = [p for p in parts if not (_NEAREST.fullmatch(p) or _BEFORE_LAST.fullmatch(p))]
    if not any(plain) and (nearest or before_last):  # "15W," has always been the same as 15W
        return tuple(sorted(before_last)), tuple(sorted(nearest))
    values, _ = _parsed(3, ",".join(plain), hash_id)
    of_month = None if values == _ALL else tuple(sorted({*_numbers(values, 3), *before_last}))
    return of_month, tuple(sorted(nearest))


def _day(text: str) -> int:
    """A day of month: L is the last day, L-3 three days before it."""
    return LAST - int(text[2:] or 0) if text.startswith("l") else int(text)


def _days_of_week(
    field: str, hash_id: str
) -> tuple[tuple[int, ...] | None, tuple[tuple[int, int], ...]]:
    """The weekdays, None for any, and the n-th weekdays as (weekday, n)."""
    parts = _last_first(field).split(",")
    numbered = [part for part in parts if _NTH.fullmatch(part)]
    plain = [part for part in parts if not _NTH.fullmatch(part)]
    nth = _parsed(5, ",".join(numbered), hash_id)[1] if numbered else ()
    values = _parsed(5, ",".join(plain), hash_id)[0] if plain else _ALL
    return None if values == _ALL else _numbers(values, 5), nth


def _short_name(name: re.Match[str]) -> str:
    return name[0][:3]


def _parsed(
    index: int, field: str, hash_id: str
) -> tuple[tuple[Any, ...], tuple[tuple[int, int], ...]]:
    """The values of one field as croniter reads it, and its n-th weekdays as (weekday, n)."""
    if not all(field.split(",")):  # croniter would see one field less
        raise _refused(index, field)
    return _expanded(index, field, hash_id if _is_hashed(field) else None)


# croniter takes 70 µs per field, and most entries share a few different fields.
@lru_cache(maxsize=4096)
def _expanded(
    index: int, field: str, hash_id: str | None
) -> tuple[tuple[Any, ...], tuple[tuple[int, int], ...]]:
    # Slow to import; a process that only looks at the schedule may never parse an expression.
    from croniter import CroniterError, croniter

    # Parse the field alone, with stars for the others.
    stars = ["*"] * 6
    # An H for the day of month must yield a day that every month has.
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


def _last_first(field: str) -> str:
    """The field with 5L or FRIL, the last Friday, rewritten to croniter's L5."""

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


def _as_field(values: tuple[int, ...] | None, index: int) -> str:
    """The values in the words that all crons have: `*`, `*/15`, or a list with ranges."""
    low, high = _RANGES[index]
    if values is None:
        return "*"
    steps = {later - value for value, later in pairwise(values)}
    step = steps.pop() if len(steps) == 1 else 0
    if step and values == tuple(range(low, high + 1, step)):
        return "*" if step == 1 else f"*/{step}"
    runs = [
        [value for _, value in run]
        for _, run in groupby(enumerate(values), lambda item: item[1] - item[0])
    ]
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def _check_wording(name: str, field: str) -> None:
    """Refuse forms that croniter would misread or drop."""
    parts = field.split(",")
    if any(part.startswith("r") for part in parts):
        raise ValidationError(name, field, "H instead of R, which differs in each process")
    days_with_w = [part for part in parts if "w" in part and name == "day_of_month"]
    if not all(map(_NEAREST.fullmatch, days_with_w)):
        raise ValidationError(name, field, "W only after a single day or L: 15W, 1W,15W, LW, L-1W")
    if any(_EQUAL_RANGE.fullmatch(part) for part in parts):
        raise ValidationError(name, field, "a single value or *, not a range of one value")
    if name == "day_of_week":
        nth = [_NTH.fullmatch(part) is not None for part in _last_first(field).split(",")]
        if any(nth) and any(part.startswith(("*", "?")) for part in parts):
            raise ValidationError(name, field, "days beside # or L without *, which has every day")


def _refused(index: int, field: str) -> ValidationError:
    low, high = _RANGES[index]
    own = _OWN.get(_NAMES[index], "")
    allowed = f"{low}–{high}{own}, *, lists, ranges, steps or H"
    return ValidationError(_NAMES[index], field, allowed)


def _is_hashed(field: str) -> bool:
    return _HASHED.fullmatch(field) is not None


def _counts_elapsed_time(field: str) -> bool:
    # H(0-29) is one value chosen from a range, not a range.
    return any(sign in re.sub(r"\(.*\)", "", field) for sign in "*-/")


def _years(field: str) -> tuple[int, ...] | None:
    """The years of a field such as "2027", "2027-2030", "2027/3" or "*/2"; None for every year."""
    found: set[int] = set()
    for part in field.split(","):
        found.update(_years_of(part, field))
    wanted = tuple(sorted(found))
    return None if len(wanted) == LAST_YEAR - FIRST_YEAR + 1 and "*" in field else wanted


def _years_of(part: str, field: str) -> range:
    match = _YEARS.fullmatch(part)
    if match is not None:
        first, last, step = int(match[1] or FIRST_YEAR), match[2], int(match[3] or 1)
        # A step after a single year goes on from it, as in the other fields.
        end = first if match[1] and not (last or match[3]) else int(last or LAST_YEAR)
        if FIRST_YEAR <= first <= end <= LAST_YEAR and step:
            return range(first, end + 1, step)
    allowed = f"{FIRST_YEAR}–{LAST_YEAR}, *, lists, ranges (2027-2030) or steps (*/2, 2027/2)"
    raise ValidationError("year", field, allowed)
