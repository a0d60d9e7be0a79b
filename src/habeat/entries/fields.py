"""The table of an entry's fields: the only place that lists them.

Reading what users give, the stored JSON and its checks, the options of the command line, what
`show` prints, and the table in `docs/reference/python-api.md` follow from it. Two lists are written
out, because a type checker has to read them: the attributes of `core.entry.Entry`, and the types in
`client/arguments.py`. A test compares them with the table.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from habeat.core.entry import Delivery, Entry, Misfire, instant
from habeat.entries import shapes, values
from habeat.entries.names import check_name
from habeat.entries.values import Form, Kind
from habeat.errors import ValidationError


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its name as an argument of `Client.add`, its kind, and its meaning.

    The meaning is one sentence; the command line and the reference show it. It is "" for the fields
    that habeat sets itself.
    """

    name: str
    kind: Kind
    meaning: str = ""
    always_stored: bool = False

    @property
    def stored(self) -> str:
        """Its key in the stored JSON, which is also its attribute of `Entry`."""
        return self.name + self.kind.unit

    @property
    def is_instant(self) -> bool:
        return self.kind.form is Form.WHEN

    @property
    def is_span(self) -> bool:
        return self.kind.form is Form.SPAN

    @property
    def default(self) -> Any:
        """The value that is left out of a stored definition, and stands for its absence."""
        return getattr(_UNSET, self.stored)


_UNSET = Entry("", "", cast(Any, None))

#: The fields that users set.
FIELDS = (
    Field("task", values.TASK, "What to send.", always_stored=True),
    Field("schedule", values.SCHEDULE, "When to send it."),
    Field("args", values.ARGUMENTS, "Positional arguments of the task."),
    Field("kwargs", values.KEYWORDS, "Keyword arguments of the task."),
    Field("options", values.OPTIONS, "Options of `apply_async`."),
    Field("enabled", values.FLAG, "Whether the entry fires."),
    Field("tags", values.TAGS, "Words by which entries can be selected."),
    Field("description", values.TEXT, "What the entry is for."),
    Field("calendar", values.CALENDARS, "Calendars with days on which it does not fire."),
    Field("start", values.INSTANT, "No slots before this time."),
    Field("end", values.INSTANT, "No slots after this time."),
    Field("max_runs", values.count(least_stored=1), "Fire at most this many times."),
    Field("jitter", values.OFFSET, "Delay each firing by a different part of this."),
    Field("spread", values.OFFSET, "Delay all firings by the same part of this."),
    Field("deadline", values.span(least_ms=1), "Workers discard messages older than this."),
    Field("start_by", values.span(least_ms=1_000), "Slots sent later than this raise an alarm."),
    Field("misfire", values.word(Misfire), "Which missed slots fire."),
    Field("misfire_grace", values.span(), "A slot this late still fires normally."),
    Field("misfire_limit", values.count(least_stored=0), "How many slots 'all' fires at most."),
    Field("misfire_window", values.span(), "Slots older than this never fire."),
    Field("misfire_pace", values.PACE, "How many slots 'all' fires per second."),
    Field(
        "delivery",
        values.word(Delivery),
        "Whether to resend when a crash leaves it unclear if a message was sent.",
    ),
)

#: The fields that habeat sets.
KEPT = (
    Field("owner", values.OWNER, always_stored=True),
    Field("from_code", values.NAMES),
    Field("rev", values.NUMBER, always_stored=True),
    Field("created", values.MOMENT, always_stored=True),
    Field("generation", values.NUMBER),
    Field("fingerprint", values.DIGEST),
)

#: The stored fields, except for the schedule, which has a form of its own (schedules/registry.py).
STORED = tuple(field for field in (*FIELDS, *KEPT) if field.kind is not values.SCHEDULE)

#: The checks of a stored definition.
DEFINITION: Mapping[str, shapes.Check] = {field.stored: field.kind.check for field in STORED}

#: Fields that contain data of the user.
FREE = tuple(field.stored for field in STORED if field.kind.free)

_BY_NAME = {field.name: field for field in FIELDS}
_CELERYS = ("task", "schedule", "args", "kwargs", "options")

#: Keys that an entry of beat_schedule may have in addition to Celery's own.
OWN = tuple(name for name in _BY_NAME if name not in _CELERYS)


def read_fields(given: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of an Entry for the given values; ValidationError if one is invalid."""
    found: dict[str, Any] = {}
    for name, value in given.items():
        field = _BY_NAME.get(name)
        if field is None:
            raise _unknown(str(name), value)
        found[field.stored] = field.kind.read(name, value)
    return found


def _unknown(name: str, value: Any) -> ValidationError:
    near = difflib.get_close_matches(name, _BY_NAME, n=1, cutoff=0.7)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    if name == "replace":
        hint = " (it is an argument of the call, not a field of an entry)"
    return ValidationError(
        name, value, "one of " + ", ".join(_BY_NAME), problem=f"unknown field {name!r}{hint}"
    )


def validated(entry: Entry) -> Entry:
    """`entry` if every field is valid; otherwise ValidationError, which names the field."""
    name = entry.name
    check_name(name, entry.owner)
    for field in (*FIELDS, *KEPT):
        value = getattr(entry, field.stored)
        if not field.kind.is_sound(value) and not (value is None and field.default is None):
            raise ValidationError(field.name, value, field.kind.allowed, entry=name)
    if entry.start_ms is not None and entry.end_ms is not None and entry.start_ms >= entry.end_ms:
        allowed = "an instant after the start"
        raise ValidationError("end", instant(entry.end_ms), allowed, entry=name)
    return entry
