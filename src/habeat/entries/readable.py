"""An unreadable entry, shown with the fields that can be read.

It can be listed and fetched like any other, with the condition "quarantined"; its schedule is a
kind without slots. It is never written back: repair it with `update`, or with `add` and
`replace=True`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from habeat.core.entry import Entry
from habeat.entries import storable
from habeat.entries.fields import DEFINITION, FREE
from habeat.ports.entries import Stored
from habeat.schedules import Schedule, from_json

NO_DEFINITION = "there is no definition: it was evicted or deleted from Redis"


@dataclass(frozen=True, repr=False)
class Unreadable(Schedule):
    """Replaces a schedule that cannot be read; `why` is the reason."""

    kind: ClassVar[str] = "unreadable"

    why: str

    def next_after_ms(self, after_ms: int) -> int | None:
        return None

    def describe(self) -> str:
        return "unreadable"


def shown(stored: Stored) -> Entry:
    """The stored entry, or as much of it as can be read."""
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


_READABLE = (*FREE, "rev", "created_ms")


def _is_sound(key: str, value: Any) -> bool:
    """Whether a field has the right type and can be printed."""
    return DEFINITION[key][0](value) and next(storable.faults(value), None) is None


def _object(raw: bytes) -> Mapping[str, Any]:
    try:
        data = json.loads(raw)
    except Exception:  # it is not JSON, so there is nothing to show
        return {}
    return data if isinstance(data, dict) else {}


def _schedule(data: Mapping[str, Any], why: str) -> Schedule:
    try:
        return from_json(data.get("schedule"))
    except Exception:  # a registered kind may raise anything
        return Unreadable(why)
