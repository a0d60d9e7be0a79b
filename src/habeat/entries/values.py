"""The kinds of value that a field of an entry can have: how each is given, stored and checked.

Users give spans as seconds or a timedelta, and instants as datetimes with a timezone; inside, and
in the stored JSON, both are whole milliseconds. A reader raises ValidationError, which names the
field, if what was given is invalid.
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from habeat.config.setting import LONGEST_S
from habeat.core.entry import PACE_MAX
from habeat.entries import shapes
from habeat.entries.names import DECEIVING, deceives
from habeat.entries.options import options_of
from habeat.entries.schedules import schedule_of
from habeat.entries.tasks import task_of
from habeat.errors import ValidationError
from habeat.schedules import Schedule
from habeat.schedules.checks import choices
from habeat.schedules.schedule import LAST_MS, to_ms

#: How a calendar may be named, and how many an entry may have.
CALENDAR_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
CALENDARS_MAX = 8

Word = TypeVar("Word", bound=enum.StrEnum)

#: Reads a value as given for the field of this name.
Reader = Callable[[str, Any], Any]


class Form(enum.StrEnum):
    """How a value is written on the command line; also the metavar of its option."""

    LIST = "JSON-LIST"
    OBJECT = "JSON-OBJECT"
    TEXT = "TEXT"
    TAGS = "TAG"
    WHEN = "WHEN"
    SPAN = "SPAN"
    COUNT = "N"
    PACE = "RATE"
    WORD = "WORD"
    OWN = ""  # the commands have options of their own for it


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of value.

    `given` says what users may give, and `read` reads it. `is_sound` checks the value that is
    stored and held by an `Entry`, and `allowed` says what it must be. `unit` is the end of its name
    there. `revive` makes the value of an `Entry` from the stored one, if they differ. `free` values
    contain text or data of the user, which may be secret, or impossible to store.
    """

    given: str
    read: Reader
    is_sound: Callable[[Any], bool]
    allowed: str
    form: Form = Form.OWN
    unit: str = ""
    revive: Callable[[str, Any], Any] | None = None
    free: bool = False
    words: tuple[str, ...] = ()

    @property
    def check(self) -> shapes.Check:
        return self.is_sound, self.allowed


# -- readers of what users give -------------------------------------------------------------


def arguments(given: Any) -> tuple[Any, ...]:
    """Positional arguments of a task; ValidationError unless they are a list or tuple."""
    if not isinstance(given, list | tuple):
        raise ValidationError("args", given, "a list or tuple")
    return tuple(given)


def keywords(given: Any) -> dict[str, Any]:
    """Keyword arguments of a task; ValidationError unless their keys are strings."""
    if given is None:
        return {}
    if not _has_text_keys(given):
        raise ValidationError("kwargs", given, "a mapping with string keys")
    return dict(given)


def tags_of(given: Any) -> tuple[str, ...]:
    """Tags without duplicates, in the given order; ValidationError for a single string."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ValidationError("tags", given, "a list of strings")
    tags = tuple(dict.fromkeys(given))
    if not all(isinstance(tag, str) and tag and not deceives(tag) for tag in tags):
        raise ValidationError("tags", given, f"a list of non-empty strings without {DECEIVING}")
    return tags


def span_ms(field: str, given: Any, *, least_ms: int = 0, allowed: str = "") -> int:
    """A span in ms, from `least_ms` to ten years; `allowed` is added to the error's text."""
    seconds = given.total_seconds() if isinstance(given, timedelta) else given
    if type(seconds) in (int, float) and math.isfinite(seconds):
        span = round(seconds * 1_000)
        if span >= least_ms and 0 <= seconds <= LONGEST_S:
            return span
    amount = "more than 0" if 0 < least_ms < 1_000 else f"{least_ms / 1_000:g} or more"
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


def _count(field: str, given: Any) -> int:
    if isinstance(given, int) and not isinstance(given, bool) and 1 <= given <= shapes.WHOLE_MAX:
        return int(given)
    raise ValidationError(field, given, "a whole number, 1 or more and at most 2**53, or None")


def _flag(field: str, given: Any) -> bool:
    if isinstance(given, bool):
        return given
    raise ValidationError(field, given, "True or False")


def calendars_of(field: str, given: Any) -> str:
    """The names of calendars, joined by commas; ValidationError."""
    names = given.split(",") if isinstance(given, str) else given
    if given is None or given == "":
        return ""
    if not isinstance(names, Iterable) or not all(isinstance(name, str) for name in names):
        raise ValidationError(field, given, CALENDARS.given)
    joined = ",".join(dict.fromkeys(name.strip() for name in names))
    if not _are_calendars(joined):
        raise ValidationError(field, given, CALENDARS.allowed)
    return joined


def _text(field: str, given: Any) -> str:
    if isinstance(given, str):
        return given
    raise ValidationError(field, given, "a string")


def _word_of(words: type[Word]) -> Reader:
    def read(field: str, given: Any) -> Word:
        try:
            return words(given)
        except ValueError:
            allowed = ", ".join(repr(str(word)) for word in words)
            raise ValidationError(
                field, given, f"{allowed}, or None for the app's default"
            ) from None

    return read


