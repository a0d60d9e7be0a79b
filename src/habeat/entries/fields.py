"""Read and check the values that users give for the fields of an entry.

The names are the arguments of `Client.add`, which an entry of beat_schedule may use as keys too.
Users give spans as seconds or a timedelta, and instants as datetimes with a timezone; inside, both
are whole milliseconds. Invalid values raise ValidationError.
"""

from __future__ import annotations

import difflib
import enum
import math
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any, TypeVar

from habeat.config.setting import LONGEST_S
from habeat.core.entry import PACE_MAX, Delivery, Misfire
from habeat.entries.schedules import schedule_of
from habeat.entries.tasks import options_of, task_of
from habeat.errors import ValidationError
from habeat.schedules.schedule import to_ms

Word = TypeVar("Word", bound=enum.StrEnum)
Reader = Callable[[Any], Any]


def read_fields(given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an Entry for the given values; ValidationError if one is invalid."""
    fields: dict[str, Any] = {}
    for key, value in given.items():
        if key not in READERS:
            raise _unknown(str(key), value)
        field, read = READERS[key]
        fields[field] = read(value)
    return fields


def _unknown(name: str, value: Any) -> ValidationError:
    near = difflib.get_close_matches(name, READERS, n=1, cutoff=0.7)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    if name == "replace":
        hint = " (only add() takes it)"
    return ValidationError(
        name, value, "one of " + ", ".join(READERS), problem=f"unknown field {name!r}{hint}"
    )


def arguments(given: Any) -> tuple[Any, ...]:
    """Positional arguments of a task; ValidationError unless they are a list or tuple."""
    if not isinstance(given, list | tuple):
        raise ValidationError("args", given, "a list or tuple")
    return tuple(given)


def keywords(given: Any) -> dict[str, Any]:
    """Keyword arguments of a task; ValidationError unless they are a mapping by name."""
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
        raise ValidationError("kwargs", given, "a mapping with string keys")
    return dict(given)


def tags_of(given: Any) -> tuple[str, ...]:
    """Tags without duplicates, in the given order; ValidationError for a single string."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ValidationError("tags", given, "a list of strings")
    tags = tuple(dict.fromkeys(given))
    if not all(isinstance(tag, str) and tag and tag.isprintable() for tag in tags):
        raise ValidationError("tags", given, "a list of non-empty, printable strings")
    return tags


def span_ms(field: str, given: Any, *, least_ms: int = 0, allowed: str = "") -> int:
    """A span in ms, from `least_ms` to ten years; `allowed` is added to the error's text."""
    seconds = given.total_seconds() if isinstance(given, timedelta) else given
    if type(seconds) in (int, float) and math.isfinite(seconds):
        span = round(seconds * 1_000)
        if span >= least_ms and 0 <= seconds <= LONGEST_S:
            return span
    amount = "0 or more" if not least_ms else "more than 0"
    raise ValidationError(
        field, given, f"seconds or a timedelta, {amount} and at most ten years{allowed}"
    )


def pace_of(field: str, given: Any, allowed: str = "") -> float:
    """A pace in firings per second; `allowed` is added to the error's text."""
    if type(given) in (int, float) and 0 < given <= PACE_MAX:
        return float(given)
    raise ValidationError(
        field, given, f"firings per second, more than 0 and at most {PACE_MAX:g}{allowed}"
    )


def _optional(read: Reader) -> Reader:
    return lambda given: None if given is None else read(given)


def _span(field: str, *, least_ms: int = 0) -> Reader:
    return _optional(lambda given: span_ms(field, given, least_ms=least_ms, allowed=", or None"))


def _offset(field: str) -> Reader:
    return lambda given: 0 if given is None else span_ms(field, given)


def _count(field: str) -> Reader:
    def read(given: Any) -> int:
        if isinstance(given, int) and not isinstance(given, bool) and given >= 1:
            return given
        raise ValidationError(field, given, "a whole number, 1 or more, or None")

    return _optional(read)


def _word(field: str, words: type[Word]) -> Reader:
    def read(given: Any) -> Word:
        try:
            return words(given)
        except ValueError:
            allowed = ", ".join(repr(str(word)) for word in words)
            raise ValidationError(
                field, given, f"{allowed}, or None for the app's default"
            ) from None

    return _optional(read)


def _instant(field: str) -> Reader:
    return _optional(lambda given: to_ms(field, given))


def _as_given(given: Any) -> Any:
    return given  # `core.entry.validated` checks it


#: The field of Entry for each name, and the function that reads it.
READERS: dict[str, tuple[str, Reader]] = {
    "task": ("task", task_of),
    "schedule": ("schedule", schedule_of),
    "args": ("args", arguments),
    "kwargs": ("kwargs", keywords),
    "options": ("options", options_of),
    "enabled": ("enabled", _as_given),
    "tags": ("tags", tags_of),
    "description": ("description", _as_given),
    "start": ("start_ms", _instant("start")),
    "end": ("end_ms", _instant("end")),
    "max_runs": ("max_runs", _count("max_runs")),
    "jitter": ("jitter_ms", _offset("jitter")),
    "spread": ("spread_ms", _offset("spread")),
    "deadline": ("deadline_ms", _span("deadline", least_ms=1)),
    "misfire": ("misfire", _word("misfire", Misfire)),
    "misfire_grace": ("misfire_grace_ms", _span("misfire_grace")),
    "misfire_limit": ("misfire_limit", _count("misfire_limit")),
    "misfire_window": ("misfire_window_ms", _span("misfire_window")),
    "misfire_pace": (
        "misfire_pace",
        _optional(lambda given: pace_of("misfire_pace", given, ", or None")),
    ),
    "delivery": ("delivery", _word("delivery", Delivery)),
}

_CELERYS = ("task", "schedule", "args", "kwargs", "options")

#: Keys that an entry of beat_schedule may have in addition to Celery's own.
OWN = tuple(name for name in READERS if name not in _CELERYS)
