"""Celery's crontab.

Its five fields are ANDed: a day must match the day of week *and* the day of month. No cron string
can express that, so crontab is a kind of its own and is never converted to one. The fields have
the same meaning as in `celery.schedules.crontab`. This parser is stricter only where Celery
silently ignores invalid text: anything after a range or a step, and names in the wrong field.

Celery's own search for the next time loses the repeated hour in autumn. This one does not: see
`wallclock`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import NoneType
from typing import Any, ClassVar, NamedTuple, Self, cast

from habeat.errors import ValidationError
from habeat.schedules.field_rule import RULES_KEPT, Days, Rule
from habeat.schedules.local import Fold, Gap, LocalSchedule
from habeat.schedules.registry import register

Field = int | str | Iterable[int]

#: Enough to list every value of a field.
FIELD_MAX_CHARS = 1_000

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")

_TEXT = (str, NoneType)
_DIGITS = r"[0-9]{1,4}"
_BOUND = rf"{_DIGITS}|[a-z]+"
_PART = re.compile(
    rf"(?:(?P<star>\*)|(?P<low>{_BOUND})(?:-(?P<high>{_BOUND}))?)(?:/(?P<step>{_DIGITS}))?"
)


class _Scale(NamedTuple):
    """The values that a field can have. Only a name's first three letters count, as in Celery."""

    low: int
    high: int
    names: tuple[str, ...] = ()


_SCALES = {
    "minute": _Scale(0, 59),
    "hour": _Scale(0, 23),
    "day_of_week": _Scale(0, 6, WEEKDAYS),
    "day_of_month": _Scale(1, 31),
    "month_of_year": _Scale(1, 12, MONTHS),
}


@register
@dataclass(frozen=True, repr=False, init=False)
class Crontab(LocalSchedule):
    """Celery's crontab with a zone and policies for clock changes.

    A field is a number, a string or an iterable of numbers, and is kept as a string. Sunday is 0.
    Raises ValidationError, which names the field, for what Celery's crontab does not allow.
    """

    kind: ClassVar[str] = "crontab"
    arithmetic: ClassVar[bool] = True

    minute: str = "*"
    hour: str = "*"
    day_of_week: str = "*"
    day_of_month: str = "*"
    month_of_year: str = "*"
    tz: str | None = None
    gap: Gap = "shift"
    fold: Fold = "auto"

    def __init__(
        self,
        minute: Field = "*",
        hour: Field = "*",
        day_of_week: Field = "*",
        day_of_month: Field = "*",
        month_of_year: Field = "*",
        tz: str | None = None,
        gap: Gap = "shift",
        fold: Fold = "auto",
    ) -> None:
        given = (minute, hour, day_of_week, day_of_month, month_of_year)
        fields = {name: _written(name, spec) for name, spec in zip(_SCALES, given, strict=True)}
        for name, value in {**fields, "tz": tz, "gap": gap, "fold": fold}.items():
            object.__setattr__(self, name, value)
        self._follow(_rule(tuple(fields.values())))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The schedule that `to_json` returned.

        Equal definitions share one object if all their values are text: making one takes longer
        than reading the rest of an entry, and thousands are due at :00.
        """
        if _is_all_text(data):
            return cast(Self, _of_text(cls, tuple(data.items())))
        return super().from_json(data)


def _is_all_text(data: object) -> bool:
    return isinstance(data, Mapping) and all(type(each) in _TEXT for each in data.values())


@lru_cache(RULES_KEPT)
def _of_text(cls: type[Crontab], items: tuple[tuple[str, Any], ...]) -> Crontab:
    return super(Crontab, cls).from_json(dict(items))


def expand(field: str, spec: str) -> tuple[int, ...]:
    """The sorted values of one field's expression, e.g. ``"1-5,*/15"``.

    Raises ValidationError, which names the field.
    """
    values: set[int] = set()
    for part in spec.split(","):
        values.update(_expand_part(field, part, spec))
    return tuple(sorted(values))


def _expand_part(field: str, part: str, spec: str) -> list[int]:
    low, high, _ = _SCALES[field]
    match = _PART.fullmatch(part)
    if match is None or (match["step"] and not match["star"] and not match["high"]):
        raise _refused(field, spec)
    step = int(match["step"] or 1)
    if step == 0:
        raise _refused(field, spec)
    if match["star"]:
        return list(range(low, high + 1, step))
    first = _number(field, match["low"], spec)
    last = _number(field, match["high"], spec) if match["high"] else first
    if first <= last:
        return list(range(first, last + 1, step))
    return [*range(first, high + 1), *range(low, last + 1)][::step]  # wraps: fri-mon, 22-2


def _number(field: str, text: str, spec: str) -> int:
    low, high, names = _SCALES[field]
    if text.isdigit():
        number = int(text)
    elif text[:3] in names:
        number = names.index(text[:3]) + low
    else:
        raise _refused(field, spec)
    if not low <= number <= high:
        raise _refused(field, spec)
    return number


def _written(field: str, spec: object) -> str:
    """A field's value as the string that is stored."""
    if isinstance(spec, str) and len(spec) > FIELD_MAX_CHARS:
        raise ValidationError(field, f"{spec[:50]}…", f"at most {FIELD_MAX_CHARS} characters")
    if isinstance(spec, str):
        return ",".join(part.strip() for part in spec.lower().split(","))
    if isinstance(spec, int) and not isinstance(spec, bool):
        return str(spec)
    if not isinstance(spec, Iterable) or isinstance(spec, bytes | bool):
        raise _refused(field, spec)
    numbers = list(cast("Iterable[object]", spec))
    if not numbers or not all(isinstance(n, int) and not isinstance(n, bool) for n in numbers):
        raise _refused(field, numbers)
    return ",".join(str(n) for n in sorted(set(cast("list[int]", numbers))))


def _refused(field: str, given: object) -> ValidationError:
    low, high, names = _SCALES[field]
    named = f" or {names[0]}–{names[-1]}" if names else ""
    sunday = " (Sunday is 0)" if field == "day_of_week" else ""
    example = f"'{low}', '{low + 1}-{low + 3}', '{low},{low + 2}' or '*/2'"
    return ValidationError(field, given, f"{low}–{high}{named}{sunday}, such as {example}")


@lru_cache(RULES_KEPT)
def _rule(specs: tuple[str, ...]) -> Rule:
    """The rule of these fields, cached: thousands of entries share a few."""
    fields = dict(zip(_SCALES, specs, strict=True))
    values = {name: expand(name, spec) for name, spec in fields.items()}
    days = Days(
        months=values["month_of_year"],
        of_month=_unless_all(values["day_of_month"], 31),
        of_week=_unless_all(values["day_of_week"], 7),
    )
    if not days.possible():
        day, month = fields["day_of_month"], fields["month_of_year"]
        raise ValidationError("day_of_month", day, f"a day that occurs in month_of_year {month!r}")
    timed = fields["hour"] + fields["minute"]
    interval_like = any(sign in timed for sign in "*-/")
    return Rule(days, values["hour"], values["minute"], interval_like=interval_like)


def _unless_all(values: tuple[int, ...], every: int) -> tuple[int, ...] | None:
    return None if len(values) == every else values
