"""An entry that cannot be read, shown with whatever can be read of it.

It is listed and got like any other, with the condition "quarantined"; its schedule is a kind
that has no slots. Nothing of it is ever written back: a repair goes by `update`, or by `add`
with `replace=True`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from habeat.core.entry import Entry
from habeat.entries import shapes, storable
from habeat.ports.entries import Stored
from habeat.schedules import Schedule, from_json

NO_DEFINITION = "there is no definition: it was evicted or deleted by hand"


@dataclass(frozen=True, repr=False)
class Unreadable(Schedule):
    """Stands for a schedule that cannot be read; `why` says what is wrong with it."""

    kind: ClassVar[str] = "unreadable"

    why: str

    def next_after_ms(self, after_ms: int) -> int | None:
        return None

    def describe(self) -> str:
        return "cannot be read"


def shown(stored: Stored) -> Entry:
    """The entry as stored, or as much of it as can be read."""
    if stored.entry is not None:
        return stored.entry
    why = stored.unreadable or NO_DEFINITION
    state = stored.state
    if state.quarantined is None:
        state = replace(state, quarantined=why)
    data = _object(stored.raw)
    fields = {key: data[key] for key in _READABLE if key in data and _is_sound(key, data[key])}
    return Entry(
        name=stored.name,
        task=fields.pop("task", "?"),
        schedule=_schedule(data, why),
        args=tuple(fields.pop("args", ())),
        tags=tuple(fields.pop("tags", ())),
        owner="config" if data.get("owner") == "config" else "api",
        enabled=data.get("enabled") is not False,
        state=state,
        **fields,
    )


_READABLE = ("task", "args", "kwargs", "options", "tags", "description", "rev", "created_ms")


def _is_sound(key: str, value: Any) -> bool:
    """Whether a field is what it should be, and can be printed."""
    return shapes.DEFINITION[key][0](value) and next(storable.faults(value), None) is None


def _object(raw: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(raw)
    except Exception:  # of what cannot be parsed, nothing is shown
        return {}
    return found if isinstance(found, dict) else {}


def _schedule(data: Mapping[str, Any], why: str) -> Schedule:
    try:
        return from_json(data.get("schedule"))
    except Exception:  # whatever a kind of schedule makes of it
        return Unreadable(why)
