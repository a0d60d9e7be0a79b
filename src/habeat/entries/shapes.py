"""Checks of the type and range of the fields of a stored record.

Anyone who can write to Redis can put any JSON into any field. A record that passes these checks is
safe to plan, compare, add up and print. One that fails is unreadable as a whole: the error names
the field, the entry is quarantined, and a request is given up. Only fields that are present are
checked, because a start with a hundred thousand entries reads as many definitions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from habeat.core.entry import PACE_MAX
from habeat.errors import ValidationError
from habeat.printable import kind_of
from habeat.schedules.schedule import FIRST_MS, LAST_MS

#: The limit of counters and revisions: a double, and so Lua, is exact up to here.
WHOLE_MAX = 2**53

Check = tuple[Callable[[Any], bool], str]


def is_whole(value: object, least: int = 0, most: int = WHOLE_MAX) -> bool:
    """Whether `value` is an integer within these bounds, and not a bool."""
    return type(value) is int and least <= value <= most


def is_instant(value: object) -> bool:
    """Whether `value` is Unix milliseconds that a datetime can represent."""
    return is_whole(value, FIRST_MS, LAST_MS)


def is_pace(value: object) -> bool:
    """Whether `value` is a pace in firings per second."""
    return type(value) in (int, float) and math.isfinite(value) and 0 < value <= PACE_MAX  # type: ignore[arg-type,operator]


def _or_none(check: Callable[[Any], bool], allowed: str) -> Check:
    return (lambda value: value is None or check(value)), f"{allowed}, or null"


_INSTANT: Check = (is_instant, "an instant, whole milliseconds")

REQUEST: Mapping[str, Check] = {
    "kind": (lambda value: value in ("trigger", "backfill"), "'trigger' or 'backfill'"),
    "entry": (lambda value: isinstance(value, str) and bool(value), "an entry's name"),
    "at_ms": _INSTANT,
    "args": _or_none(lambda value: isinstance(value, list), "a JSON list"),
    "kwargs": _or_none(lambda value: isinstance(value, dict), "a JSON object"),
    "cursor_ms": _INSTANT,
    "end_ms": _INSTANT,
    "pace": (is_pace, f"firings per second, more than 0 and at most {PACE_MAX:g}"),
    "not_before_ms": _INSTANT,
}


def check(data: Mapping[str, Any], checks: Mapping[str, Check]) -> None:
    """Raise ValidationError for the first field of `data` that fails its check."""
    for name, value in data.items():
        rule = checks.get(name)
        if rule is not None and not rule[0](value):
            raise ValidationError(name, kind_of(value), rule[1])
