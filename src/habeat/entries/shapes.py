"""The required type and range of each field of a stored record.

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


def _is_pace(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and 0 < value <= PACE_MAX  # type: ignore[arg-type,operator]


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _is_task(value: object) -> bool:
    return isinstance(value, str | dict) and bool(value)


def _or_none(check: Callable[[Any], bool], allowed: str) -> Check:
    return (lambda value: value is None or check(value)), f"{allowed}, or null"


def _kind(kind: type, allowed: str) -> Check:
    return (lambda value: isinstance(value, kind)), allowed


_SPAN = _or_none(lambda value: is_whole(value, 0, LAST_MS), "whole milliseconds, 0 or more")
_INSTANT: Check = (is_instant, "an instant, whole milliseconds")
_COUNT: Check = (is_whole, "a whole number, 0 or more")

DEFINITION: Mapping[str, Check] = {
    "task": (_is_task, "a task's name or a signature"),
    "args": _kind(list, "a JSON list"),
    "kwargs": _kind(dict, "a JSON object"),
    "options": _kind(dict, "a JSON object"),
    "enabled": _kind(bool, "true or false"),
    "tags": (_texts, "a list of strings"),
    "description": _kind(str, "a string"),
    "owner": (lambda value: value in ("api", "config"), "'api' or 'config'"),
    "misfire": _kind(str, "a policy"),
    "delivery": _kind(str, "a policy"),
    "misfire_grace_ms": _SPAN,
    "misfire_window_ms": _SPAN,
    "misfire_limit": _or_none(*_COUNT),
    "misfire_pace": _or_none(_is_pace, f"more than 0 and at most {PACE_MAX:g}"),
    "start_ms": _or_none(*_INSTANT),
    "end_ms": _or_none(*_INSTANT),
    "max_runs": _or_none(lambda value: is_whole(value, 1), "a whole number, 1 or more"),
    "jitter_ms": (lambda value: is_whole(value, 0, LAST_MS), "whole milliseconds, 0 or more"),
    "spread_ms": (lambda value: is_whole(value, 0, LAST_MS), "whole milliseconds, 0 or more"),
    "deadline_ms": _or_none(
        lambda value: is_whole(value, 1, LAST_MS), "whole milliseconds, 1 or more"
    ),
    "from_code": (_texts, "a list of strings"),
    "rev": _COUNT,
    "created_ms": _INSTANT,
    "generation": _COUNT,
    "fingerprint": _kind(str, "a string"),
}

REQUEST: Mapping[str, Check] = {
    "kind": (lambda value: value in ("trigger", "backfill"), "'trigger' or 'backfill'"),
    "entry": (lambda value: isinstance(value, str) and bool(value), "an entry's name"),
    "at_ms": _INSTANT,
    "args": _or_none(lambda value: isinstance(value, list), "a JSON list"),
    "kwargs": _or_none(lambda value: isinstance(value, dict), "a JSON object"),
    "cursor_ms": _INSTANT,
    "end_ms": _INSTANT,
    "pace": (_is_pace, f"firings per second, more than 0 and at most {PACE_MAX:g}"),
    "not_before_ms": _INSTANT,
}


def check(data: Mapping[str, Any], checks: Mapping[str, Check]) -> None:
    """Raise ValidationError for the first field of `data` that fails its check."""
    for name, value in data.items():
        rule = checks.get(name)
        if rule is not None and not rule[0](value):
            raise ValidationError(name, kind_of(value), rule[1])