def _revived_word(words: type[Word]) -> Reader:
    def revive(field: str, stored: str) -> Word:
        try:
            return words(stored)
        except ValueError:
            allowed = choices([repr(str(word)) for word in words])
            raise ValidationError(field, stored, allowed) from None

    return revive


def _optional(read: Reader) -> Reader:
    return lambda field, given: None if given is None else read(field, given)


# -- the kinds ------------------------------------------------------------------------------


def _has_text_keys(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(key, str) for key in value)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(each, str) for each in value)


def _is_task(value: Any) -> bool:
    return isinstance(value, str | Mapping) and bool(value)


def _are_calendars(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    names = value.split(",") if value else []
    return len(names) <= CALENDARS_MAX and all(map(CALENDAR_NAME.fullmatch, names))


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _or_none(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or check(value)


def _revived_list(field: str, stored: Any) -> tuple[Any, ...]:
    return tuple(stored)


def _unread(field: str, given: Any) -> Any:
    raise ValidationError(field, given, "no value: habeat sets it")


def span(least_ms: int = 0) -> Kind:
    """A span, or None to follow the app's setting or to have no limit."""
    return Kind(
        "seconds or a `timedelta`",
        _optional(lambda name, given: span_ms(name, given, least_ms=least_ms, allowed=", or None")),
        _or_none(lambda value: shapes.is_whole(value, least_ms, LAST_MS)),
        f"whole milliseconds, {least_ms} or more, or null",
        form=Form.SPAN,
        unit="_ms",
    )


def count(least_stored: int) -> Kind:
    """A whole number, 1 or more, or None; in a stored definition `least_stored` or more."""
    return Kind(
        "a whole number, 1 or more",
        _optional(_count),
        _or_none(lambda value: shapes.is_whole(value, least_stored)),
        f"a whole number, {least_stored} or more, or null",
        Form.COUNT,
    )


def word(words: type[enum.StrEnum]) -> Kind:
    """One word of several, or None to follow the app's setting."""
    return Kind(
        choices([f'`"{each}"`' for each in words]),
        _optional(_word_of(words)),
        _is_text,
        "a policy",
        Form.WORD,
        revive=_revived_word(words),
        words=tuple(map(str, words)),
    )


TASK = Kind(
    "a name, a task or a signature",
    lambda _, given: task_of(given),
    _is_task,
    "a task's name, a task or a signature",
    free=True,
)
SCHEDULE = Kind(
    "a schedule, or a period in seconds",
    lambda _, given: schedule_of(given),
    lambda value: isinstance(value, Schedule),
    "a schedule",
)
ARGUMENTS = Kind(
    "a list or tuple",
    lambda _, given: arguments(given),
    lambda value: isinstance(value, list | tuple),
    "a list",
    Form.LIST,
    revive=_revived_list,
    free=True,
)
KEYWORDS = Kind(
    "a mapping with string keys",
    lambda _, given: keywords(given),
    _has_text_keys,
    "a mapping with string keys",
    Form.OBJECT,
    free=True,
)
OPTIONS = Kind(
    "a mapping with string keys",
    lambda _, given: options_of(given),
    _has_text_keys,
    "a mapping with string keys",
    free=True,
)
FLAG = Kind("`True` or `False`", _flag, lambda value: isinstance(value, bool), "true or false")
TAGS = Kind(
    "a list of strings",
    lambda _, given: tags_of(given),
    _are_texts,
    "a list of strings",
    Form.TAGS,
    revive=_revived_list,
    free=True,
)
TEXT = Kind("a string", _text, _is_text, "a string", Form.TEXT, free=True)
CALENDARS = Kind(
    "the name of a calendar, or a list of names",
    calendars_of,
    _are_calendars,
    f"names of letters, digits, '.', '_' and '-', at most {CALENDARS_MAX}, separated by commas",
    Form.TEXT,
)
INSTANT = Kind(
    "a `datetime` with a time zone",
    _optional(to_ms),
    _or_none(shapes.is_instant),
    "an instant, whole milliseconds, or null",
    form=Form.WHEN,
    unit="_ms",
)
OFFSET = Kind(
    "seconds or a `timedelta`",
    lambda name, given: 0 if given is None else span_ms(name, given),
    lambda value: shapes.is_whole(value, 0, LAST_MS),
    "whole milliseconds, 0 or more",
    form=Form.SPAN,
    unit="_ms",
)
PACE = Kind(
    "firings per second",
    _optional(lambda name, given: pace_of(name, given, ", or None")),
    _or_none(shapes.is_pace),
    f"more than 0 and at most {PACE_MAX:g}, or null",
    Form.PACE,
)

# What habeat sets itself.
OWNER = Kind("", _unread, lambda value: value in ("api", "config"), "'api' or 'config'")
NAMES = Kind("", _unread, _are_texts, "a list of strings", revive=_revived_list)
NUMBER = Kind("", _unread, shapes.is_whole, "a whole number, 0 or more")
MOMENT = Kind("", _unread, shapes.is_instant, "an instant, whole milliseconds", unit="_ms")
DIGEST = Kind("", _unread, _is_text, "a string")
