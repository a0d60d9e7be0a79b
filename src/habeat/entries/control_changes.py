"""What a change of the controls is, for the change log and the history: read from its stored forms.

Pauses of the whole schedule, holds and calendars are logged. A request to step down is not: the
change of leader that follows is an event of its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from habeat.core.controls import CALENDAR, HOLD, PAUSE, pauses_of
from habeat.core.events import EventCode
from habeat.core.holds import Pause
from habeat.entries.record_values import differing_values, iso


@dataclass(frozen=True, slots=True)
class ControlChange:
    """`act` is "" if the change is not logged. `event` is "" if the history shows no event of it.

    `since_ms` and `until_ms` bound the pause of the event; `reason` is why the schedule is paused.
    """

    act: str = ""
    fields: bytes = b""
    event: str = ""
    since_ms: int = 0
    until_ms: int | None = None
    reason: str = ""


def control_change(field: str, before: str, after: str) -> ControlChange:
    """What replacing the value `before` of this field by `after` means; "" stands for no value."""
    if field == PAUSE:
        return _of_pause(_newest(before), _newest(after))
    act = ("changed" if before else "added") if after else "removed"
    if field.startswith(HOLD):
        return ControlChange(act, differing_values(_hold(before), _hold(after)))
    if field.startswith(CALENDAR):
        return ControlChange(act, differing_values(_object(before), _object(after)))
    return ControlChange()


def _of_pause(before: Pause | None, after: Pause | None) -> ControlChange:
    was_on = before is not None and not before.over
    fields = differing_values(_pause(before), _pause(after))
    if after is None or after.over:
        if before is None or not was_on:
            return ControlChange("changed", fields)  # of pauses that are over, by a restore
        ends_ms = before.until_ms if after is None else after.until_ms
        resumed = EventCode.SCHEDULE_RESUMED.value
        return ControlChange("resumed", fields, resumed, before.since_ms, ends_ms)
    goes_on = was_on and before is not None and before.since_ms == after.since_ms
    return ControlChange(
        "changed" if goes_on else "paused",
        fields,
        EventCode.SCHEDULE_PAUSED.value,
        since_ms=after.since_ms,
        until_ms=after.until_ms,
        reason=after.reason,
    )


def _newest(stored: str) -> Pause | None:
    """The newest pause; None if there is none, or if the value is not one of ours."""
    try:
        return pauses_of(json.loads(stored))[-1] if stored else None
    except Exception:  # another program may have written anything
        return None


def _pause(pause: Pause | None) -> dict[str, Any]:
    if pause is None or pause.over:
        return {}
    return {
        "reason": pause.reason,
        "until": None if pause.until_ms is None else iso(pause.until_ms),
    }


def _hold(stored: str) -> dict[str, Any]:
    """A hold as `add_hold` takes it; who asked for it is in the record itself."""
    found = _object(stored)
    if not found:
        return {}
    start, end, span = found.get("from"), found.get("to"), found.get("for")
    shown = {
        "start": iso(start) if type(start) is int else start,
        "end": iso(end) if type(end) is int else end,
        "schedule": found.get("schedule"),
        "duration": span / 1_000 if type(span) is int and span else None,
    }
    return shown | {name: found.get(name) for name in ("prefix", "tags", "misfire", "reason")}


def _object(stored: str) -> Mapping[str, Any]:
    try:
        found = json.loads(stored) if stored else {}
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
